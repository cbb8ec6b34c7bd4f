"""A folder of mixed formats, as a user brings it: trained on, killed, resumed, judged."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr

from tfpipeline import predict, train
from tfpipeline.data.audio.ffmpeg import ffmpeg_program

# ending, subtype, sample rate, channels
FORMS = [
    ("wav", "PCM_16", 16_000, 1),
    ("wav", "PCM_U8", 8_000, 1),
    ("wav", "PCM_24", 44_100, 2),
    ("wav", "PCM_32", 48_000, 3),
    ("wav", "FLOAT", 22_050, 1),
    ("flac", "PCM_16", 48_000, 2),
    ("flac", "PCM_24", 96_000, 1),
    ("mp3", None, 44_100, 2),
    ("ogg", "VORBIS", 32_000, 1),
    ("opus", None, 48_000, 2),
    ("wav", "ULAW", 11_025, 1),
    ("m4a", None, 37_800, 1),
]
FFMPEG = ffmpeg_program()


def write(file, waveform, ending, subtype, rate, channels):
    """Writes 16 kHz speech in another form."""
    samples = soxr.resample(waveform, 16_000, rate)
    samples = np.repeat(np.clip(samples, -1, 1)[:, None], channels, axis=1)
    if ending == "m4a":
        pipe = ["-f", "f32le", "-ar", str(rate), "-ac", str(channels), "-i", "-"]
        command = [FFMPEG, "-loglevel", "error", *pipe, "-ar", "44100", str(file)]
        subprocess.run(command, input=samples.astype("<f4").tobytes(), check=True)
    else:
        form = {"opus": "OGG"}.get(ending, ending.upper())
        soundfile.write(file, samples, rate, format=form, subtype=subtype or ending.upper())


def subtype_of(ending, subtype):
    return {"mp3": "MPEG_LAYER_III", "opus": "OPUS"}.get(ending, subtype)


@pytest.fixture(scope="module")
def folder(tiny_corpus, tmp_path_factory):
    """`Real/<reader>.*` and `fake/<attack>/<reader>.*`, 28 clips; each class in many forms."""
    root = tmp_path_factory.mktemp("own") / "speech"
    forms = [form for form in FORMS if form[0] != "m4a" or FFMPEG]
    for number, clip in enumerate(tiny_corpus.itertuples()):
        ending, subtype, rate, channels = forms[(number % 4 + number // 4) % len(forms)]
        below = "Real" if clip.label == "bonafide" else f"fake/{clip.attack}"
        (root / below).mkdir(parents=True, exist_ok=True)
        waveform = soundfile.read(clip.path, dtype="float32")[0]
        file = root / below / f"{clip.source}.{ending}"
        write(file, waveform, ending, subtype_of(ending, subtype), rate, channels)
    return root


def arguments(folder, run):
    return [
        "--model",
        "cnn",
        "--data",
        f"folder:{folder}",
        "--run",
        str(run),
        "--set",
        "training.epochs=3",
        "--set",
        "training.batch_size=4",
        "--set",
        "data.crop_seconds=1",
        "--set",
        "model.channels=[4, 8]",
    ]


def train_apart(argv, when, do):
    """Runs the command in a process of its own, and does something when a line begins so.

    Returns:
        The exit code, and what was said on stderr.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tfpipeline.train", *argv],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(when):
            do(process)
    return process.wait(), "".join(said)


def kill_in_the_third_epoch(argv):
    code, said = train_apart(argv, "epoch   2", lambda own: own.send_signal(signal.SIGKILL))
    assert code == -signal.SIGKILL, said[-500:]


@pytest.mark.slow
def test_an_own_folder_trains_is_killed_and_resumed_and_predicts(folder, tmp_path, capsys):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train.main(arguments(folder, whole)) == 0
    assert "split by source recording, by the names: 7 source recordings" in capsys.readouterr().err
    kill_in_the_third_epoch(arguments(folder, killed))
    assert not killed.exists()
    assert train.main([*arguments(folder, killed), "--resume"]) == 0
    for column in ("loss", "val_loss"):
        one, other = (pd.read_csv(run / "history.csv")[column] for run in (whole, killed))
        np.testing.assert_allclose(one, other, rtol=1e-4)
    scores = pd.read_csv(whole / "scores.csv")
    assert len(scores) == 28
    assert pd.read_csv(whole / "skipped.csv").empty
    assert set(json.loads((whole / "metrics.json").read_text())["parts"]) >= {"train", "test"}
    capsys.readouterr()
    assert predict.main(["--run", str(killed), "--json", *scores["path"]]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose([row["score"] for row in rows], scores["score"], atol=1e-3)


@pytest.mark.slow
def test_files_that_vanish_while_a_network_trains(folder, tmp_path):
    live = tmp_path / "live"
    shutil.copytree(folder, live)
    gone = sorted(live.glob("fake/world/*"))[:3]
    kept = tmp_path / "kept"
    kept.mkdir()
    argv = [*arguments(live, tmp_path / "run"), "--set", "data.cache=none"]
    argv += ["--set", "training.epochs=12"]

    def take_away(number):
        return lambda process: [shutil.move(path, kept / path.name) for path in gone[:number]]

    code, said = train_apart(argv, "epoch   2", take_away(3))
    assert code == 2
    error = said.splitlines()[-1]
    assert error.startswith("error: at most 5% of the clips may get lost on the way. Received: ")
    assert "Traceback" not in said
    for path in gone[1:]:
        shutil.move(kept / path.name, path)
    code, said = train_apart([*argv, "--resume"], "never", None)
    assert code == 0, said[-500:]
    # It was gone when the run was opened again, and so skipped from the start.
    assert list(pd.read_csv(tmp_path / "run/skipped.csv")["path"]) == []
    shutil.move(kept / gone[0].name, gone[0])

    argv = [*arguments(live, tmp_path / "other"), "--set", "data.cache=none"]
    code, said = train_apart(argv, "epoch   1", take_away(1))
    assert code == 0, said[-500:]
    assert said.count("left out from here on: ") == 1
    skipped = pd.read_csv(tmp_path / "other/skipped.csv")
    assert list(skipped["path"]) == [str(gone[0])]
    assert len(pd.read_csv(tmp_path / "other/scores.csv")) == 27
