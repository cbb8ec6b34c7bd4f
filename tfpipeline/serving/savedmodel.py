"""Writes a run's next export: graph, contract, warmup; checked before it gets its name.

What an exported graph may hold: what a stock TensorFlow Serving can run.

Requests that TensorFlow Serving replays when it loads a version, so that no user waits.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.files.atomic import atomic_file, write_json, write_text
from tfpipeline.models.detector import DetectorModel
from tfpipeline.runs.run import Run
from tfpipeline.serving.checks import Checked, check_export
from tfpipeline.serving.contract import EXTRA, build_contract, contract_text
from tfpipeline.serving.signatures import ServedDetector

MOST_TRIES = 100  # of other exports that take the same number at the same moment


def export_version(
    run: Run, detector: DetectorModel, base: Path, check: bool = True
) -> tuple[Path, Checked | None]:
    """Writes the detector as the next version under `base`, atomically.

    Args:
        run: whose calibration, threshold and scores belong to the detector.
        detector: of the run, float32.
        base: folder of versions, which are named 1, 2, …; none is ever replaced.
        check: compare the export's scores with those of the run before it gets its name. Without
            it, `checked.json` says that it was not.
    Returns:
        The version's folder, and what the check found.
    Raises:
        ValueError: the graph holds what TensorFlow Serving does not have, or its scores are not
            the run's.
        FileNotFoundError: none of the run's clips are here to check with.
    """
    contract = contract_text(build_contract(run, detector.window))
    served = ServedDetector(detector.model, detector.window, run.calibration, contract)
    base.mkdir(parents=True, exist_ok=True)
    partial = base / f".partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        tf.saved_model.save(served, str(partial), served.signatures())
        check_core_ops(partial)
        extra = partial / EXTRA
        extra.mkdir()
        write_text(extra / "contract.json", contract)
        write_warmup(extra, run.folder.name, detector.window)
        found = check_export(run, partial) if check else None
        write_json(extra / "checked.json", {"checked": check, **(asdict(found) if found else {})})
        return _name(partial, base), found
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def versions(base: Path) -> list[int]:
    """The versions in a folder, ascending."""
    if not base.is_dir():
        return []
    return sorted(int(f.name) for f in base.iterdir() if f.name.isdigit() and f.is_dir())


def _name(partial: Path, base: Path) -> Path:
    """Renames the finished folder to the next number, again if another export was faster."""
    for _ in range(MOST_TRIES):
        target = base / str(1 + max(versions(base), default=0))
        try:
            partial.rename(target)  # fails on a folder that is not empty
        except OSError:
            if not target.exists():
                raise
        else:
            return target
    raise FileExistsError(f"{base}: no free version number in {MOST_TRIES} tries. Try again.")


# Operations that call back into Python, or need a library that the server does not load.
FOREIGN_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "XlaLaunch", "XlaCallModule")
FOREIGN_PREFIXES = ("IO>", "Tfio", "TFText>")


def check_core_ops(saved_model: Path) -> set[str]:
    """Checks every function body of a SavedModel, and names what does not belong.

    Args:
        saved_model: the folder that holds `saved_model.pb`.
    Returns:
        The operations that the graph uses.
    Raises:
        ValueError: an operation that is not core TensorFlow, or a function that must be compiled
            with XLA, which the server has off.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    used = set()
    for meta_graph in proto.meta_graphs:
        graph = meta_graph.graph_def
        used.update(node.op for node in graph.node)
        for function in graph.library.function:
            used.update(node.op for node in function.node_def)
            if function.attr["_XlaMustCompile"].b:
                raise ValueError(
                    f"an exported graph must run without XLA. Received: function "
                    f"{function.signature.name}, compiled with jit_compile=True."
                )
    foreign = sorted(op for op in used if op in FOREIGN_OPS or op.startswith(FOREIGN_PREFIXES))
    if foreign:
        raise ValueError(
            f"an exported graph must hold core TensorFlow operations alone. "
            f"Received: {', '.join(foreign)}."
        )
    return used


WARMUP = "tf_serving_warmup_requests"
LEVEL = 0.1


def warmup_requests(window: int) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Signature and inputs of each request: every signature, one clip and several.

    The clips are noise, since a recording would travel with every export.

    Args:
        window: samples in a window.
    """
    noise = np.random.default_rng(0).standard_normal((2, window))
    waveform = (LEVEL * noise).clip(-1, 1).astype(np.float32)
    audio = np.array([_wav(row) for row in waveform], object)
    return [
        *(("serving_default", {"waveform": waveform[:rows]}) for rows in (1, 2)),
        *(("audio_bytes", {"audio": audio[:rows]}) for rows in (1, 2)),
        *(("windows", {"windows": waveform[:rows]}) for rows in (1, 2)),
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
