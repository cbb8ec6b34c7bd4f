"""`data.decoder: tensorflow_io`: the four usual formats decoded in the graph by its operations.

Which clip is which is learnt when the run is opened: each is decoded by `audio.decode` first. WAV,
FLAC of 16 and 24 bits, MP3 and Ogg Vorbis of a usual rate, about which nothing was noticed and
whose channels are judged together, are decoded by the graph from then on, and are the same; all
others go on through Python.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.data.audio import SOURCE_RATES
from tfpipeline.data.audio.bandwidth import TELEPHONE_REMARK
from tfpipeline.data.audio.channels import mix_in_graph
from tfpipeline.data.audio.decode import Decoded
from tfpipeline.data.audio.resample import resample_in_graph
from tfpipeline.data.audio.wav_graph import decode_wav, on_grid
from tfpipeline.data.opening import Audio, audio_of_files
from tfpipeline.data.screening import drop_skipped, screen_clips

# As `Decoded.format` names them; 0 is all else.
FORMATS = {
    "WAV": 1, "FLAC PCM_16": 2, "FLAC PCM_24": 3, "MP3 MPEG_LAYER_III": 4,
    "MPEG MPEG_LAYER_III": 4, "OGG VORBIS": 5,
}  # fmt: skip


def open_in_graph(clips: pd.DataFrame) -> tuple[pd.DataFrame, Audio, pd.DataFrame]:
    """`data.opening.open_audio` with tensorflow-io.

    Raises:
        ValueError: too many clips cannot be used, or tensorflow-io does not work here.
    """
    decoders = _decoders()
    kinds = np.zeros(len(clips), np.int32)
    rates = np.zeros(len(clips), np.int32)

    def note(index: int, clip: Decoded) -> None:
        plain = len(clip.channels) == 1 and set(clip.remarks) <= {TELEPHONE_REMARK}
        if plain and clip.rate in SOURCE_RATES:
            kinds[index], rates[index] = FORMATS.get(clip.format, 0), clip.rate

    screening = screen_clips(clips["path"].tolist(), note)
    kept, skipped = drop_skipped(clips, screening.reasons)
    rows = np.delete(np.arange(len(clips)), sorted(screening.reasons))
    kinds, rates = kinds[rows], rates[rows]
    others = int((kinds == 0).sum())
    if others:
        print(f"{others} of {len(kept)} clips are not decoded by tensorflow-io", file=sys.stderr)
    audio = audio_of_files(kept, clips, screening)
    in_python = audio.waveform
    paths, kinds, rates = (
        tf.constant(kept["path"].to_list()),
        tf.constant(kinds),
        tf.constant(rates),
    )

    def waveform(index: tf.Tensor) -> tf.Tensor:
        kind = tf.gather(kinds, index)

        def in_graph() -> tf.Tensor:
            contents = tf.io.read_file(tf.gather(paths, index))
            samples = tf.switch_case(kind - 1, [lambda own=own: own(contents) for own in decoders])
            mono = mix_in_graph(tf.ensure_shape(samples, [None, None]))[:1]
            return on_grid(resample_in_graph(mono, tf.gather(rates, index)))[0]

        found = tf.cond(kind > 0, in_graph, lambda: in_python(index))
        return tf.ensure_shape(found, [None])

    return kept, dataclasses.replace(audio, waveform=waveform), skipped


def _decoders() -> list[Callable[[tf.Tensor], tf.Tensor]]:
    """Functions from a file's bytes to float32 (frames, channels), in the order of `FORMATS`."""
    try:
        import tensorflow_io as tfio

        tfio.audio.decode_mp3  # noqa: B018 - loads the library
    except (ImportError, NotImplementedError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(
            "data.decoder tensorflow_io needs the package of that name, whose last release works "
            f"with TensorFlow 2.17. Received: TensorFlow {tf.__version__} ({said:.80}). Install "
            "requirements.txt, or --set data.decoder=auto"
        ) from None

    def flac(dtype: tf.DType) -> Callable[[tf.Tensor], tf.Tensor]:
        scale = 2.0**15 if dtype == tf.int16 else 2.0**31
        return lambda contents: (
            tf.cast(tfio.audio.decode_flac(contents, dtype=dtype), tf.float32) / scale
        )

    return [
        lambda contents: decode_wav(contents)[0],
        flac(tf.int16),
        flac(tf.int32),
        tfio.audio.decode_mp3,
        tfio.audio.decode_vorbis,
    ]
