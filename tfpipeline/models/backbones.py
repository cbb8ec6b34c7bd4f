"""The image backbones of `keras.applications`, by their names in lower case.

`convnexttiny`, `efficientnetv2b0`, `resnet50`, `mobilenetv3small` …

The image networks that can be fine-tuned: name → network without its classifier.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

import keras

from tfpipeline.models.efficientnet_lite0 import build_efficientnet_lite0
from tfpipeline.models.resnet18 import build_resnet18

APPLICATIONS = {
    name.lower(): name
    for name in dir(keras.applications)
    if name[0].isupper() and callable(getattr(keras.applications, name))
}


def build_application(name: str, weights: str | None = None) -> keras.Model:
    """A network of `keras.applications` without its classifier, for images of any size.

    Where it can be left out, its own scaling of images is: a spectrogram is normalized before.

    Args:
        name: a key of `APPLICATIONS`.
        weights: `imagenet`, which Keras downloads, or None.
    Returns:
        Model from images (batch, height, width, 3) to (batch, rows, columns, channels).
    """
    build = getattr(keras.applications, APPLICATIONS[name])
    options = {"include_top": False, "weights": weights, "input_shape": (None, None, 3)}
    if "include_preprocessing" in inspect.signature(build).parameters:
        options["include_preprocessing"] = False
    return _without_grouped_convolutions(build(**options))


def _without_grouped_convolutions(network: keras.Model) -> keras.Model:
    """The same network with depthwise layers where it has convolutions of one channel a group.

    Keras computes grouped convolutions by XLA on a CPU, which TensorFlow Serving does not switch
    on; ConvNeXt would train, and then not be served.
    """
    grouped = {
        layer.name: layer
        for layer in network.layers
        if isinstance(layer, keras.layers.Conv2D)
        and not isinstance(layer, keras.layers.DepthwiseConv2D)
        and layer.groups > 1
        and layer.groups == layer.filters == layer.input.shape[-1]
    }
    if not grouped:
        return network

    def copy(layer: keras.Layer) -> keras.Layer:
        if layer.name not in grouped:
            return type(layer).from_config(layer.get_config())
        return keras.layers.DepthwiseConv2D(
            layer.kernel_size,
            layer.strides,
            layer.padding,
            use_bias=layer.use_bias,
            name=layer.name,
        )

    other = keras.models.clone_model(network, clone_function=copy)
    for layer in network.layers:
        values = layer.get_weights()
        if layer.name in grouped:
            values[0] = values[0].transpose(0, 1, 3, 2)  # (rows, columns, channels, 1)
        if values:
            other.get_layer(layer.name).set_weights(values)
    return other


BACKBONES: dict[str, Callable[[], keras.Model]] = {
    "resnet18": build_resnet18,
    "efficientnet_lite0": build_efficientnet_lite0,
    **{name: functools.partial(build_application, name) for name in APPLICATIONS},
}
