"""Fake-or-Real: read speech of public corpora, and commercial and open synthesis.

Four versions, each a folder: `for-original`, `for-norm` (16 kHz, same loudness and balance of
voices), `for-2sec` (its first two seconds) and `for-rerec` (replayed and recorded again). A version
has official parts. Names tell no speaker, but the recording: each tool put its own behind the name,
as in `file1044.wav_16k.wav_norm.wav_mono.wav_silence.wav`, and numbers begin anew in each folder;
so `source` is `training/real/file1044`, in all versions alike. Two encodings of one name in a
folder, `file1044.wav_…` and `file1044.mp3.wav_…`, are taken for one recording.

The Speech DF Arena judges on the test part of `for-norm`, with 2,264 clips of each class; the
version as published has 4,634 clips there, so 106 more.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tfpipeline.data.corpora.reading.audio_index import audio_folders, stem_of
from tfpipeline.data.corpora.reading.corpus import Corpus, Counts, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout
from tfpipeline.data.corpora.reading.names import INNER_SUFFIX

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
    arena=(2_264, 2_264),
)
PARTS = {"training": "train", "validation": "validation", "testing": "test"}
LABELS = {"real": "bonafide", "fake": "spoof"}
# Of the versions whose counts are published and fixed.
COUNTS: dict[str, Counts] = {
    "norm": {"train": 53_868, "validation": 10_798, "test": 4_634},
    "2sec": {"train": (6_978, 6_978), "validation": (1_413, 1_413), "test": (544, 544)},
    "rerec": {"train": 10_208, "validation": 2_244, "test": 816},
}
VERSION = re.compile(r"for[-_](original|norm|2sec|rerec)", re.I)


def read(path: str) -> ReadCorpus:
    """The clips of one version."""
    (part,) = expect_layout(CORPUS, path, [_any_part])
    root = part.parent
    rows, notes = [], []
    for (top, *inner), files in ((n, f) for n, f in sorted(audio_folders(root)) if n):
        part = PARTS.get(top.lower())
        label = LABELS.get(inner[0].lower()) if inner else None
        if not part or not label:
            if files:
                notes.append(f"{len(files)} files tell no part or label: {'/'.join((top, *inner))}")
            continue
        folder = "/".join((top, *inner))
        attack = "-" if label == "bonafide" else "tts"
        for file in files:
            recording = INNER_SUFFIX.sub("", stem_of(file))
            source = f"{top}/{inner[0]}/{recording}".lower()
            place = str(root / folder / file)
            rows.append((f"{folder}/{file}", place, label, attack, source, part))
    clips = pd.DataFrame(rows, columns=["clip_id", "path", "label", "attack", "source", "part"])
    if not len(clips):
        raise ValueError(
            f"{CORPUS.name}:{path}: expected audio in {CORPUS.layout}. Received: none."
        )
    again = clips["source"].duplicated()
    if again.any():
        first = clips["source"][again].iloc[0]
        notes.append(f"{again.sum():,} recordings are there in another encoding too: {first}")
    named = [VERSION.search(name) for name in root.absolute().parts[-2:]]
    version = next((found[1].lower() for found in reversed(named) if found), "-")
    return ReadCorpus(clips.assign(language="en", version=version), notes, COUNTS.get(version, {}))


def _any_part(root: Path) -> Path | None:
    """A part's folder below `root` that holds `real` or `fake`, all in any case."""
    folders = (folder for folder in sorted(root.glob("[tTvV]*")) if folder.name.lower() in PARTS)
    return next(
        (
            folder
            for folder in folders
            if folder.is_dir() and any(sub.name.lower() in LABELS for sub in folder.iterdir())
        ),
        None,
    )
