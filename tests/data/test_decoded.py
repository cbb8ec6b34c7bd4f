import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from tfpipeline.data import pipeline
from tfpipeline.data.decoded import DecodedFiles
from tfpipeline.data.pipeline import open_audio


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


def stored(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_what_is_written_is_read_back_in_the_graph(speech, tmp_path):
    clip = tmp_path / "a.wav"
    soundfile.write(clip, speech[0], 16_000)
    decoded = DecodedFiles([str(clip), str(tmp_path / "absent.wav")])
    assert list(decoded.missing()) == [0, 1]
    decoded.write(0, speech[0])
    assert list(decoded.missing()) == [1]
    read = tf.function(decoded.waveform)(tf.constant(0, tf.int64))
    np.testing.assert_array_equal(read, speech[0])


def test_a_changed_clip_is_decoded_again_and_the_old_samples_go(speech, tmp_path, cache):
    clip = tmp_path / "a.wav"
    soundfile.write(clip, speech[0], 16_000)
    DecodedFiles([str(clip)]).write(0, speech[0])
    soundfile.write(clip, speech[1], 16_000)
    os.utime(clip, ns=(0, 12345))
    changed = DecodedFiles([str(clip)])
    assert list(changed.missing()) == [0]
    changed.write(0, speech[1])
    assert len(stored(cache)) == 1
    np.testing.assert_array_equal(changed.waveform(tf.constant(0, tf.int64)), speech[1])


def test_half_a_file_is_never_there(speech, tmp_path, cache, monkeypatch):
    clip = tmp_path / "a.wav"
    soundfile.write(clip, speech[0], 16_000)
    decoded = DecodedFiles([str(clip)])
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        decoded.write(0, speech[0])
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
            decoded.write(number, row)

    writers = [threading.Thread(target=write_all) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    decoded = DecodedFiles(clips)
    assert not len(decoded.missing())
    for number, row in enumerate(speech):
        np.testing.assert_array_equal(decoded.waveform(tf.constant(number, tf.int64)), row)
    assert len(stored(cache)) == len(clips)


def test_only_what_is_missing_is_decoded(tiny_corpus, cache, monkeypatch):
    asked = []
    screen = pipeline.screen_clips

    def counted(paths, keep):
        asked.append(len(paths))
        return screen(paths, keep)

    monkeypatch.setattr(pipeline, "screen_clips", counted)
    open_audio(tiny_corpus[:5], "disk")
    open_audio(tiny_corpus, "disk")
    open_audio(tiny_corpus, "disk")
    assert asked == [5, len(tiny_corpus) - 5, 0]


def test_auto_keeps_nothing_when_memory_would_not_do(tiny_corpus, cache, monkeypatch, capsys):
    _, kept, _ = open_audio(tiny_corpus, "auto")
    monkeypatch.setattr(pipeline, "MEMORY_SAMPLES", 200_000)
    _, audio, skipped = open_audio(tiny_corpus, "auto")
    assert "data.cache=disk" in capsys.readouterr().err
    assert stored(cache) == []
    assert not len(skipped)
    np.testing.assert_array_equal(audio.waveform(np.int64(3)), kept.waveform(np.int64(3)))
