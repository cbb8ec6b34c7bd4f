import shutil

import numpy as np
import pytest
import soundfile
from made import encoded

from tfpipeline.data import screening
from tfpipeline.data.audio import ffmpeg as ffmpeg_module
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.screening import Screening, drop_skipped, screen_clips, screen_once


@pytest.fixture
def bad(tmp_path, speech):
    """One file of each kind that cannot be used, and what is said of it."""
    broken = speech[0].copy()
    broken[100] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "short.wav", speech[0, :700], 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("no audio at all")
    return {
        str(tmp_path / name): reason
        for name, reason in {
            "nan.wav": "NaN",
            "short.wav": "too short",
            "silent.wav": "silent",
            "empty.wav": "empty",
            "text.wav": "cannot be decoded",
            "absent.wav": "no such file",
        }.items()
    }


def test_good_clips_are_kept_and_bad_ones_named_with_the_reason(tiny_corpus, bad):
    paths = [*tiny_corpus["path"][:4], *bad, *tiny_corpus["path"][4:8]]
    kept = {}
    reasons = screen_clips(paths, kept.__setitem__).reasons
    assert sorted(kept) == [0, 1, 2, 3, 10, 11, 12, 13]
    for index, clip in kept.items():
        np.testing.assert_array_equal(
            clip.waveform, soundfile.read(paths[index], dtype="float32")[0]
        )
    assert {paths[index] for index in reasons} == set(bad)
    for index, reason in reasons.items():
        assert bad[paths[index]] in reason
        assert reason.startswith(paths[index])


def test_nothing_to_screen():
    assert screen_clips([], lambda index, clip: None) == Screening()


def test_a_few_are_dropped_and_listed(tiny_corpus):
    kept, skipped = drop_skipped(tiny_corpus, {3: f"{tiny_corpus['path'][3]}: silent."})
    assert len(kept) == len(tiny_corpus) - 1
    assert tiny_corpus["clip_id"][3] not in set(kept["clip_id"])
    assert list(kept.index) == list(range(len(kept)))
    assert skipped.to_dict("records") == [{"path": tiny_corpus["path"][3], "reason": "silent."}]


def test_more_than_one_in_twenty_stops_the_run(tiny_corpus):
    rows = {row: f"{tiny_corpus['path'][row]}: silent." for row in (3, 5)}
    with pytest.raises(ValueError, match=r"at most 5% .* Received: 2 of 28\. The first: .*silent"):
        drop_skipped(tiny_corpus, rows)


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_every_cache_skips_the_same(cache, tiny_corpus, bad, tmp_path, monkeypatch):
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "cache"))
    clips = tiny_corpus.copy()
    clips.loc[6, "path"] = next(iter(bad))
    kept, audio, skipped = open_audio(clips, cache)
    assert len(kept) == audio.n_clips == len(clips) - 1
    assert list(skipped["path"]) == [next(iter(bad))]
    for row in (5, 6):
        expected = soundfile.read(kept["path"][row], dtype="float32")[0]
        np.testing.assert_array_equal(audio.waveform(np.int64(row)), expected)


def test_an_answer_is_kept_until_a_clip_changes(tiny_corpus, bad, tmp_path, monkeypatch):
    asked = []
    decode = screening.decode
    monkeypatch.setattr(screening, "decode", lambda path: asked.append(path) or decode(path))
    own = tmp_path / "own.wav"
    shutil.copy(tiny_corpus["path"][0], own)
    failing = next(iter(bad))
    paths = [str(own), failing, tiny_corpus["path"][1], str(tmp_path / "absent.wav")]
    first = screen_once(paths, tmp_path / "answers")
    assert set(first.reasons) == {1, 3}
    asked.clear()
    assert screen_once(paths, tmp_path / "answers") == first
    assert sorted(asked) == sorted([failing, paths[3]])  # only what failed
    own.write_bytes(b"no audio any more")
    assert set(screen_once(paths, tmp_path / "answers").reasons) == {0, 1, 3}


def test_what_failed_for_want_of_ffmpeg_is_tried_again(speech, tmp_path, monkeypatch):
    path = encoded(tmp_path / "a.m4a", speech[0])

    def none():
        raise ValueError("there is no ffmpeg")

    with monkeypatch.context() as without:
        without.setattr(ffmpeg_module, "ffmpeg_program", none)
        assert set(screen_once([str(path)], tmp_path / "answers").reasons) == {0}
    for _ in range(2):
        assert screen_once([str(path)], tmp_path / "answers").reasons == {}
