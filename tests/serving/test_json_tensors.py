"""JSON shapes beyond this project's signatures, by the server's published guide and rules."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tf_serving_stand_in.errors import Refused
from tf_serving_stand_in.json_answers import write_tensors
from tf_serving_stand_in.json_requests import read_tensors


def strings(*values):
    return np.array(values, object)


def test_the_guides_request_in_rows_and_in_columns():
    expected = {"sensor": tf.float32, "signal": tf.int32, "tag": tf.string}
    rows = [
        {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
        {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
    ]
    columns = {name: [row[name] for row in rows] for name in expected}
    for document, by_row in (({"instances": rows}, True), ({"inputs": columns}, False)):
        found, as_rows = read_tensors(document, expected)
        assert as_rows == by_row
        assert found["tag"].tolist() == [b"foo", b"bar"]
        assert found["signal"].tolist() == [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]]
        assert found["signal"].dtype == np.int32
        assert found["sensor"].tolist() == [[[1, 2], [3, 4]], [[4, 5], [6, 8]]]
        assert found["sensor"].dtype == np.float32


def test_scalars_and_columns_of_different_lengths():
    found, _ = read_tensors({"inputs": {"a": 3, "b": [True, False]}}, {"a": tf.int64, "b": tf.bool})
    assert found["a"].shape == ()
    assert found["b"].tolist() == [True, False]
    found, _ = read_tensors({"instances": [1, 2, 5.0]}, {"x": tf.float64})
    assert found["x"].tolist() == [1, 2, 5]
    found, _ = read_tensors({"inputs": {"b64": "aGVsbG8"}}, {"x": tf.string})  # without padding
    assert found["x"].tolist() == b"hello"


@pytest.mark.parametrize(
    ("document", "dtype", "message"),
    [
        ({"instances": [[1, 2], [3, 4], [[5, 6]]]}, tf.int32, r"Expecting shape \[2\] but got"),
        ({"instances": [1, [1]]}, tf.int32, "Expecting shape"),
        ({"inputs": [2**31]}, tf.int32, "not of expected type: int32"),
        ({"inputs": [-1]}, tf.uint8, "not of expected type: uint8"),
        ({"inputs": [1]}, tf.bool, "not of expected type: bool"),
        ({"inputs": [2**53]}, tf.float64, "to double without loss of precision"),
        ({"inputs": [10**400]}, tf.float64, "to double without loss of precision"),
        ({"inputs": [16_777_217]}, tf.float32, "to float without loss of precision"),
        ({"inputs": [{"b64": "aa", "x": 1}]}, tf.string, "not formatted correctly for base64 data"),
        ({"inputs": [1]}, tf.complex64, "Conversion of JSON Value"),
    ],
)
def test_what_does_not_fit(document, dtype, message):
    with pytest.raises(Refused, match=message):
        read_tensors(document, {"x": dtype})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"instances": [[0.1]]}, "expecting list of objects"),
        ({"inputs": [[0.1]]}, "expecting an object as multiple"),
        ({"instances": [{"x": [0.1]}]}, "must only have keys"),
        ({"inputs": {"x": [[0.1]], "n": [1.0]}}, "is not of expected type: int32"),
    ],
)
def test_what_does_not_fit_several_inputs(document, message):
    with pytest.raises(Refused, match=message):
        read_tensors(document, {"x": tf.float32, "n": tf.int32})


def test_floats_are_written_as_the_server_writes_them():
    values = np.float32(
        [9_000_000, 999_999, 0.5, 0.0003, 0.00003, 555_557.5, 3, np.nan, np.inf, -np.inf, 0.1, -0.0]
    )
    text = write_tensors({"y": values}, as_rows=False)
    assert text.split("[")[1].split("]")[0].split(", ") == [
        "9e+06",
        "999999.0",
        "0.5",
        "0.0003",
        "3e-05",
        "555557.5",
        "3.0",
        "NaN",
        "Infinity",
        "-Infinity",
        "0.1",
        "-0.0",
    ]


def test_floats_come_back_exactly():
    for dtype in (np.float32, np.float64):
        values = np.random.default_rng(0).standard_normal(500).astype(dtype) * dtype(1e-3)
        text = write_tensors({"y": values}, as_rows=False)
        np.testing.assert_array_equal(np.array(json.loads(text)["outputs"], dtype), values)


def test_names_that_end_in_bytes_are_base64():
    outputs = {
        "a": strings(b"foo", b"\xff"),
        "a_bytes": strings(b"hello", b"tf"),
        "n": np.arange(4).reshape(2, 2),
    }
    assert json.loads(write_tensors(outputs, as_rows=True)) == {
        "predictions": [
            {"a": "foo", "a_bytes": {"b64": "aGVsbG8="}, "n": [0, 1]},
            {"a": "\ufffd", "a_bytes": {"b64": "dGY="}, "n": [2, 3]},
        ]
    }
    assert json.loads(write_tensors(outputs, as_rows=False))["outputs"]["n"] == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"a": np.int32(1)}, "a has no shape information"),
        ({"a": np.zeros(0)}, "a has invalid batch size: 0"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, "b has inconsistent batch size: 3 expecting: 2"),
    ],
)
def test_outputs_that_are_no_rows(outputs, message):
    with pytest.raises(Refused, match=message):
        write_tensors({name: np.asarray(value) for name, value in outputs.items()}, as_rows=True)
