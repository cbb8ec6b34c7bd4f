"""Image networks as a user trains and explains them, on a small real corpus."""

import json

import pytest
from matplotlib.image import imread

from tfpipeline import predict, train
from tfpipeline.data.corpora import CORPORA
from tfpipeline.models import pretrained

SHORT = [
    "--data",
    "tiny",
    "--set",
    "data.unseen_attacks=[hifigan]",
    "--set",
    "training.epochs=1",
    "--set",
    "training.batch_size=4",
    "--set",
    "data.crop_seconds=1",
    "--set",
    "mel.n_mels=32",
    "--set",
    "training.frozen_epochs=0",
    "--set",
    "training.tensorboard=false",
]
pytestmark = pytest.mark.usefixtures("tiny_in_the_table", "without_export")


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_in_the_table, without_export):
    folder = tmp_path_factory.mktemp("runs") / "lite0"
    assert train.main(["--model", "efficientnet_lite0", *SHORT, "--run", str(folder)]) == 0
    return folder


@pytest.mark.slow  # test_fine_tuning trains a small image network, test_weights reads weights
def test_a_pretrained_run_says_what_it_began_with(run):
    environment = json.loads((run / "environment.json").read_text())
    assert environment["pretrained"] == {
        "source": "imagenet",
        "file": "efficientnet-lite0-57934424.pth",
        "sha256": pretrained.EFFICIENTNET_LITE0_SHA256,
    }
    assert not any("scratch" in n for n in json.loads((run / "metrics.json").read_text())["notes"])


@pytest.mark.slow
def test_a_run_from_scratch_says_so(tmp_path, capsys):
    folder = tmp_path / "resnet18"
    argv = ["--model", "resnet18", *SHORT, "--set", "model.weights=none"]
    assert train.main([*argv, "--set", "training.layerwise_lr_decay=1", "--run", str(folder)]) == 0
    note = "trained from scratch: no pretrained weights"
    assert note in capsys.readouterr().out
    assert note in (folder / "report.html").read_text()


@pytest.mark.parametrize("name", ["tiny_run", pytest.param("run", marks=pytest.mark.slow)])
def test_a_network_is_explained_by_a_picture(name, request, tiny_corpus, tmp_path, capsys):
    run = request.getfixturevalue(name)
    files = [str(tiny_corpus["path"][row]) for row in (0, 1)]
    argv = ["--run", str(run), "--explain", "--explain-to", str(tmp_path / "why"), "--json"]
    assert predict.main([*argv, *files]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    pictures = [imread(row["picture"]) for row in rows]
    assert [picture.ndim for picture in pictures] == [3, 3]
    assert len({row["picture"] for row in rows}) == 2
    assert predict.main([*argv[:-1], files[0], files[0]]) == 0
    assert "why" in capsys.readouterr().out


def test_weights_that_cannot_be_had_stop_before_any_clip_is_read(tmp_path, capsys, monkeypatch):
    def unreachable(download, folder):
        raise ConnectionError(f"{download.url} could not be downloaded. Received: no route.")

    def unread(path, split):
        raise AssertionError("the corpus was read")

    monkeypatch.setattr(pretrained, "fetch", unreachable)
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path))
    monkeypatch.setitem(CORPORA, "tiny", unread)
    for more, message in (
        ([], "Three ways: a network;"),
        (["--set", "model.weights=none.pth"], "model.weights: no such file"),
        (["--set", "model.name=resnet19"], "model.name must be one of"),
    ):
        argv = ["--model", "resnet18", *SHORT, "--run", str(tmp_path / "r"), *more]
        assert train.main(argv) == 2
        assert message in capsys.readouterr().err.strip().splitlines()[-1]
