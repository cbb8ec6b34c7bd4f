"""One loaded version of a model: a SavedModel in a session, as TensorFlow Serving runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tfpipeline.serving.contract import EXTRA, read_contract
from tfpipeline.serving.core_ops import check_core_ops
from tfpipeline.serving.stand_in.errors import Refused, invalid
from tfpipeline.serving.warmup import WARMUP

DEFAULT_SIGNATURE = "serving_default"
# TensorFlow numbers its error codes as gRPC does.
_CODES = dict(enumerate((
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)))  # fmt: skip


class Version:
    """A version that answers requests.

    Args:
        folder: `<model>/<version>`, checked before its graph is loaded: a SavedModel is code.
    Raises:
        ValueError: it has no valid contract, or its graph is not of core operations alone.
        OSError: it cannot be read.
    """

    def __init__(self, folder: Path):
        self.contract = read_contract(folder)
        check_core_ops(folder)
        self.number = int(folder.name)
        # The session path, not `tf.saved_model.load`: it is the one that the server takes.
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default(), _without_advice():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
        self.signatures = {name: loaded.signature_def[name] for name in loaded.signature_def}
        self._calls = {
            name: self._session.make_callable(
                [signature.outputs[output].name for output in sorted(signature.outputs)],
                [signature.inputs[name].name for name in sorted(signature.inputs)],
            )
            for name, signature in self.signatures.items()
            if signature.inputs and signature.outputs
        }
        self._warm_up(folder)

    def signature_inputs(self, name: str) -> dict[str, tf.DType]:
        """Input → type, of a signature, in order of name.

        Raises:
            KeyError: there is no such signature that can be called.
        """
        if name not in self._calls:
            raise KeyError(name)
        inputs = self.signatures[name].inputs
        return {own: tf.dtypes.as_dtype(inputs[own].dtype) for own in sorted(inputs)}

    def predict(
        self, name: str, inputs: Mapping[str, np.ndarray], wanted: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """Runs one signature.

        Args:
            name: of the signature; the default one if empty.
            inputs: input → value; strings as objects.
            wanted: the outputs to answer with; all if empty.
        Returns:
            Output → value, in order of name.
        Raises:
            Refused: as the server refuses it.
        """
        name = name or DEFAULT_SIGNATURE
        if name not in self._calls:
            raise Refused("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        expected = self.signature_inputs(name)
        _check_inputs(expected, inputs)
        outputs = sorted(self.signatures[name].outputs)
        for output in wanted:
            if output not in outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {output} Outputs expected to "
                    f"be in the set {{{','.join(outputs)}}}."
                )
            if list(wanted).count(output) > 1:
                raise invalid(f"duplicate output tensor alias: {output}")
        try:
            values = self._calls[name](*(inputs[own] for own in expected))
        except tf.errors.OpError as error:
            raise Refused(_CODES.get(error.error_code, "UNKNOWN"), error.message) from None
        except (TypeError, ValueError) as error:  # of a rank that the graph does not take
            raise invalid(str(error)) from None
        answer = dict(zip(outputs, values, strict=True))
        return {output: answer[output] for output in (wanted or outputs)}

    def _warm_up(self, folder: Path) -> None:
        """Replays the requests that the export holds, as the server does before it answers any."""
        path = folder / EXTRA / WARMUP
        if not path.is_file():
            return
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            request = PredictionLog.FromString(record).predict_log.request
            inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
            try:
                self.predict(request.model_spec.signature_name, inputs)
            except Refused as error:
                raise ValueError(
                    f"{path}: a version must answer its own warmup requests. Received: {error}"
                ) from None

    def close(self) -> None:
        """Frees the graph's memory."""
        self._session.close()


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keeps TensorFlow from advising the other way to load."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _check_inputs(expected: Mapping[str, tf.DType], inputs: Mapping[str, np.ndarray]) -> None:
    if len(inputs) != len(expected):
        extra, missing = sorted(set(inputs) - set(expected)), sorted(set(expected) - set(inputs))
        raise invalid(
            f"input size does not match signature: {len(inputs)}!={len(expected)} "
            f"len({{{','.join(sorted(inputs))}}}) != len({{{','.join(expected)}}}). "
            f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
        )
    for own, value in inputs.items():
        if own not in expected:
            raise invalid(
                f"input tensor alias not found in signature: {own}. Inputs expected to be in the "
                f"set {{{','.join(expected)}}}."
            )
        sent = tf.dtypes.as_dtype(value.dtype)
        if sent != expected[own]:
            raise invalid(
                f"Expects input {own} to be {expected[own].name} but {sent.name} is provided"
            )
