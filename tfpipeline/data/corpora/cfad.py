"""CFAD: Mandarin speech of six corpora and twelve ways to fake it; clean, noisy and coded versions.

`clean_version/dev_clean/{real_clean,fake_clean}/<source>/`: the last folder is the corpus of real
speech (column `origin`) or the attack. `test_unseen` holds attacks and corpora that the other parts
do not, and becomes `unseen`. The root stands for the clean version; another is named by its own
path.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.data.corpora.reading.audio_index import audio_folders, stem_of
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout
from tfpipeline.data.corpora.reading.names import is_generic, speaker_of_stem

CORPUS = Corpus(
    name="cfad",
    title="CFAD",
    what="Mandarin speech of 6 corpora and 12 attacks; three versions; official parts",
    license="CC BY 4.0",
    citation="Ma et al. 2024, CFAD: a Chinese dataset for fake audio detection, Speech "
    "Communication 164, arXiv 2207.12308",
    home="https://zenodo.org/records/8122764",
    layout="clean_version/{train,dev,test_seen,test_unseen}_clean/{real,fake}_clean/<source>/, or "
    "the same in noisy_version or codec_version",
    counts={"test": (14_000, 28_000), "unseen": (7_000, 14_000)},
)
PARTS = {"train": "train", "dev": "validation", "test_seen": "test", "test_unseen": "unseen"}
PART = re.compile(r"(train|dev|test_seen|test_unseen)(_[a-z]+)?", re.I)
SIDE = re.compile(r"(real|fake)(_[a-z]+)?", re.I)
LABELS = {"real": "bonafide", "fake": "spoof"}
THCHS30 = re.compile(r"([A-D]\d{1,2})_\d{1,3}")


def read(path: str) -> ReadCorpus:
    """The clips of one version."""
    (version,) = expect_layout(CORPUS, path, [_version])
    notes = []
    others = sorted(other.name for other in version.parent.glob("*_version") if other != version)
    if others:
        notes.append(f"{version.name} is read; not {', '.join(others)}, which are named by path")
    rows, strange = [], []
    for names, files in sorted(audio_folders(version)):
        if not files:
            continue
        part = PART.fullmatch(names[0]) if names else None
        side = SIDE.fullmatch(names[1]) if len(names) > 1 else None
        if not part or not side:
            strange += ["/".join((*names, file)) for file in files]
            continue
        label = LABELS[side[1].lower()]
        kind = names[2] if len(names) > 2 else UNKNOWN
        folder = "/".join(names)
        for file in files:
            source = re.sub(f"_{re.escape(kind)}$", "", stem_of(file), flags=re.I)
            speaker = _speaker(source)
            # 0012 of one corpus has nothing to do with 0012 of another.
            unsure = is_generic(source) and speaker == UNKNOWN
            rows.append(
                (
                    f"{folder}/{file}",
                    str(version / folder / file),
                    label,
                    speaker,
                    kind if label == "spoof" else UNKNOWN,
                    UNKNOWN if unsure else source,
                    PARTS[part[1].lower()],
                    kind if label == "bonafide" else UNKNOWN,
                )
            )
    if strange:
        notes.append(f"{len(strange):,} files tell no part or label: {', '.join(strange[:3])}")
    columns = ["clip_id", "path", "label", "speaker", "attack", "source", "part", "origin"]
    clips = pd.DataFrame(rows, columns=columns)
    if not len(clips):
        raise ValueError(f"{CORPUS.name}:{path}: expected {CORPUS.layout}. Received: no audio.")
    counts = CORPUS.counts if version.name.lower().startswith("clean") else {}
    clips = clips.assign(language="zh", version=version.name.partition("_")[0])
    return ReadCorpus(clips, notes, counts)


def _version(root: Path) -> Path | None:
    """`clean_version` below the root, or the root itself if the parts are in it."""
    for folder in (root / "clean_version", root):
        if folder.is_dir() and any(
            PART.fullmatch(child.name) and any(SIDE.fullmatch(sub.name) for sub in child.iterdir())
            for child in folder.iterdir()
            if child.is_dir()
        ):
            return folder
    return None


def _speaker(stem: str) -> str:
    found = THCHS30.fullmatch(stem)
    return f"thchs30-{found[1]}" if found else speaker_of_stem(stem)
