"""DEEP-VOICE: speeches of eight public figures, each turned into the voices of the others.

`REAL/biden-original.wav`, `FAKE/biden-to-linus.wav`: the speaker is the voice that one hears, the
source the speech that it was made from. Since every voice is made from every speech, a split can
keep speeches apart, but not voices. The clips are minutes long.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tfpipeline.data.corpora.reading.audio_index import audio_folders, stem_of
from tfpipeline.data.corpora.reading.corpus import ALL, Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout

CORPUS = Corpus(
    name="deep_voice",
    title="DEEP-VOICE",
    what="8 speeches of public figures, and 56 conversions of them (RVC); no split",
    license="said to be MIT; see its home page",
    citation="Bird and Lotfi 2023, Real-time detection of AI-generated speech for deepfake voice "
    "conversion, arXiv 2308.12734",
    home="https://www.kaggle.com/datasets/birdy654/deep-voice-deepfake-voice-recognition",
    layout="REAL/ and FAKE/, as in KAGGLE/AUDIO",
    counts={ALL: (8, 56)},
)
LABELS = {"real": "bonafide", "fake": "spoof"}
CONVERSION = re.compile(r"(?P<source>.+?)-to-(?P<speaker>.+)", re.I)


def read(path: str) -> ReadCorpus:
    """The clips of both folders."""
    real, fake = expect_layout(
        CORPUS, path, [lambda r: _named(r, "real"), lambda r: _named(r, "fake")]
    )
    rows, notes = [], []
    for folder in (real, fake):
        label = LABELS[folder.name.lower()]
        for names, files in sorted(audio_folders(folder)):
            for file in files:
                stem = stem_of(file).lower()
                found = CONVERSION.fullmatch(stem)
                source = found["source"] if found else re.sub(r"-original$", "", stem)
                speaker = found["speaker"] if found else source
                attack = "-" if label == "bonafide" else "rvc"
                clip_id = "/".join((folder.name, *names, file))
                place = str(folder.joinpath(*names, file))
                rows.append((clip_id, place, label, speaker, attack, source))
    columns = ["clip_id", "path", "label", "speaker", "attack", "source"]
    clips = pd.DataFrame(rows, columns=columns)
    if not len(clips):
        raise ValueError(
            f"{CORPUS.name}:{path}: expected audio in {CORPUS.layout}. Received: none."
        )
    return ReadCorpus(clips.assign(language="en"), notes)


def _named(root: Path, name: str) -> Path | None:
    return next((f for f in sorted(root.iterdir()) if f.name.lower() == name and f.is_dir()), None)
