"""`data.decoder: tensorflow_io` against the usual way."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from made import encoded

from tfpipeline.config import DataConfig
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.pipeline import scoring_batches

pytest.importorskip("tensorflow_io", reason="tensorflow-io is not of this set of requirements")


@pytest.fixture
def clips(tiny_corpus, speech, tmp_path):
    """Clips of every format, the first twelve of which its operations decode."""
    rows = []
    for number, (form, subtype, rate) in enumerate(
        [
            ("WAV", "PCM_16", 16_000),
            ("WAV", "PCM_24", 44_100),
            ("WAV", "FLOAT", 8_000),
            ("FLAC", "PCM_16", 16_000),
            ("FLAC", "PCM_24", 24_000),
            ("FLAC", "PCM_16", 48_000),
            ("MP3", "MPEG_LAYER_III", 16_000),
            ("MP3", "MPEG_LAYER_III", 44_100),
            ("MP3", "MPEG_LAYER_III", 22_050),
            ("OGG", "VORBIS", 16_000),
            ("OGG", "VORBIS", 48_000),
            ("OGG", "VORBIS", 8_000),
            ("FLAC", "PCM_16", 37_800),
            ("OGG", "OPUS", 48_000),
        ]
    ):
        sound = soxr.resample(speech[number % 6], 16_000, rate)
        sound = np.stack([sound, 0.5 * sound], axis=1) if number % 2 else sound
        rows.append(tmp_path / f"{number}.any")
        soundfile.write(rows[-1], 0.5 * sound, rate, format=form, subtype=subtype)
    rows.append(encoded(tmp_path / "a.m4a", speech[0]))
    soundfile.write(tmp_path / "call.wav", speech[:2].T, 16_000)
    rows.append(tmp_path / "call.wav")
    table = tiny_corpus[: len(rows)].copy()
    table["path"] = list(map(str, rows))
    return table


def test_it_equals_the_usual_way(clips, capsys):
    _, graph, skipped = open_audio(clips, decoder="tensorflow_io")
    assert "4 of 16 clips are not decoded by tensorflow-io" in capsys.readouterr().err
    assert not len(skipped)
    _, usual, _ = open_audio(clips, "none")
    for row in map(np.int64, range(len(clips))):
        received, expected = graph.waveform(row).numpy(), usual.waveform(row).numpy()
        assert len(received) == len(expected)
        # A rounding of float32 may turn a sample to the next of 16 bits.
        assert np.abs(received - expected).max() <= 2**-15
        assert np.mean(received != expected) < 0.01


def test_a_clip_that_vanishes_is_told_in_one_line(clips):
    kept, audio, _ = open_audio(clips, decoder="tensorflow_io")
    Path(kept["path"][3]).unlink()
    message = r"3\.any: no such file any more\. Bring it"
    with pytest.raises(FileNotFoundError, match=message), audio.lost.told():
        list(scoring_batches(audio, 64_000, 8))


def test_it_keeps_nothing():
    with pytest.raises(ValueError, match="decodes each clip whenever it is needed"):
        DataConfig(decoder="tensorflow_io", cache="memory")
