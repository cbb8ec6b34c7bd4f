"""`predict` as a user runs it, by a run of random weights and by a server that holds the same."""

import io
import json
import os
import shutil
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr
from matplotlib.image import imread

from tfpipeline import predict
from tfpipeline.config import CONFIGS, config_to_yaml, load_config
from tfpipeline.data.audio.decode import decode
from tfpipeline.models.detector import ClipScorer, build_detector
from tfpipeline.prediction.predict_files import FIELDS
from tfpipeline.prediction.scorers import LocalScorer
from tfpipeline.runs.run import load_detector, open_run
from tfpipeline.serving.contract import build_contract

OVERRIDES = ["data.window_seconds=1", "model.channels=[4, 8]", "mel.n_mels=32"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, speech):
    """A run folder with what judging needs; the threshold lies between the scores of speech."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    folder.mkdir()
    config = load_config(CONFIGS / "cnn.yaml", OVERRIDES)
    detector = build_detector(config)
    detector.model.save_weights(folder / "model.weights.h5")
    (folder / "config.yaml").write_text(config_to_yaml(config))
    scorer = ClipScorer(detector.model, detector.window)
    scores = [scorer.score_waveform(clip) for clip in speech]
    (folder / "calibration.json").write_text('{"a": 0.1, "b": 0.0, "prior": 0.5}')
    metrics = {"parts": {}, "threshold": {"value": float(np.median(scores))}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture
def clips(tmp_path, speech):
    """A folder of five clips of several formats, rates and lengths, and one text."""
    folder = tmp_path / "clips"
    (folder / "in").mkdir(parents=True)
    for name, own, samples, rate in (
        ("a.wav", 0, 64_000, 16_000),
        ("b.flac", 1, 40_001, 44_100),
        ("in/c.ogg", 2, 15_999, 16_000),
        ("in/d.opus", 3, 32_000, 48_000),
        ("in/e.wav", 4, 64_000, 8_000),
    ):
        sound = soxr.resample(speech[own, :samples], 16_000, rate)
        form = {"opus": ("OGG", "OPUS"), "ogg": ("OGG", "VORBIS")}.get(name.split(".")[1], ())
        how = dict(zip(("format", "subtype"), form, strict=False))
        soundfile.write(folder / name, sound, rate, **how)
    (folder / "in" / "f.wav").write_text("no audio")
    return folder


def rows_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_scores_are_those_of_training(run, clips, capsys):
    assert predict.main(["--run", str(run), "--json", str(clips)]) == 1
    rows = rows_of(capsys)
    assert [row["path"].rpartition("/")[2] for row in rows] == [
        "a.wav",
        "b.flac",
        "c.ogg",
        "d.opus",
        "e.wav",
        "f.wav",
    ]
    opened = open_run(run)
    detector = load_detector(opened)
    scorer = ClipScorer(detector.model, detector.window)
    for row in rows[:-1]:
        assert list(row) == list(FIELDS)
        waveform = decode(row["path"]).waveform
        assert row["score"] == pytest.approx(scorer.score_waveform(waveform), abs=1e-4)
        assert row["seconds"] == len(waveform) / 16_000
        assert row["probability"] == pytest.approx(opened.calibration.probability(row["score"]))
        side = "spoof" if row["score"] >= opened.threshold else "bonafide"
        assert row["verdict"] in (side, "abstained")
    assert rows[-1]["score"] is None
    assert rows[-1]["status"] == "not audio"


def test_a_stream_of_a_long_file_scores_as_the_whole(run, speech, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tfpipeline.data.audio.sndfile.BLOCK", 50_021)
    judge = LocalScorer(run)
    scorer = ClipScorer(judge.detector.model, judge.window)
    for extra in (-1, 0, 1):
        sound = soxr.resample(np.concatenate([*speech])[: 20 * 16_000], 16_000, 24_000)
        path = tmp_path / f"long{extra}.flac"
        soundfile.write(path, sound[: 20 * 24_000 + extra], 24_000)
        assert predict.main(["--run", str(run), "--json", str(path)]) == 0
        (row,) = rows_of(capsys)
        assert row["score"] == pytest.approx(scorer.score_waveform(decode(path).waveform), abs=1e-5)


def test_table_csv_and_errors(run, clips, capsys):
    argv = ["--run", str(run), str(clips / "a.wav"), "none.wav", str(clips / "in" / "f.wav")]
    assert predict.main(argv) == 1
    printed = capsys.readouterr()
    assert [line.split(":")[1].strip() for line in printed.err.splitlines()] == argv[3:]
    table = printed.out.splitlines()
    assert " ".join(table[0].split()) == "file seconds score prob. verdict where, or why not"
    assert table[-1].endswith("not audio")
    assert predict.main([*argv, "--csv"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ",".join(FIELDS)
    assert len(lines) == 4
    assert [line.split(",")[1:6] for line in lines[2:]] == [[""] * 5] * 2


def test_standard_input(run, clips, capsys, monkeypatch):
    assert predict.main(["--run", str(run), "--json", str(clips / "b.flac")]) == 0
    (expected,) = rows_of(capsys)
    for contents in ((clips / "b.flac").read_bytes(), b"no audio"):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(contents)))
        code = predict.main(["--run", str(run), "--json", "-"])
        printed = capsys.readouterr()
        row = json.loads(printed.out)
        if code:
            assert printed.err.startswith("error: -: cannot be decoded")
            assert row["status"] == "not audio"
        else:
            assert row == expected | {"path": "-"}
    assert code == 1


def test_an_interrupted_list_is_gone_on_with(run, clips, capsys, monkeypatch, tmp_path):
    argv = ["--run", str(run), str(clips), "--out"]
    assert predict.main([*argv, str(tmp_path / "whole.csv")]) == 1
    whole = (tmp_path / "whole.csv").read_text()
    out = tmp_path / "out.csv"
    score = LocalScorer.score_windows
    monkeypatch.setattr("tfpipeline.prediction.predict_files.AHEAD_FILES", 1)
    for error, code in ((KeyboardInterrupt, 130), (OSError("server gone"), 2)):
        calls = []

        def stopping(self, windows, calls=calls, error=error):
            calls.append(1)
            if len(calls) == 2:
                raise error
            return score(self, windows)

        with monkeypatch.context() as patched:
            patched.setattr(LocalScorer, "score_windows", stopping)
            assert predict.main([*argv, str(out), "--resume"]) == code
    assert 2 < len(out.read_text().splitlines()) < len(whole.splitlines())
    assert predict.main([*argv, str(out)]) == 2
    assert "with --resume, or replace it with --overwrite" in capsys.readouterr().err
    assert predict.main([*argv, str(out), "--resume"]) == 1
    same_rows(out.read_text(), whole)
    before = out.read_bytes()
    assert predict.main([*argv, str(out), "--resume"]) == 1  # f.wav is still no audio
    assert out.read_bytes() == before
    other = tmp_path / "other"
    shutil.copytree(run, other)
    (other / "metrics.json").write_text('{"threshold": {"value": 99}}')
    capsys.readouterr()
    assert predict.main(["--run", str(other), str(clips), "--out", str(out), "--resume"]) == 2
    assert "rows of the same judge" in capsys.readouterr().err


def same_rows(text, expected):
    """Scores may differ in the last bits, since batches were others."""
    for line, other in zip(text.splitlines(), expected.splitlines(), strict=True):
        cells, others = line.split(","), other.split(",")
        assert cells[0] == others[0]
        assert cells[-1] == others[-1]
        if cells[2] not in ("", "score"):
            assert float(cells[2]) == pytest.approx(float(others[2]), abs=1e-4)


def test_a_killed_process_loses_no_row(run, clips, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    argv = ["--run", str(run), str(clips), "--out", str(out)]
    code = (
        "import os, signal, sys\n"
        "from tfpipeline import predict\n"
        "from tfpipeline.prediction import rows\n"
        "add = rows.RowFile.add\n"
        "def kill_behind_three(self, row):\n"
        "    add(self, row)\n"
        "    self.count = getattr(self, 'count', 0) + 1\n"
        "    if self.count == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "rows.RowFile.add = kill_behind_three\n"
        "predict.main(sys.argv[1:])\n"
    )
    assert subprocess.run([sys.executable, "-c", code, *argv], check=False).returncode == -9
    assert len(out.read_text().splitlines()) == 3
    with open(out, "a") as file:
        file.write('{"path": "torn')
    assert predict.main([*argv, "--resume"]) == 1
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({row["path"] for row in rows}) == len(rows) == 6


def test_timelines(run, clips, tmp_path, capsys):
    shutil.copy(clips / "a.wav", clips / "in" / "a.wav")
    argv = ["--run", str(run), "--json", "--timeline-to", f"{tmp_path / 'over time'}", str(clips)]
    assert predict.main(argv) == 1
    rows = rows_of(capsys)
    pictures = {row["path"]: row["timeline"] for row in rows}
    assert pictures.pop(str(clips / "in" / "f.wav")) is None
    assert len(set(pictures.values())) == 6  # two files are named a.wav
    assert all(imread(picture).ndim == 3 for picture in pictures.values())


def test_nothing_is_left_in_the_temporary_folder(run, speech, tmp_path):
    soundfile.write(tmp_path / "a.mp3", speech[0], 16_000)
    left = tmp_path / "left"
    left.mkdir()
    command = [sys.executable, "-m", "tfpipeline.predict", "--run", str(run), "--explain"]
    command += ["--explain-to", str(tmp_path), str(tmp_path / "a.mp3")]
    subprocess.run(command, env={**os.environ, "TMPDIR": str(left)}, check=True)
    assert (tmp_path / "a.png").exists()
    assert list(left.iterdir()) == []


def test_timeline_takes_no_file_for_its_folder(run, clips, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [str(clips / "a.wav"), str(clips / "b.flac")]
    for flags, folder in (
        (["--timeline"], "timelines"),
        (["--timeline", "--timeline-to", "other"], "other"),
    ):
        assert predict.main(["--run", str(run), "--json", *flags, *files]) == 0
        rows = rows_of(capsys)
        assert [row["path"] for row in rows] == files
        assert [row["timeline"] for row in rows] == [f"{folder}/a.png", f"{folder}/b.png"]


SERVER = ["--server", "grpc://localhost:8500/small"]


@pytest.fixture
def server(run, monkeypatch):
    """A client of a server that holds the run, as `serving.client` gives one.

    Notes its `calls`, refuses requests with a window of `refused` by `refusal`, fails after `gone`
    calls.
    """
    judge, calls, refused, gone = LocalScorer(run), [], [], []
    refusal = [ValueError("grpc://localhost refuses the request: not this")]
    (run / "environment.json").write_text("{}")

    class Client:
        def contract(self):
            if gone and len(calls) > gone[0]:
                raise ConnectionError("grpc://localhost: 6 tries failed.")
            return build_contract(open_run(run), judge.window)

        def score_windows(self, windows):
            assert windows.dtype == np.float32
            calls.append(len(windows))
            if gone and len(calls) > gone[0]:
                raise ConnectionError("grpc://localhost: 6 tries failed.")
            if any(np.array_equal(own, other) for own in windows for other in refused):
                raise refusal[0]
            return judge.score_windows(windows)

    client = ModuleType("tfpipeline.serving.client.client")
    client.open_client = lambda url: Client()
    monkeypatch.setitem(sys.modules, "tfpipeline.serving.client.client", client)
    return SimpleNamespace(calls=calls, refused=refused, refusal=refusal, gone=gone)


def test_a_server_gives_the_rows_of_the_run(run, clips, server, capsys):
    assert predict.main(["--run", str(run), "--json", str(clips)]) == 1
    expected = rows_of(capsys)
    assert predict.main([*SERVER, "--json", str(clips)]) == 1
    assert server.calls
    for row, own in zip(rows_of(capsys), expected, strict=True):
        assert_same_row(row, own)


def assert_same_row(row, own):
    row = dict(row)
    for key in ("score", "llr", "probability", "confidence"):
        assert row.pop(key) == pytest.approx(own[key], abs=1e-4)
    places = [[(e["start"], e["end"]) for e in r["evidence"]] for r in (row, own)]
    row.pop("evidence")
    assert places[0] == places[1]
    assert row == {key: own[key] for key in row}


@pytest.mark.parametrize(
    "refusal",
    [
        ValueError("grpc://localhost refuses the request: not this"),
        ValueError("a request must be at most 16777216 bytes long. Received: a row of 16777217."),
        ConnectionError("http://localhost failed: out of memory (HTTP 500)."),
        TimeoutError("grpc://localhost: no answer within 120 s."),
    ],
)
def test_a_window_that_the_server_refuses_costs_its_own_row_alone(
    run, clips, server, capsys, refusal
):
    assert predict.main(["--run", str(run), "--json", str(clips)]) == 1
    expected = rows_of(capsys)
    assert all(row["status"] == "ok" for row in expected[:-1])
    waveform = decode(clips / "b.flac").waveform
    server.refused.append(waveform[16_000:32_000])
    server.refusal[0] = refusal
    assert len(waveform) > 32_000  # so that it is neither the first window nor the last
    assert predict.main([*SERVER, "--json", str(clips)]) == 1
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    refused = rows.pop(1)
    assert refused["status"] == "refused"
    assert refused["score"] is refused["verdict"] is None
    assert refused["reason"].startswith(f"{clips / 'b.flac'}: {refusal}")
    assert f"error: {refused['reason']}" in printed.err
    for row, own in zip(rows, expected[:1] + expected[2:], strict=True):
        assert_same_row(row, own)


def test_a_connection_that_fails_ends_the_list(run, clips, server, capsys):
    server.gone.append(0)
    assert predict.main([*SERVER, "--json", str(clips)]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.strip().endswith("error: grpc://localhost: 6 tries failed.")


def test_bad_usage_is_one_line(run, clips, capsys, tmp_path):
    file = str(clips / "a.wav")
    for argv, message in (
        (["--run", str(run)], "there is nothing to judge"),
        (["--run", str(run), file, "--resume"], "Name it with --out"),
        (["--run", str(run), file, "--out", "a.csv", "--resume", "--overwrite"], "one of them"),
        (["--run", str(run), file, "--out", str(tmp_path / "a.txt")], "must end in .csv or .jsonl"),
        (["--server", "grpc://x", "--explain", file], "--explain needs the run itself"),
    ):
        assert predict.main(argv) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("error: ")
        assert message in line
    with pytest.raises(SystemExit, match="2"):
        predict.main(["--run", "a", "--server", "b", file])


def test_a_stream_is_followed(run, speech, tmp_path, capsys, monkeypatch):
    soundfile.write(tmp_path / "a.wav", speech[0, :40_000], 16_000)
    assert predict.main(["--run", str(run), "--json", str(tmp_path / "a.wav")]) == 0
    (expected,) = rows_of(capsys)
    contents = (tmp_path / "a.wav").read_bytes()
    for flags, piped in (([], contents), (["--format", "s16le"], contents[44:])):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(piped)))
        assert predict.main(["--run", str(run), "--follow", *flags, "--json", "-"]) == 0
        rows = rows_of(capsys)
        assert [row["start"] for row in rows] == [0, 1, 1.5]
        assert rows[-1]["mean_score"] == pytest.approx(expected["score"], abs=1e-4)
        assert rows[-1]["verdict"] == expected["verdict"]
    for flags, message in (
        (["--follow", "-", "--out", "a.csv"], "--follow judges one stream"),
        (["--follow", "-", "--format", "mp3"], "--format must be one of"),
        (["-", "--format", "s16le"], "add --follow"),
    ):
        assert predict.main(["--run", str(run), *flags]) == 2
        assert message in capsys.readouterr().err
