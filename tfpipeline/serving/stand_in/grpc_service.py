"""The gRPC side of the protocol stand-in, on the stubs of `tensorflow-serving-api`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfpipeline.serving.stand_in.errors import Refused, invalid
from tfpipeline.serving.stand_in.limits import Limits
from tfpipeline.serving.stand_in.models import Models
from tfpipeline.serving.stand_in.versions import DEFAULT_SIGNATURE

AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


def open_grpc(models: Models, limits: Limits, host: str, port: int) -> tuple[grpc.Server, int]:
    """Starts to answer on a socket.

    Args:
        port: 0 for any that is free.
    Returns:
        The server, and its port.
    Raises:
        OSError: the port is taken, or the host is none of this machine's.
    """
    server = grpc.server(
        ThreadPoolExecutor(limits.concurrent, thread_name_prefix="grpc"),
        options=[
            # Refused by its announced length, before it is read or decoded.
            ("grpc.max_receive_message_length", limits.request_bytes),
            ("grpc.max_send_message_length", -1),
            # Two servers on one port would share its requests in silence.
            ("grpc.so_reuseport", 0),
        ],
        maximum_concurrent_rpcs=limits.concurrent,
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Predictions(models, limits), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Statuses(models), server)
    where = f"[{host}]" if ":" in host else host
    try:
        bound = server.add_insecure_port(f"{where}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise OSError(f"the gRPC port must be free on this machine. Received: {where}:{port}.")
    server.start()
    return server, bound


def describe(models: Models, spec) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a version, as both protocols tell them."""
    version = models.find(spec)
    found = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in version.signatures.items():
        found.signature_def[name].CopyFrom(signature)
    answer = get_model_metadata_pb2.GetModelMetadataResponse()
    answer.model_spec.name = spec.name
    answer.model_spec.version.value = version.number
    answer.metadata["signature_def"].Pack(found)
    return answer


def tell_status(models: Models, spec) -> get_model_status_pb2.GetModelStatusResponse:
    """The states of a model's versions, as both protocols tell them."""
    answer = get_model_status_pb2.GetModelStatusResponse()
    for number in models.status(spec):
        own = answer.model_version_status.add(version=number, state=AVAILABLE)
        own.status.error_code = 0
    return answer


def _answers(method: Callable) -> Callable:
    """Turns a refusal into the status of the call."""

    @functools.wraps(method)
    def answer(self, request, context):
        try:
            if not request.HasField("model_spec"):
                raise invalid("Missing ModelSpec")
            return method(self, request)
        except Refused as error:
            context.abort(getattr(grpc.StatusCode, error.code), error.message)

    return answer


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; Classify, Regress and MultiInference are not implemented."""

    def __init__(self, models: Models, limits: Limits):
        self._models = models
        self._limits = limits

    @_answers
    def Predict(self, request):  # noqa: N802 - named by the protocol
        spec = request.model_spec
        version = self._models.find(spec)
        inputs = {name: self._tensor(name, proto) for name, proto in request.inputs.items()}
        outputs = version.predict(spec.signature_name, inputs, request.output_filter)
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name = spec.name
        answer.model_spec.signature_name = spec.signature_name or DEFAULT_SIGNATURE
        answer.model_spec.version.value = version.number
        for name, value in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    @_answers
    def GetModelMetadata(self, request):  # noqa: N802
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != "signature_def":
                raise invalid(f"Metadata field {name} is not supported")
        return describe(self._models, request.model_spec)

    def _tensor(self, name: str, proto) -> np.ndarray:
        """The value of an input.

        A tensor may be announced far larger than it is sent, its last value repeated; so its size
        is checked before it is made.
        """
        sizes = [dim.size for dim in proto.tensor_shape.dim]
        try:
            dtype = tf.dtypes.as_dtype(proto.dtype)
            elements = int(np.prod(sizes, dtype=object)) if sizes else 1
            if min(sizes, default=0) < 0 or proto.tensor_shape.unknown_rank:
                raise ValueError(name)
            if elements * max(dtype.size or 1, 1) > self._limits.request_bytes:
                raise invalid(f"tensor parsing error: {name}: larger than the request may be")
            return tf.make_ndarray(proto)
        except (TypeError, ValueError):
            raise invalid(f"tensor parsing error: {name}") from None


class _Statuses(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; a reload of the config is not implemented."""

    def __init__(self, models: Models):
        self._models = models

    @_answers
    def GetModelStatus(self, request):  # noqa: N802
        return tell_status(self._models, request.model_spec)
