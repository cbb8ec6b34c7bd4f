"""The exported graph: from raw audio to scores and probabilities, front end inside.

Every family has these signatures; `tfpipeline.serving.contract` says the same to a program.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.serving.clip_batch import (
    Clips,
    clips_of_rows,
    is_audio,
    is_score,
    is_scored,
    judge_sound,
    row_scores,
    score_windows,
)
from tfpipeline.serving.status import NO_SCORE
from tfpipeline.serving.wav_clips import decode_wav_clips

WAVEFORM = tf.TensorSpec([None, None], tf.float32, name="waveform")
AUDIO = tf.TensorSpec([None], tf.string, name="audio")
REQUEST = tf.TensorSpec([None], tf.string, name="request")


def _signature(*specs: tf.TensorSpec):
    return tf.function(input_signature=specs, autograph=False)


class ServedDetector(tf.Module):
    """A detector, its window rule and its calibration, as TensorFlow functions of core ops.

    Each clip of a batch is judged by itself: what is wrong with one is told by its `status`
    (`tfpipeline.serving.status`), and no other clip, nor the order of the batch, changes its score.

    Attributes:
        score_windows: float32 (n, window) → `score`, float32 (n,): the model's log-odds of each
            window, from itself alone. Any number of any clients' windows can share a batch; cutting
            (`tfpipeline.data.audio.windows`), levels and the mean are the client's. `NO_SCORE`
            of a window that is no audio, such as one that holds NaN.

    Args:
        model: waveform (batch, samples) → log-odds (batch, 1).
        window: samples in the window that the model takes.
        calibration: of the run.
        contract: JSON text, which the signature `contract` gives to clients.
    """

    def __init__(self, model: keras.Model, window: int, calibration: Calibration, contract: str):
        super().__init__()
        # The saver finds variables by this list. With a model as attribute, each is written twice.
        self.model_variables = [variable.value for variable in model.variables]
        self.window = window
        self.calibration = calibration
        self.contract_text = contract
        windows_spec = tf.TensorSpec([None, window], tf.float32, name="windows")
        # One body, which all signatures call.
        self.model_scores = score = tf.function(
            # A server does not compare shapes, and a network may take any length.
            lambda windows: model(tf.ensure_shape(windows, [None, window]), training=False)[:, 0],
            input_signature=[windows_spec],
            autograph=False,
        )
        self.score_windows = tf.function(
            lambda windows: {"score": _scores_of_audio(score(windows), windows)},
            input_signature=[windows_spec],
            autograph=False,
        )

    def signatures(self) -> dict:
        """Name → function, as `tf.saved_model.save` takes them."""
        return {
            "serving_default": self.score_waveform,
            "audio_bytes": self.score_audio,
            "windows": self.score_windows,
            "contract": self.tell_contract,
        }

    @_signature(WAVEFORM)
    def score_waveform(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores waveforms of one length.

        Args:
            waveform: float32 (batch, samples) at 16 kHz in [-1, 1]; of any length, by the rule of
                `tfpipeline.data.audio.windows`.
        Returns:
            `score`: float32 (batch,), log-odds, mean over windows; higher = more likely spoof.
            `llr`, `probability`: float32 (batch,), calibrated, of spoof.
            `status`: int32 (batch,). Where it is not one of `SCORED`, the others are `NO_SCORE`.
        """
        return self._judge(clips_of_rows(waveform))

    @_signature(AUDIO)
    def score_audio(self, audio: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores WAV files.

        Channels that differ are judged apart, as by `tfpipeline.data.audio.channels`; a file's
        score is that of the one that looks most like spoof.

        Args:
            audio: string (batch,), the files' bytes, at a rate of `SOURCE_RATES`.
        Returns:
            As `score_waveform`.
        """
        return self._judge(decode_wav_clips(audio))

    @_signature(REQUEST)
    def tell_contract(self, request: tf.Tensor) -> dict[str, tf.Tensor]:
        """The contract as JSON, once a row of `request`, string (batch,) of any content.

        A client of a remote server has no file of the export to read it from.
        """
        return {"contract": tf.fill(tf.shape(request), self.contract_text)}

    def _judge(self, clips: Clips) -> dict[str, tf.Tensor]:
        clips = judge_sound(clips)
        windows = score_windows(clips, self.window, self.model_scores)
        score, status = row_scores(clips, windows)  # (batch,)
        llr = self.calibration.a * score + self.calibration.b
        prior = self.calibration.prior
        probability = tf.sigmoid(llr + tf.math.log(prior / (1 - prior)))
        scored = is_scored(status)
        return {
            "score": score,
            "llr": tf.where(scored, llr, NO_SCORE),
            "probability": tf.where(scored, probability, NO_SCORE),
            "status": status,
        }


def _scores_of_audio(score: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """The scores, (n,), `NO_SCORE` where one is not finite or its window no audio: a network may
    give a plausible score of NaN.
    """
    return tf.where(is_score(score) & is_audio(windows), score, NO_SCORE)
