"""Requests over gRPC, by the stubs of `tensorflow-serving-api`, which import TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfpipeline.serving.client.transport import MOST_ANSWER_BYTES, Address, RetryableError, told

MAY_PASS = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
REFUSED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
)
# A message above the server's limit has the code of a busy server, but never fits.
TOO_LARGE = "larger than max"
# Of an HTTP server, in the words of gRPC's library, whose code is that of a busy server too.
NOT_GRPC = ("http1.x server", "Expected SETTINGS frame")


class GrpcTransport:
    """One channel, without encryption.

    Args:
        address: of the model.
    """

    def __init__(self, address: Address):
        self._address = address
        self._channel = grpc.insecure_channel(
            address.netloc,
            options=[
                ("grpc.max_receive_message_length", MOST_ANSWER_BYTES),
                ("grpc.max_send_message_length", -1),
                # Tries are counted in one place, and a channel that was refused connects anew soon.
                ("grpc.enable_retries", 0),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
                # The environment's proxy is for the web, and would be asked for the loopback too.
                ("grpc.enable_http_proxy", 0),
            ],
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def encoded_size(self, audio: bytes) -> int:
        return len(audio)

    def encode(self, row: np.ndarray | bytes) -> bytes:
        return row if isinstance(row, bytes) else row.astype("<f4").tobytes()

    def predict(
        self,
        signature: str,
        name: str,
        rows: Sequence[bytes],
        samples: int | None,
        outputs: Sequence[str],
        seconds: float,
    ) -> dict[str, np.ndarray]:
        request = predict_pb2.PredictRequest(output_filter=outputs)
        request.model_spec.name = self._address.model
        request.model_spec.signature_name = signature
        if self._address.version is not None:
            request.model_spec.version.value = self._address.version
        elif self._address.label is not None:
            request.model_spec.version_label = self._address.label
        tensor = request.inputs[name]
        tensor.tensor_shape.dim.add(size=len(rows))
        if samples is None:
            tensor.dtype = tf.string.as_datatype_enum
            tensor.string_val.extend(rows)
        else:
            tensor.dtype = tf.float32.as_datatype_enum
            tensor.tensor_shape.dim.add(size=samples)
            tensor.tensor_content = b"".join(rows)
        try:
            answer = self._stub.Predict(request, timeout=seconds)
        except grpc.RpcError as error:
            raise self._failure(error, seconds) from None
        try:
            return {output: tf.make_ndarray(answer.outputs[output]) for output in outputs}
        except (TypeError, ValueError) as error:
            raise ConnectionError(
                f"{self._address}: expected the outputs {', '.join(outputs)}. Received: another "
                f"answer ({told(str(error))})."
            ) from None

    def close(self) -> None:
        self._channel.close()

    def _failure(self, error: grpc.RpcError, seconds: float) -> Exception:
        code, reason = error.code(), told(error.details() or "")
        if any(sign in (error.details() or "") for sign in NOT_GRPC):
            over_rest = replace(self._address, protocol="http")
            return ConnectionError(
                f"{self._address}: expected a gRPC port. Received: an answer that is not gRPC. "
                f"If it is the port of REST, the address is {over_rest}."
            )
        if code in MAY_PASS and TOO_LARGE not in reason:
            return RetryableError(f"{code.name}: {reason}")
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return TimeoutError(f"{self._address}: no answer within {seconds:.3g} s.")
        if code in REFUSED or TOO_LARGE in reason:
            return ValueError(f"{self._address} refuses the request: {reason} ({code.name}).")
        return ConnectionError(f"{self._address} failed: {reason} ({code.name}).")
