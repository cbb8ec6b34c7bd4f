"""Which sounds are speech: real recordings against noise, tones, hum, chords and silence."""

import numpy as np
import pytest
import soundfile
import soxr

from tfpipeline.prediction.abstention import (
    Activity,
    count_confident,
    needed_speech,
    reason_to_abstain,
    speech_frames,
)

RATE, SECONDS = 16_000, 8
TIME = np.arange(RATE * SECONDS) / RATE


def noise(power, seed=0):
    """Noise whose power falls with frequency as f^-power."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(TIME)))
    frequency = np.maximum(np.fft.rfftfreq(len(TIME), 1 / RATE), 1)
    sound = np.fft.irfft(spectrum * frequency ** (-power / 2))
    return 0.1 * sound / sound.std()


def harmonics(pitch):
    return 0.05 * sum(0.7**k * np.sin(2 * np.pi * pitch * (k + 1) * TIME + k) for k in range(10))


def chords(seconds, decay):
    """C, a minor, F, G, each struck anew."""
    notes = (
        (261.6, 329.6, 392.0),
        (220.0, 261.6, 329.6),
        (174.6, 220.0, 261.6),
        (196.0, 246.9, 293.7),
    )
    place = (TIME // seconds).astype(int)
    sound = np.select([place % 4 == n for n in range(4)], [sum(map(harmonics, c)) for c in notes])
    return sound * np.exp(-(TIME % seconds) / decay)


NOT_SPEECH = {
    "white": noise(0),
    "pink": noise(1),
    "brown": noise(2),
    "noise in beats": noise(0) * (1 + np.sin(2 * np.pi * 4 * TIME)) / 2,
    **{f"tone {hz}": 0.1 * np.sin(2 * np.pi * hz * TIME) for hz in (50, 100, 220, 440, 1000, 3000)},
    "tone in beats": 0.1 * np.sin(2 * np.pi * 200 * TIME) * (1 + np.sin(2 * np.pi * 4 * TIME)) / 2,
    **{f"hum {hz}": harmonics(hz) + 0.02 * noise(0) for hz in (50, 60, 100, 120)},
    "chords held": chords(2, 1e9),
    "chords struck": chords(1, 0.3),
    "quick": chords(0.5, 0.3),
    "clicks": (np.arange(len(TIME)) % (RATE // 2) == 0).astype(float),
    "pulses": 0.3 * (np.arange(len(TIME)) % 100 == 0),
}


def heard(sound, expected_seconds=None):
    activity = Activity(expected_seconds)
    for block in np.array_split(np.asarray(sound, np.float32), 7):
        activity.add(block)
    activity.end()
    return activity


def reason(sound, probabilities=(0.5,), threshold=0.5):
    probabilities = np.array(probabilities)
    counts = count_confident(probabilities, probabilities >= threshold)
    return reason_to_abstain(heard(sound), counts)


@pytest.mark.parametrize("name", NOT_SPEECH)
def test_other_sound_is_no_speech(name):
    assert reason(NOT_SPEECH[name]).startswith("no speech: ")


def test_recordings_are_speech(recordings, speech):
    for recording in recordings.values():
        assert reason(soxr.resample(recording, 24_000, RATE)) is None
    for clip in speech:
        assert reason(clip) is None


def test_originals_and_fakes_of_the_corpus_are_speech(tiny_corpus):
    for path in tiny_corpus["path"]:
        assert reason(soundfile.read(path, dtype="float32")[0]) is None, path


def test_speech_in_a_part_of_a_clip_and_under_noise(speech):
    clip = speech[0]
    assert reason(np.concatenate([0.001 * noise(0), clip, 0.001 * noise(0)])) is None
    assert reason(np.concatenate([NOT_SPEECH["hum 50"], clip])) is None
    for snr_db in (20, 10):
        level = 10 ** (-snr_db / 20) * clip.std() / 0.1
        assert reason(clip + level * noise(1)[: len(clip)]) is None
    # Four seconds of ten minutes are less than a hundredth of them.
    hiss = np.tile(0.001 * noise(0), 75)
    assert reason(np.concatenate([hiss, clip])).startswith("no speech: ")


def test_short_and_quiet_clips(speech):
    clip = speech[0]
    assert reason(clip[: RATE // 2 - 1]) == "too short: 0.50 s of 0.5 s"
    assert not (reason(clip[: RATE // 2]) or "").startswith("too short")
    quiet = clip * 10 ** (-75 / 20)
    assert reason(quiet).startswith("too quiet: -")
    assert reason(np.zeros(RATE)).startswith("too quiet: ")
    assert reason(np.concatenate([quiet, clip])) is None


def test_how_much_speech_is_needed():
    assert [needed_speech(s) for s in (0.6, 1, 2, 10, 50, 1000)] == pytest.approx(
        [0.15, 0.25, 0.5, 0.5, 0.5, 10]
    )


@pytest.mark.parametrize(
    ("probabilities", "disagree"),
    [
        ([0.95, 0.05], True),
        ([0.95, 0.95, 0.05], True),
        ([0.95] * 3 + [0.05], True),
        ([0.95] * 4 + [0.05], False),
        ([0.95, 0.11], False),
        ([0.89, 0.05], False),
        ([0.99], False),
        ([0.95, 0.05, 0.5, 0.5], True),
        ([0.95, 0.05, 0.5, 0.5, 0.5], False),
        ([0.01] * 20, False),
    ],
)
def test_windows_that_disagree(probabilities, disagree, speech):
    said = reason(speech[0], probabilities)
    assert (said is not None) == disagree
    if disagree:
        assert said.startswith(f"windows disagree: of {len(probabilities)}, ")


def test_no_more_is_looked_for_than_is_needed(speech, monkeypatch):
    from tfpipeline.prediction import abstention

    looks = []
    monkeypatch.setattr(
        abstention, "speech_frames", lambda piece: looks.append(1) or speech_frames(piece)
    )
    talk = np.concatenate(list(speech))
    assert heard(talk, len(talk) / RATE).speech_seconds >= 0.5
    assert len(looks) <= 3
    looks.clear()
    assert heard(talk).speech_seconds > 10  # of unknown length: all of it
    assert len(looks) == 12


@pytest.mark.parametrize("samples", [1, 3, 4, 1023, 1024, 1025, 31_999, 32_000, 32_001])
def test_any_length_can_be_looked_at(samples):
    activity = heard(noise(0)[:samples])
    assert activity.seconds == pytest.approx(samples / RATE)
    assert activity.speech_seconds == 0


def test_windows_disagree_only_across_the_threshold(speech):
    """With a threshold at a probability of .95, a window of .92 is bonafide, if barely."""
    assert reason(speech[0], [0.92, 0.05], threshold=0.95) is None
    assert reason(speech[0], [0.96, 0.05], threshold=0.95).startswith("windows disagree: of 2, 1 ")
    assert reason(speech[0], [0.96, 0.08], threshold=0.05) is None
