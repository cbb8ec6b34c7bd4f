"""ADD 2023, track 1.2: Mandarin speech and fakes, judged in two rounds.

Label lines: `ADD2023_T1.2R2_E_00000003.wav genuine` (or `fake`). The letter in a name tells the
part: `_T_`, `_D_`, or `_E_` of the first or second round (column `round`). Speakers and attacks are
not named.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.corpora.reading.audio_index import attach_audio, stem_of
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout
from tfpipeline.data.corpora.reading.protocols import drop_repeated, line_of, read_fields, to_labels

CORPUS = Corpus(
    name="add2023",
    title="ADD 2023 track 1.2",
    what="Mandarin speech and fakes; train, dev and two test rounds",
    license="said to be CC BY-NC-ND 4.0; see its home page",
    citation="Yi et al. 2023, ADD 2023: the second audio deepfake detection challenge, "
    "arXiv 2305.13774",
    home="http://addchallenge.cn/downloadADD2023",
    layout="folders such as train/, dev/, testR1/, testR2/, each with label.txt and wav/, as in "
    "Track1.2",
    counts={"train": (3_012, 24_072), "validation": (2_307, 26_017)},
)
LABELS = {"genuine": "bonafide", "fake": "spoof"}
PARTS = {"T": "train", "D": "validation", "E": "test"}
NAME = r"ADD2023_T(?P<track>[\d.]+?)(?P<round>R\d)?_(?P<part>[TDE])_\d+"


def read(path: str) -> ReadCorpus:
    """The clips of all folders that have a label file."""
    (first,) = expect_layout(CORPUS, path, [_first_labels])
    root = first.parent if first.parent == Path(path).expanduser() else first.parent.parent
    tables, notes = [], []
    for table in _label_files(root):
        clips = read_fields(table, ("file", "label"))
        clips["label"] = to_labels(clips["label"], LABELS, table)
        clips["clip_id"] = clips["file"].map(stem_of)
        fields = clips["clip_id"].str.extract(f"^{NAME}$")
        if fields["part"].isna().any():
            line, text = line_of(table, int(np.flatnonzero(fields["part"].isna())[0]))
            raise ValueError(
                f"{table}:{line}: a clip is named as ADD2023_T1.2R2_E_00000003.wav. "
                f"Received: {text!r}. Is it the label file of ADD 2023?"
            )
        clips["part"] = fields["part"].map(PARTS)
        clips["round"] = fields["round"].fillna("-")
        clips, repeated = drop_repeated(clips, table)
        folder = table.parent / "wav"
        folder = folder if folder.is_dir() else table.parent
        clips, unmatched = attach_audio(clips, clips["file"].tolist(), folder, table)
        notes += repeated + unmatched
        tables.append(clips)
    clips, repeated = drop_repeated(pd.concat(tables, ignore_index=True), root)
    clips["attack"] = clips["label"].map({"bonafide": "-", "spoof": "unknown"})
    return ReadCorpus(clips.drop(columns="file").assign(language="zh"), notes + repeated)


def _label_files(root: Path) -> list[Path]:
    """Below `root`, or in it if it is one of the folders; other tables are no label files."""
    return (
        [root / "label.txt"] if (root / "label.txt").exists() else sorted(root.glob("*/label.txt"))
    )


def _first_labels(root: Path) -> Path | None:
    found = _label_files(root)
    if not found:
        return None
    with open(found[0], encoding="utf-8-sig", errors="replace") as lines:
        first = next((line for line in lines if line.strip()), "")
    return found[0] if re.match("ADD2023_", first.strip()) else None
