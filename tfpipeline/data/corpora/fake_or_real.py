"""Fake-or-Real: read speech of public corpora, and commercial and open synthesis.

Four versions, each a folder: `for-original`, `for-norm` (16 kHz, same loudness and balance of
voices), `for-2sec` (its first two seconds) and `for-rerec` (replayed and recorded again). A version
has official parts; names tell neither speaker nor source.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tfpipeline.data.corpora.reading.audio_index import audio_folders
from tfpipeline.data.corpora.reading.corpus import Corpus, Counts, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout

CORPUS = Corpus(
    name="fake_or_real",
    title="Fake-or-Real (FoR)",
    what="English read speech and 33 synthesis systems, in four versions; official parts",
    license="said to be GNU LGPL 3.0; see its home page",
    citation="Reimao and Tzerpos 2019, FoR: a dataset for synthetic speech detection, SpeD",
    home="https://bil.eecs.yorku.ca/datasets/",
    layout="{training,validation,testing}/{real,fake}/, as in for-norm, for-2sec, for-rerec or "
    "for-original",
    counts={},
)
PARTS = {"training": "train", "validation": "validation", "testing": "test"}
LABELS = {"real": "bonafide", "fake": "spoof"}
# Of the versions whose counts are published and fixed.
COUNTS: dict[str, Counts] = {
    "norm": {"train": 53_868, "validation": 10_798, "test": 4_634},
    "2sec": {"train": 13_956, "validation": 2_826, "test": 1_088},
    "rerec": {"train": 10_208, "validation": 2_244, "test": 816},
}
VERSION = re.compile(r"for[-_](original|norm|2sec|rerec)", re.I)


def read(path: str) -> ReadCorpus:
    """The clips of one version."""
    (train,) = expect_layout(CORPUS, path, [lambda root: _folder(root, "training")])
    root = train.parent
    rows, said = [], []
    for (top, *inner), files in ((n, f) for n, f in sorted(audio_folders(root)) if n):
        part = PARTS.get(top.lower())
        label = LABELS.get(inner[0].lower()) if inner else None
        if not part or not label:
            if files:
                said.append(f"{len(files)} files tell no part or label: {'/'.join((top, *inner))}")
            continue
        folder = "/".join((top, *inner))
        attack = "-" if label == "bonafide" else "tts"
        rows += [
            (f"{folder}/{file}", str(root / folder / file), label, attack, part) for file in files
        ]
    clips = pd.DataFrame(rows, columns=["clip_id", "path", "label", "attack", "part"])
    if not len(clips):
        raise ValueError(
            f"{CORPUS.name}:{path}: expected audio in {CORPUS.layout}. Received: none."
        )
    named = [VERSION.search(name) for name in root.absolute().parts[-2:]]
    version = next((found[1].lower() for found in reversed(named) if found), "-")
    return ReadCorpus(clips.assign(language="en", version=version), said, COUNTS.get(version, {}))


def _folder(root: Path, name: str) -> Path | None:
    """`training` below `root` if it holds `real` or `fake`, all in any case."""
    folder = next((own for own in root.glob("[tT]*") if own.name.lower() == name), None)
    if folder is None or not folder.is_dir():
        return None
    return folder if any(own.name.lower() in LABELS for own in folder.iterdir()) else None
