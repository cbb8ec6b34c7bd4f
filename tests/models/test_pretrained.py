"""Weights of every form into one network, and what is refused."""

import json

import h5py
import keras
import numpy as np
import pytest
from random_weights import random_images, random_state_dict
from safetensors.numpy import save_file
from torch_files import save_state_dict

from tfpipeline.models import pretrained
from tfpipeline.models.backbones import BACKBONES
from tfpipeline.models.named_weights import assign_weights, torch_shapes
from tfpipeline.models.pretrained import Pretrained, load_pretrained
from tfpipeline.models.weight_files import KERAS_HUB_RESNET18, _torch_names

IMAGES = random_images((64, 64), 1)


@pytest.fixture(scope="module")
def network():
    return BACKBONES["resnet18"]()


@pytest.fixture(scope="module")
def arrays(network):
    return random_state_dict(torch_shapes(network))


@pytest.fixture(scope="module")
def features(network, arrays):
    assign_weights(network, arrays, "random")
    return network(IMAGES, training=False).numpy()


def keras_hub_preset(folder, arrays):
    """The folder that KerasHub 0.32 writes of its ResNet-18, as far as it matters."""
    folder.mkdir()
    config = {
        "block_type": "basic_block",
        "stackwise_num_blocks": [2, 2, 2, 2],
        "use_pre_activation": False,
        "input_conv_kernel_sizes": [7],
    }
    (folder / "config.json").write_text(
        json.dumps({"class_name": "ResNetBackbone", "config": config})
    )
    with h5py.File(folder / "model.weights.h5", "w") as file:
        for number, place in enumerate(KERAS_HUB_RESNET18):
            end = f"_{number}" if number else ""
            conv, norm = _torch_names(place)
            file[f"layers/conv2d{end}/vars/0"] = arrays[f"{conv}.weight"].transpose(2, 3, 1, 0)
            parts = ("weight", "bias", "running_mean", "running_var")
            for place_, part in enumerate(parts):
                name = f"layers/batch_normalization{end}/vars/{place_}"
                file[name] = arrays[f"{norm}.{part}"]
    return folder


def written(form, arrays, network, folder):
    """The weights as a file of one form."""
    more = {
        "fc.weight": np.zeros((1000, 512), np.float32),
        "fc.bias": np.zeros(1000, np.float32),
        "bn1.num_batches_tracked": np.array([7]),
    }
    if form == "pth":
        save_state_dict(folder / "resnet18.pth", {**arrays, **more})
        return folder / "resnet18.pth"
    if form == "safetensors":
        save_file({**arrays, **more}, folder / "model.safetensors")
        return folder / "model.safetensors"
    if form == "keras_hub":
        return keras_hub_preset(folder / "preset", arrays)
    network.save_weights(folder / "resnet18.weights.h5")
    return folder / "resnet18.weights.h5"


@pytest.mark.parametrize("form", ["pth", "safetensors", "keras_hub", "keras"])
def test_every_form_gives_the_same_network(form, network, arrays, features, tmp_path):
    path = written(form, arrays, network, tmp_path)
    fresh = BACKBONES["resnet18"]()
    loaded = load_pretrained(fresh, "resnet18", str(path))
    assert loaded.source == str(path)
    assert len(loaded.sha256) == 64
    np.testing.assert_array_equal(fresh(IMAGES, training=False).numpy(), features)


def test_none_leaves_the_network_as_it_is(network, features):
    before = [value.copy() for value in network.get_weights()]
    assert load_pretrained(network, "resnet18", "none") == Pretrained("none")
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("layer3.0.conv1.weight"), r"1 missing \(layer3.0.conv1.weight\)"),
        (lambda a: a.update({"layer5.weight": np.zeros(3, np.float32)}), "1 unknown"),
        (lambda a: a.update({"bn1.bias": np.zeros(65, np.float32)}), r"bn1.bias must be.*\(65,\)"),
        (lambda a: a.update({"bn1.bias": np.full(64, np.nan, np.float32)}), "NaN or infinity"),
        (lambda a: a.update({"conv1.weight": np.zeros((64, 3, 5, 5), np.float32)}), "conv1.weight"),
    ],
)
def test_weights_of_another_network_are_refused_and_change_nothing(
    change, message, network, arrays, features
):
    other = dict(arrays)
    change(other)
    with pytest.raises(ValueError, match=message):
        assign_weights(network, other, "other")
    np.testing.assert_array_equal(network(IMAGES, training=False).numpy(), features)


def test_damaged_and_foreign_files_are_refused(network, arrays, features, tmp_path):
    for form in ("pth", "safetensors", "keras"):
        (tmp_path / form).mkdir()
        path = written(form, arrays, network, tmp_path / form)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ValueError, match=f"{path.name}"):
            load_pretrained(network, "resnet18", str(path))
    (tmp_path / "text.pth").write_text("hello, hello, hello")
    with pytest.raises(ValueError, match=r"expected weights as \.pth, \.safetensors"):
        load_pretrained(network, "resnet18", str(tmp_path / "text.pth"))
    folder = keras_hub_preset(tmp_path / "preset", arrays)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace("basic_block", "bottleneck_block"))
    with pytest.raises(ValueError, match="expected a ResNetBackbone of basic blocks"):
        load_pretrained(network, "resnet18", str(folder))
    (folder / "config.json").write_text(config)
    (folder / "model.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ValueError, match="expected the weights of KerasHub's ResNet-18"):
        load_pretrained(network, "resnet18", str(folder))
    with pytest.raises(FileNotFoundError, match=r"model\.weights: no such file"):
        load_pretrained(network, "resnet18", str(tmp_path / "none.pth"))
    np.testing.assert_array_equal(network(IMAGES, training=False).numpy(), features)


def test_without_a_network_the_ways_are_named(network, monkeypatch, tmp_path):
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path))

    def unreachable(download, folder):
        raise ConnectionError(f"{download.url} could not be downloaded. Received: no route.")

    monkeypatch.setattr(pretrained, "fetch", unreachable)
    with pytest.raises(ConnectionError, match=r"Three ways: .*\.safetensors.*model\.weights=none"):
        load_pretrained(network, "resnet18", "imagenet")

    def offline(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "MobileNetV3Small", offline)
    with pytest.raises(ConnectionError, match=r"of mobilenetv3small .*URL fetch failure"):
        load_pretrained(network, "mobilenetv3small", "imagenet")
