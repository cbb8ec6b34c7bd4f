"""Fitting the head of a frozen speech encoder, on states that are computed once."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfpipeline.config import TrainingConfig
from tfpipeline.data.clip_audio import Audio
from tfpipeline.data.pipeline import scoring_batches
from tfpipeline.files.progress import Progress
from tfpipeline.models.detector import ClipScorer, DetectorModel
from tfpipeline.runs import layout
from tfpipeline.training.optimizer import build_optimizer
from tfpipeline.training.selection import Selection

HEAD = "head"  # folder, in that of the run, which is gone when the head is fitted
SPARE = 1 << 30  # bytes of the disk that are left free


class StoredScorer(ClipScorer):
    """Scores clips by the stored states of their windows.

    Args:
        detector: with a speech encoder.
        audio: of the clips.
        folder: takes the states.
        batch_size: windows scored at once.
    """

    def __init__(self, detector: DetectorModel, audio: Audio, folder: Path, batch_size: int):
        super().__init__(detector.model, detector.window, batch_size)
        encode, head = encoder_of(detector), detector.head
        places, parts = [], []
        with Progress("encoding validation clips", audio.n_clips, "clips") as bar:
            for index, waveform in scoring_batches(audio, detector.window, batch_size):
                places.append(index.numpy())
                parts.append(encode(waveform).numpy())
                bar.advance(len(np.unique(index)))
        self._places = np.concatenate(places)
        self._states = _stored(folder / "validation.npy", len(self._places), parts)
        self._head = tf.function(
            lambda states: head(tf.cast(states, tf.float32), training=False)[:, 0],
            input_signature=[tf.TensorSpec([None, *self._states.shape[1:]], tf.float16)],
        )

    def _windows(self, audio: Audio) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for first in range(0, len(self._places), self.batch_size):
            rows = slice(first, first + self.batch_size)
            yield self._places[rows], self._head(tf.constant(self._states[rows])).numpy()


def compile_head(
    detector: DetectorModel, training: TrainingConfig, steps: int, jit: bool, loss: keras.Loss
) -> None:
    """Readies a detector's head for `fit_head`.

    Raises:
        ValueError: the detector has no speech encoder.
    """
    if detector.head is None:
        raise ValueError(
            "training.cached_passes keeps the states of a speech encoder. Received: "
            f"{training.cached_passes} for {detector.model.name}, which has none."
        )
    optimizer = build_optimizer(training, steps, detector.backbone)
    detector.head.compile(optimizer=optimizer, loss=loss, jit_compile=jit)
    optimizer.build(detector.head.trainable_variables)


def fit_head(
    detector: DetectorModel,
    training: TrainingConfig,
    stream: tf.data.Dataset,
    steps: int,
    seed: int,
    selection: Selection,
    folder: Path,
    until: int,
) -> None:
    """Trains a detector's head and leaves it with the best epoch's weights.

    The first `training.cached_passes` epochs of the ordinary stream, each with its own crops and
    augmentation, are encoded and kept. Each epoch takes one of these passes, in a new order.

    Args:
        detector: its head is compiled.
        training: the config's section.
        stream: of (waveform, label, weight), from its beginning.
        steps: of an epoch.
        seed: of the order.
        selection: of the whole detector; takes over history and best weights, and is saved.
        folder: of the run.
        until: the epoch to stop after.
    Raises:
        ValueError: the disk has too little space.
    """
    folder = folder / HEAD
    folder.mkdir(exist_ok=True)
    whole = selection.model
    data = _StoredPasses(detector, stream, min(training.cached_passes, until), steps, folder)
    of_head = copy.copy(selection)
    of_head.scorer = StoredScorer(detector, selection.audio, folder, training.batch_size)
    of_head.checkpoint, of_head.history = folder / layout.CHECKPOINT, []
    of_head.set_model(detector.head)
    done = of_head.restore()
    try:
        if done < until and not of_head.exhausted:
            detector.head.fit(
                data.batches(seed, done, until),
                initial_epoch=done,
                epochs=until,
                steps_per_epoch=steps,
                callbacks=[of_head],
                shuffle=False,
                verbose=0,
            )
    except KeyboardInterrupt:
        if not of_head.best:
            raise
        selection.interrupted = True
    detector.head.set_weights(of_head.best_weights)
    selection.history, selection.best_weights = of_head.history, whole.get_weights()
    selection.save()
    for path in folder.glob("*.npy"):
        path.unlink()
    finished = len(of_head.history) >= training.frozen_epochs or of_head.exhausted
    if finished and not selection.interrupted:
        shutil.rmtree(folder)


class _StoredPasses:
    """Passes over the training clips, as an encoder's states on disk."""

    def __init__(
        self,
        detector: DetectorModel,
        stream: tf.data.Dataset,
        passes: int,
        steps: int,
        folder: Path,
    ):
        self._passes, self._steps = passes, steps
        self._labels, self._weights = [], []
        encode = encoder_of(detector)

        def parts() -> Iterator[np.ndarray]:
            with Progress("encoding training clips", passes * steps, "batches") as bar:
                for waveform, label, weight in stream.take(passes * steps):
                    self._labels.append(label.numpy())
                    self._weights.append(weight.numpy())
                    yield encode(waveform).numpy()
                    bar.advance()

        self._size = stream.element_spec[1].shape[0]
        self._states = _stored(folder / "train.npy", passes * steps * self._size, parts())

    def batches(self, seed: int, first: int, last: int) -> tf.data.Dataset:
        """The batches of some epochs: (states float16, label (batch, 1), weight (batch,))."""
        labels, weights = np.concatenate(self._labels), np.concatenate(self._weights)
        rows = self._steps * self._size

        def shuffled() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
            for epoch in range(first, last):
                order = np.random.default_rng([seed, epoch]).permutation(rows)
                order += epoch % self._passes * rows
                # Sorted rows are read in the order of the file.
                for row in np.sort(order.reshape(self._steps, self._size)):
                    yield self._states[row], labels[row], weights[row]

        specs = (
            tf.TensorSpec([self._size, *self._states.shape[1:]], tf.float16),
            tf.TensorSpec([self._size, 1], tf.float32),
            tf.TensorSpec([self._size], tf.float32),
        )
        return tf.data.Dataset.from_generator(shuffled, output_signature=specs).prefetch(4)


def encoder_of(detector: DetectorModel) -> Callable[[tf.Tensor], tf.Tensor]:
    """From windows to an encoder's states in half precision, which they are kept in."""
    return tf.function(
        lambda waveform: tf.cast(
            detector.backbone(detector.front_end(waveform), training=False), tf.float16
        )
    )


def _stored(path: Path, rows: int, parts: Iterable[np.ndarray]) -> np.ndarray:
    """Parts of an array as one memory-mapped file of so many rows."""
    array, done = None, 0
    for part in parts:
        if array is None:
            size, free = rows * part[0].nbytes, shutil.disk_usage(path.parent).free
            if size > free - SPARE:
                raise ValueError(
                    f"training.cached_passes needs {size / 1e9:.1f} GB in {path.parent}. Received: "
                    f"{free / 1e9:.1f} GB free. Take fewer passes or model.layers, or 0 passes."
                )
            array = np.lib.format.open_memmap(path, "w+", part.dtype, (rows, *part.shape[1:]))
        array[done : done + len(part)] = part
        done += len(part)
    return array
