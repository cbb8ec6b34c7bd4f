"""SONAR: speech of nine recent systems, as their makers publish it, and real speech; a test set.

A folder for each system, `real_samples` for real speech; names tell nothing else. `AudioGen` holds
sounds such as rain or traffic, no speech. The Speech DF Arena's protocol has 1,674 spoofs: so many
are there without `SeedTTS`, by the counts of the folders that others publish.

Reference:
    github.com/Jessegator/SONAR, data_utils.py: the folders. `SeedTTS` is also met as
    `seedtts_files`, in copies of the data set. The data set itself was not at hand; audio in other
    folders is refused.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tfpipeline.data.corpora.reading.audio_index import audio_folders, stem_of
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout
from tfpipeline.data.corpora.reading.names import speaker_of_stem

REAL = "real_samples"
# Folder, in lower case → attack.
SYSTEMS = {
    name.lower(): name
    for name in (
        "AudioGen",
        "FlashSpeech",
        "NaturalSpeech3",
        "OpenAI",
        "PromptTTS2",
        "SeedTTS",
        "VALLE",
        "VoiceBox",
        "xTTS",
    )
} | {"seedtts_files": "SeedTTS"}
CORPUS = Corpus(
    name="sonar",
    title="SONAR",
    what="English speech of eight recent systems, sounds of a ninth, and real speech; a test set",
    license="not stated where it was looked up; see its home page",
    citation="Li et al. 2024, SONAR: a synthetic AI-audio detection framework and benchmark, arXiv "
    "2410.04324",
    home="https://github.com/Jessegator/SONAR",
    layout="real_samples/ and a folder for each system: AudioGen, FlashSpeech, NaturalSpeech3, "
    "OpenAI, PromptTTS2, SeedTTS, VALLE, VoiceBox, xTTS",
    arena=(2_274, 1_674),
)
COLUMNS = ["clip_id", "path", "label", "speaker", "attack"]


def read(path: str) -> ReadCorpus:
    """The clips of all folders, as a test set."""
    (real,) = expect_layout(CORPUS, path, [(REAL,)])
    root = real.parent
    rows = []
    for names, files in sorted(audio_folders(root)):
        if not files:
            continue
        folder = "/".join(names)
        kind = names[0].lower() if names else ""
        if kind != REAL and kind not in SYSTEMS:
            raise ValueError(
                f"{CORPUS.name}:{path}: audio lies in {REAL} or in the folder of a system. "
                f"Received: {len(files):,} files in {folder or 'the folder itself'}. Known: "
                f"{', '.join(SYSTEMS.values())}. Move it away, or read all with --data folder:."
            )
        label, attack = ("bonafide", "-") if kind == REAL else ("spoof", SYSTEMS[kind])
        rows += [
            (
                f"{folder}/{file}",
                str(Path(root, folder, file)),
                label,
                speaker_of_stem(stem_of(file)),
                attack,
            )
            for file in files
        ]
    if not rows:
        raise ValueError(f"{CORPUS.name}:{path}: expected {CORPUS.layout}. Received: no audio.")
    return ReadCorpus(pd.DataFrame(rows, columns=COLUMNS).assign(part="test", language="en"))
