import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.serving.savedmodel import check_core_ops


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: tf.numpy_function(np.abs, [x], tf.float32), "Received: PyFunc"),
        (tf.function(lambda x: 2 * x, jit_compile=True), "must run without XLA"),
    ],
)
def test_foreign_operations_are_refused(function, message, tmp_path):
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[tf.TensorSpec([None], tf.float32)])
    outer = tf.Module()
    outer.serve = tf.function(
        lambda x: {"y": module.serve(x)}, input_signature=[tf.TensorSpec([None], tf.float32)]
    )
    outer.module = module
    tf.saved_model.save(outer, str(tmp_path), {"serving_default": outer.serve})
    with pytest.raises(ValueError, match=message):
        check_core_ops(tmp_path)
