"""ASVspoof 2021, deepfake: fakes of more than a hundred systems through media codecs.

Key lines: `LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder
- - - -`. All of it is a test set. The originals are of ASVspoof 2019 LA and of the Voice Conversion
Challenges 2018 and 2020 (the column `origin`).
"""

from __future__ import annotations

from tfpipeline.data.corpora.reading.asvspoof import read_eval_2021
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus

CORPUS = Corpus(
    name="asvspoof2021_df",
    title="ASVspoof 2021 DF",
    what="VCTK and VCC speech; over 100 attacks through MP3, M4A and OGG; a test set",
    license="ODC-By 1.0",
    citation="Liu et al. 2023, ASVspoof 2021: towards spoofed and deepfake speech detection in the "
    "wild, IEEE/ACM Transactions on Audio, Speech, and Language Processing 31",
    home="https://www.asvspoof.org/index2021.html",
    layout="keys/DF/CM/trial_metadata.txt and ASVspoof2021_DF_eval/flac/ (the four parts of the "
    "archive unpacked into one folder)",
    counts={"test": (14_869, 519_059)},
)
COLUMNS = (
    "speaker",
    "clip_id",
    "codec",
    "origin",
    "attack",
    "label",
    "trim",
    "subset",
    "vocoder",
    "task",
    "team",
    "gender_pair",
    "language_pair",
)


def read(path: str) -> ReadCorpus:
    """The clips of the subset `eval`."""
    clips, notes = read_eval_2021(CORPUS, path, "DF", COLUMNS, "DF_E_")
    return ReadCorpus(clips, notes)
