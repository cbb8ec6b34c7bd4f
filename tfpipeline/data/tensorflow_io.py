"""`data.decoder: tensorflow_io`: the four usual formats decoded in the graph by its operations.

Which clip is which is learnt when the run is opened: each is decoded by `audio.decode` first. WAV,
FLAC of 16 and 24 bits, MP3 and Ogg Vorbis of a usual rate, about which nothing was noticed and
whose channels are judged together, are decoded by the graph from then on, and are the same; all
others continue through Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfpipeline.data.audio import SOURCE_RATES
from tfpipeline.data.audio.bandwidth import TELEPHONE_REMARK
from tfpipeline.data.audio.channels import mix_in_graph
from tfpipeline.data.audio.decode import Decoded
from tfpipeline.data.audio.resample import resample_in_graph
from tfpipeline.data.audio.wav_graph import decode_wav, on_grid

# As `Decoded.format` names them; 0 is all else.
FORMATS = {
    "WAV": 1,
    "FLAC PCM_16": 2,
    "FLAC PCM_24": 3,
    "MP3 MPEG_LAYER_III": 4,
    "MPEG MPEG_LAYER_III": 4,
    "OGG VORBIS": 5,
}


class GraphDecoder:
    """Learns which clips the graph can decode, and decodes them there.

    Args:
        n_clips: how many there are.
    Raises:
        ValueError: tensorflow-io does not work here.
    """

    def __init__(self, n_clips: int):
        self._decoders = _decoders()
        self._kinds = np.zeros(n_clips, np.int32)
        self._rates = np.zeros(n_clips, np.int32)

    def note(self, index: int, clip: Decoded) -> None:
        """Takes in what a clip is."""
        plain = len(clip.channels) == 1 and set(clip.remarks) <= {TELEPHONE_REMARK}
        if plain and clip.rate in SOURCE_RATES:
            self._kinds[index], self._rates[index] = FORMATS.get(clip.format, 0), clip.rate

    def waveform(self, paths: list[str], rows: np.ndarray, in_python: Callable) -> Callable:
        """In-graph function: index (scalar int64) → float32 (samples,).

        Args:
            paths: of the clips that are kept.
            rows: of these, as they were noted.
            in_python: the same function for the clips that the graph cannot decode.
        """
        others = int((self._kinds[rows] == 0).sum())
        if others:
            print(
                f"{others} of {len(rows)} clips are not decoded by tensorflow-io", file=sys.stderr
            )
        names = tf.constant(paths)
        kinds, rates = tf.constant(self._kinds[rows]), tf.constant(self._rates[rows])

        def decoded(index: tf.Tensor) -> tf.Tensor:
            contents = tf.io.read_file(tf.gather(names, index))
            samples = tf.switch_case(
                tf.gather(kinds, index) - 1,
                [lambda decode=decode: decode(contents) for decode in self._decoders],
            )
            mono = mix_in_graph(tf.ensure_shape(samples, [None, None]))[:1]
            return on_grid(resample_in_graph(mono, tf.gather(rates, index)))[0]

        def waveform(index: tf.Tensor) -> tf.Tensor:
            found = tf.cond(
                tf.gather(kinds, index) > 0, lambda: decoded(index), lambda: in_python(index)
            )
            return tf.ensure_shape(found, [None])

        return waveform


def _decoders() -> list[Callable[[tf.Tensor], tf.Tensor]]:
    """Functions from a file's bytes to float32 (frames, channels), in the order of `FORMATS`."""
    try:
        import tensorflow_io as tfio

        tfio.audio.decode_mp3  # noqa: B018 - loads the library
    except (ImportError, NotImplementedError) as error:
        message = str(error).splitlines()[0]
        raise ValueError(
            "data.decoder tensorflow_io needs the package of that name, whose last release works "
            f"with TensorFlow 2.17. Received: TensorFlow {tf.__version__} ({message:.80}). Install "
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
