"""ASVspoof 2021, logical access: the attacks of 2019, through telephone codecs and networks.

Key lines: `LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval`. All of it is a test set.
"""

from __future__ import annotations

from tfpipeline.data.corpora.reading.asvspoof import read_eval_2021
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus

CORPUS = Corpus(
    name="asvspoof2021_la",
    title="ASVspoof 2021 LA",
    what="VCTK speech and the attacks A07-A19 of 2019 over telephone codecs; a test set",
    license="ODC-By 1.0",
    citation="Liu et al. 2023, ASVspoof 2021: towards spoofed and deepfake speech detection in the "
    "wild, IEEE/ACM Transactions on Audio, Speech, and Language Processing 31",
    home="https://www.asvspoof.org/index2021.html",
    layout="keys/LA/CM/trial_metadata.txt and ASVspoof2021_LA_eval/flac/",
    counts={"test": (14_816, 133_360)},
)
COLUMNS = (
    "speaker",
    "clip_id",
    "codec",
    "transmission",
    "attack",
    "label",
    "trim",
    "subset",
)


def read(path: str) -> ReadCorpus:
    """The clips of the subset `eval`."""
    clips, notes = read_eval_2021(CORPUS, path, "LA", COLUMNS, "LA_E_")
    return ReadCorpus(clips.assign(language="en"), notes)
