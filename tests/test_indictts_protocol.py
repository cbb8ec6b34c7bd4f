"""The published baseline's protocol in two splits, on a replica of its tables made of real speech.

16 languages, two voices each, eight sentences a language, each read and synthesised: the ids, the
columns and the shards of the data set; the audio is the tiny corpus's at levels of its own.
"""

import io
import json

import numpy as np
import pytest
import soundfile
from sklearn.model_selection import train_test_split

from tfpipeline import train
from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.clips import check_parts, overlapping_values
from tfpipeline.data.corpora import load_clips
from tfpipeline.evaluation.scores import read_scores

CODES = (
    "ASM",
    "BEN",
    "BOD",
    "DOG",
    "GUJ",
    "HIN",
    "KAN",
    "MAL",
    "MAN",
    "MAR",
    "NEP",
    "ODI",
    "PAN",
    "SAN",
    "TAM",
    "TEL",
)
FAMILIES = ("trees", "cnn", "resnet18")


@pytest.fixture(scope="module")
def rows(tiny_corpus):
    """As the tables hold them, in an order that mixes classes and languages."""
    random = np.random.default_rng(0)
    audio = {
        label: [soundfile.read(path)[0] for path in own["path"]]
        for label, own in tiny_corpus.groupby("label")
    }
    made = []
    for code in CODES:
        for sex in "FM":
            for number in range(2):
                for is_tts, label in enumerate(("bonafide", "spoof")):
                    waveform = audio[label][len(made) % len(audio[label])]
                    contents = io.BytesIO()
                    level = random.uniform(0.5, 1)
                    soundfile.write(contents, level * waveform, 16_000, format="WAV")
                    made.append(
                        {
                            "text": f"{code} {number}",
                            "id": f"{code}_{sex}_{('WIKI', 'ANGER')[number]}_{len(made):05}",
                            "language": code.title(),
                            "is_tts": is_tts,
                            "audio": {"bytes": contents.getvalue(), "path": f"{len(made)}.wav"},
                        }
                    )
    return [made[at] for at in random.permutation(len(made))]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFPIPELINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def replica(rows, tmp_path_factory):
    """Two shards; `--data` of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("indictts")
    for number, own in enumerate((rows[:80], rows[80:])):
        pq.write_table(pa.Table.from_pylist(own), folder / f"train-{number:05}-of-00002.parquet")
    return f"indictts:{folder}"


def clips_of(name, replica):
    config = load_config(CONFIGS / f"{name}.yaml", [f"data.corpus={json.dumps(replica)}"])
    return load_clips(config.data), config


def test_the_baselines_own_split_is_scikit_learns(replica, rows):
    clips, config = clips_of("indictts_trees", replica)
    assert clips["clip_id"].tolist() == [row["id"] for row in rows]
    # Word for word as the baseline has it.
    y = np.array([row["is_tts"] for row in rows])
    x_train, x_val, _, _ = train_test_split(
        np.array([row["id"] for row in rows]), y, test_size=0.2, random_state=42, stratify=y
    )
    assert set(clips.loc[clips["part"] == "test", "clip_id"]) == set(x_val)
    assert set(clips.loc[clips["part"] != "test", "clip_id"]) == set(x_train)
    assert len(overlapping_values(clips, "speaker")) > 0
    check_parts(clips, "replica", config.data.split.columns)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_splits_are_the_same_for_each_family(family, replica):
    for suffix in ("", "_grouped"):
        clips, _ = clips_of(f"indictts_{family}{suffix}", replica)
        first, _ = clips_of(f"indictts_trees{suffix}", replica)
        assert clips["part"].tolist() == first["part"].tolist()


def test_the_honest_split_shares_no_speaker_and_no_sentence(replica):
    clips, config = clips_of("indictts_trees_grouped", replica)
    assert overlapping_values(clips, "speaker") == []
    assert overlapping_values(clips, "sentence") == []
    check_parts(clips, "replica", config.data.split.columns)
    counts = clips["part"].value_counts(normalize=True)
    assert abs(counts["test"] - 0.2) < 1 / 16
    assert clips.groupby(["part", "label"]).size().unstack().nunique(axis=1).eq(1).all()


@pytest.mark.parametrize("suffix", ["", pytest.param("_grouped", marks=pytest.mark.slow)])
def test_the_protocol_runs_end_to_end(suffix, replica, tmp_path, without_export):
    run = tmp_path / "run"
    argv = ["--model", f"indictts_cnn{suffix}", "--data", replica, "--run", str(run)]
    small = ["--set", "training.epochs=1", "--set", "training.tensorboard=false"]
    small += ["--set", "data.window_seconds=1", "--set", "mel.n_mels=16"]
    assert train.main([*argv, *small]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    shared = [note for note in metrics["notes"] if "overlap between splits" in note]
    told = {note.split(" values of ")[1].split()[0] for note in shared}
    assert told == (set() if suffix else {"speaker", "sentence"})
    scores = read_scores(run / "scores.csv")
    assert len(scores) == 128
    assert {"sentence", "emotion", "sex"} <= set(scores)
    config = load_config(run / "config.yaml")
    assert config.data.split.rule == ("balanced" if suffix else "random")
