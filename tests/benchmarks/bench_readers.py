"""How long a data set of a million clips takes to read, and how much memory; run by hand.

    python tests/benchmarks/bench_readers.py [--share 1.0] [--folder DIR]

Makes ASVspoof 5's layout at its full count (182,357 + 140,950 + 680,774 clips; empty audio files,
since reading looks at names only, and the enrolment files that no protocol names) in a temporary
folder, then reads it in a process of its own. Prints what reading takes, split by what is done, and
the peak of the memory used. The time of making the files is not part of it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Name of the protocol, folder of the audio, letter, and bonafide, spoofed and unnamed clips.
PARTS = (
    ("train", "flac_T", "T", 18_797, 163_560, 0),
    ("dev.track_1", "flac_D", "D", 31_334, 109_616, 1_184),
    ("eval.track_1", "flac_E_eval", "E", 138_688, 542_086, 1_098),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the full count")
    parser.add_argument("--folder", help="where the files are made (default: the system's)")
    parser.add_argument("--read", metavar="PATH", help="only read what is there")
    flags = parser.parse_args()
    if flags.read:
        return _read(flags.read)
    with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
        started = time.perf_counter()
        number = make_asvspoof5(Path(folder), flags.share)
        print(f"made {number:,} files in {time.perf_counter() - started:.0f} s", flush=True)
        return subprocess.run([sys.executable, __file__, "--read", folder]).returncode


def make_asvspoof5(root: Path, share: float) -> int:
    """Empty audio files and their protocols; how many files."""
    made = 0
    for name, flac, letter, n_bonafide, n_spoof, n_unnamed in PARTS:
        folder = root / flac
        folder.mkdir()
        counts = [int(share * number) for number in (n_bonafide, n_spoof, n_unnamed)]
        coded = letter == "E"
        with open(root / f"ASVspoof5.{name}.tsv", "w", encoding="utf-8") as protocol:
            for number in range(sum(counts)):
                clip = f"{letter}_{number:010}"
                os.close(os.open(folder / f"{clip}.flac", os.O_CREAT | os.O_WRONLY))
                if number >= counts[0] + counts[1]:
                    continue
                attack = "bonafide" if number < counts[0] else f"A{number % 16 + 1:02}"
                key = "bonafide" if number < counts[0] else "spoof"
                # Every fourth clip of eval is an original, three are made of it through codecs.
                seed = f"{letter}_{number - number % 4:010}" if coded and number % 4 else "-"
                codec = f"C{number % 11 + 1:02} {number % 5 + 1}" if seed != "-" else "- -"
                sex = "FM"[number % 2]
                protocol.write(
                    f"{letter}_{number % 737:04} {clip} {sex} {codec} {seed} AC{number % 3 + 1} "
                    f"{attack} {key} -\n"
                )
        made += sum(counts)
    return made


def _read(path: str) -> int:
    started = time.perf_counter()
    from tfpipeline.data.corpora import load_corpus

    _say("importing", started, "")
    started = time.perf_counter()
    clips = load_corpus(f"asvspoof5:{path}")
    _say("reading", started, f"{len(clips):,} clips")
    print(clips.groupby(["part", "label"]).size().to_string())
    return 0


def _say(what: str, started: float, note: str) -> None:
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what:12s} {seconds:8.2f} s   peak {memory:.2f} GB   {note}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
