"""Training clips through real codecs: coded once, kept as small files, another one each epoch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.audio.codecs import find_codec, read_coded, write_coded
from tfpipeline.files.archives import cache_folder

VERSION = 1  # another one for other bytes


def codec_bank(
    paths: Sequence[str],
    channels: np.ndarray | None,
    names: Sequence[str],
    share: float,
    seed: int,
    folder: Path | None = None,
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """What sends a share of the clips through a codec drawn anew each time.

    A clip is coded when its codec is drawn for the first time; from then on the file is there, for
    later runs too.

    Args:
        paths: of the clips.
        channels: of each clip, that are judged apart; None: one each.
        names: keys of `tfpipeline.data.audio.codecs.CODECS`.
        share: probability that a clip is coded.
        seed: of the draws.
        folder: of the coded files; default: `codecs` in the user's cache.
    Returns:
        In-graph function: index of a clip, its place in the stream (both int64 ()), and its
        waveform float32 (samples,) → float32 (samples,).
    Raises:
        ValueError: an unknown codec.
    """
    suffixes = [find_codec(name).suffix for name in names]
    folder = folder or cache_folder() / "codecs"

    def code(index: np.ndarray, drawn: np.ndarray, waveform: np.ndarray) -> np.ndarray:
        name, suffix = names[int(drawn)], suffixes[int(drawn)]
        identity = _identity(paths[int(index)])
        number = 1 if channels is None else int(channels[int(index)])
        parts = []
        for channel, part in enumerate(np.split(waveform, number) if len(waveform) else ()):
            path = folder / name / identity[:2] / f"{identity}-{channel}{suffix}"
            try:
                if not path.exists():
                    write_coded(path, part, name)
                parts.append(read_coded(path, len(part)))
            except UnusableError:  # a codec that takes away what little there was
                parts.append(part)
        return np.concatenate([np.zeros(0, np.float32), *parts])

    def change(index: tf.Tensor, place: tf.Tensor, waveform: tf.Tensor) -> tf.Tensor:
        key = tf.stack([tf.constant(seed, tf.int64), -1 - place])
        drawn = tf.random.stateless_uniform([2], key)
        which = tf.cast(drawn[1] * len(names), tf.int32)
        coded = tf.cond(
            drawn[0] < share,
            lambda: tf.numpy_function(code, [index, which, waveform], tf.float32),
            lambda: waveform,
        )
        return tf.ensure_shape(coded, [None])

    return change


def _identity(path: str) -> str:
    """A name for one state of a file."""
    absolute = os.path.abspath(path)
    try:
        stat = os.stat(absolute)
        state = f"{stat.st_size} {stat.st_mtime_ns}"
    except OSError:  # its samples may be at hand from the cache all the same
        state = "absent"
    return hashlib.sha256(f"{absolute}\0{state}\0{VERSION}".encode()).hexdigest()[:32]
