import pytest
import tensorflow as tf
import yaml
from google.protobuf import text_format
from packaging.version import Version
from tensorflow_serving.config import model_server_config_pb2

from tfpipeline.serving.serving_root import check_name, read_labels, write_root


def put(root, *versions):
    for version in versions:
        (root / version).mkdir(parents=True)


def test_labels_follow_the_versions(tmp_path):
    put(tmp_path, "cnn/1")
    assert write_root(tmp_path) == {"cnn": {"stable": 1}}
    put(tmp_path, "cnn/2", "trees/7")
    expected = {"cnn": {"stable": 1, "canary": 2}, "trees": {"stable": 7}}
    assert write_root(tmp_path) == expected
    assert read_labels(tmp_path) == expected
    put(tmp_path, "cnn/3")
    assert write_root(tmp_path)["cnn"] == {"stable": 1, "canary": 3}
    assert write_root(tmp_path, promote=("cnn",))["cnn"] == {"stable": 3}
    put(tmp_path, "cnn/4")
    assert write_root(tmp_path)["cnn"] == {"stable": 3, "canary": 4}
    (tmp_path / "cnn" / "3").rmdir()
    assert write_root(tmp_path)["cnn"] == {"stable": 1, "canary": 4}


def test_the_config_is_a_model_server_config(tmp_path):
    put(tmp_path, "cnn/1", "cnn/2", "trees/10")
    write_root(tmp_path, base_path="/srv/speech/")
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((tmp_path / "models.config").read_text(), config)
    models = {own.name: own for own in config.model_config_list.config}
    assert models["cnn"].base_path == "/srv/speech/cnn"
    assert models["cnn"].model_platform == "tensorflow"
    assert list(models["cnn"].model_version_policy.specific.versions) == [1, 2]
    assert list(models["trees"].model_version_policy.specific.versions) == [10]


def test_what_is_no_version_is_left_out(tmp_path):
    put(tmp_path, "cnn/1", "cnn/.partial-77", "cnn/notes", ".git/1", "empty")
    assert write_root(tmp_path) == {"cnn": {"stable": 1}}


def test_settings_that_a_user_changed_are_kept(tmp_path):
    put(tmp_path, "cnn/1")
    write_root(tmp_path)
    assert "127.0.0.1:8500:8500" in (tmp_path / "compose.yaml").read_text()
    (tmp_path / "batching.config").write_text("max_batch_size { value: 4 }\n")
    write_root(tmp_path)
    assert (tmp_path / "batching.config").read_text() == "max_batch_size { value: 4 }\n"


def test_a_config_that_cannot_be_read_is_not_overwritten(tmp_path):
    put(tmp_path, "cnn/1")
    (tmp_path / "models.config").write_text("model_config_list { config { nam: 'x' } }")
    with pytest.raises(ValueError, match="expected a ModelServerConfig in text form"):
        write_root(tmp_path)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "..", "ä"])
def test_names_that_no_url_takes(name):
    with pytest.raises(ValueError, match="a served model's name must be"):
        check_name(name)
    assert check_name("cnn_2.b-1") == "cnn_2.b-1"


def test_compose_names_files_that_are_there_and_a_server_new_enough(tmp_path):
    put(tmp_path, "cnn/1")
    write_root(tmp_path)
    compose = yaml.safe_load((tmp_path / "compose.yaml").read_text())
    serving = compose["services"]["serving"]
    image, tag = serving["image"].split(":")
    assert image == "tensorflow/serving"
    assert Version(tag) >= Version(tf.__version__)
    for flag in ("model_config_file", "batching_parameters_file", "monitoring_config_file"):
        path = next(c.split("=")[1] for c in serving["command"] if c.startswith(f"--{flag}="))
        assert (tmp_path / path.removeprefix("/models/")).is_file()
