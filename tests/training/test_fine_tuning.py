"""Fine-tuning: what is frozen, how fast each layer learns, averages; on a small network."""

import keras
import numpy as np
import pytest

from tfpipeline.config import CONFIGS, TrainingConfig, load_config
from tfpipeline.data.automatic_splits import hold_out_attacks
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.models.backbones import BACKBONES
from tfpipeline.models.detector import build_detector
from tfpipeline.models.families import FAMILIES, Family
from tfpipeline.models.image_network import image_network
from tfpipeline.training import fit
from tfpipeline.training.fit import fit_network
from tfpipeline.training.optimizer import LayerwiseAdamW, build_optimizer, layer_factors


def build_small():
    """Two blocks, as a residual network has them."""
    image = keras.Input((None, None, 3))
    x = image
    for block in range(2):
        x = keras.layers.Conv2D(4, 3, 2, padding="same", name=f"conv{block}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{block}")(x)
        x = keras.layers.Add(name=f"add{block}")([x, keras.layers.ReLU()(x)])
    return keras.Model(image, x, name="small")


@pytest.fixture(scope="module", autouse=True)
def small_in_the_tables():
    BACKBONES["small"] = build_small
    FAMILIES["small"] = Family(image_network("small"), "image", "evidence")
    yield
    del BACKBONES["small"], FAMILIES["small"]


@pytest.fixture(scope="module")
def clips(tiny_corpus):
    return hold_out_attacks(tiny_corpus, ["hifigan"])


@pytest.fixture(scope="module")
def audio(clips):
    return open_audio(clips)[1]


def config_of(*overrides, **options):
    config = load_config(
        CONFIGS / "resnet18.yaml",
        [
            "training.epochs=2",
            "training.batch_size=4",
            "data.crop_seconds=1",
            "mel.n_mels=32",
            "training.frozen_epochs=0",
            "training.layerwise_lr_decay=1",
            "training.ema_momentum=0",
            "training.tensorboard=false",
            *overrides,
        ],
    )
    return config.replace({"model": {"name": "small", "weights": "none", **options}})


def weights_of(detector):
    """Copies by path; random-number states have names that count up."""
    return {
        variable.path: variable.numpy().copy()
        for variable in detector.model.variables
        if "seed_generator" not in variable.path
    }


def begin(config):
    """The weights that training begins with."""
    keras.utils.set_random_seed(config.seed)
    return weights_of(build_detector(config))


def changed(before, now):
    return {path for path in now if not np.array_equal(now[path], before[path])}


def test_the_head_learns_first_alone(clips, audio, tmp_path):
    config = config_of("training.frozen_epochs=2")
    detector, _, pretrained = fit_network(config, clips, audio, tmp_path)
    moved = changed(begin(config), weights_of(detector))
    assert any(path.startswith("score") for path in moved)
    assert not any("conv" in path or path.startswith("norm") for path in moved)
    assert pretrained.source == "none"


def test_patience_waits_for_the_backbone(clips, audio, tmp_path, monkeypatch):
    """The first epoch stays the best one; patience must not run out before the backbone learns."""
    falling = iter(np.linspace(0.9, 0.1, 20).tolist())
    monkeypatch.setattr("tfpipeline.training.selection.roc_auc", lambda *_: next(falling))
    config = config_of("training.frozen_epochs=3", "training.epochs=8", "training.patience=2")
    detector, kept, _ = fit_network(config, clips, audio, tmp_path)
    assert kept.best["epoch"] == 1
    assert len(kept.history) == 3 + 2
    assert detector.backbone.get_layer("conv0").trainable


def test_batch_normalization_stays_frozen_if_asked(clips, audio, tmp_path):
    for frozen in (True, False):
        config = config_of(
            "training.frozen_epochs=1", "training.epochs=3", freeze_batch_norm=frozen
        )
        (tmp_path / str(frozen)).mkdir()
        detector, selection, _ = fit_network(config, clips, audio, tmp_path / str(frozen))
        # The last epoch's weights; the detector has the best one's.
        with np.load(tmp_path / str(frozen) / "checkpoint.npz") as saved:
            last = [saved[f"model/{i}"] for i in range(len(detector.model.variables))]
        named = zip(detector.model.variables, last, strict=True)
        now = {v.path: value for v, value in named if "seed_generator" not in v.path}
        moved = changed(begin(config), now)
        assert ("norm0/moving_mean" in moved) != frozen
        assert ("norm0/gamma" in moved) != frozen
        assert "conv0/kernel" in moved
        assert len(selection.history) == 3


@pytest.mark.slow
def test_a_stopped_fine_tuning_goes_on_as_if_it_had_not_stopped(
    clips, audio, tmp_path, monkeypatch
):
    from tfpipeline.training.selection import Selection

    config = config_of(
        "training.frozen_epochs=1",
        "training.epochs=3",
        "training.layerwise_lr_decay=0.5",
        "training.ema_momentum=0.9",
    )
    whole = fit_network(config, clips, audio, tmp_path / "whole")[1]
    save = Selection.save
    for stop in (1, 2):
        folder = tmp_path / str(stop)

        def killed(self, stop=stop):
            save(self)
            if len(self.history) == stop:
                raise SystemExit

        with monkeypatch.context() as patched:
            patched.setattr(Selection, "save", killed)
            with pytest.raises(SystemExit):
                fit_network(config, clips, audio, folder)
        again = fit_network(config, clips, audio, folder)[1]
        for key in ("loss", "val_loss"):
            one, two = ([row[key] for row in own.history] for own in (whole, again))
            np.testing.assert_allclose(two, one, rtol=1e-4)


def test_factors_fall_from_block_to_block():
    factors = layer_factors(build_small(), 0.5)
    by_name = {path.split("/")[0]: factor for path, factor in factors.items()}
    assert by_name == {"conv0": 0.25, "norm0": 0.25, "conv1": 0.5, "norm1": 0.5}


def test_layerwise_adamw_is_adamw_at_each_rate():
    random = np.random.default_rng(0)
    start, gradients = random.standard_normal(3), random.standard_normal((5, 3))
    own, slow, reference = (keras.Variable(start, dtype="float32") for _ in range(3))
    layerwise = LayerwiseAdamW(0.1, factors={slow.path: 0.5}, decoupled_decay=0.01)
    plain = keras.optimizers.AdamW(0.1, weight_decay=0.01)
    half = keras.optimizers.AdamW(0.05, weight_decay=0.01)
    other = keras.Variable(start, dtype="float32")
    layerwise.build([own, slow])
    for gradient in gradients:
        gradient = keras.ops.convert_to_tensor(gradient, "float32")
        layerwise.apply([gradient, gradient], [own, slow])
        plain.apply([gradient], [reference])
        half.apply([gradient], [other])
    np.testing.assert_allclose(own.numpy(), reference.numpy(), rtol=1e-6)
    np.testing.assert_allclose(slow.numpy(), other.numpy(), rtol=1e-6)


def test_averages_are_those_of_the_formula():
    variable = keras.Variable(np.zeros(1), dtype="float32")
    optimizer = LayerwiseAdamW(0.1, use_ema=True, ema_momentum=0.5)
    optimizer.build([variable])
    average = None
    for _ in range(4):
        optimizer.apply([keras.ops.ones(1)], [variable])
        value = variable.numpy()
        average = value if average is None else 0.5 * average + 0.5 * value
    optimizer.finalize_variable_values([variable])
    np.testing.assert_array_equal(variable.numpy(), value)
    optimizer.put_averages_in()
    np.testing.assert_allclose(variable.numpy(), average, rtol=1e-6)


def test_settings_for_a_backbone_need_one():
    with pytest.raises(ValueError, match=r"frozen_epochs and training\.layerwise_lr_decay are"):
        build_optimizer(TrainingConfig(frozen_epochs=1), 10, None)


def test_bfloat16_for_image_networks_where_the_cpu_has_it(monkeypatch):
    for has, image, precision in (
        (True, True, "mixed_bfloat16"),
        (True, False, "float32"),
        (False, True, "float32"),
    ):
        monkeypatch.setattr(fit, "cpu_has_bfloat16", lambda has=has: has)
        assert fit.device_settings(TrainingConfig(), image)["precision"] == precision
    assert fit.device_settings(TrainingConfig(precision="float32"), True)["precision"] == "float32"
