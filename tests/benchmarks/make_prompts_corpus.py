"""Makes a second small corpus of real speech and its vocoded copies; run by hand.

    apt-get download asterisk-core-sounds-{en,es,it}-g722
    python tests/benchmarks/make_prompts_corpus.py FOLDER asterisk-core-sounds-*-g722_*.deb

Human speech: telephone prompts of one professional speaker a language (16 kHz G.722; CC BY-SA or
CC BY, see the packages' copyright files), those of 2 to 6 s, at most `--each` a language. Spoofs:
the same through WORLD and Griffin-Lim. All pass through the last steps of the demo corpus, so that
channel, level and format say nothing about the label. Leaves FOLDER/prompts.csv, whose source is
the prompt: with three speakers, no split by speaker is possible.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import soxr

from tfpipeline.data.audio.ffmpeg import ffmpeg_program
from tfpipeline.data.demo.copy_synthesis import griffin_lim, world
from tfpipeline.data.demo.corpus import WORK_RATE, finish, write_wav
from tfpipeline.files.progress import track

RATE = 16_000
SHORTEST, LONGEST = 2.0, 6.0  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("packages", nargs="+", type=Path, metavar="DEB")
    parser.add_argument("--each", type=int, default=50, help="prompts of a language")
    flags = parser.parse_args()
    rows = []
    for package in flags.packages:
        language = package.name.split("-")[3]
        with tempfile.TemporaryDirectory() as unpacked:
            subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
            chosen = _prompts(Path(unpacked), flags.each)
        for name, speech in track(list(chosen.items()), language, "prompts"):
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
            made = {
                "-": speech,
                "world": world(speech, WORK_RATE),
                "griffin_lim": griffin_lim(speech, WORK_RATE, seed),
            }
            for number, (attack, waveform) in enumerate(made.items()):
                file = f"audio/{language}/{name}_{'original' if attack == '-' else attack}.wav"
                write_wav(flags.folder / file, finish(waveform, seed + number))
                rows.append(
                    {
                        "path": file,
                        "label": "bonafide" if attack == "-" else "spoof",
                        "attack": attack,
                        "source": f"{language}/{name}",
                        "language": language,
                        "seconds": round(len(waveform) / WORK_RATE, 3),
                    }
                )
    pd.DataFrame(rows).to_csv(flags.folder / "prompts.csv", index=False)
    print(f"{flags.folder / 'prompts.csv'}: {len(rows)} clips")
    return 0


def _prompts(folder: Path, most: int) -> dict[str, np.ndarray]:
    """name → float32 (samples,) at `WORK_RATE`, edge silence cut off, chosen by hash."""
    files = sorted(folder.rglob("*.g722"), key=lambda f: hashlib.sha256(f.name.encode()).digest())
    chosen: dict[str, np.ndarray] = {}
    for file in files:
        command = [ffmpeg_program(), "-v", "error", "-f", "g722", "-i", file, "-f", "f32le", "-"]
        decoded = subprocess.run(command, check=True, capture_output=True).stdout
        speech, _ = librosa.effects.trim(np.frombuffer(decoded, np.float32), top_db=35)
        if SHORTEST * RATE <= len(speech) <= LONGEST * RATE and len(chosen) < most:
            chosen[file.stem] = soxr.resample(speech, RATE, WORK_RATE, "VHQ")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
