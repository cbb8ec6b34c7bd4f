"""Telephone or not: real speech through codecs and back, and speech that merely lacks highs."""

import io
import subprocess

import numpy as np
import pytest
import soundfile
import soxr
from scipy import signal

from tfpipeline.data.audio.bandwidth import Bandwidth, highest_frequency, is_telephone

RATE = 16_000


def through_wav(clip, subtype):
    """8 kHz, a WAV file of libsndfile's, and up again."""
    narrow = soxr.resample(clip, RATE, 8000)
    buffer = io.BytesIO()
    soundfile.write(buffer, narrow, 8000, format="WAV", subtype=subtype)
    buffer.seek(0)
    return soxr.resample(soundfile.read(buffer, dtype="float32")[0], 8000, RATE)


def through_ffmpeg(clip, codec, container, *flags, rate=RATE):
    """Encoded and decoded by ffmpeg; None where it has no such encoder."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()

    def run(contents, *arguments):
        command = [ffmpeg, "-v", "error", *arguments, "-"]
        return subprocess.run(command, input=contents, capture_output=True)

    buffer = io.BytesIO()
    soundfile.write(buffer, soxr.resample(clip, RATE, rate), rate, format="WAV")
    coded = run(buffer.getvalue(), "-f", "wav", "-i", "-", "-c:a", codec, *flags, "-f", container)
    if coded.returncode:
        assert b"Unknown encoder" in coded.stderr, coded.stderr
        pytest.skip(f"this ffmpeg has no encoder {codec}")
    plain = run(coded.stdout, "-f", container, "-i", "-", "-ar", str(RATE), "-f", "f32le")
    return np.frombuffer(plain.stdout, np.float32)


def pcm16(clip):
    return (np.round(clip * 32767) / 32767).astype(np.float32)


def with_noise(clip, below_db):
    noise = np.random.default_rng(0).normal(0, clip.std() * 10 ** (-below_db / 20), len(clip))
    return clip + noise.astype(np.float32)


def lowpass(clip, order, frequency):
    filters = signal.butter(order, frequency, fs=RATE, output="sos")
    return signal.sosfilt(filters, clip).astype(np.float32)


TELEPHONES = {
    "8 kHz": lambda x: soxr.resample(soxr.resample(x, RATE, 8000), 8000, RATE),
    "by a plain resampler": lambda x: signal.resample_poly(soxr.resample(x, RATE, 8000), 2, 1),
    "mu-law": lambda x: through_wav(x, "ULAW"),
    "a-law": lambda x: through_wav(x, "ALAW"),
    "GSM": lambda x: through_wav(x, "GSM610"),
    "mu-law, quiet, 16 bits": lambda x: pcm16(0.1 * through_wav(x, "ULAW")),
    "mu-law with faint noise": lambda x: with_noise(through_wav(x, "ULAW"), 60),
    "AMR 12.2": lambda x: through_ffmpeg(x, "libopencore_amrnb", "amr", "-b:a", "12.2k", rate=8000),
    "AMR 4.75": lambda x: through_ffmpeg(x, "libopencore_amrnb", "amr", "-b:a", "4.75k", rate=8000),
    "mu-law as MP3": lambda x: through_ffmpeg(
        through_wav(x, "ULAW"), "libmp3lame", "mp3", "-b:a", "32k"
    ),
}
OTHERS = {
    "as recorded": lambda x: x,
    "quiet, 16 bits": lambda x: pcm16(0.03 * x),
    "with noise": lambda x: with_noise(x, 30),
    "dull": lambda x: 0.1 * signal.lfilter([1], [1, -0.97], x).astype(np.float32),
    "low-passed at 3 kHz, 24 dB an octave": lambda x: lowpass(x, 4, 3000)[400:],
    "MP3 of 16 kbit/s": lambda x: through_ffmpeg(x, "libmp3lame", "mp3", "-b:a", "16k"),
    "MP3 low-passed at 5.5 kHz": lambda x: through_ffmpeg(
        x, "libmp3lame", "mp3", "-b:a", "24k", "-cutoff", "5500"
    ),
    "G.722": lambda x: through_ffmpeg(x, "g722", "g722"),
    "Opus of 8 kbit/s": lambda x: through_ffmpeg(x, "libopus", "ogg", "-b:a", "8k"),
}


@pytest.mark.parametrize("channel", TELEPHONES)
def test_a_telephone_is_told(speech, channel):
    for clip in speech:
        received = TELEPHONES[channel](clip)
        assert is_telephone(received)
        assert 3000 <= highest_frequency(received) <= 4750


@pytest.mark.parametrize("channel", OTHERS)
def test_what_is_no_telephone_is_not_taken_for_one(speech, channel):
    for clip in speech:
        received = OTHERS[channel](clip)
        assert not is_telephone(received)
        assert highest_frequency(received) > 4000


def test_the_recordings_at_their_own_rate_are_none(recordings):
    for recording in recordings.values():
        assert not is_telephone(soxr.resample(recording, 24_000, RATE))


def test_the_highest_frequency_of_a_low_pass(speech):
    taps = {edge: signal.firwin(801, edge, fs=RATE) for edge in (2000, 5500, 7000)}
    for edge, own in taps.items():
        found = highest_frequency(signal.lfilter(own, 1, speech[0]).astype(np.float32)[1000:])
        assert abs(found - edge) <= 250


@pytest.mark.parametrize("offset", [0.0, 0.01])
def test_silence_says_nothing(offset):
    for samples in (0, 10, 1023, 64_000):
        silence = np.full(samples, offset, np.float32)
        assert not is_telephone(silence)
        assert highest_frequency(silence) == 0
    rounding = np.random.default_rng(0).integers(-1, 2, 64_000).astype(np.float32) / 32768
    assert not is_telephone(rounding)


def test_rumble_and_offset_hide_nothing(speech):
    time_s = np.arange(speech.shape[1]) / RATE
    rumble = (0.3 + 0.3 * np.sin(2 * np.pi * 50 * time_s)).astype(np.float32)
    for clip in speech:
        assert not is_telephone(clip + rumble)
        assert is_telephone(through_wav(clip, "ULAW") + rumble)


def test_blocks_give_the_same_as_the_whole(speech):
    clip = through_wav(speech[0], "ULAW")
    whole = Bandwidth()
    whole.add(clip)
    for size in (1, 1000, 1024, 5000):
        blocks = Bandwidth()
        part = clip[:8000] if size == 1 else clip
        for begin in range(0, len(part), size):
            blocks.add(part[begin : begin + size])
        other = Bandwidth()
        other.add(part)
        np.testing.assert_allclose(blocks.band_levels()[1], other.band_levels()[1], atol=1e-3)
    long = Bandwidth()
    long.add(np.tile(clip[:61_440], 20))  # in several pieces
    short = Bandwidth()
    short.add(clip[:61_440])
    np.testing.assert_allclose(long.band_levels()[1], short.band_levels()[1], atol=1e-3)
