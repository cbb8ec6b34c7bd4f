"""ADD 2022, tracks 1 and 3.2: Mandarin speech and fakes; both tracks share train and dev.

Track 1 has noisy and otherwise poor recordings, track 3.2 the fakes of other teams in two rounds.
The letter in a name tells the part: `ADD_T_00000000` (train), `ADD_D_` (dev), `ADD_E1_` and
`ADD_E3_` (test of track 1 and of track 3.2, column `track`). Both rounds number their clips alike,
so that the label file's name tells the round. To judge on one track, name its folder alone.

Label lines: `ADD_T_00000000.wav genuine` (or `fake`); in round 2 of track 3.2 a number follows,
whose meaning is not documented; it is kept as the attack. Speakers are not named.

Reference:
    Label files: `ADD_train_dev/label/{train,dev}_label.txt`, as in arXiv 2202.08433's archives at
    zenodo.org/records/12188127; `label.txt` of track 1 (records/10843991), and
    `track3_R1_label.txt` and `track3_R2_label.txt` (records/12188035, 12188055). The archives were
    not at hand: names and lines are those that public code reads (DeepFense's parquet scripts) and
    that the data set card SpeechAntiSpoofingBenchmarks/ADD22_eval_31 states. Audio is looked for
    in the folders around the label file. The adaptation set and track 2 (partly fake) were not
    found described, and are refused.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.corpora.reading.audio_index import attach_audio, stem_of, stems_in
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout
from tfpipeline.data.corpora.reading.protocols import drop_repeated, line_of, read_fields, to_labels

CORPUS = Corpus(
    name="add2022",
    title="ADD 2022 tracks 1 and 3.2",
    what="Mandarin speech and fakes; train and dev, the test sets of tracks 1 and 3.2",
    license="said to be CC BY-NC-ND 4.0; see its home page",
    citation="Yi et al. 2022, ADD 2022: the first audio deep synthesis detection challenge, "
    "ICASSP, arXiv 2202.08433",
    home="http://addchallenge.cn/add2022",
    layout="the unpacked archives, each with its label file: ADD_train_dev/label/train_label.txt, "
    "track 1's label.txt, track3_R1_label.txt, track3_R2_label.txt",
    counts={"train": (3_012, 24_072), "validation": (2_307, 26_017)},
)
LABELS = {"genuine": "bonafide", "fake": "spoof", "bonafide": "bonafide", "spoof": "spoof"}
PARTS = {"T": "train", "D": "validation", "E1": "test", "E3": "test"}
TRACKS = {"E1": "1", "E3": "3.2"}
TRACK_1 = 109_199  # clips of its test set
NAME = r"ADD_(?P<part>T|D|E1|E3)_\d+"
LABEL_FILES = ("*label.txt", "*/*label.txt", "*/label/*label.txt")
FIRST = 50  # clips by which the folder of the audio is found


def read(path: str) -> ReadCorpus:
    """The clips of all label files that are there."""
    expect_layout(CORPUS, path, [_first_labels])
    root = Path(path).expanduser()
    tables, notes = [], []
    for table in _label_files(root):
        numbered = len(line_of(table, 0)[1].split()) == 3
        clips = read_fields(table, ("file", "label", "attack") if numbered else ("file", "label"))
        clips["label"] = to_labels(clips["label"], LABELS, table)
        stems = clips["file"].map(stem_of)
        kind = stems.str.extract(f"^{NAME}$")["part"]
        if kind.isna().any():
            line, text = line_of(table, int(np.flatnonzero(kind.isna())[0]))
            raise ValueError(
                f"{table}:{line}: a clip is named as ADD_T_00000000.wav, or with D, E1 or E3 for "
                f"T. Received: {text!r}. Of ADD 2022, only tracks 1 and 3.2 are read."
            )
        found = re.search(r"R[12]", table.name) or re.search(r"R[12]\b", table.parent.name)
        clips["round"] = found[0] if found else "-"
        clips["part"] = kind.map(PARTS)
        clips["track"] = kind.map(TRACKS).fillna("-")
        clips["clip_id"] = (f"{found[0]}/" if found else "") + stems
        clips["attack"] = "fake-" + clips["attack"] if numbered else "unknown"
        clips["attack"] = clips["attack"].mask(clips["label"] == "bonafide", "-")
        clips, repeated = drop_repeated(clips, table)
        clips, unmatched = attach_audio(clips, clips["file"].tolist(), _audio(table, stems), table)
        notes += repeated + unmatched
        tables.append(clips.drop(columns="file"))
    clips, repeated = drop_repeated(pd.concat(tables, ignore_index=True), root)
    counts = dict(CORPUS.counts)
    if set(clips["track"]) - {"-"} == {"1"}:
        counts["test"] = TRACK_1
    return ReadCorpus(clips.assign(language="zh"), notes + repeated, counts)


def _label_files(root: Path) -> list[Path]:
    """Those below `root` whose first clip is one of ADD 2022, in order."""
    tables = sorted({table for pattern in LABEL_FILES for table in root.glob(pattern)})
    return [table for table in tables if re.match("ADD_", line_of(table, 0)[1])]


def _first_labels(root: Path) -> Path | None:
    return next(iter(_label_files(root)), None)


def _audio(table: Path, stems: pd.Series) -> Path:
    """Of the folders around a label file, the one that holds most of its first clips."""
    around = [table.parent, *_folders(table.parent)]
    if table.parent.name.lower() == "label":
        around += _folders(table.parent.parent)
    first = set(stems[:FIRST])
    return max(around, key=lambda folder: len(first & stems_in(folder)))


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())
