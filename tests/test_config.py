import pytest

from tfpipeline.config import (
    CONFIGS,
    Config,
    FrontEndConfig,
    config_from_dict,
    config_names,
    config_to_yaml,
    load_config,
    load_run_config,
)


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
        ("training: {epochs: 1.5}", r"training\.epochs must be an integer\. Received: 1\.5"),
        ("training: {epochs: true}", r"training\.epochs must be an integer\. Received: True"),
        ("training: {learning_rate: fast}", r"must be a finite number\. Received: 'fast'"),
        ("training: {learning_rate: .nan}", r"must be a finite number\. Received: nan"),
        ("training: 3", r"training must be a section of keys\. Received: 3"),
        ("data: {cache: disc}", r"data\.cache must be one of 'auto', 'memory', 'disk', 'none'"),
        ("augment: {snr_db: [1, 2, 3]}", r"augment\.snr_db must be a list of"),
        ("[1, 2]", "a config is a mapping"),
        ("a: [1", "a config is a readable YAML file"),
        ("training: {epochs: 0}", r"training\.epochs must be at least 1\. Received: 0"),
        ("data: {window_seconds: -4}", r"data\.window_seconds must be more than 0"),
        ("augment: {noise_probability: 2}", r"augment\.noise_probability must lie in 0 … 1"),
        ("{augment: {eq_db: 3}, mel: {normalise: bin}}", r"eq_db is in dB and needs .* Rec.*'bin'"),
        (
            "front_end: {highpass_hz: 5}",
            r"front_end\.highpass_hz must be null or lie in 10 … 150 Hz",
        ),
        (
            "front_end: {level_dbfs: 3}",
            r"level_dbfs must be null or lie in -60 … 0 dB\. Rec.* 3\.0",
        ),
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
    assert load_run_config(path).front_end == FrontEndConfig(None, None)
    assert load_config(path).front_end == FrontEndConfig(60.0, -26.0)
    path = write(tmp_path, config_to_yaml(Config(front_end=FrontEndConfig(80.0, None))))
    assert load_run_config(path).front_end == FrontEndConfig(80.0, None)


def test_what_is_published_is_not_conditioned():
    for name in config_names():
        off = name.startswith(("baseline_", "indictts_"))
        expected = FrontEndConfig(None, None) if off else FrontEndConfig()
        assert load_config(CONFIGS / f"{name}.yaml").front_end == expected


def test_a_dict_is_checked_too():
    with pytest.raises(ValueError, match="config: unknown key x"):
        config_from_dict({"x": 1})
