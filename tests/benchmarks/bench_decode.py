"""How fast files become batches of waveforms, and in how much memory; run by hand.

    python tests/benchmarks/bench_decode.py [--before CHECKOUT] [--only batches long]

In one run it prints (a) clips/s from FLAC and from MP3 files of real speech to batches of windows,
by `open_audio` with cache none, with the decoder auto, with tensorflow_io where that is installed,
and, with `--before`, by the package of another checkout (`git worktree add --detach CHECKOUT
COMMIT`), each in a process of its own, in interleaved rounds, medians, and the ratios; and the
processor time of a clip, which a busy machine changes less; and what telling telephone audio takes
of it; (b) the memory that decoding files of
three hours takes above that of decoding a short one, and the time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).parents[2]
PARTS = ("batches", "long")
ROUNDS, BATCH, WINDOW = 7, 32, 64_000
SECONDS = 4.5
LONG = {  # name → ffmpeg's options, "stereo" where the channels differ
    "stereo.wav": ("-ar", "48000"),
    "a.flac": (),
    "a.mp3": (),
    "a.ogg": ("-c:a", "libvorbis"),
    "a.opus": ("-c:a", "libopus"),
    "a.m4a": (),
    "a.webm": ("-c:a", "libopus"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--files", type=int, default=1000, help="of each format")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--hours", type=float, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--batches-of", nargs=2, metavar=("FOLDER", "DECODER"))
    parser.add_argument("--blocks-of", type=Path, nargs=2, metavar=("SHORT", "LONG"))
    flags = parser.parse_args()
    if flags.batches_of:
        return _serve_batches(*flags.batches_of)
    if flags.blocks_of:
        return _print_memory(*flags.blocks_of)
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "fixtures")]
    from tfpipeline.data.demo.corpus import load_demo

    paths = load_demo()["path"].to_list()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as folder:
        if "batches" in flags.only:
            _batches(paths, Path(folder), flags)
        if "long" in flags.only:
            _long(paths, Path(folder), flags.hours)
    return 0


def _batches(paths: list[str], folder: Path, flags) -> None:
    _make_clips(paths, folder, flags.files)
    ways = {"auto": (ROOT, "auto")}
    if importlib.util.find_spec("tensorflow_io"):
        ways["tensorflow_io"] = (ROOT, "tensorflow_io")
    if flags.before:
        ways["before"] = (flags.before.resolve(), "")
    formats = ("flac", "mp3")
    workers = {
        (kind, way): _start(checkout, folder, "--batches-of", folder / kind, decoder)
        for kind in formats
        for way, (checkout, decoder) in ways.items()
    }
    rates: dict[tuple, list[float]] = {key: [] for key in workers}
    processor: dict[tuple, list[float]] = {key: [] for key in workers}  # ms a clip
    try:
        for number in range(flags.rounds + 1):
            for key, worker in workers.items():
                worker.stdin.write("\n")
                worker.stdin.flush()
                rate, busy = map(float, worker.stdout.readline().split())
                if number:  # the first screens the files, and fills caches
                    rates[key].append(rate)
                    processor[key].append(1e3 * busy)
    finally:
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()
    for kind in formats:
        for way in ways:
            ratios = [
                own / other
                for own, other in zip(rates[kind, way], rates[kind, [*ways][-1]], strict=True)
            ]
            print(
                f"{kind:5s} {way:14s} {statistics.median(rates[kind, way]):7.1f} clips/s, "
                f"{statistics.median(ratios):.2f} of {[*ways][-1]} "
                f"(paired rounds {min(ratios):.2f} to {max(ratios):.2f}); "
                f"{statistics.median(processor[kind, way]):.2f} ms of processor a clip"
            )
    print(f"telephone or not: {_telephone(folder / 'flac'):.2f} ms a clip")
    last = [*ways][-1]
    for way in ways:
        # Of both together: as long as one takes for as many files of each.
        own, other = (
            1 / sum(1 / statistics.median(rates[kind, name]) for kind in formats)
            for name in (way, last)
        )
        print(f"both  {way:14s} {own / other:.2f} of {last}")


def _telephone(folder: Path) -> float:
    """ms of processor time that `is_telephone` takes for a clip, the best of 30."""
    import soundfile

    from tfpipeline.data.audio.bandwidth import is_telephone

    clip = soundfile.read(min(folder.iterdir()), dtype="float32")[0]
    taken = []
    for _ in range(30):
        began = time.process_time()
        is_telephone(clip)
        taken.append(time.process_time() - began)
    return 1e3 * min(taken)


def _make_clips(paths: list[str], folder: Path, number: int) -> None:
    """Excerpts of the corpus's speech, each with another begin."""
    import numpy as np
    import soundfile

    size = round(SECONDS * 16_000)
    speech = np.concatenate([soundfile.read(path, dtype="int16")[0] for path in paths])
    for kind in ("flac", "mp3"):
        (folder / kind).mkdir()
        for place, begin in enumerate(np.linspace(0, len(speech) - size, number).astype(int)):
            path = folder / kind / f"{place:06}.{kind}"
            soundfile.write(path, speech[begin : begin + size], 16_000)


def _start(checkout: Path, folder: Path, *arguments: object) -> subprocess.Popen:
    """This script, with the package of a checkout."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "TFPIPELINE_CACHE": str(folder / "cache"),
    }
    command = [sys.executable, str(Path(__file__).resolve()), *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def _serve_batches(folder: str, decoder: str) -> int:
    """A process of `_batches`: a line comes in, a round is run, clips/s go out."""
    import pandas as pd

    from tfpipeline.data.pipeline import scoring_batches

    try:
        from tfpipeline.data.clip_audio import open_audio
    except ImportError:  # a checkout of before
        from tfpipeline.data.pipeline import open_audio

    clips = pd.DataFrame({"path": sorted(str(path) for path in Path(folder).iterdir())})
    batches = None
    for _ in sys.stdin:
        if batches is None:
            kept, audio, _ = open_audio(clips, "none", *([decoder] if decoder else []))
            batches = scoring_batches(audio, WINDOW, BATCH)
        began, before = time.perf_counter(), time.process_time()
        for _ in batches:
            pass
        busy = (time.process_time() - before) / len(kept)
        print(len(kept) / (time.perf_counter() - began), busy, flush=True)
    return 0


def _long(paths: list[str], folder: Path, hours: float) -> None:
    import numpy as np
    import soundfile
    from made import ffmpeg

    speech = [np.concatenate([soundfile.read(path)[0] for path in paths[at::9]]) for at in range(2)]
    size = min(map(len, speech))
    for name, samples in (
        ("mono.wav", speech[0]),
        ("stereo.wav", np.stack([s[:size] for s in speech], 1)),
    ):
        soundfile.write(folder / f"short_{name}", samples[: 16_000 * 60], 16_000)
    for name, options in LONG.items():
        source = folder / f"short_{'stereo' if 'stereo' in name else 'mono'}.wav"
        short, long = folder / f"1_{name}", folder / f"2_{name}"
        for path, seconds in ((short, 60), (long, hours * 3600)):
            ffmpeg("-stream_loop", -1, "-i", source, "-t", seconds, *options, path)
        worker = _start(ROOT, folder, "--blocks-of", short, long)
        told = json.loads(worker.communicate()[0])
        print(
            f"{name:11s} {hours:g} h, {long.stat().st_size / 1e6:5.0f} MB: idle {told['idle']:.0f} "
            f"MB, peak {told['peak']:.0f}, {told['peak'] - told['idle']:.0f} above; ffmpeg at most "
            f"{told['ffmpeg']:.0f}; {told['seconds']:.0f} s, {told['hours']:.2f} h of waveform",
            flush=True,
        )
        long.unlink()


def _print_memory(short: Path, long: Path) -> int:
    """A process of `_long`: decodes a short file, so that all is imported, then the long one."""
    import resource

    from tfpipeline.data.audio.decode import opened

    def samples(path: Path) -> int:
        with opened(path) as recording:
            return sum(
                len(block)
                for channel in range(len(recording.channels))
                for block in recording.blocks(channel)
            )

    def status(name: str) -> float:
        """MB, of the kernel's account of this process."""
        return int(Path("/proc/self/status").read_text().split(name)[1].split()[0]) / 1024

    samples(short)
    told = {"idle": status("VmRSS:")}
    began = time.perf_counter()
    told["hours"] = samples(long) / 16_000 / 3600
    # Not `ru_maxrss`, which a process inherits from the one that started it; so the number of
    # ffmpeg is too high where this process is larger.
    told |= {"seconds": time.perf_counter() - began, "peak": status("VmHWM:")}
    told["ffmpeg"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
