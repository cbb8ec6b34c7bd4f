"""Spoiled files: a few through an export, and proof that what is wrong would be found.

Ten thousand: `python tests/benchmarks/fuzz_audio_bytes.py VERSION_FOLDER`.
"""

import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from audio_mutations import FORMS, seed_files
from fuzzing import BATCH, Child, fuzz, mutation
from servers import MODEL

from tfpipeline.data.audio.wav_graph import decode_wav
from tfpipeline.serving.status import NO_SCORE, NOT_AUDIO, OK, STATUSES

MOST_GROWTH_MB = 1024


@pytest.fixture(scope="module")
def seeds(recordings):
    long_enough = [r for r in recordings.values() if len(r) >= 6 * 24_000]
    return seed_files(long_enough[:4])


@pytest.fixture(scope="module")
def version(serving_root):
    """The export of a small network that was never trained."""
    return serving_root / MODEL / "1"


def test_seeds_are_good_files_of_many_forms(seeds):
    for contents in seeds:
        expected, rate = soundfile.read(io.BytesIO(contents), dtype="float32", always_2d=True)
        received, own_rate = decode_wav(tf.constant(contents))
        np.testing.assert_array_equal(received, expected)
        assert own_rate == rate
        assert np.abs(expected).max() > 0.1
    assert len({file[:100] for file in seeds}) == len(seeds) == len(FORMS) + 2


def test_a_mutation_is_decided_by_its_number(seeds):
    made = [mutation(seeds, 0, number) for number in range(200)]
    assert made == [mutation(seeds, 0, number) for number in range(200)]
    assert len({own.contents for own in made}) > 150
    assert mutation(seeds, 1, 7) != made[7]


def test_spoiled_files_through_an_export(version, seeds):
    found = fuzz(version, seeds, [*range(304)])
    assert not found.failures
    assert sum(found.statuses.values()) == 304
    assert {"ok", "not audio", "unsupported format", "too short"} <= set(found.statuses)
    assert found.peak_mb - found.usual_mb < MOST_GROWTH_MB


def is_riff(audio):
    return tf.strings.regex_full_match(audio, r"RIFF\C*")


def length(audio):
    return tf.cast(tf.strings.length(audio), tf.float32)


def all_good(audio):
    return length(audio), tf.fill(tf.shape(audio), OK)


def fails(audio):
    good = tf.debugging.Assert(tf.reduce_all(is_riff(audio)), ["a batch with another file"])
    with tf.control_dependencies([good]):
        return all_good(audio)


def mixes_rows(audio):
    score, status = all_good(audio)
    return score + tf.reduce_mean(score), status


def unknown_status(audio):
    score, status = all_good(audio)
    good = is_riff(audio)
    return tf.where(good, score, NO_SCORE), tf.where(good, status, 99)


def score_of_no_audio(audio):
    score, status = all_good(audio)
    return score, tf.where(is_riff(audio), status, NOT_AUDIO)


def no_score_of_audio(audio):
    score, status = all_good(audio)
    return tf.where(is_riff(audio), score, np.nan), status


def nan_of_no_audio(audio):
    score, status = all_good(audio)
    good = is_riff(audio)
    return tf.where(good, score, np.nan), tf.where(good, status, NOT_AUDIO)


@pytest.mark.parametrize(
    ("serve", "message"),
    [
        pytest.param(
            nan_of_no_audio,
            "status not audio, score, llr and probability .nan",
            marks=pytest.mark.slow,
        ),
        (fails, "a batch with another file"),
        pytest.param(mixes_rows, "the clean row's score is", marks=pytest.mark.slow),
        pytest.param(unknown_status, "unknown status 99", marks=pytest.mark.slow),
        pytest.param(
            score_of_no_audio,
            "status not audio, score, llr and probability",
            marks=pytest.mark.slow,
        ),
        (no_score_of_audio, "status ok, score, llr and probability .nan"),
        pytest.param(all_good, "though there is nothing to be scored", marks=pytest.mark.slow),
        pytest.param(
            lambda audio: (length(audio)[:1], all_good(audio)[1]),
            "the answer's score is array",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_wrong_with_a_graph_is_found(serve, message, seeds, tmp_path):
    def answer(audio):
        score, status = serve(audio)
        return {"score": score, "llr": score, "probability": score, "status": status}

    module = tf.Module()
    module.serve = tf.function(
        answer, input_signature=[tf.TensorSpec([None], tf.string, "audio")], autograph=False
    )
    tf.saved_model.save(module, str(tmp_path), {"audio_bytes": module.serve})
    found = fuzz(tmp_path, seeds, [*range(3 * BATCH)])
    assert any(message in told.replace("[", ".") for told in found.failures.values())
    if serve is fails:  # rows are named, not batches; the good ones of the batch are counted
        made = [mutation(seeds, 0, number) for number in range(3 * BATCH)]
        named = {
            number
            for number, own in enumerate(made)
            if own.hopeless or not own.contents.startswith(b"RIFF")
        }
        assert set(found.failures) == named


def test_a_process_that_dies_is_told_and_started_again(version, seeds):
    with Child(version) as child:
        expected, _ = child.run(seeds[:1])
        child.kill()
        with pytest.raises(EOFError, match="the process died, exit code -9"):
            child.run(seeds[:1])
        answer, _ = child.run(seeds[:1])
        np.testing.assert_allclose(answer["score"], expected["score"], atol=1e-4)
        assert STATUSES[int(answer["status"][0])] == "ok"
