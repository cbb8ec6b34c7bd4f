"""The IndicTTS Deepfake Challenge: speech of 16 Indian languages, and synthesis of it.

Tables with the columns `text, id, language, is_tts, audio`, as Hugging Face serves them (Parquet
shards) or as `datasets` saves them (a folder of Arrow files). An id such as `ASM_F_ANGER_00342`
tells language, sex, emotion and number; speakers are not named, and there is one voice, as it
seems, of each sex in a language, which is the speaker here. The labels of the split `test` are
hidden (-1): its clips are no part of the corpus, but `hidden_clips` are what a submission is about.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.data.corpora.reading.corpus import ALL, Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout
from tfpipeline.data.corpora.reading.hf_audio import extract_audio
from tfpipeline.data.corpora.reading.hf_tables import Table, find_tables, missing_shards
from tfpipeline.data.corpora.reading.names import part_from_name
from tfpipeline.data.corpora.reading.protocols import drop_repeated

CORPUS = Corpus(
    name="indictts",
    title="IndicTTS Deepfake Challenge",
    what="16 Indian languages, real and synthetic; a test split with hidden labels",
    license="CC BY 4.0",
    citation="SherryT997/IndicTTS-Deepfake-Challenge-Data, on Hugging Face",
    home="https://huggingface.co/datasets/SherryT997/IndicTTS-Deepfake-Challenge-Data",
    layout="Parquet shards such as train-00000-of-00035.parquet, there or in data/, or a folder "
    "that datasets' save_to_disk wrote",
    counts={ALL: (15_558, 15_544)},
)
COLUMNS = ("text", "id", "language", "is_tts")
LABELS = {0: "bonafide", 1: "spoof"}
HIDDEN = -1
ID = r"^(?P<code>[A-Za-z]+)_(?P<sex>[FM])_(?P<emotion>.+)_(?P<number>\d+)$"


def read(path: str) -> ReadCorpus:
    """The clips with a label."""
    tables = _find(path)
    missing = missing_shards(tables)
    notes = [f"{len(missing)} shards are not there, such as {missing[0]}"] if missing else []
    clips = _read_tables(path, tables, notes)
    clips = clips[clips["is_tts"] != HIDDEN].reset_index(drop=True)
    if not len(clips):
        raise ValueError(
            f"{CORPUS.name}:{path}: expected clips with labels. Received: hidden ones only. Are "
            "the shards of the split train there?"
        )
    clips["label"] = clips["is_tts"].map(LABELS)
    clips["attack"] = clips["label"].map({"bonafide": UNKNOWN, "spoof": "tts"})
    clips, repeated = drop_repeated(clips, f"{CORPUS.name}:{path}")
    return ReadCorpus(clips.drop(columns=["is_tts", "split"]), notes + repeated)


def hidden_clips(path: str | None) -> pd.DataFrame:
    """The clips whose label is hidden, in the order of their split: a manifest without labels.

    Raises:
        ValueError: there are none, or some are missing.
    """
    if not path:
        raise ValueError(f"--data {CORPUS.name} needs a PATH. Received: none.")
    tables = _find(path)
    # The audio of the other splits need not come out of their tables for this.
    tables = [table for table in tables if part_from_name(table.split) == "test"] or tables
    missing = missing_shards(tables)
    if missing:
        raise ValueError(
            f"{CORPUS.name}:{path}: a submission is about all hidden clips. Received: "
            f"{len(missing)} shards less, such as {missing[0]}. Fetch them too."
        )
    clips = _read_tables(path, tables, [])
    clips = clips[clips["is_tts"] == HIDDEN].reset_index(drop=True)
    if not len(clips):
        raise ValueError(
            f"{CORPUS.name}:{path}: expected clips whose label is hidden (is_tts -1). Received: "
            "none. Are the shards of the split test there?"
        )
    return clips.drop(columns=["is_tts", "split"])


def _find(path: str) -> list[Table]:
    expect_layout(CORPUS, path, [lambda root: root if find_tables(root) else None])
    return find_tables(Path(path).expanduser())


def _read_tables(path: str, tables: Sequence[Table], notes: list[str]) -> pd.DataFrame:
    """All rows, with their audio in files, in the manifest's words but for the label."""
    rows = extract_audio(tables, COLUMNS, notes=notes)
    known = rows["is_tts"].isin([HIDDEN, *LABELS])
    if not known.all():
        first = rows[~known].iloc[0]
        raise ValueError(
            f"{CORPUS.name}:{path}: is_tts must be 0, 1, or -1 where it is hidden. Received: "
            f"{first['is_tts']} for {first['id']}, one of {int((~known).sum())} such rows."
        )
    ids = rows["id"].astype(str)
    fields = ids.str.extract(ID).fillna(UNKNOWN)
    voice = fields["code"].str.upper() + "_" + fields["sex"]
    return pd.DataFrame(
        {
            "clip_id": ids,
            "path": rows["path"],
            "speaker": voice.where(fields["code"] != UNKNOWN, UNKNOWN),
            "language": rows["language"].fillna(UNKNOWN).astype(str),
            "sentence": rows["text"].map(_sentence),
            "sex": fields["sex"],
            "emotion": fields["emotion"].str.lower(),
            "number": fields["number"],
            "is_tts": rows["is_tts"].astype(int),
            "split": rows["split"],
        }
    )


def _sentence(text: str | None) -> str:
    """The words that are spoken, so that the same sentence is the same text."""
    plain = unicodedata.normalize("NFC", text or "")
    return re.sub(r"\s+", " ", plain).strip() or UNKNOWN
