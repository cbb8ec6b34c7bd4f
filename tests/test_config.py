import argparse
import doctest
import functools
import re
import typing

import pytest

import tfpipeline.config as config_module
from tfpipeline.cli import USAGE, config_from_flags, run_command
from tfpipeline.config import (
    AS_RECORDED,
    CONFIGS,
    Config,
    DistortionConfig,
    FrontEndConfig,
    MelConfig,
    ModelConfig,
    config_from_dict,
    config_names,
    config_to_yaml,
    load_config,
    load_run_config,
)
from tfpipeline.files.strict import Section
from tfpipeline.models.detector import model_options
from tfpipeline.models.families import FAMILIES


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", config_names())
def test_every_shipped_config_loads_and_survives_yaml(name, tmp_path):
    config = load_config(CONFIGS / f"{name}.yaml")
    assert config.name == name
    assert load_config(write(tmp_path, config_to_yaml(config))) == config


def test_defaults_fill_what_a_file_leaves_out(tmp_path):
    assert load_config(write(tmp_path, "")) == Config(name="mine")


def test_numbers_that_yaml_reads_as_text(tmp_path):
    config = load_config(write(tmp_path, "training: {learning_rate: 1e-4, epochs: 3}"))
    assert config.training.learning_rate == 1e-4
    assert config.training.epochs == 3


def test_overrides(tmp_path):
    path = write(tmp_path, "training: {epochs: 3}")
    config = load_config(
        path, ["training.epochs=5", "mel.fmax=7e3", "data.unseen_attacks=[]", "model.dropout=0.2"]
    )
    assert config.training.epochs == 5
    assert config.mel.fmax == 7000.0
    assert config.data.unseen_attacks == ()
    assert config.model.options == {"dropout": 0.2}


def test_switches_that_yaml_reads_as_booleans(tmp_path):
    assert load_config(write(tmp_path, "training: {jit: off}")).training.jit == "off"
    assert load_config(write(tmp_path, ""), ["training.jit=on"]).training.jit == "on"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour: red", r"mine\.yaml: unknown key colour\. Known keys here: name, seed, data"),
        ("mel: {n_fft: 512, hop: 1}", r"unknown key mel\.hop\. Known keys here: n_fft, hop_length"),
        (
            "training: {epochs: 1.5}",
            r"training\.epochs must be an integer of at least 1\. Received: 1\.5",
        ),
        (
            "training: {epochs: true}",
            r"training\.epochs must be an integer of at least 1\. Received: True",
        ),
        ("training: {epochs: '3'}", r"training\.epochs must be an integer .*\. Received: '3'"),
        ("training: {learning_rate: '1e-4'}", r"must be a finite number above 0.* '1e-4'"),
        ("training: {class_balance: 1}", r"class_balance must be true or false\. Received: 1"),
        ("training: {learning_rate: fast}", r"must be a finite number above 0\. Received: 'fast'"),
        ("training: {learning_rate: .nan}", r"must be a finite number above 0\. Received: nan"),
        ("training: 3", r"training must be a section of keys\. Received: 3"),
        ("data: {cache: disc}", r"data\.cache must be one of 'auto', 'memory', 'disk', 'none'"),
        ("augment: {snr_db: [1, 2, 3]}", r"augment\.snr_db must be a list of"),
        ("[1, 2]", "a config is a mapping"),
        ("a: [1", "a config is a readable YAML file"),
        (
            "training: {epochs: 0}",
            r"training\.epochs must be an integer of at least 1\. Received: 0",
        ),
        (
            "data: {window_seconds: -4}",
            r"data\.window_seconds must be .* in 0\.01 … 3600",
        ),
        (
            "augment: {distortions: {noise: 2}}",
            r"augment\.distortions\.noise must be .* in 0 … 1",
        ),
        ("{augment: {eq_db: 3}, mel: {normalize: bin}}", r"eq_db is in dB and needs .* Rec.*'bin'"),
        (
            "front_end: {highpass_hz: 5}",
            r"front_end\.highpass_hz must be a finite number in 10 … 150 or null",
        ),
        (
            "front_end: {level_dbfs: 3}",
            r"level_dbfs must be a finite number in -60 … 0 or null\. Rec.* 3",
        ),
        ("augment: {distortions: medium}", r"one of none, light, strong, or a section of shares"),
        ("augment: {distortions: {recorded_noise: 0.1}}", r"and no augment\.noise_folder"),
        ("augment: {snr_db: [40, 10]}", r"augment\.snr_db must be \[low, high\]"),
    ],
)
def test_bad_files_name_key_file_and_rule(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_config(write(tmp_path, text))


def test_a_missing_file_names_the_configs_there_are(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml\. Configs .*baseline_cnn.* cnn"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["training.epochs", "=3", "name.first=x", "training.epochs=[1"])
def test_bad_overrides(tmp_path, text):
    with pytest.raises(ValueError, match=r"--set"):
        load_config(write(tmp_path, "name: mine"), [text])


def test_a_run_from_before_the_front_end_keeps_its_waveforms_as_they_come(tmp_path):
    path = write(tmp_path, "name: old")
    assert load_run_config(path).front_end == AS_RECORDED
    assert load_config(path).front_end == FrontEndConfig()
    path = write(
        tmp_path,
        config_to_yaml(Config(front_end=FrontEndConfig(highpass_hz=80.0, level_dbfs=None))),
    )
    assert load_run_config(path).front_end == FrontEndConfig(highpass_hz=80.0, level_dbfs=None)


def test_what_is_published_is_not_conditioned():
    for name in config_names():
        off = name.startswith(("baseline_", "indictts_"))
        expected = AS_RECORDED if off else FrontEndConfig()
        assert load_config(CONFIGS / f"{name}.yaml").front_end == expected


def test_a_dict_is_checked_too():
    with pytest.raises(ValueError, match="config: unknown key x"):
        config_from_dict({"x": 1})


# Each numeric key: values inside its bounds, and some outside.
BOUNDS = {
    "seed": ([0, 2**32 - 1], [-1, 2**32, 10**20]),
    "data.split.seed": ([0, 2**32 - 1], [-1, 2**32]),
    "data.split.folds": ([3, 10], [2, -1]),
    "data.split.fold": ([0, 4], [-1, 5]),
    "data.split.shares": ([[0.8, 0.1, 0.1]], [[1, 0, 0], [1.1, -0.2, 0.1], [0.5, 0.5], [1, 1, 1]]),
    "data.window_seconds": ([0.1, 60], [0, -1, 10_000]),
    "data.crop_seconds": ([0.1, 4, None], [0, -1, 10_000]),
    "front_end.highpass_hz": ([10, 150, None], [9.9, 151, 0]),
    "front_end.level_dbfs": ([-60, 0, None], [-61, 0.1]),
    "mel.n_fft": ([2, 400], [0, 1, -512, 10**20]),
    "mel.hop_length": ([1], [0, -160, 10**20]),
    "mel.win_length": ([1, 512, None], [0, -1, 513]),
    "mel.power": ([1, 2], [0, -2, 1000]),
    "mel.n_mels": ([1, 1024], [0, -80, 10**20]),
    "mel.fmin": ([0, 20], [-1, 8000]),
    "mel.fmax": ([1, 8000, None], [0, -1]),
    "mel.ref": ([0.5, "max"], [0, -1, "min"]),
    "mel.amin": ([1e-10], [0, -1e-10]),
    "mel.top_db": ([80, None], [0, -80]),
    "augment.trim_db": ([30, 60], [0, -1]),
    "augment.edge_probability": ([0, 1], [-0.1, 1.1]),
    "augment.edge_seconds": ([0, 1], [-0.1, 61]),
    "augment.speed": ([0, 0.99], [1, -0.1, 2]),
    "augment.gain_db": ([0, 6], [-1, 1000]),
    **{
        f"augment.distortions.{name}": ([0, 1], [-0.1, 1.1])
        for name in DistortionConfig.model_fields
    },
    "augment.noise_color": ([[0, 0], [0, 2]], [[2, 0], [0, 9]]),
    "augment.reverb_seconds": ([[0.1, 0.1]], [[0.5, 0.1], [0, 1], [1, 10]]),
    "augment.lowpass_hz": ([[3000, 8000]], [[8000, 3000], [0, 4000]]),
    "augment.highpass_hz": ([[60, 300]], [[300, 60], [0, 300]]),
    "augment.resample_hz": ([[8000, 16000]], [[16000, 8000], [8000, 48000]]),
    "augment.clip_db": ([[0, 6]], [[6, 0], [-1, 6]]),
    "augment.snr_db": ([[5, 5], [-10, 40]], [[6, 5], [0, 1000], [-1000, 0], 10]),
    "augment.eq_db": ([0, 6], [-1, 1000]),
    "augment.mixup_alpha": ([0, 0.4], [-0.1, 1000]),
    "augment.time_masks": ([0, 2], [-1, 10**20]),
    "augment.time_mask_frames": ([0, 40], [-1, 10**20]),
    "augment.frequency_masks": ([0, 2], [-1, 10**20]),
    "augment.frequency_mask_bins": ([0, 12], [-1, 10**20]),
    "training.epochs": ([1], [0, -1]),
    "training.batch_size": ([1], [0, -1]),
    "training.learning_rate": ([1e-6], [0, -1e-3]),
    "training.warmup_epochs": ([0, 0.5], [-0.5]),
    "training.weight_decay": ([0, 0.1], [-0.1]),
    "training.frozen_epochs": ([0, 2], [-1]),
    "training.cached_passes": ([0, 4], [-1]),
    "training.layerwise_lr_decay": ([0, 1], [-0.1, 1.1]),
    "training.ema_momentum": ([0, 0.999], [-0.1, 1]),
    "training.label_smoothing": ([0, 0.1], [-0.1, 1]),
    "training.patience": ([1], [0, -1]),
}
# A fold needs folds, and the edges of the bands an order.
BESIDE = {
    "augment.distortions.recorded_noise": {"augment.noise_folder": "noise"},
    "data.split.fold": {"data.split.folds": 5},
    "mel.fmin": {"mel.fmax": 8000},
}


def parts_of(hint):
    yield hint
    for part in typing.get_args(hint):
        yield from parts_of(part)


def numeric_keys(section=Config, prefix=""):
    for name, field in section.model_fields.items():
        kinds = [kind for kind in parts_of(field.annotation) if isinstance(kind, type)]
        inner = next((kind for kind in kinds if issubclass(kind, Section)), None)
        if inner:
            yield from numeric_keys(inner, f"{prefix}{name}.")
        elif {int, float} & set(kinds):
            yield f"{prefix}{name}"


def test_every_numeric_key_is_listed():
    assert set(BOUNDS) == set(numeric_keys())


@pytest.mark.parametrize("key", BOUNDS)
def test_numbers_have_bounds(key):
    good, bad = BOUNDS[key]
    base = Config().replace(BESIDE.get(key, {}))
    *sections, name = key.split(".")
    for value in good:
        section = functools.reduce(getattr, sections, base.replace({key: value}))
        assert section.model_dump(mode="json")[name] == value
    for value in bad:
        with pytest.raises(ValueError, match=rf"config: {re.escape(key)} must .*Received: "):
            base.replace({key: value})


@pytest.mark.parametrize(
    ("name", "option", "values"),
    [
        ("cnn", "head_dropout", [1, -0.1]),
        ("cnn", "block_dropout", [1, -0.1]),
        ("cnn", "channels", [[8, 0], 8]),
        ("cnn", "weight_decay", [-1e-4]),
        ("baseline_cnn", "dropout", [1, True]),
        ("resnet18", "dropout", [1.5]),
        ("resnet18", "hidden", [[0]]),
        ("histgb", "max_leaf_nodes", [1]),
        ("lightgbm", "colsample_bytree", [0, 1.1]),
        ("catboost", "depth", [0, 17]),
        ("extra_trees", "n_estimators", [0]),
        ("logistic_regression", "C", [0, -1]),
        ("bernoulli_nb", "alpha", [-1]),
    ],
)
def test_options_of_models_have_bounds(name, option, values):
    for value in values:
        config = Config(model=ModelConfig(name=name, **{option: value}))
        with pytest.raises(ValueError, match=rf"config cnn: model\.{option} must be "):
            model_options(FAMILIES[name].build, config)


def test_all_mistakes_of_a_file_are_reported_at_once(tmp_path):
    path = write(
        tmp_path,
        "sed: 1\n"
        "mel: {n_fft: 0, hop_lenght: 160, win_length: 2}\n"
        "data: {split: {folds: 2}, corpus: 3}\n"
        "training: {epochs: 0, head_epochs: 2}\n",
    )
    with pytest.raises(ValueError, match="now called") as error:
        load_config(path, ["training.jit=maybe"])
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{path} with --set: ") for line in lines)
    assert sorted(line.split(": ", 1)[1] for line in lines) == sorted(
        [
            "training.head_epochs is now called training.frozen_epochs",
            "unknown key sed. Known keys here: name, seed, data, front_end, mel, features, "
            "augment, model, training. Is it seed?",
            "mel.n_fft must be an integer in 2 … 65536. Received: 0",
            f"unknown key mel.hop_lenght. Known keys here: {', '.join(MelConfig.model_fields)}. "
            "Is it hop_length?",
            "data.split.folds must be an integer of at least 3 or null. Received: 2",
            "data.corpus must be text or a list, each text. Received: 3",
            "training.epochs must be an integer of at least 1. Received: 0",
            "training.jit must be one of 'auto', 'on', 'off'. Received: 'maybe'",
        ]
    )


def test_a_command_prints_each_mistake_in_a_line_of_its_own(tmp_path, capsys):
    path = write(tmp_path, "training: {epochs: 0, patience: 0}")
    flags = argparse.Namespace(model=None, config=path, overrides=[], data=None, seed=None)
    assert run_command(lambda: config_from_flags(flags)) == USAGE
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: {path}: training.epochs must be")
    assert second.startswith(f"error: {path}: training.patience must be")


OLD = {
    "augment.noise_probability": (0.5, "augment.distortions.noise"),
    "mel.normalise": ("bin", "mel.normalize"),
    "model.inverse_regularisation": (0.5, "model.C"),
    "training.weight_average": (0.9, "training.ema_momentum"),
    "training.layer_decay": (0.8, "training.layerwise_lr_decay"),
    "training.head_epochs": (2, "training.frozen_epochs"),
}


@pytest.mark.parametrize("key", OLD)
def test_a_renamed_key_names_the_new_one_and_opens_in_runs_of_before(tmp_path, key):
    value, new = OLD[key]
    section, name = key.split(".")
    path = write(tmp_path, f"{section}: {{{name}: {value}}}")
    message = rf"{re.escape(key)} is now called {re.escape(new)}$"
    with pytest.raises(ValueError, match=message):
        load_config(path)
    plain = Config(name="mine", front_end=AS_RECORDED)
    assert load_run_config(path) == plain.replace({new: value}) != plain
    with pytest.raises(ValueError, match=message):
        load_config(write(tmp_path, ""), [f"{key}={value}"])


@pytest.mark.parametrize(("old", "new"), [("full", "selected"), ("everything", "all")])
def test_a_renamed_feature_set_too(tmp_path, old, new):
    path = write(tmp_path, f"features: {{set: {old}}}")
    with pytest.raises(ValueError, match=rf"features\.set {old} is now called {new}$"):
        load_config(path)
    assert load_run_config(path).features.set == new


def test_sections_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Config().training.epochs = 3


def test_a_replaced_value_is_checked_and_leaves_the_rest():
    base = load_config(CONFIGS / "cnn.yaml")
    changed = base.replace({"training.epochs": 3, "model": {"name": "cnn", "channels": [4]}})
    assert (changed.training.epochs, changed.model.options) == (3, {"channels": [4]})
    assert changed.replace({"training.epochs": 60, "model": {"name": "cnn"}}) == base
    with pytest.raises(ValueError, match=r"--seed: seed must be an integer in 0"):
        base.replace({"seed": -1}, "--seed")


def test_the_example_of_the_docstring(tmp_path):
    done = doctest.testmod(config_module)
    assert (done.attempted, done.failed) == (3, 0)
    assert Config.load("cnn") == load_config(CONFIGS / "cnn.yaml")
    assert Config.load(write(tmp_path, "seed: 3")).seed == 3


def test_text_that_looks_like_a_number_survives_yaml(tmp_path):
    config = Config(name="1e5", model=ModelConfig(name="cnn", weight_decay=1e-5))
    assert load_config(write(tmp_path, config_to_yaml(config))) == config


def test_texts_laid_over_a_config_are_those_laid_over_its_file():
    texts = ["mel.n_mels=64", "training.epochs=3", "model.block_dropout=0.1"]
    assert Config.load("cnn").override(texts) == Config.load("cnn", texts)
    with pytest.raises(ValueError, match=r"unknown key training\.epoch\."):
        Config().override(["training.epoch=3"])
