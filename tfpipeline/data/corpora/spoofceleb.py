"""SpoofCeleb: VoxCeleb1, and 23 synthesis systems trained on it; official parts by speaker.

Table lines below the header `file,speaker,attack`: the file below the part's folder, the speaker,
and the attack, of which `a00` is real speech.
"""

from __future__ import annotations

import pandas as pd

from tfpipeline.data.corpora.reading.audio_index import attach_audio, stem_of
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout
from tfpipeline.data.corpora.reading.protocols import drop_repeated, read_columns, to_labels

CORPUS = Corpus(
    name="spoofceleb",
    title="SpoofCeleb",
    what="VoxCeleb1 (1,251 speakers) and 23 synthesis systems; official parts",
    license="said to be CC BY 4.0; see its home page",
    citation="Jung et al. 2025, SpoofCeleb: speech deepfake detection and SASV in the wild, IEEE "
    "Open Journal of Signal Processing 6, doi 10.1109/OJSP.2025.3529377",
    home="https://jungjee.github.io/spoofceleb",
    layout="metadata/{train,development,evaluation}.csv and flac/{train,development,evaluation}/",
    counts={"train": 2_540_421, "validation": 55_741, "test": 91_130},
)
PARTS = (("train", "train"), ("validation", "development"), ("test", "evaluation"))
REAL = "a00"
ATTACKS = {REAL: "bonafide", **{f"a{number:02}": "spoof" for number in range(1, 24)}}


def read(path: str) -> ReadCorpus:
    """The clips of the parts that are there."""
    metadata, audio = expect_layout(
        CORPUS,
        path,
        [
            tuple(f"metadata/{name}.csv" for _, name in PARTS),
            tuple(f"flac/{name}" for _, name in PARTS),
        ],
    )
    tables, notes = [], []
    for part, name in PARTS:
        table, folder = metadata.parent / f"{name}.csv", audio.parent / name
        absent = next((place for place in (table, folder) if not place.exists()), None)
        if absent:
            notes.append(f"no {part}: {absent} is not there")
            continue
        clips = read_columns(table, ("file", "speaker", "attack"))
        clips["attack"] = clips["attack"].str.lower()
        clips["label"] = to_labels(clips["attack"], ATTACKS, table, header=1)
        clips["attack"] = clips["attack"].replace(REAL, "-")
        clips["clip_id"] = part + "/" + clips["file"].map(stem_of)
        clips, repeated = drop_repeated(clips, table)
        clips, unmatched = attach_audio(clips, clips["file"].tolist(), folder, table)
        notes += repeated + unmatched
        tables.append(clips.drop(columns="file").assign(part=part))
    if not tables:
        raise ValueError(f"{CORPUS.name}:{path}: expected {CORPUS.layout}. Received: {notes[0]}.")
    return ReadCorpus(pd.concat(tables, ignore_index=True), notes)
