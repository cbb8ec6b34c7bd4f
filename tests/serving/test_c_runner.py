"""The runner that stands for a stock server: it must notice what such a server cannot run."""

import numpy as np
import pytest
import tensorflow as tf
from c_runtime import ERROR, CRuntimeError, run_in_child
from request_files import byte_rows


def save(folder, function, spec, *tracked):
    module = tf.Module()
    module.tracked = tracked
    module.serve = tf.function(function, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(folder), {"serving_default": module.serve})


FLOATS = tf.TensorSpec([None], tf.float32, name="x")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: tf.ensure_shape(tf.numpy_function(np.abs, [x], tf.float32), [None]),
            "No OpKernel was registered to support Op 'PyFunc'",
        ),
        (
            tf.function(lambda x: 2 * x, jit_compile=True, autograph=False),
            "XLA compilation disabled",
        ),
        (lambda x: tf.debugging.check_numerics(x / 0, "no number"), "no number"),
    ],
)
def test_a_graph_that_a_server_cannot_run_loads_and_fails(function, message, tmp_path):
    save(tmp_path, lambda x: {"y": function(x)}, FLOATS)
    x = np.ones(3, np.float32)
    # In a process with Python and XLA the first two would pass unseen.
    answers = run_in_child(tmp_path, {("0", "serving_default"): {"x": x}})
    assert set(answers["0", "serving_default"]) == {ERROR}
    assert message in str(answers["0", "serving_default"][ERROR])


def test_a_missing_tag_or_graph_is_told(tmp_path):
    module = tf.Module()
    module.v = tf.Variable(1.0)
    with pytest.raises(CRuntimeError, match="Could not find SavedModel"):
        run_in_child(tmp_path, {})
    save(tmp_path, lambda x: {"y": x}, FLOATS)
    path = tmp_path / "saved_model.pb"
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    proto.meta_graphs[0].meta_info_def.tags[:] = ["train"]
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(CRuntimeError, match=r"matching supplied tags: \{ serve \}"):
        run_in_child(tmp_path, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CRuntimeError, match="Read less bytes than requested"):
        run_in_child(tmp_path, {})


def test_wrong_inputs_get_the_runtime_s_own_message(tmp_path):
    variable = tf.Variable(2.0)
    save(tmp_path, lambda x: {"y": variable * x}, FLOATS, variable)
    key = ("0", "serving_default")
    good = np.array([1.0, -2.5], np.float32)
    told = run_in_child(
        tmp_path,
        {
            key: {"x": good},
            ("1", key[1]): {"x": good.astype(np.float64)},
            ("2", key[1]): {"x": byte_rows([b"a"])},
            ("3", key[1]): {"x": good},
        },
    )
    np.testing.assert_array_equal(told[key]["y"], 2 * good)
    assert "Expects arg[0] to be float but double is provided" in str(told["1", key[1]][ERROR])
    assert "Expects arg[0] to be float but string is provided" in str(told["2", key[1]][ERROR])
    np.testing.assert_array_equal(told["3", key[1]]["y"], 2 * good)  # none the worse for it


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool", "string"])
def test_all_types_go_there_and_back(dtype, tmp_path):
    shapes = [(0,), (3, 0), (2, 3), ()]
    random = np.random.default_rng(0)
    if dtype == "string":
        text = byte_rows([b"", b"a\0b", b"x" * 22, b"x" * 23, "é".encode(), bytes(100_000)])
        arrays = [text[:0], text[:0].reshape(3, 0), text.reshape(2, 3), text[1:2].reshape(())]
    else:
        arrays = [(1e3 * random.standard_normal(shape)).astype(dtype) for shape in shapes]
    save(
        tmp_path,
        lambda x: {"same": x, "twice": tf.stack([x, x])},
        tf.TensorSpec(None, dtype, name="x"),
    )
    requests = {(str(n), "serving_default"): {"x": array} for n, array in enumerate(arrays)}
    answers = run_in_child(tmp_path, requests)
    for key, arrays in requests.items():
        for name, expected in (("same", arrays["x"]), ("twice", np.stack([arrays["x"]] * 2))):
            received = answers[key][name]
            assert (received.dtype, received.shape) == (expected.dtype, expected.shape)
            np.testing.assert_array_equal(received, expected)
