"""Streams against what training reads: `read_clip` and `cut_windows`."""

import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf

from tfpipeline.data import foreign, streaming
from tfpipeline.data.audio import SOURCE_RATES, UnusableError, read_clip
from tfpipeline.data.block_resampling import GraphBlocks, SoxrBlocks
from tfpipeline.data.resample import resample
from tfpipeline.data.streaming import read_header, stream_clip, stream_windows
from tfpipeline.data.windows import cut_windows

# The same filter and the same decoder, in other blocks: a rounding of float32 at full scale.
SAME = 5e-7


def streamed(path):
    return np.concatenate([np.zeros(0, np.float32), *stream_clip(path)])


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(foreign, "BLOCK", 10_007)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("form", "subtype", "rate", "channels"),
    [
        ("WAV", "PCM_16", 16_000, 1), ("WAV", "PCM_16", 24_000, 2), ("WAV", "PCM_24", 44_100, 1),
        ("WAV", "PCM_U8", 8_000, 1), ("WAV", "FLOAT", 48_000, 6), ("WAVEX", "DOUBLE", 22_050, 2),
        ("WAV", "PCM_32", 96_000, 1), ("FLAC", "PCM_16", 24_000, 1), ("FLAC", "PCM_24", 44_100, 2),
        ("WAV", "PCM_16", 37_800, 1), ("OGG", "OPUS", 48_000, 1), ("WAV", "ALAW", 8_000, 1),
    ],
)  # fmt: skip
def test_a_stream_equals_what_training_reads(form, subtype, rate, channels, speech, tmp_path):
    path = tmp_path / "a.any"
    sound = 0.5 * soxr.resample(speech[:channels].T, 16_000, rate)
    soundfile.write(path, sound, rate, format=form, subtype=subtype)
    expected, received = read_clip(path), streamed(path)
    assert len(received) == len(expected)
    np.testing.assert_allclose(received, expected, atol=SAME)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("form", "subtype", "rate", "atol"),
    [("OGG", "VORBIS", 44_100, SAME), ("MP3", "MPEG_LAYER_III", 16_000, SAME)],
)
def test_long_lossy_files_equal_the_graphs_decoder(form, subtype, rate, atol, speech, tmp_path,
                                                   monkeypatch):  # fmt: skip
    path = tmp_path / "a.any"
    soundfile.write(path, 0.5 * soxr.resample(speech[0], 16_000, rate), rate, format=form,
                    subtype=subtype)  # fmt: skip
    assert read_header(path).lossy
    expected = read_clip(path)
    np.testing.assert_array_equal(streamed(path), expected)  # short: the graph itself
    monkeypatch.setattr(streaming, "WHOLE_SECONDS", 0)
    received = streamed(path)
    assert len(received) == len(expected)
    np.testing.assert_allclose(received, expected, atol=atol)


@pytest.mark.skipif(foreign.ffmpeg_program() is None, reason="there is no ffmpeg program")
@pytest.mark.usefixtures("small_blocks")
def test_a_stream_through_ffmpeg(speech, tmp_path):
    import subprocess

    wav, path = tmp_path / "a.wav", tmp_path / "a.m4a"
    soundfile.write(wav, soxr.resample(speech[:2].T, 16_000, 44_100), 44_100)
    subprocess.run([foreign.ffmpeg_program(), "-v", "error", "-i", wav, "-c:a", "aac", path],
                   check=True)  # fmt: skip
    np.testing.assert_allclose(streamed(path), read_clip(path), atol=SAME)


@pytest.mark.parametrize("rate", [rate for rate in SOURCE_RATES if rate != 16_000])
def test_graph_blocks_are_the_graphs_filter_at_any_cut(rate):
    random = np.random.default_rng(rate)
    for samples in (1, rate // 100 - 1, rate // 100, rate // 100 + 1, rate // 3):
        sound = random.standard_normal(samples).astype(np.float32)
        cuts = np.sort(random.integers(0, samples + 1, 7))
        stream = GraphBlocks(rate, 16_000)
        pieces = [stream.add(block) for block in np.split(sound, cuts)]
        received = np.concatenate([*pieces, stream.end()])
        expected = resample(tf.constant(sound), rate, 16_000).numpy()
        assert len(received) == len(expected)
        np.testing.assert_allclose(received, expected, atol=2e-6)


@pytest.mark.parametrize("rate", [8_000, 37_800, 44_100])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_soxr_blocks_have_the_graphs_length_and_no_seam(rate, extra):
    sound = np.random.default_rng(0).standard_normal(rate // 2 + extra).astype(np.float32)
    stream = SoxrBlocks(rate, 16_000)
    pieces = [stream.add(block) for block in np.array_split(sound, 9)]
    received = np.concatenate([*pieces, stream.end()])
    assert len(received) == -(-len(sound) * 16_000 // rate)
    expected = soxr.resample(sound, rate, 16_000)[: len(received)]
    np.testing.assert_allclose(received[: len(expected)], expected, atol=2e-5)


@pytest.mark.parametrize("samples", [1, 9, 10, 11, 19, 20, 21, 30, 39, 40, 41, 97])
@pytest.mark.parametrize("block", [1, 9, 10, 11, 25, 100])
def test_streamed_windows_are_the_rules_windows(samples, block):
    waveform = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    blocks = [waveform[begin : begin + block] for begin in range(0, samples, block)]
    received = np.concatenate(list(stream_windows([np.zeros(0, np.float32), *blocks], 10)))
    np.testing.assert_array_equal(received, cut_windows(waveform[None], 10)[0])


def test_an_empty_stream_has_no_windows():
    assert list(stream_windows([], 10)) == []


def test_what_cannot_be_judged_is_told_in_a_word(speech, tmp_path, monkeypatch):
    def written(name, sound, **how):
        soundfile.write(tmp_path / name, sound, 16_000, **how)
        return tmp_path / name

    late = speech[0].copy()
    late[-5] = np.nan
    (tmp_path / "text.wav").write_text("hello")
    (tmp_path / "empty.wav").touch()
    whole = written("whole.aiff", speech[0])
    (tmp_path / "cut.aiff").write_bytes(whole.read_bytes()[:50_000])
    for path, kind, message in (
        (written("nan.wav", late, subtype="FLOAT"), "not finite", "holds NaN or infinite"),
        (written("silent.wav", np.zeros(50_000)), "silent", "below -80"),
        (written("short.wav", speech[0][:799]), "too short", "50 ms, where at least 50"),
        (tmp_path / "text.wav", "not audio", "cannot be decoded: it is no audio"),
        (tmp_path / "empty.wav", "empty", "0 bytes"),
        (tmp_path / "cut.aiff", "not audio", "it is truncated"),
        (tmp_path, "not audio", "expected a file"),
    ):
        with pytest.raises(UnusableError, match=message) as said:
            streamed(path)
        assert said.value.kind == kind
        assert str(said.value).startswith(f"{path}: ")
    with pytest.raises(FileNotFoundError, match="no such file"):
        streamed(tmp_path / "none.wav")
    assert len(streamed(written("enough.wav", speech[0][:800]))) == 800


def test_long_and_large_files_are_refused_before_they_are_decoded(speech, tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    soundfile.write(path, speech[0], 16_000)

    def undecoded(*arguments):
        raise AssertionError("it was decoded")

    with monkeypatch.context() as limits:
        limits.setattr(streaming, "waveform_blocks", undecoded)
        limits.setattr(streaming, "MAX_SECONDS", 3.99)
        with pytest.raises(UnusableError, match=r"at most .* hours can be judged.*Cut it") as said:
            streamed(path)
        assert said.value.kind == "too long"
        limits.setattr(streaming, "MAX_FILE_BYTES", 100_000)
        with pytest.raises(UnusableError, match=r"at most 0 MB can be judged"):
            streamed(path)
    # A stream's header may not tell; then its end is not waited for.
    soundfile.write(tmp_path / "a.opus", speech[0], 16_000, format="OGG", subtype="OPUS")
    monkeypatch.setattr(foreign, "MAX_SECONDS", 3)
    with pytest.raises(UnusableError, match="longer than 3 s") as said:
        streamed(tmp_path / "a.opus")
    assert said.value.kind == "too long"
