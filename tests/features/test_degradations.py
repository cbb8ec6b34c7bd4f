"""Degradations of whole clips: their strengths, repeatable draws, channels, and lost clips."""

import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.clip_audio import Audio
from tfpipeline.features import degradations
from tfpipeline.features.degradations import DEGRADATIONS, choose_degradations, degraded

IDS = ["a", "b", "c"]
PLAIN = [own for own in DEGRADATIONS if own.codec is None]


@pytest.fixture(scope="module")
def clips(speech):
    """Clips of different lengths, on the grid of 16 bits."""
    steps = np.rint(speech[:3] * 32768) / 32768
    return [steps[0][:16_000], steps[1][:20_001], steps[2][:8000]]


def audio_of(clips, channels=None):
    flat = tf.constant(np.concatenate(clips), tf.float32)
    ends = tf.constant(np.cumsum([len(clip) for clip in clips]))
    begins = tf.concat([[0], ends[:-1]], 0)
    return Audio(lambda index: flat[begins[index] : ends[index]], len(clips), channels)


def heard(audio):
    return [audio.waveform(tf.constant(index)).numpy() for index in range(audio.n_clips)]


def named(name):
    return next(own for own in DEGRADATIONS if own.name == name)


@pytest.mark.parametrize("degradation", PLAIN, ids=lambda own: own.name)
def test_each_is_repeatable_finite_and_of_16_bits(degradation, clips):
    first = heard(degraded(audio_of(clips), IDS, degradation))
    for given, one, again in zip(
        clips, first, heard(degraded(audio_of(clips), IDS, degradation)), strict=True
    ):
        np.testing.assert_array_equal(one, again)
        np.testing.assert_array_equal(one * 32768, np.rint(one * 32768))
        assert np.abs(one).max() <= 1
        if degradation.kind == "trim":
            assert len(given) // 2 <= len(one) < len(given)
        else:
            assert len(one) == len(given)
        assert np.array_equal(one, given) == (degradation.kind == "clean")


def test_draws_follow_the_clip_and_not_its_place(clips):
    noise = named("noise 10 dB")
    straight = heard(degraded(audio_of(clips), IDS, noise))
    turned = heard(degraded(audio_of(clips[::-1]), IDS[::-1], noise))
    for one, other in zip(straight, turned[::-1], strict=True):
        np.testing.assert_array_equal(one, other)
    louder = heard(degraded(audio_of(clips), IDS, named("noise 5 dB")))
    one, other = straight[0] - clips[0], louder[0] - clips[0]
    assert np.corrcoef(one, other)[0, 1] > 0.99  # the same noise at another ratio


def test_strengths_are_what_they_are_called(clips):
    for name in ("noise 30 dB", "noise 10 dB"):
        noisy = heard(degraded(audio_of(clips), IDS, named(name)))[0]
        ratio = 20 * np.log10(np.std(clips[0]) / np.std(noisy - clips[0]))
        assert ratio == pytest.approx(float(name.split()[1]), abs=0.2)
    quiet = heard(degraded(audio_of(clips), IDS, named("gain -20 dB")))[0]
    np.testing.assert_allclose(quiet, clips[0] / 10, atol=2e-5)
    loud = heard(degraded(audio_of(clips), IDS, named("gain +12 dB")))[0]
    np.testing.assert_allclose(loud, np.clip(clips[0] * 10**0.6, -1, 1), atol=4e-5)
    trimmed = heard(degraded(audio_of(clips), IDS, named("trim 0.1 s")))[1]
    np.testing.assert_array_equal(trimmed, clips[1].astype(np.float32)[1600:-1600])
    lower = heard(degraded(audio_of(clips), IDS, named("lowpass 4 kHz")))[1]
    spectrum = [np.abs(np.fft.rfft(own)) ** 2 for own in (clips[1], lower)]
    frequency = np.fft.rfftfreq(len(lower), 1 / 16_000)
    above, below = frequency > 6000, (frequency > 300) & (frequency < 3000)
    assert spectrum[1][above].sum() < 1e-2 * spectrum[0][above].sum()
    assert spectrum[1][below].sum() == pytest.approx(spectrum[0][below].sum(), rel=0.02)


def test_channels_that_are_judged_apart_stay_apart(clips):
    both = [np.concatenate([clips[0], clips[0][::-1]])]
    apart = heard(degraded(audio_of(both, np.array([2])), ["a"], named("trim 0.5 s")))[0]
    alone = heard(degraded(audio_of([clips[0]]), ["a"], named("trim 0.5 s")))[0]
    np.testing.assert_array_equal(apart, np.concatenate([alone, alone[::-1]]))


def test_what_is_lost_or_silenced_is_empty(clips, monkeypatch):
    noise = named("noise 10 dB")
    lost = Audio(lambda index: tf.zeros([0]), 1)
    assert heard(degraded(lost, ["a"], noise))[0].size == 0

    def silent(waveform, name):
        raise UnusableError("nothing is left", "silent")

    monkeypatch.setattr(degradations, "through_codec", silent)
    coded = degraded(audio_of(clips), IDS, named("mp3 32 kbit/s"))
    assert all(own.size == 0 for own in heard(coded))


def test_codecs_get_each_channel_with_their_name(clips, monkeypatch):
    calls = []

    def halved(waveform, name):
        calls.append((name, len(waveform)))
        return waveform / 2

    monkeypatch.setattr(degradations, "through_codec", halved)
    both = [np.concatenate([clips[0], clips[0]])]
    coded = heard(degraded(audio_of(both, np.array([2])), ["a"], named("opus 16 kbit/s")))[0]
    assert calls == [("opus_16", 16_000)] * 2
    np.testing.assert_allclose(coded, both[0] / 2, atol=2e-5)


def test_kinds_are_chosen_by_name():
    assert choose_degradations(()) == list(DEGRADATIONS)
    chosen = choose_degradations(("mp3", "noise"))
    assert {own.kind for own in chosen} == {"clean", "mp3", "noise"}
    assert len({own.name for own in DEGRADATIONS}) == len(DEGRADATIONS)
    with pytest.raises(ValueError, match=r"mp3, aac, .*Received: 'hum'"):
        choose_degradations(("hum",))
