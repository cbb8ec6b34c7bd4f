"""The REST side of the protocol stand-in: paths, statuses and error bodies of the server's own.

Reference: `tensorflow_serving/model_servers/http_rest_api_handler.cc`, `http_rest_api_util.cc`.
"""

from __future__ import annotations

import json
import re
from urllib.parse import unquote, urlsplit

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

from tfpipeline.serving.stand_in.errors import Refused, invalid, shown
from tfpipeline.serving.stand_in.grpc_service import describe, tell_status
from tfpipeline.serving.stand_in.json_answers import write_tensors
from tfpipeline.serving.stand_in.json_requests import parse_request, read_tensors
from tfpipeline.serving.stand_in.models import Models
from tfpipeline.serving.stand_in.versions import DEFAULT_SIGNATURE

_MODEL = r"/v1/models/([^/:]+)(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"
_POST = re.compile(rf"{_MODEL}:(classify|regress|predict)", re.IGNORECASE | re.ASCII)
_GET = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?(?:/(metadata))?",
    re.IGNORECASE | re.ASCII,
)


def answer(models: Models, method: str, target: str, body: bytes) -> str:
    """Answers one request.

    Args:
        method: of HTTP.
        target: path and query.
        body: as it was sent.
    Returns:
        JSON.
    Raises:
        Refused: as the server refuses it.
    """
    path = urlsplit(target).path
    if not path.lower().startswith("/v1/"):
        raise Refused("NOT_FOUND", f"Malformed request: {method} {shown(path)}")
    pattern = {"GET": _GET, "POST": _POST}.get(method)
    matched = pattern.fullmatch(path) if pattern else None
    if not matched:
        raise invalid(f"Malformed request: {method} {shown(path)}")
    name, version, label, what = matched.groups()
    spec = _spec(name, version, label)
    if method == "POST":
        if what.lower() != "predict":
            raise Refused("UNIMPLEMENTED", f"the protocol stand-in does not {what.lower()}")
        return _predict(models, spec, body)
    if what:
        return _metadata(models, spec)
    return json.dumps(_to_dict(tell_status(models, spec)), indent=1) + "\n"


def _spec(name: str | None, version: str | None, label: str | None) -> model_pb2.ModelSpec:
    if not name:
        raise invalid("Missing model name in request.")
    spec = model_pb2.ModelSpec(name=unquote(name))
    if version:
        digits = version.lstrip("0") or "0"
        if len(digits) > 19 or int(digits) >= 2**63:
            raise invalid(f"Failed to convert version: {shown(version)} to numeric.")
        spec.version.value = int(digits)
    if label:
        spec.version_label = unquote(label)
    return spec


def _predict(models: Models, spec: model_pb2.ModelSpec, body: bytes) -> str:
    document = parse_request(body)
    version = models.find(spec)
    signature = document.get("signature_name") or DEFAULT_SIGNATURE
    try:
        expected = version.signature_inputs(signature)
    except KeyError:
        raise invalid(
            f'Serving signature name: "{shown(signature)}" not found in signature def'
        ) from None
    inputs, as_rows = read_tensors(document, expected)
    return write_tensors(version.predict(signature, inputs), as_rows)


def _metadata(models: Models, spec: model_pb2.ModelSpec) -> str:
    described = describe(models, spec)
    found = get_model_metadata_pb2.SignatureDefMap()
    described.metadata["signature_def"].Unpack(found)
    metadata = {"signature_def": _to_dict(found)}
    document = {"model_spec": _to_dict(described.model_spec), "metadata": metadata}
    return json.dumps(document, indent=1)


def _to_dict(message: Message) -> dict:
    """With default values and the names of the .proto file, as the server writes it."""
    # By position, since protobuf 5 gave the argument for default values another name.
    return MessageToDict(message, True, True)
