import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfpipeline.data import clip_audio, screening
from tfpipeline.data.cache import DecodedFiles
from tfpipeline.data.clip_audio import open_audio


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


def stored(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


def steps_of(row):
    return np.round(np.clip(row, -1, 1 - 2**-15) * 2**15).astype(np.int16)


def test_what_is_written_is_read_back(speech, tmp_path):
    clip = tmp_path / "a.wav"
    soundfile.write(clip, speech[0], 16_000)
    decoded = DecodedFiles([str(clip), str(tmp_path / "absent.wav")])
    assert list(decoded.missing()) == [0, 1]
    decoded.write(0, steps_of(speech[0]))
    assert list(decoded.missing()) == [1]
    np.testing.assert_array_equal(decoded.read(0) * 2**15, steps_of(speech[0]))
    assert decoded.known(0) == (1, ())
    decoded.write(0, steps_of(speech[0]), 2, ["header: tells no length"])
    assert decoded.known(0) == (2, ("header: tells no length",))


def test_a_changed_clip_is_decoded_again_and_the_old_samples_go(speech, tmp_path, cache):
    clip = tmp_path / "a.wav"
    soundfile.write(clip, speech[0], 16_000)
    DecodedFiles([str(clip)]).write(0, steps_of(speech[0]), 1, ["header: x"])
    soundfile.write(clip, speech[1], 16_000)
    os.utime(clip, ns=(0, 12345))
    changed = DecodedFiles([str(clip)])
    assert list(changed.missing()) == [0]
    changed.write(0, steps_of(speech[1]))
    assert len(stored(cache)) == 1
    np.testing.assert_array_equal(changed.read(0) * 2**15, steps_of(speech[1]))


def test_half_a_file_is_never_there(speech, tmp_path, cache, monkeypatch):
    clip = tmp_path / "a.wav"
    soundfile.write(clip, speech[0], 16_000)
    decoded = DecodedFiles([str(clip)])
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        decoded.write(0, steps_of(speech[0]))
    assert stored(cache) == []
    assert list(decoded.missing()) == [0]


def test_several_writers_share_one_folder(speech, tmp_path, cache):
    clips = []
    for number, row in enumerate(speech):
        clips.append(str(tmp_path / f"{number}.wav"))
        soundfile.write(clips[-1], row, 16_000)

    def write_all():
        decoded = DecodedFiles(clips)
        for number, row in enumerate(speech):
            decoded.write(number, steps_of(row))

    writers = [threading.Thread(target=write_all) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    decoded = DecodedFiles(clips)
    assert not len(decoded.missing())
    for number, row in enumerate(speech):
        np.testing.assert_array_equal(decoded.read(number) * 2**15, steps_of(row))
    assert len(stored(cache)) == len(clips)


def test_only_what_is_missing_is_decoded(tiny_corpus, cache, monkeypatch):
    asked = []
    screen = clip_audio.screen_clips

    def counted(paths, keep):
        asked.append(len(paths))
        return screen(paths, keep)

    monkeypatch.setattr(clip_audio, "screen_clips", counted)
    open_audio(tiny_corpus[:5], "disk")
    open_audio(tiny_corpus, "disk")
    open_audio(tiny_corpus, "disk")
    assert asked == [5, len(tiny_corpus) - 5, 0]


@pytest.mark.parametrize("most", [0, 150_000, 10**9])
def test_auto_goes_to_the_disk_where_memory_would_not_do(
    most, tiny_corpus, cache, monkeypatch, capsys
):
    _, kept, _ = open_audio(tiny_corpus, "memory")
    monkeypatch.setattr(clip_audio, "free_bytes", lambda: most / clip_audio.MEMORY_SHARE)
    _, audio, skipped = open_audio(tiny_corpus, "auto")
    spilled = most < 10**9
    assert ("of decoded audio go to" in capsys.readouterr().err) == spilled
    assert len(stored(cache)) == (len(tiny_corpus) if spilled else 0)
    assert not len(skipped)
    for index in (0, 3, len(tiny_corpus) - 1):
        np.testing.assert_array_equal(
            audio.waveform(np.int64(index)), kept.waveform(np.int64(index))
        )
    # What went to the disk is taken from there at once the next time.
    monkeypatch.setattr(clip_audio, "screen_clips", lambda paths, keep: screening.Screening())
    if spilled:
        _, audio, _ = open_audio(tiny_corpus, "auto")
        np.testing.assert_array_equal(audio.waveform(np.int64(3)), kept.waveform(np.int64(3)))


def test_a_full_disk_is_told_before_it_is_full(tiny_corpus, monkeypatch):
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(clip_audio, "free_bytes", lambda: 0)
    monkeypatch.setattr(clip_audio.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(ValueError, match=r"are free\. Name another folder in TFPIPELINE_CACHE"):
        open_audio(tiny_corpus, "auto")


def test_what_was_noticed_is_there_again(speech, tiny_corpus, tmp_path):
    clips = tiny_corpus[:6].copy()
    for number in (1, 4):
        clips.loc[number, "path"] = str(tmp_path / f"{number}.wav")
        soundfile.write(clips["path"][number], speech[:2].T, 16_000)
    remark = ("channels: left, right differ and are judged apart",)
    for cache in ("disk", "disk", "memory", "none", "none"):
        _, audio, _ = open_audio(clips, cache)
        assert audio.remarks == {1: remark, 4: remark}
        np.testing.assert_array_equal(audio.channels, [1, 2, 1, 1, 2, 1])
        part = audio.subset(np.array([4, 0]))
        assert part.remarks == {0: remark}
        np.testing.assert_array_equal(part.channels, [2, 1])
        assert len(audio.waveform(np.int64(4))) == 128_000
