"""Requests that TensorFlow Serving replays when it loads a version, so that no user waits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.files.atomic import atomic_file

WARMUP = "tf_serving_warmup_requests"
LEVEL = 0.1


def warmup_requests(window: int) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Signature and inputs of each request: every signature, one clip and several.

    The clips are noise, since a recording would travel with every export.

    Args:
        window: samples in a window.
    """
    noise = np.random.default_rng(0).standard_normal((2, window + window // 2))
    waveform = (LEVEL * noise).clip(-1, 1).astype(np.float32)
    lengths = np.array([window + window // 2, window], np.int32)
    audio = [np.array([_wav(row[:window]) for row in rows], object)
             for rows in (waveform[:1], waveform)]  # fmt: skip
    return [
        ("serving_default", {"waveform": waveform[:1, :window]}),
        ("serving_default", {"waveform": waveform[:, :window]}),
        ("padded", {"waveform": waveform, "length": lengths}),
        ("segments", {"waveform": waveform, "length": lengths}),
        ("audio_bytes", {"audio": audio[0]}),
        ("audio_bytes", {"audio": audio[1]}),
        ("audio_segments", {"audio": audio[1]}),
        ("contract", {"request": np.array([b""], object)}),
    ]


def write_warmup(extra: Path, name: str, window: int) -> None:
    """Writes the requests as a TFRecord of `PredictionLog`, where the server looks for them.

    Args:
        extra: `assets.extra` of the version.
        name: of the model.
        window: samples in a window.
    Reference: https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    with atomic_file(extra / WARMUP) as partial, tf.io.TFRecordWriter(str(partial)) as writer:
        for signature, inputs in warmup_requests(window):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())


def _wav(waveform: np.ndarray) -> bytes:
    return tf.audio.encode_wav(waveform[:, None], SAMPLE_RATE).numpy()
