"""Copy-synthesis of the human side of `web`, so that each human channel stands in both classes.

An excerpt of a human training clip goes through HiFi-GAN, WORLD and Griffin-Lim. Its copies are
spoof, and the excerpt itself, through the same change of rate, is human: what tells the four apart
is the vocoder alone, not the page, the microphone or the format. Validation has no copies.

Reference: Wang and Yamagishi (2023), "Spoofed training data for speech spoofing countermeasure can
be efficiently created using neural vocoders", https://arxiv.org/abs/2210.10570.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.clips import read_manifest, write_manifest
from tfpipeline.data.demo.corpus import ATTACKS, WORK_RATE, spoof_makers, write_wav
from tfpipeline.files.progress import track

SECONDS = 3.0
EACH = 4  # excerpts of a source at most: sources are drawn evenly, so more would hardly be heard
TRIM_DB = 45
SHORTEST = 0.5  # seconds


def build_copies(folder: Path, cache: Path | None = None) -> pd.DataFrame:
    """Makes the copies that are not there yet, and writes `copies.csv`, which names them all.

    Args:
        folder: where the corpus `web` is built: `manifest.csv` is read, `audio/` gets the copies.
        cache: where HiFi-GAN's weights are kept.
    Returns:
        A manifest like that of `web`: for each excerpt one human clip and three of kind `copy`.
    """
    clips = read_manifest(folder / "manifest.csv")
    clips = clips[(clips["part"] == "train") & (clips["label"] == "bonafide")]
    clips = clips.sort_values("clip_id").groupby("source").head(EACH)  # an id is a hash
    makers = {"-": lambda waveform, seed: waveform, **spoof_makers(cache)}
    rows = []
    for clip in track(clips.to_dict("records"), "copies", "clips"):
        paths = {name: _path(folder, clip["clip_id"], name) for name in ("-", *ATTACKS)}
        absent = [name for name, path in paths.items() if not path.exists()]
        if absent:
            excerpt = _excerpt(clip["path"])
            if excerpt is None:
                continue
            for name in absent:
                seed = int.from_bytes(hashlib.sha256(paths[name].stem.encode()).digest()[:4])
                write_wav(paths[name], _at(makers[name](excerpt, seed), WORK_RATE, SAMPLE_RATE))
        for name, path in paths.items():
            spoof = {} if name == "-" else {"label": "spoof", "attack": name, "kind": "copy"}
            own = {"clip_id": path.stem, "path": str(path), "seconds": SECONDS}
            rows.append({**clip, **own, **spoof})
    copies = pd.DataFrame(rows)
    write_manifest(folder / "copies.csv", copies)
    return copies


def _path(folder: Path, clip_id: str, attack: str) -> Path:
    return folder / "audio" / f"{clip_id}_{'original' if attack == '-' else attack}.wav"


def _excerpt(path: str) -> np.ndarray | None:
    """The first seconds of the speech of a clip at `WORK_RATE`; None where there is too little."""
    import librosa
    import soundfile

    waveform, rate = soundfile.read(path, dtype="float32")
    waveform, _ = librosa.effects.trim(waveform, top_db=TRIM_DB)
    if not waveform.any() or len(waveform) < SHORTEST * rate:
        return None
    return _at(waveform[: int(SECONDS * rate)], rate, WORK_RATE)


def _at(waveform: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    import soxr

    return soxr.resample(waveform.astype(np.float32), rate, new_rate, "VHQ")
