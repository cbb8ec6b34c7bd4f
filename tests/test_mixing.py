"""Several corpora in one run, a corpus kept for the test, and the cross-data-set matrix."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from tfpipeline import evaluate, train
from tfpipeline.config import DataConfig, config_from_dict, config_to_yaml, load_config
from tfpipeline.data.clips import overlapping_values, write_manifest
from tfpipeline.data.corpora import load_clips, load_corpus, manifest
from tfpipeline.data.mixing import corpus_labels, draw_weights, training_rows
from tfpipeline.evaluation.scores import read_scores
from tfpipeline.runs.run import open_run
from tfpipeline.workflows.other_corpus import refuse_seen

SMALL = [
    "--model",
    "cnn",
    "--set",
    "training.epochs=1",
    "--set",
    "training.batch_size=4",
    "--set",
    "data.crop_seconds=1",
    "--set",
    "model.channels=[4, 8]",
    "--set",
    "training.tensorboard=false",
]


@pytest.fixture(scope="module")
def tables(tmp_path_factory, tiny_corpus):
    """The tiny corpus in two by attack and excerpt: each has all readers, no file is in both.

    Ids, speakers and sources are the same in both, so that mixing must tell them apart.
    """
    folder = tmp_path_factory.mktemp("tables")
    halves = {
        "griffin": tiny_corpus[tiny_corpus["attack"].isin(["-", "griffin_lim"])],
        "world": tiny_corpus[tiny_corpus["attack"].isin(["world", "hifigan"])],
    }
    # HiFi-GAN's copies stand for originals here: any two classes will do.
    hifigan = halves["world"]["attack"] == "hifigan"
    halves["world"] = halves["world"].assign(
        label=np.where(hifigan, "bonafide", "spoof"), attack=np.where(hifigan, "-", "world")
    )
    for name, clips in halves.items():
        clips = clips.assign(clip_id=[f"{p}{n}" for n, p in enumerate(clips["part"])])
        write_manifest(folder / f"{name}.csv", clips)
    return {name: f"manifest:{folder / f'{name}.csv'}" for name in halves}


def test_labels_are_short_and_differ():
    assert corpus_labels(["demo"]) == ["demo"]
    assert corpus_labels(["demo", "folder:/a/b"]) == ["demo", "b"]
    assert corpus_labels(["manifest:/a/x.csv", "manifest:y.csv"]) == ["x", "y"]
    both = ["manifest:/a/x.csv", "manifest:/b/x.csv"]
    assert corpus_labels(both) == both


def test_ids_speakers_and_sources_are_told_apart(tables):
    names = tuple(tables.values())
    mixed = load_clips(DataConfig(corpus=names))
    assert mixed["corpus"].value_counts().to_dict() == {"griffin": 14, "world": 14}
    assert mixed["clip_id"].is_unique
    for column in ("clip_id", "speaker", "source"):
        assert (mixed[column].str.partition("/")[0] == mixed["corpus"]).all()
    alone = [load_corpus(name) for name in names]
    assert mixed["part"].tolist() == [part for own in alone for part in own["part"]]
    assert mixed["path"].tolist() == [path for own in alone for path in own["path"]]


def test_corpora_without_parts_are_read_once_and_split_as_alone(tmp_path, tables, monkeypatch):
    written = []
    for name, given in tables.items():
        clips = load_corpus(given).drop(columns=["part", "speaker", "source"])
        write_manifest(tmp_path / f"{name}.csv", clips)
        written.append(f"manifest:{tmp_path / f'{name}.csv'}")
    mixed = load_clips(DataConfig(corpus=tuple(written)))
    alone = [load_corpus(name) for name in written]
    assert mixed["part"].tolist() == [part for own in alone for part in own["part"]]
    read = []
    table = manifest.read_table
    monkeypatch.setattr(
        manifest, "read_table", lambda path, *own: read.append(path) or table(path, *own)
    )
    load_clips(DataConfig(corpus=tuple(written)))
    assert read == [name.partition(":")[2] for name in written]
    undealt = load_clips(DataConfig(corpus=tuple(written)), split=False)
    assert set(undealt["part"]) == {"-"}


def test_fakes_alone_and_their_originals_alone_are_split_together(tmp_path, tiny_corpus):
    names = []
    for label, own in tiny_corpus.groupby("label"):
        write_manifest(tmp_path / f"{label}.csv", own.drop(columns="part"))
        names.append(f"manifest:{tmp_path / f'{label}.csv'}")
    mixed = load_clips(DataConfig(corpus=tuple(names)))
    assert overlapping_values(mixed, "source") == []
    counts = mixed.groupby(["part", "label"]).size()
    assert len(counts) == 6


def test_a_split_goes_over_all_corpora(tables):
    data = config_from_dict(
        {
            "data": {
                "corpus": list(tables.values()),
                "split": {"rule": "balanced", "by": ["speaker"]},
            }
        }
    ).data
    mixed = load_clips(data)
    assert overlapping_values(mixed, "speaker") == []
    assert mixed["speaker"].nunique() == 14


def test_a_file_in_two_corpora_is_refused(tmp_path, tables):
    clips = load_corpus(tables["griffin"])
    write_manifest(tmp_path / "again.csv", clips)
    data = DataConfig(corpus=(tables["griffin"], f"manifest:{tmp_path / 'again.csv'}"))
    with pytest.raises(ValueError, match=r"share no file\. .* in griffin and again, one of 14"):
        load_clips(data)


def test_one_file_is_told_however_its_path_is_written(tmp_path, tables, monkeypatch):
    clips = load_corpus(tables["griffin"])
    griffin = tables["griffin"].partition(":")[2]
    (tmp_path / "link").symlink_to(os.path.dirname(clips["path"][0]))
    moved = [str(tmp_path / "link" / os.path.basename(path)) for path in clips["path"]]
    clips.assign(path=moved).to_csv(tmp_path / "linked.csv", index=False)
    monkeypatch.chdir(os.path.dirname(griffin))
    for other in (f"manifest:{os.path.basename(griffin)}", f"manifest:{tmp_path / 'linked.csv'}"):
        with pytest.raises(ValueError, match=r"share no file\. .* one of 14"):
            load_clips(DataConfig(corpus=(tables["griffin"], other)))
        with pytest.raises(ValueError, match="14 of 14 clips are trained or selected on"):
            refuse_seen(load_corpus(other), clips["path"], other)


@pytest.mark.parametrize("balance", ["none", "corpus", "corpus_label"])
def test_what_is_rarer_is_taken_several_times(balance):
    cells = {("a", "bonafide"): 3, ("a", "spoof"): 20, ("b", "bonafide"): 7, ("b", "spoof"): 2}
    rows = [(*cell, "train") for cell, n in cells.items() for _ in range(n)]
    rows.append(("a", "spoof", "test"))
    clips = pd.DataFrame(rows, columns=["corpus", "label", "part"])
    rows = training_rows(clips, balance, seed=1)
    assert set(rows) == set(range(32))
    np.testing.assert_array_equal(rows, training_rows(clips, balance, seed=1))
    taken = clips.iloc[rows]
    counts = taken.groupby("corpus").size()
    if balance == "none":
        assert len(rows) == 32
    elif balance == "corpus":
        assert counts.tolist() == [23, 23]
    else:
        assert taken.groupby(["corpus", "label"]).size().tolist() == [20] * 4
    # Of clips that count the same, none is taken twice more than another.
    times = np.bincount(rows, minlength=33)
    key = clips["corpus"] if balance == "corpus" else clips["corpus"] + clips["label"]
    for _, own in pd.Series(times[:32]).groupby(key[:32]):
        assert own.max() - own.min() <= 1


def test_configs_of_one_corpus_keep_their_form_and_lists_come_back(tmp_path):
    one = config_from_dict({"data": {"corpus": "demo"}})
    assert "corpus: demo" in config_to_yaml(one)
    old = tmp_path / "old.yaml"  # of a run made before there were splits and mixing
    old.write_text("data: {corpus: demo, unseen_attacks: null, cache: auto}\n")
    assert load_config(old).data == DataConfig()
    raw = {"corpus": ["demo", "folder:x"], "balance": "corpus", "split": {"folds": 4, "fold": 1}}
    several = config_from_dict({"data": raw})
    (tmp_path / "new.yaml").write_text(config_to_yaml(several))
    assert load_config(tmp_path / "new.yaml").data == several.data
    changed = load_config(tmp_path / "old.yaml", ["data.split.by=[sentence]"])
    assert changed.data.split.columns == ("sentence",)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"corpus": []}, "must name a corpus"),
        ({"corpus": ["demo", "demo"]}, "names each corpus once"),
        ({"balance": "corpus"}, "balance corpus is between several corpora"),
        ({"split": {"kind": "x"}}, "unknown key data.split.kind"),
        ({"split": 3}, "data.split must be a section of keys"),
    ],
)
def test_data_sections_that_make_no_sense(raw, message):
    with pytest.raises(ValueError, match=message):
        config_from_dict({"data": raw})


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tables, without_export):
    """One run on one half, tested on the other; a second one on both halves."""
    folder = tmp_path_factory.mktemp("runs")
    one = [*SMALL, "--data", tables["griffin"], "--test", tables["world"]]
    assert train.main([*one, "--run", str(folder / "one")]) == 0
    both = [*SMALL, "--data", tables["griffin"], "--data", tables["world"]]
    both += ["--set", "data.balance=corpus_label", "--run", str(folder / "both")]
    assert train.main(both) == 0
    return folder


def test_a_mixed_run_is_complete_and_says_where_clips_are_from(runs, tables):
    run = open_run(runs / "both")
    assert run.config.data.corpora == tuple(tables.values())
    scores = read_scores(runs / "both" / "scores.csv")
    assert scores["corpus"].value_counts().to_dict() == {"griffin": 14, "world": 14}
    assert set(run.metrics["groups"]["corpus"]) == {"griffin", "world"}
    environment = json.loads((runs / "both" / "environment.json").read_text())
    assert environment["corpus"] == " + ".join(tables.values())


def test_the_other_corpus_is_evaluated_after_training(runs, tables):
    (folder,) = (runs / "one" / "evaluations").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    own = json.loads((runs / "one" / "metrics.json").read_text())
    assert metrics["threshold"] == own["threshold"]
    assert metrics["data"] == tables["world"]
    assert any("untouched in training, selection and calibration" in n for n in metrics["notes"])
    assert len(read_scores(folder / "scores.csv")) == 14
    assert not set(read_scores(folder / "scores.csv")["path"]) & set(
        read_scores(runs / "one" / "scores.csv")["path"]
    )


def test_a_corpus_that_is_trained_on_is_no_test(runs, tables, tmp_path, capsys):
    argv = [*SMALL, "--data", tables["griffin"], "--run", str(tmp_path / "run")]
    assert train.main([*argv, "--test", tables["griffin"]]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "a corpus to test on is untouched in training" in error
    assert not (tmp_path / "run").exists()


def test_the_matrix_is_of_unseen_clips_only(runs, tables, tmp_path, capsys):
    argv = ["--run", str(runs / "one"), str(runs / "both"), "--matrix", "--out", str(tmp_path)]
    data = ["--data", tables["griffin"], "--data", tables["world"]]
    assert evaluate.main([*argv, *data, "--json"]) == 0
    cells = {(c["run"], c["tested_on"]): c for c in json.loads(capsys.readouterr().out)}
    assert len(cells) == 4
    in_domain = {key for key, cell in cells.items() if cell["in_domain"]}
    assert in_domain == {("one", "griffin"), ("both", "griffin"), ("both", "world")}
    # Each cell's clips are test clips; those of a column are the same.
    for (run, corpus), cell in cells.items():
        whole = load_corpus(tables[corpus])
        tested = whole[whole["part"] == "test"]
        assert cell["n_bonafide"] == (tested["label"] == "bonafide").sum(), (run, corpus)
        assert cell["n_spoof"] == (tested["label"] == "spoof").sum()
    own = json.loads((runs / "one" / "metrics.json").read_text())["parts"]["test"]
    for name in ("auc", "eer", "auc_low", "auc_high"):
        assert cells["one", "griffin"][name] == own[name]
    # By hand: what the run says of the other corpus's test clips.
    (folder,) = (runs / "one" / "evaluations").iterdir()
    other = read_scores(folder / "scores.csv").query("part == 'test'")
    pairs = [
        (f > b) + (f == b) / 2
        for f in other.loc[other["label"] == "spoof", "score"]
        for b in other.loc[other["label"] == "bonafide", "score"]
    ]
    assert cells["one", "world"]["auc"] == pytest.approx(np.mean(pairs), abs=1e-6)
    table = pd.read_csv(tmp_path / "matrix.csv")
    assert table["auc"].tolist() == pytest.approx([cell["auc"] for cell in cells.values()])
    assert (tmp_path / "matrix.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads((tmp_path / "matrix.json").read_text())["cells"]) == 4
    assert evaluate.main(argv) == 0  # the runs' own corpora, as a table
    printed = capsys.readouterr().out
    assert "* in-domain" in printed
    assert "one on world: test part of both" in " ".join(printed.split())


def test_a_matrix_never_uses_training_clips_under_another_name(runs, tables, tmp_path, capsys):
    clips = load_corpus(tables["griffin"]).assign(part="test")
    write_manifest(tmp_path / "renamed.csv", clips)
    argv = ["--run", str(runs / "one"), "--matrix", "--out", str(tmp_path / "out"), "--json"]
    assert evaluate.main([*argv, "--data", f"manifest:{tmp_path / 'renamed.csv'}"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)
    own = read_scores(runs / "one" / "scores.csv")
    seen = own["part"].isin(["train", "validation"]).sum()
    assert cell["n_bonafide"] + cell["n_spoof"] == len(clips) - seen
    assert cell["clips"] == f"all but {seen} that it was trained on"


def test_bad_usage_of_the_matrix_is_one_line(runs, tables, capsys):
    one = str(runs / "one")
    cases = [
        (["--run", one, "--data", "demo", "--data", "demo"], "one corpus is evaluated at a time"),
        (["--run", one, "--matrix", "--data", "demo", "--data", "demo"], "each corpus once"),
        (["--run", one, one, "--matrix"], "each run once"),
        (["--run", one, "--matrix", "--by", "speaker"], "neither --scores nor --by"),
    ]
    for argv, message in cases:
        assert evaluate.main(argv) == 2, argv
        assert message in capsys.readouterr().err


def test_drawn_clips_are_even_over_classes_and_by_roots_over_sources_and_attacks():
    rows = [("spoof", "a", "x")] * 90 + [("spoof", "a", "y")] * 10 + [("spoof", "b", "z")] * 4
    rows += [("bonafide", "a", "-")] * 9 + [("bonafide", "-", "-")]
    clips = pd.DataFrame(rows, columns=["label", "source", "attack"])
    clips = clips.sample(frac=1, random_state=0).reset_index(drop=True).assign(part="train")
    weights = draw_weights(clips)
    share = clips.assign(w=weights).groupby(["label", "source", "attack"])["w"].sum()
    assert weights.sum() == pytest.approx(1)
    spoof_a = 0.5 * 10 / (10 + 2)
    expected = {
        ("spoof", "a", "x"): spoof_a * 90**0.5 / (90**0.5 + 10**0.5),
        ("spoof", "a", "y"): spoof_a * 10**0.5 / (90**0.5 + 10**0.5),
        ("spoof", "b", "z"): 0.5 * 2 / 12,
        ("bonafide", "a", "-"): 0.5 * 3 / 4,
        ("bonafide", "-", "-"): 0.5 * 1 / 4,
    }
    for key, value in expected.items():
        assert share[key] == pytest.approx(value)
    copies = np.bincount(training_rows(clips, "source", 0), minlength=len(clips))
    np.testing.assert_array_equal(copies, np.maximum(1, np.rint(weights * len(clips))))
    assert draw_weights(clips[:1]).tolist() == [1.0]
