"""The exported graph: from raw waveforms to scores and probabilities, front end inside."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from tfpipeline.data.windows import cut_windows
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.serving.contract import check_core_ops


class ServedDetector(tf.Module):
    """A network, its window rule and its calibration, as TensorFlow functions of core ops.

    Args:
        model: waveform (batch, samples) → log-odds (batch, 1).
        window: samples in the window that the model takes.
        calibration: of the run.
    """

    def __init__(self, model: keras.Model, window: int, calibration: Calibration):
        super().__init__()
        self.model = model
        # Keras models are not tracked as tf.Modules are: the saver finds variables by this list.
        self.model_variables = [variable.value for variable in model.variables]
        self.window = window
        self.calibration = calibration

    @tf.function(
        input_signature=[tf.TensorSpec([None, None], tf.float32, name="waveform")], autograph=False
    )
    def score_waveform(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores waveforms of one length.

        Args:
            waveform: float32 (batch, samples) at 16 kHz in [-1, 1]; of any length, by the rule of
                `tfpipeline.data.windows`.
        Returns:
            `score`: float32 (batch,), log-odds, mean over windows; higher = more likely spoof.
            `probability`: float32 (batch,), calibrated, of spoof.
        """
        windows = cut_windows(waveform, self.window)  # (batch, windows, window)
        batch, per_clip = tf.shape(windows)[0], tf.shape(windows)[1]
        flat = tf.reshape(windows, [batch * per_clip, self.window])
        logits = self.model(flat, training=False)[:, 0]
        score = tf.reduce_mean(tf.reshape(logits, [batch, per_clip]), axis=1)  # (batch,)
        prior = self.calibration.prior
        log_odds = self.calibration.a * score + self.calibration.b
        log_odds += tf.math.log(prior / (1 - prior))
        return {"score": score, "probability": tf.sigmoid(log_odds)}


def export_saved_model(
    model: keras.Model, window: int, calibration: Calibration, serving: Path
) -> Path:
    """Writes the detector as the next version under `serving`, atomically.

    Args:
        model, window, calibration: as for `ServedDetector`.
        serving: the base folder; versions are folders named 1, 2, ….
    Returns:
        The version's folder.
    Raises:
        ValueError: the graph holds an operation that TensorFlow Serving does not have.
    """
    served = ServedDetector(model, window, calibration)
    serving.mkdir(parents=True, exist_ok=True)
    version = 1 + max((int(f.name) for f in serving.iterdir() if f.name.isdigit()), default=0)
    partial = serving / f".partial-{version}-{os.getpid()}"
    try:
        tf.saved_model.save(served, str(partial), {"serving_default": served.score_waveform})
        check_core_ops(partial)
        target = serving / str(version)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target
