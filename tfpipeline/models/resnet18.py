"""ResNet-18, equal to torchvision's, as a Keras network on images.

Layers carry torchvision's names, so that its state dict says which weights are whose.

Reference:
    He et al. (2016), https://arxiv.org/abs/1512.03385; `torchvision/models/resnet.py`, which pads
    explicitly before convolutions and pooling (Keras's "same" pads even sizes on the other side)
    and normalizes with epsilon 1e-5.
"""

from __future__ import annotations

import keras

from tfpipeline.models.layers import batch_normalization

STAGES = (64, 128, 256, 512)
BLOCKS = 2


def build_resnet18() -> keras.Model:
    """The network without its classifier.

    Returns:
        Model from images (batch, height, width, 3), normalized, to (batch, height / 32,
        width / 32, 512), rounded up.
    """
    image = keras.Input((None, None, 3), name="image")
    x = _convolution(image, 64, 7, 2, "conv1")
    x = _normalized(x, "bn1")
    x = keras.layers.Activation("relu", name="relu")(x)
    # torchvision pads with -inf, which behind a ReLU is the same as zeros.
    x = keras.layers.ZeroPadding2D(1, name="maxpool.pad")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="maxpool")(x)
    for stage, filters in enumerate(STAGES):
        for block in range(BLOCKS):
            stride = 2 if stage and not block else 1
            x = _basic_block(x, filters, stride, f"layer{stage + 1}.{block}")
    return keras.Model(image, x, name="resnet18")


def _basic_block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    shortcut = x
    x = _convolution(x, filters, 3, stride, f"{name}.conv1")
    x = _normalized(x, f"{name}.bn1")
    x = keras.layers.Activation("relu", name=f"{name}.relu1")(x)
    x = _convolution(x, filters, 3, 1, f"{name}.conv2")
    x = _normalized(x, f"{name}.bn2")
    if stride > 1:
        shortcut = _convolution(shortcut, filters, 1, stride, f"{name}.downsample.0")
        shortcut = _normalized(shortcut, f"{name}.downsample.1")
    x = keras.layers.Add(name=f"{name}.add")([x, shortcut])
    return keras.layers.Activation("relu", name=f"{name}.relu2")(x)


def _convolution(
    x: keras.KerasTensor, filters: int, size: int, stride: int, name: str
) -> keras.KerasTensor:
    if stride > 1 and size > 1:
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}.pad")(x)
        padding = "valid"
    else:
        padding = "same"  # the same on both sides where nothing is skipped
    return keras.layers.Conv2D(
        filters,
        size,
        stride,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return batch_normalization(momentum=0.9, epsilon=1e-5, name=name)(x)
