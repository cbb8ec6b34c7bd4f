"""Recordings as people have them, made anew for each test out of real speech."""

import struct
import subprocess

import numpy as np
import soundfile

from tfpipeline.data.audio.ffmpeg import ffmpeg_program

RATE = 16_000


def ffmpeg(*arguments):
    done = subprocess.run(
        [ffmpeg_program(), "-nostdin", "-v", "error", "-y", *map(str, arguments)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def encoded(path, samples, rate=RATE, *options):
    """Writes what ffmpeg makes of samples under a name, by its extension or by options."""
    source = path.with_name(f"{path.name}.source.wav")
    soundfile.write(source, samples, rate, subtype="PCM_16")
    ffmpeg("-i", source, *options, path)
    source.unlink()
    return path


def joined(path, *pieces):
    """Writes the bytes of files one behind the other."""
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    return path


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def wav(pcm, riff_size=None, data_size=None, behind=b""):
    """A WAV file of 16-bit samples, with sizes that may lie."""
    body = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)) + b"data"
    body += struct.pack("<I", len(pcm) if data_size is None else data_size) + pcm + behind
    size = 4 + len(body) if riff_size is None else riff_size
    return b"RIFF" + struct.pack("<I", size) + b"WAVE" + body


def pcm_of(samples):
    return np.round(np.clip(samples, -1, 1 - 2**-15) * 2**15).astype("<i2").tobytes()
