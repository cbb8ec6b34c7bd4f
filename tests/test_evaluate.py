"""`evaluate` as a user runs it: on runs, on a corpus that they score, on others' score files."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from organizers import slow_eer
from replicas import Speech, indictts

from tfpipeline import evaluate, predict
from tfpipeline.evaluation.scores import read_scores
from tfpipeline.workflows import score_files

pytestmark = pytest.mark.usefixtures("tiny_in_the_table")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_run):
    """Two small runs, one with scores of its own making."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("one", "two"):
        shutil.copytree(tiny_run, folder / name)
    scores = pd.read_csv(folder / "two" / "scores.csv")
    scores["score"] = (scores["label"] == "spoof") * 5.0 + np.arange(len(scores)) % 3
    scores.to_csv(folder / "two" / "scores.csv", index=False)
    return folder


def errors(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_run_is_judged_on_its_own_scores(runs, capsys):
    before = json.loads((runs / "one" / "metrics.json").read_text())
    assert evaluate.main(["--run", str(runs / "one"), "--by", "speaker"]) == 0
    after = json.loads((runs / "one" / "metrics.json").read_text())
    assert after["parts"] == before["parts"]
    assert "speaker" in after["groups"]
    assert "speaker" not in before["groups"]
    printed = capsys.readouterr().out
    assert "by speaker" in printed
    assert (runs / "one" / "report.html").stat().st_size > 50_000


def test_a_corpus_is_scored_first_with_the_runs_threshold(runs, tiny_corpus, capsys):
    assert evaluate.main(["--run", str(runs / "one"), "--data", "tiny", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    own = json.loads((runs / "one" / "metrics.json").read_text())
    assert metrics["threshold"] == own["threshold"]
    folder = runs / "one" / "evaluations" / "tiny"
    assert {path.name for path in folder.iterdir()} == {
        "scores.csv",
        "skipped.csv",
        "metrics.json",
        "report.html",
    }
    scores = read_scores(folder / "scores.csv").set_index("clip_id")
    assert len(scores) == len(tiny_corpus)
    trained = read_scores(runs / "one" / "scores.csv").set_index("clip_id")
    np.testing.assert_allclose(scores.loc[trained.index, "score"], trained["score"], atol=1e-4)
    np.testing.assert_allclose(scores.loc[trained.index, "llr"], trained["llr"], atol=1e-4)


def test_runs_and_score_files_stand_in_one_leaderboard(runs, tmp_path, capsys):
    shutil.copy(runs / "two" / "scores.csv", tmp_path / "other system.csv")
    argv = [
        "--run",
        str(runs / "one"),
        str(runs / "two"),
        "--scores",
        str(tmp_path / "other system.csv"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert evaluate.main(argv) == 0
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert content["part"] == "test"
    assert [own["run"] for own in content["runs"]] == ["one", "two", "other system"]
    compared = {row["run"]: row for row in content["compared"]}
    assert compared["other system"]["difference"] == 0
    assert "3 models" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").exists()


def test_another_systems_scores_with_their_key(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    ids = [f"E_{n:03d}" for n in range(60)]
    good = random.integers(0, 2, 60)
    (tmp_path / "scores.tsv").write_text(
        "filename\tcm-score\n"
        + "".join(f"{i}\t{g * 3 + random.normal()}\n" for i, g in zip(ids, good, strict=True))
    )
    (tmp_path / "key.tsv").write_text(
        "filename\tcm-label\n"
        + "".join(f"{i}\t{('spoof', 'bonafide')[g]}\n" for i, g in zip(ids, good, strict=True))
    )
    assert evaluate.main(["--scores", "scores.tsv", "--key", "key.tsv"]) == 0
    printed = capsys.readouterr()
    assert "high = bonafide, turned round" in printed.err
    metrics = json.loads((tmp_path / "saved_models/evaluations/scores/metrics.json").read_text())
    assert metrics["parts"]["all"]["auc"] > 0.9
    assert metrics["parts"]["all"]["hter"] is None
    argv = ["--scores", "scores.tsv", "--key", "key.tsv", "--polarity", "spoof"]
    assert evaluate.main(argv) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Is the sign turned round? Then name it: --polarity bonafide" in said


def test_bad_usage_is_one_line(runs, tmp_path, capsys):
    (tmp_path / "empty.csv").write_text("clip_id,label,score\n")
    one = str(runs / "one")
    cases = [
        ([], "something to evaluate is needed"),
        (["--run", "nonesuch"], "no run in saved_models/nonesuch"),
        (["--scores", str(tmp_path / "none.csv")], "no such file"),
        (["--scores", str(tmp_path / "empty.csv")], "0 rows"),
        (["--run", one, "--by", "colour"], "--by names columns of the scores"),
        (["--run", one, one], "each model needs a name of its own"),
        (["--run", one, "--data", "nonesuch"], "a corpus must be one of"),
        (["--run", one, "--data", "tiny", "--scores", "x.csv"], "--data is scored by runs"),
        (["--run", one, "--subset", "eval"], "are about score files. Received: no --scores"),
        (["--run", one, "--pooled"], "the --data that runs score"),
        (["--scores", "x", "--pooled", "--by", "codec"], "and no --by"),
        (["--run", one, "--matrix", "--pooled"], "one of these at a time"),
        (["--scores", *"abc", "--key", *"xy"], "one each in their order. Received: 2 keys, 3"),
        (["--run", one, "--data", "a", "--data", "b"], "without --matrix or --pooled"),
        (["--run", one, "--pooled", "--data", "tiny", "--data", "tiny"], "pooled once"),
    ]
    for argv, message in cases:
        assert evaluate.main(argv) == 2, argv
        error = errors(capsys)
        assert error.startswith("error: ")
        assert message in error


def test_a_submission_has_a_row_for_every_hidden_clip(
    runs, tmp_path, recordings, capsys, monkeypatch
):
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "cache"))
    path = indictts(tmp_path / "set", Speech(recordings))
    table = path / "data" / "test-00000-of-00001.parquet"
    rows = pq.read_table(table).to_pylist()
    # With 25 clips, one that cannot be judged is no reason to stop.
    rows = [{**rows[n % 3], "id": f"HIN_F_SAD_{n:05}"} for n in range(25)][::-1]
    rows[4] = {**rows[4], "audio": {"bytes": b"no audio", "path": None}}
    pq.write_table(pa.Table.from_pylist(rows), table)
    out = tmp_path / "submission.csv"
    assert (
        evaluate.main(
            [
                "--run",
                str(runs / "one"),
                "--data",
                f"indictts:{path}",
                "--submission",
                str(out),
            ]
        )
        == 0
    )
    said = capsys.readouterr().err
    assert "1 clips cannot be judged, and get 0.5" in said
    written = pd.read_csv(out)
    assert list(written) == ["id", "is_tts"]
    assert written["id"].tolist() == [row["id"] for row in rows]
    assert written["is_tts"][4] == 0.5
    # The same as `predict` says of the same bytes.
    files = []
    for number in (0, 1, 2):
        file = tmp_path / f"{number}.wav"
        file.write_bytes(rows[number]["audio"]["bytes"])
        files.append(str(file))
    assert predict.main(["--run", str(runs / "one"), "--json", *files]) == 0
    told = [json.loads(line)["probability"] for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose(written["is_tts"][:3], told, atol=1e-6)
    assert len(set(told)) == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data", "tiny"], "about a corpus with hidden labels: indictts. Received: 'tiny'"),
        ([], "--submission takes one --run and the --data"),
        (["--run", "a", "b", "--data", "tiny"], "Received: 2 runs, --data tiny"),
    ],
)
def test_a_submission_needs_one_run_and_hidden_labels(runs, flags, message, capsys):
    assert evaluate.main(["--run", str(runs / "one"), "--submission", "s.csv", *flags]) == 2
    assert message in errors(capsys)


def write_trials(folder, name, n, gap):
    """A score file and a key of `n` trials, high = bonafide: which are bonafide, and the scores."""
    random = np.random.default_rng(n)
    good = np.arange(n) % 3 == 0
    scores = (good * gap + random.normal(size=n)).tolist()
    ids = [f"/data/{name}/{number}.wav" for number in range(n)]
    rows = [f"{i} {score!r}\r\n" for i, score in zip(ids, scores, strict=True)]
    (folder / f"{name}.txt").write_text("".join(rows), newline="")
    rows = [f"{i},{('spoof', 'bonafide')[g]}\n" for i, g in zip(ids, good, strict=True)]
    (folder / f"{name}.csv").write_text("file_name,label\n" + "".join(rows))
    return good, np.array(scores)


def test_score_files_of_several_data_sets_are_pooled(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [write_trials(tmp_path, name, n, gap) for name, n, gap in (("a", 60, 1), ("b", 90, 2))]
    expected = [slow_eer(scores[good], scores[~good]) for good, scores in made]
    good, scores = (np.concatenate(column) for column in zip(*made, strict=True))
    argv = ["--pooled", "--scores", "a.txt", "b.txt", "--key", "a.csv", "b.csv"]
    assert evaluate.main(argv) == 0
    printed = capsys.readouterr()
    assert "a.txt: form asvspoof2021 (lines `id score`; spaces, CRLF), high = bon" in printed.err
    rows = pd.read_csv("saved_models/evaluations/a+b-pooled/pooled.csv").set_index("data_set")
    assert rows.loc[["a", "b"], "eer"].tolist() == pytest.approx(expected, abs=1e-15)
    assert rows.loc["mean", "eer"] == pytest.approx(np.mean(expected), abs=1e-15)
    pooled = slow_eer(scores[good], scores[~good])
    assert rows.loc["pooled", "eer"] == pytest.approx(pooled, abs=1e-15)
    assert rows.loc["pooled", ["n_bonafide", "n_spoof"]].tolist() == [50, 100]
    lines = printed.out.splitlines()
    pooled = next(line for line in lines if line.startswith("pooled"))
    assert f"{100 * rows.loc['pooled', 'eer']:.2f}" in pooled
    assert evaluate.main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["pooled"]["eer"] == rows.loc["pooled", "eer"]


def test_a_trial_without_a_score_is_told_and_exits_with_1(tmp_path, capsys):
    write_trials(tmp_path, "a", 60, 1)
    lines = (tmp_path / "a.txt").read_text().splitlines()
    (tmp_path / "a.txt").write_text("\n".join(lines[1:]))
    argv = ["--scores", str(tmp_path / "a.txt"), "--key", str(tmp_path / "a.csv")]
    argv += ["--out", str(tmp_path / "out")]
    for more in ([], ["--pooled"]):
        assert evaluate.main([*argv, *more]) == 1
        printed = capsys.readouterr()
        assert "1 clips of the key have no score" in printed.err
        assert "1 clips of the key have no score" in " ".join(printed.out.split())


def test_runs_are_pooled_over_corpora(runs, tiny_corpus, tmp_path, capsys, monkeypatch):
    unseen = tiny_corpus.assign(path="/nowhere/" + tiny_corpus["path"])
    random = np.random.default_rng(0)
    parts = {"one": "-", "two": np.resize(["test", "train"], len(unseen))}
    scored = []

    class Audio(np.ndarray):
        def subset(self, rows):
            return self[rows]

    def open_whole(name):
        return unseen.assign(part=parts[name]), np.zeros(len(unseen)).view(Audio), unseen[:0]

    def score_clips(run, clips, audio):
        assert len(clips) == len(audio)
        noise = random.normal(size=len(clips))
        scored.append(clips.assign(score=(clips["label"] == "spoof") + noise))
        return scored[-1]

    monkeypatch.setattr(score_files, "open_whole", open_whole)
    monkeypatch.setattr(score_files, "score_clips", score_clips)
    argv = ["--run", str(runs / "one"), "--pooled", "--data", "one", "--data", "two"]
    assert evaluate.main([*argv, "--out", str(tmp_path / "out"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)[0]
    assert report["run"] == "one"
    assert report["notes"] == [f"two: its test part, {len(unseen) // 2} clips"]
    for row, table in zip(report["data_sets"], scored, strict=True):
        classes = [-table.loc[table["label"] == name, "score"] for name in ("bonafide", "spoof")]
        assert row["eer"] == slow_eer(*classes)
