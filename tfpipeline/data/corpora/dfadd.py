"""DFADD: VCTK, and five systems for synthesis by diffusion or flow matching; official parts.

A folder for each system and one for the bona fide speech; in each `train`, `valid` and `test`.
`DATASET_VCTK_BONAFIDE/test/p227_001.wav` is real, `DATASET_GradTTS/test/p227_001_GradTTS.flac`
fake: speaker, number, system. Fakes of one speaker and number share their `source`; what they say
is the text of another corpus.

Reference:
    The folders: the DFADD script of NII's AntiDeepfake (Ge and Wang 2025) and public code that
    reads them; names and counts of test: the plan of the data set's packaging for
    SpeechAntiSpoofingBenchmarks/DFADD. The tables of huggingface.co/datasets/isjwdu/DFADD are
    another form of it, and not read; unpack its ZIP files.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tfpipeline.data.corpora.reading.audio_index import audio_folders, stem_of
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout

CORPUS = Corpus(
    name="dfadd",
    title="DFADD",
    what="VCTK (109 speakers) and five diffusion and flow-matching systems; official parts",
    license="MIT; VCTK is CC BY 4.0",
    citation="Du et al. 2024, DFADD: the diffusion and flow-matching based audio deepfake dataset, "
    "IEEE SLT, arXiv 2409.08731",
    home="https://github.com/isjwdu/DFADD",
    layout="DATASET_VCTK_BONAFIDE/{train,valid,test}/ and DATASET_<system>/{train,valid,test}/",
    counts={"test": (755, 3_000)},
    arena=(755, 3_000),
)
PARTS = {"train": "train", "valid": "validation", "test": "test"}
PREFIX = "dataset_"
NAME = re.compile(r"(?P<source>(?P<speaker>[ps]\d+)_\d+(_mic\d)?)(?P<system>_\w+)?")
COLUMNS = ["clip_id", "path", "label", "speaker", "attack", "source", "part"]


def read(path: str) -> ReadCorpus:
    """The clips of all systems and parts that are there."""
    expect_layout(CORPUS, path, [_first_set])
    root = Path(path).expanduser()
    rows = []
    for names, files in sorted(audio_folders(root)):
        if not files or not names or not names[0].lower().startswith(PREFIX):
            continue
        folder = "/".join(names)
        part = PARTS.get(names[1].lower()) if len(names) == 2 else None
        if part is None:
            raise ValueError(
                f"{root / folder}: expected audio in {CORPUS.layout}. Received: {len(files):,} "
                "files, whose part it does not tell. Is it unpacked as published?"
            )
        real = "bonafide" in names[0].lower()
        for file in files:
            name = NAME.fullmatch(stem_of(file))
            if name is None or bool(name["system"]) is real:
                raise ValueError(
                    f"{root / folder}: real clips are named as p227_001.wav, fakes as "
                    f"p227_001_GradTTS.wav. Received: {file!r} among {'real' if real else 'fake'} "
                    "clips. Were the folders merged? Keep them as they are unpacked."
                )
            rows.append(
                (
                    f"{folder}/{file}",
                    str(root / folder / file),
                    "bonafide" if real else "spoof",
                    name["speaker"],
                    "-" if real else names[0][len(PREFIX) :],
                    name["source"],
                    part,
                )
            )
    if not rows:
        raise ValueError(f"{CORPUS.name}:{path}: expected {CORPUS.layout}. Received: no audio.")
    return ReadCorpus(pd.DataFrame(rows, columns=COLUMNS).assign(language="en"))


def _first_set(root: Path) -> Path | None:
    folders = (folder for folder in root.glob("[dD]*") if folder.name.lower().startswith(PREFIX))
    return next((folder for folder in folders if folder.is_dir()), None)
