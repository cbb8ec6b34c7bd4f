import io
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf

from tfpipeline.data import audio, foreign
from tfpipeline.data.audio import decode, read_clip
from tfpipeline.data.foreign import decode_foreign

FFMPEG = foreign.ffmpeg_program()
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="there is no ffmpeg program")
# Of soxr against itself in blocks, and against the graph's filter over 0 to 7 kHz.
SAME = 2e-6


def ffmpeg(*arguments):
    done = subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-y", *map(str, arguments)],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr


def by_soundfile(path, **arguments):
    """What soundfile and soxr make of a file, at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True, **arguments)
    return soxr.resample(samples.mean(axis=1), rate, 16_000)


def assert_same(received, expected, atol=SAME):
    # soxr rounds the length where the package rounds it up.
    assert 0 <= len(received) - len(expected) <= 1
    np.testing.assert_allclose(received[: len(expected)], expected, atol=atol)


@pytest.fixture
def no_graph(monkeypatch):
    """Fails a test in which a file does not go through Python."""
    calls = []

    def counted(path, sample_rate):
        calls.append(path)
        return decode_foreign(path, sample_rate)

    monkeypatch.setattr(audio, "decode_foreign", counted)
    yield calls
    assert calls


@pytest.mark.usefixtures("no_graph")
@pytest.mark.parametrize(
    ("form", "subtype", "rate", "channels"),
    [
        ("OGG", "OPUS", 48_000, 1), ("OGG", "OPUS", 24_000, 2), ("OGG", "OPUS", 48_000, 6),
        ("WAV", "ALAW", 8_000, 1), ("WAV", "ULAW", 16_000, 2), ("WAV", "IMA_ADPCM", 22_050, 1),
        ("WAV", "MS_ADPCM", 16_000, 1), ("RF64", "PCM_16", 16_000, 2),
        ("W64", "PCM_24", 44_100, 1), ("AIFF", "PCM_16", 44_100, 6), ("AU", "PCM_16", 8_000, 1),
        ("CAF", "FLOAT", 48_000, 2), ("FLAC", "PCM_S8", 16_000, 1),
        ("WAV", "PCM_16", 7_350, 1), ("WAV", "PCM_24", 37_800, 2), ("WAV", "FLOAT", 64_000, 6),
        ("FLAC", "PCM_16", 7_350, 2), ("FLAC", "PCM_24", 64_000, 1), ("OGG", "VORBIS", 37_800, 1),
        ("WAV", "PCM_16", 384_000, 1),
    ],
)  # fmt: skip
def test_equals_soundfile(form, subtype, rate, channels, speech, tmp_path):
    path = tmp_path / "a.wrong"
    sound = soxr.resample(speech[:channels].T, 16_000, rate)
    soundfile.write(path, 0.5 * sound, rate, format=form, subtype=subtype)
    assert_same(read_clip(path), by_soundfile(path))


@pytest.mark.parametrize("rate", [7_350, 37_800, 64_000])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_length_is_the_graphs(rate, extra, speech, tmp_path):
    frames = 441 * 50 + extra
    path = tmp_path / "a.wav"
    soundfile.write(path, speech[0, :frames], rate)
    received = decode_foreign(str(path), 16_000)
    assert received.dtype == np.float32
    assert len(received) == -(-frames * 16_000 // rate)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_python_and_graph_agree(rate, speech, tmp_path):
    """Difference of the two resamplers over 0 to 7 kHz, in dB of the loudest component."""
    path = tmp_path / "a.wav"
    soundfile.write(path, soxr.resample(speech[:2].T, 16_000, rate), rate, subtype="FLOAT")
    ours, theirs = read_clip(path), decode_foreign(os.fsencode(path), 16_000)
    assert len(ours) == len(theirs)
    inner = slice(500, len(ours) - 500)
    window = np.hanning(len(ours) - 1000)
    spectra = [np.fft.rfft(window * waveform[inner]) for waveform in (ours, theirs)]
    band = np.fft.rfftfreq(len(window), 1 / 16_000) <= 7_000
    difference = np.abs(spectra[0] - spectra[1])[band].max() / np.abs(spectra[1]).max()
    assert 20 * np.log10(difference + 1e-12) < -50


@pytest.mark.parametrize("seconds", [0.5, 30])
def test_blocks_leave_no_seam(seconds, speech, tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "BLOCK", 10_000)
    sound = np.resize(speech[0], int(seconds * 44_100))
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, 44_100, subtype="FLOAT")
    assert_same(decode_foreign(str(path), 16_000), soxr.resample(sound, 44_100, 16_000))


@needs_ffmpeg
@pytest.mark.usefixtures("no_graph")
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("ending", "rate"), [("m4a", 44_100), ("aac", 24_000), ("mka", 16_000)])
def test_aac_equals_ffmpeg_and_soxr(ending, rate, channels, speech, tmp_path):
    source, path, wav = (tmp_path / name for name in ("in.wav", f"a.{ending}", "out.wav"))
    soundfile.write(source, 0.5 * soxr.resample(speech[:channels].T, 16_000, rate), rate)
    ffmpeg("-i", source, "-c:a", "aac", path)
    ffmpeg("-i", path, "-c:a", "pcm_f32le", wav)
    hidden = path.rename(tmp_path / "a.wav")
    received = read_clip(hidden)
    assert_same(received, by_soundfile(wav))
    if ending == "m4a":
        # The file's edit list tells the encoder's delay, and it is taken off.
        expected = speech[:channels].mean(axis=0)[1000:60_000]
        alike = [received[lag : lag + 59_000] @ expected for lag in range(2000)]
        assert int(np.argmax(alike)) == 1000


@needs_ffmpeg
def test_flac_of_unknown_length_and_behind_a_tag(speech, tmp_path):
    wav, piped, tagged = (tmp_path / name for name in ("a.wav", "a.flac", "b.flac"))
    soundfile.write(wav, speech[0], 16_000)
    with open(piped, "wb") as out:
        subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-i", wav, "-f", "flac", "pipe:1"],
                       stdout=out, check=True)  # fmt: skip
    np.testing.assert_allclose(read_clip(piped), speech[0], atol=2**-15)
    soundfile.write(tagged, speech[0], 16_000)
    tagged.write_bytes(b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + tagged.read_bytes())
    np.testing.assert_allclose(read_clip(tagged), speech[0], atol=2**-15)


def test_chained_vorbis_does_not_reach_the_op_that_it_would_crash(speech, tmp_path, no_graph):
    contents = []
    for channels in (2, 1):
        file = io.BytesIO()
        soundfile.write(file, speech[:channels].T, 16_000, format="OGG", subtype="VORBIS")
        contents.append(file.getvalue())
    path = tmp_path / "a.ogg"
    path.write_bytes(b"".join(contents))
    assert len(read_clip(path)) >= 64_000
    assert no_graph == [os.fsencode(path)]


NAMES = [
    "-i", "--version.m4a", "concat:a.wav|b.wav", "a b\tc.wav", "ü 音.m4a", "a\nb.wav", "%d.png",
    "a'\"$(x);", "file:x", "a.raw", "a.m3u8", "a.g722",
]  # fmt: skip


@needs_ffmpeg
@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_only_names(name, speech, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("source.wav", speech[0], 16_000)
    ffmpeg("-i", "source.wav", "-c:a", "aac", "made.m4a")
    expected = read_clip("made.m4a")
    os.rename("made.m4a", name)
    np.testing.assert_array_equal(read_clip(name), expected)
    soundfile.write("made.opus", speech[0], 16_000, format="OGG", subtype="OPUS")
    expected = read_clip("made.opus")
    os.rename("made.opus", name)
    np.testing.assert_array_equal(read_clip(name), expected)


@needs_ffmpeg
@pytest.mark.parametrize(
    "contents",
    [
        "#EXTM3U\n#EXTINF:4,\n{target}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {target}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    ],
)
def test_playlists_open_nothing(contents, speech, tmp_path):
    soundfile.write(tmp_path / "target.wav", speech[0], 16_000)
    path = tmp_path / "a.m4a"
    path.write_text(contents.format(target="target.wav"))
    with pytest.raises(ValueError, match=r"a\.m4a: cannot be decoded: it is no audio that"):
        read_clip(path)


@needs_ffmpeg
def test_truncated_garbage_and_empty_files(speech, tmp_path):
    source, whole = tmp_path / "in.wav", tmp_path / "whole.m4a"
    soundfile.write(source, speech[0], 16_000)
    ffmpeg("-i", source, "-c:a", "aac", "-movflags", "+faststart", whole)
    ffmpeg("-i", source, "-c:a", "aac", tmp_path / "end.m4a")
    ffmpeg("-i", source, "-c:a", "aac", tmp_path / "whole.aac")
    soundfile.write(tmp_path / "a.aiff", speech[0], 16_000)
    soundfile.write(tmp_path / "law.wav", speech[0], 16_000, subtype="ALAW")
    soundfile.write(tmp_path / "a.opus", speech[0], 16_000, format="OGG", subtype="OPUS")
    (tmp_path / "noise.m4a").write_bytes(np.random.default_rng(0).bytes(5_000))
    (tmp_path / "text.opus").write_bytes(b"this is text")

    def cut(name, kept):
        contents = (tmp_path / name).read_bytes()
        (tmp_path / f"cut_{name}").write_bytes(contents[: int(kept * len(contents))])
        return tmp_path / f"cut_{name}"

    for path, message in (
        (cut("whole.m4a", 0.6), "it is truncated: ffmpeg finds less of it"),
        (cut("end.m4a", 0.9), "it is no audio that .* moov atom not found"),
        (cut("a.aiff", 0.6), r"it is truncated: \d+ of \d+ bytes"),
        (cut("law.wav", 0.6), r"it is truncated: \d+ of \d+ bytes"),
        (tmp_path / "noise.m4a", "it is no audio that libsndfile or ffmpeg can read"),
        (tmp_path / "text.opus", "it is no audio that libsndfile or ffmpeg can read"),
    ):
        with pytest.raises(ValueError, match=rf"{path.name}: cannot be decoded: {message}") as said:
            read_clip(path)
        assert "\n" not in str(said.value)
    for path in (cut("whole.aac", 0.6), cut("a.opus", 0.6)):  # streams: what there is
        assert 0.4 * 64_000 < len(read_clip(path)) < 0.7 * 64_000
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match=r"it is empty, 0 bytes"):
        decode_foreign(str(tmp_path / "empty"), 16_000)
    with pytest.raises(ValueError, match="not a regular file"):
        decode_foreign(str(tmp_path), 16_000)


def test_without_ffmpeg_the_message_says_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x1cftypM4A " + bytes(500))
    with pytest.raises(ValueError, match=r"a\.m4a: cannot be decoded: .* install ffmpeg: apt inst"):
        read_clip(tmp_path / "a.m4a")


def test_slow_long_large_and_strange_files_are_refused(speech, tmp_path, monkeypatch):
    path = tmp_path / "a.opus"
    soundfile.write(path, speech[0], 16_000, format="OGG", subtype="OPUS")
    with monkeypatch.context() as limits:
        limits.setattr(foreign, "MAX_SECONDS", 3)
        with pytest.raises(ValueError, match=r"a\.opus: cannot .*: it is longer than 3 s\. Cut it"):
            read_clip(path)
    with monkeypatch.context() as limits:
        limits.setattr(foreign, "MAX_FILE_BYTES", 1_000)
        with pytest.raises(ValueError, match=r"larger than 0 MB\. Received: \d+ MB"):
            decode_foreign(str(path), 16_000)
    soundfile.write(tmp_path / "a.wav", speech[0], 1_000_000)
    with pytest.raises(ValueError, match=r"within 5 and 768000 Hz\. Received: 1000000 Hz"):
        read_clip(tmp_path / "a.wav")


@needs_ffmpeg
def test_ffmpeg_has_limits(speech, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "in.wav", speech[0], 16_000)
    path = tmp_path / "a.m4a"
    ffmpeg("-i", tmp_path / "in.wav", "-c:a", "aac", path)
    with monkeypatch.context() as limits:
        limits.setattr(foreign, "MAX_SECONDS", 2)
        with pytest.raises(ValueError, match="it is longer than 2 s"):
            decode_foreign(str(path), 16_000)
    # A program that never answers stands for a file that makes ffmpeg spin.
    stuck = tmp_path / "ffmpeg"
    stuck.write_text("#!/bin/sh\nexec sleep 30\n")
    stuck.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(foreign, "MAX_DECODE_WALL_SECONDS", 0.3)
    with pytest.raises(ValueError, match=r"more than 0\.3 s to decode"):
        decode_foreign(str(path), 16_000)


@needs_ffmpeg
def test_a_parallel_map_gives_the_same(speech, tmp_path):
    paths = []
    for number, row in enumerate(speech):
        wav = tmp_path / f"{number}.wav"
        soundfile.write(wav, row, 16_000)
        soundfile.write(tmp_path / f"{number}.opus", row, 16_000, format="OGG", subtype="OPUS")
        ffmpeg("-i", wav, "-c:a", "aac", tmp_path / f"{number}.m4a")
        paths += [str(wav.with_suffix(ending)) for ending in (".wav", ".opus", ".m4a")]
    dataset = tf.data.Dataset.from_tensor_slices(paths).map(decode, num_parallel_calls=4)
    for received, path in zip(dataset, paths, strict=True):
        np.testing.assert_array_equal(received, read_clip(path))


def test_an_error_in_a_map_tells_its_reason(tmp_path):
    (tmp_path / "a").write_bytes(b"this is text")
    dataset = tf.data.Dataset.from_tensors(str(tmp_path / "a")).map(decode)
    with pytest.raises(tf.errors.OpError, match="it is no audio that libsndfile"):
        next(iter(dataset))
