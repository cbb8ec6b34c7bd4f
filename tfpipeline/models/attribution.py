"""Where in time and frequency the evidence for a network's score lies.

HiResCAM: gradient times activation at the last feature maps, summed over channels. Unlike Grad-CAM,
which averages the gradient first, it never marks places that the score does not depend on; behind
average pooling and one dense layer both are the same, and sum to the score less its bias. Behind a
speech encoder the activations are the frames that are pooled, so that the map tells time alone.

Reference:
    Draelos & Carin (2020), https://arxiv.org/abs/2011.08891; Selvaraju et al. (2017), Grad-CAM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfpipeline.data.audio.windows import cut_windows, repeat_to
from tfpipeline.features.mel import LogMel
from tfpipeline.models.detector import DetectorModel


@dataclass(frozen=True)
class Evidence:
    """What a window's score rests on.

    Attributes:
        start: of the window in its clip, in samples.
        score: log-odds of the window.
        spectrogram: float32 (frames, n_mels), as the network sees it; of a speech encoder, the
            log-mel spectrogram of what it hears.
        evidence: float32 (frames, n_mels), above 0 towards spoof; the map's cells, smoothed.
    """

    start: int
    score: float
    spectrogram: np.ndarray
    evidence: np.ndarray


def explain_window(
    detector: DetectorModel, waveform: np.ndarray, threshold: float, mel: LogMel
) -> Evidence:
    """The evidence in the window of a clip that is furthest on the side of the clip's verdict.

    Args:
        detector: of a network.
        waveform: float32 (samples,) at 16 kHz.
        threshold: of the run; a clip is called spoof where its score, the mean over its windows,
            is not below it.
        mel: draws what a speech encoder hears.
    """
    windows = cut_windows(waveform[None], detector.window)[0]  # (windows, window)
    inputs = detector.front_end(windows)
    scores = detector.body(inputs, training=False)[:, 0].numpy()
    chosen = int(np.argmax(scores if scores.mean() >= threshold else -scores))
    samples = int(tf.shape(repeat_to(waveform, detector.window))[0])
    one = inputs[chosen : chosen + 1]
    spectrogram = one if detector.head is None else mel(one)
    return Evidence(
        min(chosen * detector.window, samples - detector.window),
        float(scores[chosen]),
        spectrogram[0].numpy(),
        evidence_map(detector, one, spectrogram.shape[1:])[0],
    )


def evidence_map(
    detector: DetectorModel, inputs: tf.Tensor, size: Sequence[int] | None = None
) -> np.ndarray:
    """HiResCAM of what a network takes, scaled up.

    Args:
        detector: of a network.
        inputs: float32, of the front end.
        size: frames and mel bands of the map; None: those of the spectrograms that went in.
    Returns:
        float32 (batch, frames, n_mels), above 0 towards spoof.
    """
    cells = evidence_cells(detector, inputs)  # (batch, rows, columns)
    size = inputs.shape[1:3] if size is None else size
    return tf.image.resize(cells[..., None], size, "bilinear")[..., 0].numpy()


def evidence_cells(detector: DetectorModel, inputs: tf.Tensor) -> tf.Tensor:
    """The map at the network's own resolution, (batch, cells in time, cells in frequency)."""
    inputs = tf.convert_to_tensor(inputs)
    if detector.head is not None:
        inputs = detector.backbone(inputs, training=False)
        # Behind the normalization of the states, to whose input the gradient is orthogonal.
        pooled = detector.head.get_layer("layer_weights").output
        both = keras.Model(detector.head.input, [pooled, detector.head.output])
    else:
        network = next(layer for layer in detector.body.layers if isinstance(layer, keras.Model))
        # What is flattened or pooled first: the last maps that still have places.
        features = next(
            layer.input
            for layer in network.layers
            if not isinstance(layer, keras.layers.InputLayer)
            and _rank(layer.input) == 4
            and _rank(layer.output) < 4
        )
        both = keras.Model(network.input, [features, network.output])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values, scores = both(inputs, training=False)
        total = tf.reduce_sum(scores)
    evidence = tf.reduce_sum(tape.gradient(total, values) * values, axis=-1)
    if detector.head is not None:
        return evidence[:, :, None]
    # The picture of an image network has frequency first.
    return tf.transpose(evidence, [0, 2, 1]) if detector.backbone is not None else evidence


def _rank(tensor: keras.KerasTensor | list) -> int:
    return 0 if isinstance(tensor, list) else len(tensor.shape)
