"""Recordings through real codecs: coded by the ffmpeg program or libsndfile, decoded as any file.

The result is as long as the recording and starts where it did, but for AMR, which is 5 ms late.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE, STEPS
from tfpipeline.data.audio.decode import decode, on_grid
from tfpipeline.data.audio.ffmpeg import ffmpeg_program
from tfpipeline.files.atomic import atomic_file

MAX_SECONDS_TO_CODE = 600


@dataclass(frozen=True)
class Codec:
    """How ffmpeg is told to code.

    Attributes:
        suffix: of the file, by which ffmpeg takes the container.
        options: of ffmpeg; none for GSM, which libsndfile codes.
    """

    suffix: str
    options: tuple[str, ...] = ()


def _at(suffix: str, encoder: str, *kilobits: int) -> dict[int, Codec]:
    return {rate: Codec(suffix, ("-c:a", encoder, "-b:a", f"{rate}k")) for rate in kilobits}


_FAMILIES = {
    "mp3": _at(".mp3", "libmp3lame", 128, 64, 32),
    "aac": _at(".m4a", "aac", 64, 32),
    "opus": _at(".opus", "libopus", 32, 16, 8),
    "vorbis": _at(".ogg", "libvorbis", 64, 32),
}
# Name → codec; the number is of kbit/s. Telephone codecs work at 8 kHz.
CODECS = {f"{name}_{rate}": codec for name, own in _FAMILIES.items() for rate, codec in own.items()}
CODECS |= {
    "mu_law": Codec(".wav", ("-ar", "8000", "-c:a", "pcm_mulaw")),
    "a_law": Codec(".wav", ("-ar", "8000", "-c:a", "pcm_alaw")),
    "gsm": Codec(".wav"),
    "amr_nb": Codec(".amr", ("-ar", "8000", "-c:a", "libopencore_amrnb", "-b:a", "12.2k")),
}


def find_codec(name: str) -> Codec:
    """A row of `CODECS`.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in CODECS:
        raise ValueError(f"a codec must be one of {', '.join(CODECS)}. Received: {name!r}")
    return CODECS[name]


def through_codec(waveform: np.ndarray, name: str) -> np.ndarray:
    """Codes and decodes a waveform.

    Args:
        waveform: float32 (samples,) at 16 kHz; beyond full scale it is clipped.
        name: a key of `CODECS`.
    Returns:
        float32 (samples,).
    Raises:
        ValueError: an unknown codec, an ffmpeg that does not have it, or what comes out cannot be
            used, being silent or too short.

    Example:
        >>> coded = through_codec(waveform, "mp3_32")
    """
    with tempfile.TemporaryDirectory(prefix="tfpipeline-") as folder:
        path = Path(folder) / f"coded{find_codec(name).suffix}"
        write_coded(path, waveform, name)
        return read_coded(path, len(waveform))


def write_coded(path: Path, waveform: np.ndarray, name: str) -> None:
    """Codes a waveform into a file, whole or absent; as `through_codec`."""
    codec = find_codec(name)
    with atomic_file(path) as partial:
        if codec.options:
            _encode(partial, waveform, codec)
        else:
            import soundfile
            import soxr

            narrow = soxr.resample(waveform, SAMPLE_RATE, 8000)
            soundfile.write(partial, narrow, 8000, subtype="GSM610", format="WAV")


def read_coded(path: Path, samples: int) -> np.ndarray:
    """The waveform of a coded file, cut or filled up to so many samples; float32 (samples,)."""
    waveform = decode(path).waveform[:samples]
    return np.pad(waveform, (0, samples - len(waveform)))


def _encode(path: Path, waveform: np.ndarray, codec: Codec) -> None:
    steps = (on_grid(waveform) * np.float32(STEPS)).astype("<i2")
    command = [
        ffmpeg_program(),
        *("-v", "error", "-threads", "1"),
        *("-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", "pipe:0"),
        *("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"),
        *codec.options,
        *("-y", f"file:{path}"),
    ]
    done = subprocess.run(
        command, input=steps.tobytes(), capture_output=True, timeout=MAX_SECONDS_TO_CODE
    )
    if done.returncode:
        reason = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise ValueError(f"{command[0]} must code {' '.join(codec.options)}. Received: {reason}")
