"""ASVspoof 5: crowd-sourced speech of some 2,000 readers, and 32 attacks, some of them adversarial.

Protocol lines, separated by spaces although the files are called `.tsv`:
`D_4461 D_0000000169 F - - - AC1 A14 spoof -`. A clip that went through a codec names the clip that
it was made from, which is its source here; the three parts share neither speaker nor attack.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.data.corpora.reading.asvspoof import audio_parts, read_protocol
from tfpipeline.data.corpora.reading.audio_index import attach_audio
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout

CORPUS = Corpus(
    name="asvspoof5",
    title="ASVspoof 5 (track 1)",
    what="Multilingual LibriSpeech (English); 32 attacks, some adversarial; codecs in eval",
    license="ODC-By 1.0 (bona fide speech: CC BY 4.0)",
    citation="Wang et al. 2024, ASVspoof 5: crowdsourced speech data, deepfakes, and adversarial "
    "attacks at scale, Proc. ASVspoof Workshop, doi 10.21437/ASVspoof.2024-1",
    home="https://zenodo.org/records/14498691",
    layout="ASVspoof5.{train,dev.track_1,eval.track_1}.tsv, there or in ASVspoof5_protocols/, and "
    "flac_T/, flac_D/, flac_E_eval/",
    counts={
        "train": (18_797, 163_560),
        "validation": (31_334, 109_616),
        "test": (138_688, 542_086),
    },
)
COLUMNS = (
    "speaker",
    "clip_id",
    "sex",
    "codec",
    "codec_quality",
    "codec_seed",
    "attack_tag",
    "attack",
    "label",
    "reserved",
)
PARTS = (
    ("train", "ASVspoof5.train.tsv", "flac_T", "T_"),
    ("validation", "ASVspoof5.dev.track_1.tsv", "flac_D", "D_"),
    ("test", "ASVspoof5.eval.track_1.tsv", "flac_E_eval", "E_"),
)
FOLDERS = ("", "ASVspoof5_protocols/", "protocols/", "protocol/")


def read(path: str) -> ReadCorpus:
    """The clips of the parts whose audio is there."""
    protocols = tuple(f"{folder}{name}" for folder in FOLDERS for _, name, _, _ in PARTS)
    found, _ = expect_layout(CORPUS, path, [protocols, _any_audio])
    root = Path(path).expanduser()
    tables, notes = [], []
    for part, name, flac, prefix in PARTS:
        protocol, folder = found.parent / name, _audio(root, flac)
        if folder is None or not protocol.exists():
            absent = root / flac if folder is None else protocol
            notes.append(f"no {part}: {absent} is not there")
            continue
        clips, repeated = read_protocol(protocol, COLUMNS, prefix)
        clips, unmatched = attach_audio(
            clips, clips["clip_id"].tolist(), audio_parts(folder, root), protocol
        )
        notes += repeated + unmatched
        tables.append(clips.assign(part=part))
    if not tables:
        raise ValueError(f"{CORPUS.name}:{path}: expected {CORPUS.layout}. Received: {notes[0]}.")
    clips = pd.concat(tables, ignore_index=True)
    seeds = clips["codec_seed"]
    is_seed = clips["clip_id"].isin(seeds[seeds != UNKNOWN])
    clips["source"] = seeds.mask(is_seed & (seeds == UNKNOWN), clips["clip_id"])
    clips["codec"] = clips["codec"].replace(UNKNOWN, "none")
    return ReadCorpus(clips.drop(columns=["codec_seed", "reserved"]).assign(language="en"), notes)


def _audio(root: Path, flac: str) -> Path | None:
    """A part's folder, or the first of those that `flac_T_aa.tar` and so on were unpacked into."""
    inner = sorted(root.glob(f"{flac.removesuffix('_eval')}_[a-z][a-z]/{flac}"))
    return next((place for place in (root / flac, *inner) if place.is_dir()), None)


def _any_audio(root: Path) -> Path | None:
    return next((place for place in (_audio(root, flac) for _, _, flac, _ in PARTS) if place), None)
