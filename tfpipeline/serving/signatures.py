"""The exported graph: from raw audio to scores and probabilities, front end inside.

Every family has these signatures; `tfpipeline.serving.contract` says the same to a program.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.serving.clip_batch import (
    Clips,
    Windows,
    clips_of_rows,
    judge_sound,
    row_scores,
    score_windows,
)
from tfpipeline.serving.wav_clips import decode_wav_clips

WAVEFORM = tf.TensorSpec([None, None], tf.float32, name="waveform")
LENGTH = tf.TensorSpec([None], tf.int32, name="length")
AUDIO = tf.TensorSpec([None], tf.string, name="audio")
REQUEST = tf.TensorSpec([None], tf.string, name="request")


def _signature(*specs: tf.TensorSpec):
    return tf.function(input_signature=specs, autograph=False)


class ServedDetector(tf.Module):
    """A detector, its window rule and its calibration, as TensorFlow functions of core ops.

    Each clip of a batch is judged by itself: what is wrong with one is told by its `status`
    (`tfpipeline.serving.status`), and no other clip, nor the order or the padding of the batch,
    changes its score.

    Args:
        model: waveform (batch, samples) → log-odds (batch, 1).
        window: samples in the window that the model takes.
        calibration: of the run.
        contract: JSON text, which the signature `contract` gives to clients.
    """

    def __init__(self, model: keras.Model, window: int, calibration: Calibration, contract: str):
        super().__init__()
        self.model = model
        # Keras models are not tracked as tf.Modules are: the saver finds variables by this list.
        self.model_variables = [variable.value for variable in model.variables]
        self.window = window
        self.calibration = calibration
        self.contract_text = contract
        # One body, which all signatures call.
        self._score_windows = tf.function(
            lambda windows: model(windows, training=False)[:, 0],
            input_signature=[tf.TensorSpec([None, window], tf.float32)],
            autograph=False,
        )

    def signatures(self) -> dict:
        """Name → function, as `tf.saved_model.save` takes them."""
        return {
            "serving_default": self.score_waveform,
            "padded": self.score_padded,
            "audio_bytes": self.score_audio,
            "segments": self.segment_waveform,
            "audio_segments": self.segment_audio,
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
            `status`: int32 (batch,). Where it is not one of `SCORED`, the others are NaN.
        """
        return self._judge(_whole_rows(waveform))[0]

    @_signature(WAVEFORM, LENGTH)
    def score_padded(self, waveform: tf.Tensor, length: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores waveforms of different lengths, padded to one.

        Args:
            waveform: float32 (batch, samples); what lies behind a clip's length is not looked at.
            length: int32 (batch,), samples of each clip.
        Returns:
            As `score_waveform`.
        """
        return self._judge(clips_of_rows(waveform, length))[0]

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
        return self._judge(decode_wav_clips(audio))[0]

    @_signature(WAVEFORM, LENGTH)
    def segment_waveform(self, waveform: tf.Tensor, length: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores each window of waveforms.

        Args:
            waveform, length: as for `score_padded`.
        Returns:
            As `score_waveform`, and `window_score`: float32 (batch, most windows), NaN behind a
            clip's own; `window_start`: float32, the same shape, in seconds; `windows`: int32
            (batch,), how many a clip has.
        """
        return self._segments(clips_of_rows(waveform, length))

    @_signature(AUDIO)
    def segment_audio(self, audio: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores each window of WAV files: `audio` as for `score_audio`, the rest as above.

        Windows of channels that are judged apart come one behind the other, each from 0 s on.
        """
        return self._segments(decode_wav_clips(audio))

    @_signature(REQUEST)
    def tell_contract(self, request: tf.Tensor) -> dict[str, tf.Tensor]:
        """The contract as JSON, once a row of `request`, string (batch,) of any content."""
        return {"contract": tf.fill(tf.shape(request), self.contract_text)}

    def _judge(self, clips: Clips) -> tuple[dict[str, tf.Tensor], Windows]:
        """What every signature answers, and the windows behind it, their `counts` a row."""
        clips = judge_sound(clips)
        windows = score_windows(clips, self.window, self._score_windows)
        score, status = row_scores(clips, windows)  # (batch,)
        llr = self.calibration.a * score + self.calibration.b
        prior = self.calibration.prior
        probability = tf.sigmoid(llr + tf.math.log(prior / (1 - prior)))
        answer = {"score": score, "llr": llr, "probability": probability, "status": status}
        counts = tf.math.unsorted_segment_sum(windows.counts, clips.row, clips.batch)
        return answer, windows._replace(counts=counts)

    def _segments(self, clips: Clips) -> dict[str, tf.Tensor]:
        answer, windows = self._judge(clips)

        def padded(values: tf.Tensor) -> tf.Tensor:
            rows = tf.RaggedTensor.from_row_lengths(values, windows.counts, validate=False)
            return rows.to_tensor(float("nan"))  # (batch, most windows)

        starts = tf.cast(windows.starts, tf.float32) / SAMPLE_RATE
        return {
            **answer,
            "window_score": padded(windows.scores),
            "window_start": padded(starts),
            "windows": windows.counts,
        }


def _whole_rows(waveform: tf.Tensor) -> Clips:
    batch, samples = tf.unstack(tf.shape(waveform))
    return clips_of_rows(waveform, tf.fill([batch], samples))
