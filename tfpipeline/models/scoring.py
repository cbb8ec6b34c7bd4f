"""Scores of clips: a detector over all windows of each."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.data.opening import Audio
from tfpipeline.data.pipeline import scoring_batches


class ClipScorer:
    """Scores clips with one compiled graph, whatever the batch.

    A clip's score is the mean of its windows' log-odds, of channels that are judged apart the
    highest of their means.

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
        """The raw log-odds of each clip, float64 (n_clips,), higher = more likely spoof.

        NaN of a clip that was lost on the way.

        Raises:
            ValueError: too many were.
        """
        places, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
        with audio.lost.told():
            for index, waveform in scoring_batches(audio, self.window, self.batch_size):
                places.append(index.numpy())
                scores.append(self._score(waveform).numpy().astype(np.float64))
        places, scores = np.concatenate(places), np.concatenate(scores)
        # The windows of a channel lie side by side, and each channel of a clip has as many.
        channels = np.ones(audio.n_clips, int) if audio.channels is None else audio.channels
        counts = np.bincount(places, minlength=audio.n_clips)
        first = np.repeat(np.cumsum(channels) - channels, counts)
        rank = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        channel = first + rank // np.maximum(1, np.repeat(counts // channels, counts))
        with np.errstate(invalid="ignore"):
            means = np.bincount(channel, scores, channels.sum()) / np.bincount(
                channel, minlength=channels.sum()
            )
        return np.maximum.reduceat(means, np.cumsum(channels) - channels) if len(means) else means

    def score_waveform(self, waveform: np.ndarray) -> float:
        """The raw log-odds of one waveform, float32 (samples,)."""
        samples = tf.constant(waveform)
        return float(self.score_clips(Audio(lambda index: samples, 1))[0])


def without_lost(
    clips: pd.DataFrame, audio: Audio, scores: np.ndarray
) -> tuple[pd.DataFrame, Audio, np.ndarray]:
    """Clips, their audio and scores without the clips that were lost on the way."""
    there = ~np.isnan(scores)
    if there.all():
        return clips, audio, scores
    return clips[there].reset_index(drop=True), audio.subset(there), scores[there]
