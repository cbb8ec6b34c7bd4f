import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from tfpipeline.config import AugmentConfig
from tfpipeline.data.cache import free_bytes
from tfpipeline.data.clip_audio import Audio, open_audio
from tfpipeline.data.pipeline import (
    Share,
    default_device,
    map_on_device,
    scoring_batches,
    silence_edges,
    steps_per_epoch,
    training_batches,
)

WINDOW = 16_000


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def train(tiny_corpus):
    return tiny_corpus[tiny_corpus["part"] == "train"].reset_index(drop=True)


def opened(clips, cache="memory"):
    return open_audio(clips, cache)[1]


def take(dataset, count):
    return [tuple(part.numpy() for part in element) for element in dataset.take(count)]


def test_memory_disk_and_files_give_the_same_waveforms(train):
    memory, files, disk = (opened(train, cache) for cache in ("memory", "none", "disk"))
    for index in range(0, len(train), 5):
        expected, _ = soundfile.read(train["path"][index], dtype="float32")
        for audio in (memory, files, disk):
            np.testing.assert_array_equal(audio.waveform(tf.constant(index, tf.int64)), expected)


def test_a_subset_is_the_same_audio_under_its_own_numbers(train):
    audio = opened(train)
    chosen = (train["label"] == "bonafide").to_numpy()
    part = audio.subset(chosen)
    assert part.n_clips == chosen.sum()
    for number, row in enumerate(np.flatnonzero(chosen)):
        np.testing.assert_array_equal(
            part.waveform(tf.constant(number)), audio.waveform(tf.constant(row, tf.int64))
        )


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_a_stream_that_starts_later_equals_the_rest_of_the_whole(train, cache):
    audio = opened(train, cache)
    whole = take(training_batches(audio, train, WINDOW, 4, seed=3), 9)
    rest = take(training_batches(audio, train, WINDOW, 4, seed=3, start_step=5), 4)
    for expected, received in zip(whole[5:], rest, strict=True):
        for one, other in zip(expected, received, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_shares_of_machines_are_the_whole_batches(train):
    audio = opened(train)
    whole = take(training_batches(audio, train, WINDOW, 12, seed=3, start_step=2), 4)
    steps = set()
    for machine in range(3):
        share = Share(machine, machines=3, devices=2)
        parts = take(training_batches(audio, train, WINDOW, 12, 3, 2, share=share), 8)
        steps |= {int(step) for step, *_ in parts}
        for number, (_, *expected) in enumerate(whole):
            rows = slice(4 * machine, 4 * machine + 4)
            first, second = parts[2 * number : 2 * number + 2]
            for one, other, both in zip(first[1:], second[1:], expected, strict=True):
                np.testing.assert_array_equal(np.concatenate([one, other]), both[rows])
    # Each batch of each device has a number of its own, from which its augmentation is drawn.
    assert steps == set(range(2 * 6, 6 * 6))


def test_an_epoch_holds_every_clip_in_another_order_each_time(train):
    n_clips = len(train)
    numbered = Audio(lambda index: tf.fill([WINDOW], tf.cast(index, tf.float32)), n_clips)
    batch = 5
    steps = steps_per_epoch(n_clips, batch)
    drawn = take(training_batches(numbered, train, WINDOW, batch, seed=0), 2 * steps)
    order = np.concatenate([waveform[:, 0] for _, waveform, _ in drawn]).astype(int)
    first, second = order[: steps * batch], order[steps * batch :]
    assert set(first) == set(second) == set(range(n_clips))
    assert sorted(first[:n_clips]) == list(range(n_clips))
    assert not np.array_equal(first, second)
    labels = np.concatenate([label for _, _, label in drawn])
    expected = (train["label"] == "spoof").to_numpy(float)[order]
    np.testing.assert_array_equal(labels, expected)


def test_speed_changes_the_pitch_and_not_the_length(train):
    tone = tf.constant(np.sin(2 * np.pi * 1000 * np.arange(48_000) / 16_000).astype(np.float32))
    audio = Audio(lambda index: tone, 1)
    drawn = take(
        training_batches(audio, train[:1], WINDOW, 1, seed=0, augment=AugmentConfig(speed=0.1)), 12
    )
    peaks = [np.argmax(np.abs(np.fft.rfft(waveform[0]))) for _, waveform, _ in drawn]
    assert all(900 <= peak <= 1100 for peak in peaks)
    assert len(set(peaks)) > 8


def test_crops_move_and_depend_on_the_seed(train):
    audio = opened(train[:1], "memory")
    for seed in (0, 1):
        starts = {
            waveform[0].tobytes()
            for _, waveform, _ in take(training_batches(audio, train[:1], WINDOW, 1, seed), 6)
        }
        assert len(starts) == 6
    one, other = (
        take(training_batches(audio, train[:1], WINDOW, 1, seed), 1)[0][1] for seed in (0, 1)
    )
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("samples", [1, WINDOW - 1, WINDOW, WINDOW + 1])
def test_awkward_lengths_train_and_score(samples, train, speech):
    clip = tf.constant(speech[0, :samples])
    audio = Audio(lambda index: clip, 1)
    ((_, waveform, _),) = take(training_batches(audio, train[:1], WINDOW, 1, seed=0), 1)
    assert waveform.shape == (1, WINDOW)
    windows = np.concatenate([w for _, w in take(scoring_batches(audio, WINDOW, 8), -1)])
    assert len(windows) == (2 if samples > WINDOW else 1)
    if samples <= WINDOW:
        np.testing.assert_array_equal(windows[0], np.resize(clip, WINDOW))
        np.testing.assert_array_equal(waveform[0], windows[0])


def test_scoring_takes_all_windows_in_order_whatever_the_batch(train):
    audio = opened(train, "memory")
    by_batch = []
    for batch in (1, 3, 64):
        drawn = take(scoring_batches(audio, WINDOW, batch), -1)
        by_batch.append([np.concatenate(parts) for parts in zip(*drawn, strict=True)])
    for index, windows in by_batch[1:]:
        np.testing.assert_array_equal(index, by_batch[0][0])
        np.testing.assert_array_equal(windows, by_batch[0][1])
    lengths = [soundfile.info(path).frames for path in train["path"]]
    counts = [max(1, -(-length // WINDOW)) for length in lengths]
    np.testing.assert_array_equal(np.bincount(by_batch[0][0]), counts)


def test_a_stage_on_a_device_that_is_not_there_fails_loudly(train):
    dataset = tf.data.Dataset.from_tensors((tf.ones(3), tf.ones(3)))
    ((one, _),) = map_on_device(dataset, lambda a, b: (2 * a, b), default_device())
    np.testing.assert_array_equal(one, [2, 2, 2])
    if not tf.config.list_logical_devices("GPU"):
        with pytest.raises(ValueError, match=r"must run on /GPU:0\. Received a tensor on .*CPU:0"):
            map_on_device(dataset, lambda a, b: (2 * a, b), "/GPU:0")


def test_channels_that_are_judged_apart_are_drawn_and_scored_apart(train, speech, tmp_path):
    clips = train[:2].copy()
    clips.loc[0, "path"] = str(tmp_path / "call.wav")
    left, right = (np.clip(row, -1, 1 - 2**-15) for row in speech[:2])
    soundfile.write(clips["path"][0], np.stack([left, right[: len(left)]], axis=1), 16_000)
    audio = opened(clips)
    np.testing.assert_array_equal(audio.channels, [2, 1])
    scored = take(scoring_batches(audio, WINDOW, 3), -1)
    index, windows = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    own = windows[index == 0]
    np.testing.assert_allclose(own.reshape(2, -1), [left, right], atol=2**-15)
    seen = {0: 0, 1: 0}
    for _, crops, _ in take(training_batches(audio, clips, WINDOW, 2, seed=0), 30):
        for crop in crops:
            for channel, row in enumerate((left, right)):
                starts = np.flatnonzero(np.abs(row[: len(row) - WINDOW + 1] - crop[0]) < 2**-15)
                seen[channel] += any(
                    np.allclose(row[at : at + WINDOW], crop, atol=2**-14) for at in starts
                )
    assert seen[0] + seen[1] == 30
    assert min(seen.values()) > 5


@pytest.fixture
def lasting(train, tmp_path):
    """Forty clips of the tiny corpus under names of their own."""
    clips = train.sample(40, replace=True, random_state=0).reset_index(drop=True)
    for row, path in enumerate(clips["path"]):
        own = tmp_path / f"{row}.wav"
        own.write_bytes(Path(path).read_bytes())
        clips.loc[row, "path"] = str(own)
    return clips


@pytest.mark.parametrize("cache", ["none", "disk"])
@pytest.mark.parametrize("how", ["gone", "shrunk", "text"])
def test_a_clip_that_vanishes_is_left_out_with_a_line(cache, how, lasting, tmp_path, capsys):
    audio = opened(lasting, cache)
    path = Path(lasting["path"][7])
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:5000] if how == "shrunk" else b"text")
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    batches = take(training_batches(audio, lasting, WINDOW, 8, seed=0), 12)
    assert all(waveform.shape == (8, WINDOW) for _, waveform, _ in batches)
    places = np.concatenate([index for index, _ in take(scoring_batches(audio, WINDOW, 8), -1)])
    assert set(places) == set(range(40)) - {7}
    assert capsys.readouterr().err.count("left out from here on: ") == 1
    table = audio.lost.table()
    assert list(table["path"]) == [str(path)]
    assert "7.wav" not in table["reason"][0]


def test_too_many_that_vanish_end_it_in_one_line(lasting):
    audio = opened(lasting, "none")
    for row in (3, 5, 8):
        Path(lasting["path"][row]).unlink()
    with (
        pytest.raises(
            ValueError, match=r"at most 5% of the clips may get lost .*3 of 40.*--resume"
        ),
        audio.lost.told(),
    ):
        take(training_batches(audio, lasting, WINDOW, 8, seed=0), 12)


def test_memory_that_a_container_leaves(tmp_path):
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    groups.mkdir()
    (proc / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:   8000000 kB\n")
    assert free_bytes(proc, groups) == 8_000_000 * 1024
    for name, text in (("memory.max", "max\n"), ("memory.current", "5\n")):
        (groups / name).write_text(text)
    (groups / "memory.stat").write_text("anon 3\ninactive_file 1000\n")
    assert free_bytes(proc, groups) == 8_000_000 * 1024
    (groups / "memory.max").write_text("2000000\n")
    (groups / "memory.current").write_text("1500000\n")
    assert free_bytes(proc, groups) == 501_000
    (groups / "memory.current").write_text("2500000\n")
    assert free_bytes(proc, groups) == 0
    assert free_bytes(tmp_path / "none", tmp_path / "none") > 10**8
    assert free_bytes() > 10**8


def test_clips_are_drawn_by_their_weights_and_a_later_start_draws_the_same(train):
    audio = opened(train)
    weights = np.zeros(len(train))
    weights[[1, 4]] = 3, 1
    stream = lambda start: training_batches(audio, train, WINDOW, 8, 0, start, weights=weights)  # noqa: E731
    both = take(stream(0), 40)
    np.testing.assert_array_equal(both[39][1], take(stream(39), 1)[0][1])
    spectra = {index: np.sort(audio.waveform(tf.constant(index, tf.int64))) for index in (1, 4)}
    drawn = np.concatenate([waveform for _, waveform, _ in both])
    of = [
        next(i for i, known in spectra.items() if np.isin(waveform, known).all())
        for waveform in drawn
    ]
    assert np.mean(np.array(of) == 1) == pytest.approx(0.75, abs=0.1)


def test_trimmed_crops_come_from_between_the_silent_ends(speech, tmp_path):
    import pandas as pd

    waveform = np.concatenate([np.zeros(40_000), speech[0, 8000 : 8000 + WINDOW], np.zeros(40_000)])
    soundfile.write(tmp_path / "a.wav", waveform, 16_000)
    clips = pd.DataFrame({"path": [str(tmp_path / "a.wav")], "label": ["spoof"]})
    audio = opened(clips)
    for _, crop, _ in take(
        training_batches(audio, clips, 8000, 4, 0, augment=AugmentConfig(trim_db=45.0)), 4
    ):
        assert (np.abs(crop).max(axis=1) > 0.01).all()


def test_ends_are_silenced_in_a_share_of_crops_and_the_middle_is_kept():
    waveform = tf.ones([WINDOW])
    augment = AugmentConfig(edge_probability=0.5, edge_seconds=0.2)
    made = [
        silence_edges(waveform, augment, tf.constant([7, k], tf.int64)).numpy() for k in range(60)
    ]
    changed = [x for x in made if (x != 1).any()]
    assert 15 < len(changed) < 45
    for x in changed:
        (quiet,) = np.nonzero(x != 1)
        assert np.abs(x[quiet]).max() < 0.01
        assert ((quiet < 3200) | (quiet >= WINDOW - 3200)).all()
    assert any((x == 0).any() for x in changed)
    assert any((x[x != 1] != 0).any() for x in changed)
    for short in (0, 1, 2, 5):
        assert silence_edges(tf.ones([short]), augment, tf.constant([7, 1], tf.int64)).shape == [
            short
        ]
