"""Codecfake (Xie et al.): VCTK and AISHELL-3 through seven neural codecs, and language models.

Label lines: `F01_SSB13650058.wav fake 1`, made of `SSB13650058.wav real 0`. `train.txt` and
`dev.txt` belong to the folders `train` and `dev`; `C1` to `C7` (codecs, the last unseen) and `A1`
to `A3` (audio language models) are conditions of the test part, each a folder of its own with its
own real clips. (Another data set, by Wu et al., is called CodecFake too.)
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.data.corpora.reading.audio_index import attach_audio, stem_of
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout
from tfpipeline.data.corpora.reading.names import speaker_of_stem
from tfpipeline.data.corpora.reading.protocols import drop_repeated, line_of, read_fields, to_labels

CORPUS = Corpus(
    name="codecfake",
    title="Codecfake (Xie et al.)",
    what="VCTK and AISHELL-3 through 7 neural codecs; 10 test conditions; official parts",
    license="said to be CC BY-NC-ND 4.0; see its home page",
    citation="Xie et al. 2025, The Codecfake dataset and countermeasures for the universally "
    "detection of deepfake audio, arXiv 2405.04880",
    home="https://github.com/xieyuankun/Codecfake",
    layout="label/{train,dev,C1…C7,A1…A3}.txt, train/, dev/ and test/{C1…A3}/",
    counts={"train": 740_747, "validation": 92_596},
)
TEST_COUNTS = {
    **dict.fromkeys(("C1", "C2", "C3", "C4", "C5", "C6"), 26_456),
    "C7": 145_505,
    "A1": 8_902,
    "A2": 8_902,
    "A3": 99_112,
}
LABELS = {"real": "bonafide", "fake": "spoof"}
PARTS = {"train": "train", "dev": "validation"}
MADE = re.compile(r"^(F\d\d)_(?=.)")


def read(path: str) -> ReadCorpus:
    """The clips of all label files whose folder is there."""
    labels, _ = expect_layout(CORPUS, path, [_labels, ("train", "dev", "test", *TEST_COUNTS)])
    root = labels.parent
    tables, notes, conditions = [], [], []
    for table in sorted(labels.glob("*.txt")):
        name = table.stem
        if name not in PARTS and name not in TEST_COUNTS:
            notes.append(f"{table} is no label file of a known part: left out")
            continue
        folder = next((base for base in (root / name, root / "test" / name) if base.is_dir()), None)
        if folder is None:
            notes.append(f"no {name}: {root / name} is not there")
            continue
        conditions += [name] if name in TEST_COUNTS else []
        clips, unmatched = _read_labels(table, folder)
        notes += unmatched
        tables.append(clips)
    if not tables:
        raise ValueError(f"{CORPUS.name}:{path}: expected {CORPUS.layout}. Received: {notes[0]}.")
    counts = {**CORPUS.counts, "test": sum(TEST_COUNTS[name] for name in conditions)}
    return ReadCorpus(pd.concat(tables, ignore_index=True), notes, counts)


def _labels(root: Path) -> Path | None:
    return root / "label" if any((root / "label").glob("*.txt")) else None


def _read_labels(table: Path, folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The clips of one label file; the third field, the kind of fake, may be missing."""
    columns = ("file", "label", "kind")
    fields = len(line_of(table, 0)[1].split())
    clips = read_fields(table, columns[:2] if fields == 2 else columns)
    clips["label"] = to_labels(clips["label"], LABELS, table)
    stems = clips["file"].map(stem_of)
    clips["clip_id"] = f"{table.stem}/" + stems
    clips["source"] = stems.str.replace(MADE, "", regex=True)
    clips["speaker"] = clips["source"].map(speaker_of_stem)
    made = stems.str.extract(MADE)[0].fillna(clips.get("kind", table.stem))
    clips["attack"] = made.mask(clips["label"] == "bonafide", UNKNOWN)
    clips["language"] = clips["speaker"].map(_language)
    clips["part"] = PARTS.get(table.stem, "test")
    clips["condition"] = table.stem if table.stem in TEST_COUNTS else UNKNOWN
    clips, repeated = drop_repeated(clips, table)
    clips, unmatched = attach_audio(clips, clips["file"].tolist(), folder, table)
    return clips.drop(columns=[c for c in ("file", "kind") if c in clips]), repeated + unmatched


def _language(speaker: str) -> str:
    """By the corpus that a speaker's name is of: AISHELL-3 or VCTK."""
    if speaker == UNKNOWN:
        return UNKNOWN
    return "zh" if speaker.startswith("SSB") else "en"
