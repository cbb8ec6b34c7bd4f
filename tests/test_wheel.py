"""A wheel that is built from the checkout works in an empty folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tfpipeline.__main__ import COMMANDS
from tfpipeline.config import config_names

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what the wheel holds, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed, folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-m", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_configs_travel_with_it(installed, tmp_path):
    code = (
        "import tfpipeline, tfpipeline.config as config\n"
        "print(tfpipeline.__file__, *config.config_names())"
    )
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    where, *names = done.stdout.split()
    assert Path(where).is_relative_to(installed)
    assert names == config_names()


def test_the_table_of_the_corpus_web_travels_with_it(installed, tmp_path):
    made = installed / "tfpipeline/data/web/clips.parquet"
    assert made.read_bytes() == (ROOT / "tfpipeline/data/web/clips.parquet").read_bytes()
    environment = os.environ | {"PYTHONPATH": str(installed), "TFPIPELINE_CACHE": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "tfpipeline.corpus", "build", "web", "--mirrors", "."]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "could be built. Received: no mirror (" in done.stderr


def test_both_ways_of_calling_a_command(installed, tmp_path):
    for name in COMMANDS:
        done = run(installed, tmp_path, "tfpipeline", name, "--help")
        assert done.returncode == 0, done.stderr
        assert done.stdout == run(installed, tmp_path, f"tfpipeline.{name}", "--help").stdout
    wrong = run(installed, tmp_path, "tfpipeline", "trian")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: a command must be one of these. Received: trian")


def test_a_command_finds_its_config_and_says_what_is_missing(installed, tmp_path):
    done = run(
        installed, tmp_path, "tfpipeline", "train", "--model", "cnn", "--data", "folder:speech"
    )
    assert done.returncode == 2
    assert "speech" in done.stderr
    assert "config" not in done.stderr
    unknown = run(installed, tmp_path, "tfpipeline", "train", "--model", "cnm")
    assert unknown.returncode == 2
    assert "cnn" in unknown.stderr
