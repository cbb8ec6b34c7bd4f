"""EfficientNet-Lite0 as a Keras network on images: EfficientNet-B0 without squeeze-and-excitation
and swish, so that it runs fast everywhere.

Layers carry the names of the PyTorch port whose ImageNet weights the package registry holds,
without its leading underscores.

Reference:
    Tan & Le (2019), https://arxiv.org/abs/1905.11946; `efficientnet_lite_builder.py` of
    https://github.com/tensorflow/tpu; `efficientnet_lite_pytorch` 0.1.0.
"""

from __future__ import annotations

import keras

from tfpipeline.models.layers import batch_normalization

# repeats, kernel, stride, expansion, filters
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


def build_efficientnet_lite0() -> keras.Model:
    """The network without its classifier.

    Returns:
        Model from images (batch, height, width, 3), normalized, to (batch, height / 32,
        width / 32, 1280), rounded up.
    """
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(
        STEM,
        3,
        2,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name="conv_stem",
    )(image)
    x = _normalized(x, "bn0", True)
    number, width = 0, STEM
    for repeats, kernel, stride, expansion, filters in STAGES:
        for repeat in range(repeats):
            x = _block(
                x, width, filters, kernel, 1 if repeat else stride, expansion, f"blocks.{number}"
            )
            number, width = number + 1, filters
    x = _pointwise(x, HEAD, "conv_head")
    x = _normalized(x, "bn1", True)
    return keras.Model(image, x, name="efficientnet_lite0")


def _block(
    x: keras.KerasTensor,
    width: int,
    filters: int,
    kernel: int,
    stride: int,
    expansion: int,
    name: str,
) -> keras.KerasTensor:
    """An inverted bottleneck: widen, convolve each channel, narrow."""
    shortcut = x
    if expansion > 1:
        x = _pointwise(x, width * expansion, f"{name}.expand_conv")
        x = _normalized(x, f"{name}.bn0", True)
    x = keras.layers.DepthwiseConv2D(
        kernel,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}.depthwise_conv",
    )(x)
    x = _normalized(x, f"{name}.bn1", True)
    x = _pointwise(x, filters, f"{name}.project_conv")
    x = _normalized(x, f"{name}.bn2", False)
    if stride == 1 and width == filters:
        x = keras.layers.Add(name=f"{name}.add")([x, shortcut])
    return x


def _pointwise(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters, 1, use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _normalized(x: keras.KerasTensor, name: str, active: bool) -> keras.KerasTensor:
    x = batch_normalization(momentum=0.99, epsilon=1e-3, name=name)(x)
    return keras.layers.ReLU(6.0, name=f"{name}.relu6")(x) if active else x
