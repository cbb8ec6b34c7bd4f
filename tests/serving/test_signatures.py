"""The served graph against the model in memory, and each clip against its batch-mates."""

import io

import keras
import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.audio import SOURCE_RATES
from tfpipeline.data.audio.decode import decode
from tfpipeline.data.audio.windows import stream_windows
from tfpipeline.data.clip_audio import Audio
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.models.detector import ClipScorer, build_detector
from tfpipeline.serving import clip_batch as ragged
from tfpipeline.serving.signatures import ServedDetector
from tfpipeline.serving.status import (
    CLIPPED,
    NO_SCORE,
    NOT_AUDIO,
    NOT_FINITE,
    OK,
    SILENT,
    STATUSES,
    TOO_LONG,
    TOO_SHORT,
    UNSUPPORTED_FORMAT,
)

CALIBRATION = Calibration(a=0.7, b=-0.2, prior=0.3)
WINDOW = 64_000


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(1)
    return build_detector(load_config(CONFIGS / "cnn.yaml", ["model.channels=[4, 8]"]))


@pytest.fixture(scope="module")
def served(detector):
    return ServedDetector(detector.model, detector.window, CALIBRATION, '{"schema": 1}')


@pytest.fixture(scope="module")
def scorer(detector):
    return ClipScorer(detector.model, detector.window)


def numpy(answer):
    return {name: value.numpy() for name, value in answer.items()}


def wav(waveform, rate=16_000, subtype="FLOAT", form="WAV"):
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, subtype=subtype, format=form)
    return file.getvalue()


@pytest.fixture(scope="module")
def clips(speech):
    """Real speech of awkward lengths, with one, two and three windows."""
    sizes = [800, 801, 63_999, 64_000, 64_001, 128_000, 128_001, 150_000]
    rows = np.tile(speech, (2, 3))
    return [rows[i][:size] for i, size in enumerate(sizes)]


@pytest.mark.parametrize("samples", [800, 63_999, 64_000, 64_001, 150_000])
def test_default_equals_the_model_in_memory(served, scorer, speech, samples):
    waveform = np.tile(speech[:3], (1, 3))[:, :samples]
    answer = numpy(served.score_waveform(waveform))
    assert set(answer) == {"score", "llr", "probability", "status"}
    assert answer["score"].dtype == np.float32
    assert answer["status"].dtype == np.int32
    expected = np.array([scorer.score_waveform(row) for row in waveform])
    np.testing.assert_allclose(answer["score"], expected, atol=1e-4)
    np.testing.assert_allclose(answer["llr"], CALIBRATION.llr(expected), atol=1e-4)
    np.testing.assert_allclose(answer["probability"], CALIBRATION.probability(expected), atol=1e-4)
    assert (answer["status"] == OK).all()


def test_order_and_batch_mates_change_nothing(served, scorer, clips):
    files = [wav(clip) for clip in clips]
    answer = numpy(served.score_audio(files))
    assert (answer["status"] == OK).all()
    expected = [scorer.score_waveform(clip) for clip in clips]
    np.testing.assert_allclose(answer["score"], expected, atol=1e-4)
    backwards = numpy(served.score_audio(files[::-1]))["score"]
    np.testing.assert_allclose(backwards[::-1], answer["score"], atol=1e-4)
    for clip, score in zip(clips, answer["score"], strict=True):
        alone = numpy(served.score_waveform(clip[None]))["score"]
        np.testing.assert_allclose(alone, score, atol=1e-4)


@pytest.mark.parametrize("windows", [31, 32, 33, 65])
def test_more_windows_than_are_scored_at_once(served, scorer, speech, windows):
    assert ragged.WINDOWS_AT_ONCE == 32
    clip = np.tile(speech.reshape(-1), 12)[: windows * WINDOW - 1]
    answer = numpy(served.score_waveform(clip[None]))
    np.testing.assert_allclose(answer["score"], scorer.score_waveform(clip), atol=1e-4)


def test_windows_equal_the_model_and_make_a_clips_score(served, scorer, clips):
    each = [np.concatenate([*stream_windows([clip], WINDOW)]) for clip in clips]
    assert [len(own) for own in each] == [1, 1, 1, 1, 2, 2, 3, 3]
    windows = np.concatenate(each)
    answer = numpy(served.score_windows(windows))
    assert set(answer) == {"score"}
    assert answer["score"].dtype == np.float32
    expected = [scorer.score_waveform(own) for own in windows]
    np.testing.assert_allclose(answer["score"], expected, atol=1e-4)
    ends = np.cumsum([len(own) for own in each])[:-1]
    for clip, own in zip(clips, np.split(answer["score"], ends), strict=True):
        whole = numpy(served.score_waveform(clip[None]))["score"]
        np.testing.assert_allclose(own.mean(), whole[0], atol=1e-4)


def test_a_window_is_scored_from_itself_alone(served, scorer, speech):
    """In any order, beside silence and NaN; and silence has a score here."""
    silent, broken = np.zeros_like(speech[0]), np.full_like(speech[0], np.nan)
    windows = np.stack([speech[0], silent, broken, speech[1]])
    expected = [scorer.score_waveform(own) for own in (speech[0], silent, speech[1])]
    assert np.isfinite(expected).all()
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        scores = np.empty(4, np.float32)
        scores[order] = numpy(served.score_windows(windows[order]))["score"]
        np.testing.assert_allclose(scores[[0, 1, 3]], expected, atol=1e-4)
        assert scores[2] == NO_SCORE


BAD = {
    "nothing": (lambda s: s[:0], TOO_SHORT),
    "799 samples": (lambda s: s[:799], TOO_SHORT),
    "zeros": (np.zeros_like, SILENT),
    "-81 dBFS": (lambda s: s / np.abs(s).max() * 10 ** (-81 / 20), SILENT),
    "one NaN": (lambda s: np.where(np.arange(len(s)) == 777, np.nan, s), NOT_AUDIO),
    "infinity": (lambda s: np.where(np.arange(len(s)) == 777, np.inf, s), NOT_AUDIO),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clip_fails_alone(served, scorer, speech, name):
    spoil, code = BAD[name]
    bad = spoil(speech[1]).astype(np.float32)
    clips = [speech[0], bad, speech[2][:50_000]]
    answers = [(clips, served.score_audio([wav(clip) for clip in clips]))]
    if len(bad) == speech.shape[1]:
        clips = [speech[0], bad, speech[2]]
        answers.append((clips, served.score_waveform(np.stack(clips))))
    else:
        answer = numpy(served.score_waveform(bad[None]))
        assert list(answer["status"]) == [code]
    for clips, answer in answers:
        answer = numpy(answer)
        assert list(answer["status"]) == [OK, code, OK]
        for output in ("score", "llr", "probability"):
            assert list(answer[output] == NO_SCORE) == [False, True, False]
        expected = [scorer.score_waveform(clip) for clip in (clips[0], clips[2])]
        np.testing.assert_allclose(answer["score"][[0, 2]], expected, atol=1e-4)


def test_a_batch_of_bad_clips_alone(served):
    answer = numpy(served.score_audio([wav(np.zeros(70_000)), wav(np.ones(5))]))
    assert list(answer["status"]) == [SILENT, TOO_SHORT]
    assert (answer["score"] == NO_SCORE).all()


def test_a_clipped_recording_is_told_and_scored(served, scorer, speech):
    clip = np.clip(speech[0] * 0.9 / np.sort(np.abs(speech[0]))[-200], -1, 1)
    assert np.mean(np.abs(clip) >= 0.999) > 0.001
    answer = numpy(served.score_waveform(clip[None]))
    assert list(answer["status"]) == [CLIPPED]
    np.testing.assert_allclose(answer["score"], scorer.score_waveform(clip), atol=1e-4)


@pytest.mark.parametrize("rate", SOURCE_RATES)
def test_wav_files_of_all_rates_equal_local_reading(served, scorer, recordings, rate):
    source = soxr.resample(recordings["en_daniel"][:96_000], 24_000, rate)
    stereo = np.stack([source, source[::-1]], axis=1)
    contents = [wav(source, rate, "PCM_16"), wav(stereo, rate, "PCM_24", "WAVEX")]
    answer = numpy(served.score_audio(contents))
    for row, content in enumerate(contents):
        decoded = decode(content)
        assert len(decoded.channels) == row + 1  # the second holds another recording on the right
        audio = Audio(lambda index, own=decoded: own.waveform, 1, np.array([row + 1]))
        (expected,) = scorer.score_clips(audio)
        # Two ways to resample turn some samples to the next of 16 bits.
        np.testing.assert_allclose(answer["score"][row], expected, atol=1e-3)


def flac(speech):
    return wav(speech[0], subtype="PCM_16", form="FLAC")


OTHER = {
    "text": (lambda s: b"this is a text, and no recording", NOT_AUDIO),
    "empty": (lambda s: b"", NOT_AUDIO),
    "zip": (lambda s: b"PK\x03\x04" + bytes(100), NOT_AUDIO),
    "truncated": (lambda s: wav(s[0])[:-1000], NOT_AUDIO),
    "4 GB promised": (
        lambda s: wav(s[0], subtype="PCM_16")[:40] + b"\xf0\xff\xff\xff" + bytes(1900),
        SILENT,
    ),
    "zero channels": (lambda s: wav(s[0])[:22] + b"\0\0" + wav(s[0])[24:], NOT_AUDIO),
    "0 Hz": (lambda s: wav(s[0])[:24] + b"\0\0\0\0" + wav(s[0])[28:], NOT_AUDIO),
    "A-law": (lambda s: wav(s[0], subtype="ALAW"), UNSUPPORTED_FORMAT),
    "FLAC": (flac, UNSUPPORTED_FORMAT),
    "Ogg": (lambda s: b"OggS" + bytes(100), UNSUPPORTED_FORMAT),
    "37800 Hz": (lambda s: wav(s[0], 37_800), UNSUPPORTED_FORMAT),
    "no samples": (lambda s: wav(s[0][:0]), TOO_SHORT),
    "silence": (lambda s: wav(np.zeros(20_000)), SILENT),
    "an hour and a frame": (
        lambda s: wav(np.zeros(3600 * 8000 + 1, np.int16), 8000, "PCM_U8"),
        TOO_LONG,
    ),
}


def test_files_that_are_no_wav_get_a_status_each(served, scorer, speech):
    made = [make(speech) for make, _ in OTHER.values()]
    answer = numpy(served.score_audio([wav(speech[1]), *made, wav(speech[2])]))
    told = [STATUSES[code] for code in answer["status"]]
    assert dict(zip(OTHER, told[1:-1], strict=True)) == {
        name: STATUSES[code] for name, (_, code) in OTHER.items()
    }
    assert told[0] == told[-1] == "ok"
    assert (answer["score"][1:-1] == NO_SCORE).all()
    expected = [scorer.score_waveform(speech[row]) for row in (1, 2)]
    np.testing.assert_allclose(answer["score"][[0, -1]], expected, atol=1e-4)


def test_channels_that_are_judged_apart(served, scorer, speech):
    call = np.concatenate([speech[:2], speech[2:4]], axis=1)[:, :70_000]
    answer = numpy(served.score_audio([wav(speech[5]), wav(call.T), b"text"]))
    each = [scorer.score_waveform(row) for row in call]
    assert abs(each[0] - each[1]) > 1e-3
    np.testing.assert_allclose(
        answer["score"][:2], [scorer.score_waveform(speech[5]), max(each)], atol=1e-4
    )
    assert list(answer["status"]) == [OK, OK, NOT_AUDIO]


@pytest.mark.parametrize("weights", [np.nan, np.inf, 1e38])
def test_a_model_that_gives_no_finite_score(weights, speech):
    """Damaged weights: no answer holds NaN or infinity, nor is anything taken for a score."""
    waveform = keras.Input((WINDOW,))
    level = keras.layers.Lambda(lambda x: keras.ops.std(x, axis=1, keepdims=True))(waveform)
    model = keras.Model(waveform, keras.layers.Dense(1, name="score")(level))
    model.get_layer("score").set_weights([np.full((1, 1), weights), np.zeros(1)])
    broken = ServedDetector(model, WINDOW, CALIBRATION, "{}")
    call = np.stack([speech[1], speech[2]], axis=1)
    answers = [
        broken.score_waveform(np.stack([speech[0], np.zeros_like(speech[0])])),
        broken.score_audio([wav(call), wav(speech[0] * 0)]),
    ]
    for answer in map(numpy, answers):
        assert list(answer["status"]) == [NOT_FINITE, SILENT]
        for output in ("score", "llr", "probability"):
            assert list(answer[output]) == [NO_SCORE] * 2
    assert list(numpy(broken.score_windows(speech[:2]))["score"]) == [NO_SCORE] * 2


def test_no_score_is_the_same_number_in_every_type():
    assert float(np.float32(NO_SCORE)) == NO_SCORE == float(f"{np.float32(NO_SCORE):.6g}")


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_the_graph_tells_its_contract(served, batch):
    told = served.tell_contract(np.array([b"x"] * batch, object).astype("S1"))["contract"].numpy()
    assert list(told) == [b'{"schema": 1}'] * batch


def test_an_empty_batch(served):
    assert numpy(served.score_waveform(np.zeros((0, 64_000), np.float32)))["score"].shape == (0,)
    assert numpy(served.score_audio(tf.zeros([0], tf.string)))["score"].shape == (0,)
    assert numpy(served.score_windows(np.zeros((0, WINDOW), np.float32)))["score"].shape == (0,)
