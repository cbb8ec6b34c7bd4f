"""ASVspoof 2019, logical access: VCTK speech, and 19 systems of synthesis and conversion.

Protocol lines: `LA_0039 LA_E_2834763 - A11 spoof`. Training and development share the attacks
A01-A06; evaluation has A07-A19. The parts share no speaker.
"""

from __future__ import annotations

import pandas as pd

from tfpipeline.data.corpora.reading.asvspoof import read_protocol
from tfpipeline.data.corpora.reading.audio_index import attach_audio
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout

CORPUS = Corpus(
    name="asvspoof2019_la",
    title="ASVspoof 2019 LA",
    what="VCTK speech; 19 attacks by synthesis and conversion; train, dev, eval",
    license="ODC-By 1.0",
    citation="Wang et al. 2020, ASVspoof 2019: a large-scale public database of synthesized, "
    "converted and replayed speech, Computer Speech & Language 64",
    home="https://datashare.ed.ac.uk/handle/10283/3336",
    layout="ASVspoof2019_LA_cm_protocols/ and ASVspoof2019_LA_{train,dev,eval}/flac/, as in the "
    "folder LA of the archive",
    counts={"train": (2_580, 22_800), "validation": (2_548, 22_296), "test": (7_355, 63_882)},
)
COLUMNS = ("speaker", "clip_id", "environment", "attack", "label")
PARTS = (
    ("train", "train", "train.trn"),
    ("validation", "dev", "dev.trl"),
    ("test", "eval", "eval.trl"),
)
PROTOCOLS = ("ASVspoof2019_LA_cm_protocols", "cm_protocols")
AUDIO = "ASVspoof2019_LA_{name}/flac"


def read(path: str) -> ReadCorpus:
    """The clips of the parts whose audio is there."""
    protocols, audio = expect_layout(
        CORPUS, path, [PROTOCOLS, tuple(AUDIO.format(name=name) for _, name, _ in PARTS)]
    )
    root = audio.parent.parent
    tables, notes = [], []
    for part, name, kind in PARTS:
        protocol = protocols / f"ASVspoof2019.LA.cm.{kind}.txt"
        folder = root / AUDIO.format(name=name)
        absent = next((place for place in (protocol, folder) if not place.exists()), None)
        if absent:
            notes.append(f"no {part}: {absent} is not there")
            continue
        clips, repeated = read_protocol(protocol, COLUMNS, f"LA_{name[0].upper()}_")
        clips, unmatched = attach_audio(clips, clips["clip_id"].tolist(), folder, protocol)
        notes += repeated + unmatched
        tables.append(clips.assign(part=part))
    if not tables:
        raise ValueError(f"{CORPUS.name}:{path}: expected {CORPUS.layout}. Received: {notes[0]}.")
    clips = pd.concat(tables, ignore_index=True).drop(columns="environment")
    return ReadCorpus(clips.assign(language="en"), notes)
