"""Scores of clips: a detector over all windows of each."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfpipeline.data.pipeline import Audio, scoring_batches


class ClipScorer:
    """Scores clips with one compiled graph, whatever the batch.

    A clip's score is the mean of its windows' log-odds.

    Args:
        model: waveform (batch, samples) → log-odds (batch, 1).
        window: samples in a window.
        batch_size: windows scored at once; it does not change the scores.
    """

    def __init__(self, model: keras.Model, window: int, batch_size: int = 32):
        self.window = window
        self.batch_size = batch_size
        self._score = tf.function(
            lambda waveform: model(waveform, training=False)[:, 0],
            input_signature=[tf.TensorSpec([None, window], tf.float32)],
        )

    def score_clips(self, audio: Audio) -> np.ndarray:
        """The raw log-odds of each clip, float64 (n_clips,), higher = more likely spoof."""
        total = np.zeros(audio.n_clips)
        count = np.zeros(audio.n_clips)
        for index, waveform in scoring_batches(audio, self.window, self.batch_size):
            places = index.numpy()
            np.add.at(total, places, self._score(waveform).numpy().astype(np.float64))
            np.add.at(count, places, 1)
        return total / count

    def score_waveform(self, waveform: np.ndarray) -> float:
        """The raw log-odds of one waveform, float32 (samples,)."""
        samples = tf.constant(waveform)
        return float(self.score_clips(Audio(lambda index: samples, 1))[0])
