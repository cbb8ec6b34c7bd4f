"""Image networks as detectors: pictures of spectrograms, any length, export."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.features.handcrafted.spectral import delta
from tfpipeline.models.backbones import BACKBONES, _without_grouped_convolutions
from tfpipeline.models.detector import build_detector
from tfpipeline.models.image_network import image_network
from tfpipeline.serving.savedmodel import check_core_ops
from tfpipeline.serving.signatures import ServedDetector


def detector_of(name, **options):
    keras.utils.set_random_seed(0)
    config = load_config(CONFIGS / "cnn.yaml", ["mel.n_mels=64"])
    return build_detector(config.replace({"model": {"name": name, "weights": "none", **options}}))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"image_channels": "deltas", "hidden": (16,)}),
        pytest.param("efficientnet_lite0", {"image_channels": "learned"}, marks=pytest.mark.slow),
        pytest.param("convnexttiny", {}, marks=pytest.mark.slow),
    ],
)
def test_what_is_exported_equals_the_model(name, options, speech, tmp_path):
    detector = detector_of(name, **options)
    served = ServedDetector(detector.model, detector.window, Calibration(1.0, 0.0, 0.5), "{}")
    tf.saved_model.save(served, str(tmp_path), served.signatures())
    check_core_ops(tmp_path)
    loaded = tf.saved_model.load(str(tmp_path))
    served = loaded.signatures["serving_default"]
    for samples in (16_000, 64_000):
        waveform = speech[:2, :samples]
        whole = np.tile(waveform, (1, 64_000 // samples))
        expected = detector.model(whole, training=False).numpy()[:, 0]
        received = served(waveform=tf.constant(waveform))["score"].numpy()
        np.testing.assert_allclose(received, expected, atol=1e-4, rtol=1e-4)


def test_convnext_without_grouped_convolutions_is_the_same_network():
    original = keras.applications.ConvNeXtTiny(
        include_top=False, weights=None, include_preprocessing=False
    )
    own = _without_grouped_convolutions(original)
    image = np.random.default_rng(0).standard_normal((1, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(own(image).numpy(), original(image).numpy(), atol=1e-4)
    assert sum(isinstance(x, keras.layers.DepthwiseConv2D) for x in own.layers) == 18


@pytest.mark.parametrize(
    ("name", "options"), [("resnet18", {}), ("mobilenetv3small", {"image_size": (64, 96)})]
)
def test_any_length_will_do(name, options, speech):
    detector = detector_of(name, **options)
    assert detector.backbone is not None
    for samples in (16_000, 63_999, 64_001):
        waveform = np.tile(speech, (1, 2))[:2, :samples]
        scores = detector.model(waveform, training=False)
        assert scores.shape == (2, 1)
        assert np.isfinite(scores).all()


def picture(channels, spectrogram):
    image = keras.Input((None, None, 3))
    BACKBONES["identity"] = lambda: keras.Model(image, keras.layers.Identity()(image))
    try:
        network = image_network("identity")(None, 16, weights="none", image_channels=channels)
    finally:
        del BACKBONES["identity"]
    inner = keras.Model(network.input, network.get_layer("pooling").input)
    return inner(spectrogram).numpy()


def test_one_channel_becomes_three():
    spectrogram = np.random.default_rng(0).standard_normal((2, 40, 16)).astype(np.float32)
    turned = spectrogram.transpose(0, 2, 1)
    shrink = np.sqrt(1 + 1e-3)  # of fresh batch normalization
    for channels in ("repeat", "learned"):
        image = picture(channels, spectrogram)
        assert image.shape == (2, 16, 40, 3)
        for channel in range(3):
            np.testing.assert_allclose(image[..., channel], turned / shrink, atol=1e-6)
    image = picture("deltas", spectrogram)
    np.testing.assert_allclose(image[..., 0], turned / shrink, atol=1e-6)
    for order in (1, 2):
        expected = delta(tf.constant(spectrogram), order).numpy().transpose(0, 2, 1) / shrink
        np.testing.assert_allclose(image[..., order], expected, atol=1e-6)


@pytest.mark.parametrize("size", [(224,), (16, 224), (224, 224, 3)])
def test_an_image_size_must_make_sense(size):
    with pytest.raises(ValueError, match=r"image_size must be \[height, width\]"):
        detector_of("resnet18", image_size=size)
