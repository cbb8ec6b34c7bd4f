"""What an exported graph may hold: what a stock TensorFlow Serving can run."""

from __future__ import annotations

from pathlib import Path

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
