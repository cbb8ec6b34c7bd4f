"""The head of a frozen speech encoder, fitted on stored states; on a small encoder."""

import shutil

import numpy as np
import pytest

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.automatic_splits import hold_out_attacks
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.models.detector import ClipScorer, build_detector
from tfpipeline.models.families import FAMILIES, Family
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS, SpeechEncoder
from tfpipeline.models.speech_encoders.whisper import WhisperSettings
from tfpipeline.models.speech_network import speech_network
from tfpipeline.training import fit_head
from tfpipeline.training.fit import fit_network

SETTINGS = WhisperSettings(d_model=16, encoder_layers=2, encoder_attention_heads=2)


@pytest.fixture(scope="module", autouse=True)
def small_in_the_tables():
    SPEECH_ENCODERS["small"] = SpeechEncoder(SETTINGS, "hf:nobody/small")
    FAMILIES["small"] = Family(speech_network("small"), "speech", "evidence")
    yield
    del SPEECH_ENCODERS["small"], FAMILIES["small"]


@pytest.fixture(scope="module")
def clips(tiny_corpus):
    return hold_out_attacks(tiny_corpus, ["hifigan"])


@pytest.fixture(scope="module")
def audio(clips):
    return open_audio(clips)[1]


def config_of(epochs=3, frozen=3, passes=2, **options):
    config = load_config(
        CONFIGS / "whisper_tiny.yaml",
        [
            f"training.epochs={epochs}",
            f"training.frozen_epochs={frozen}",
            f"training.cached_passes={passes}",
            "training.batch_size=4",
            "training.tensorboard=false",
            "data.window_seconds=1",
        ],
    )
    return config.replace({"model": {"name": "small", "weights": "none", **options}})


@pytest.fixture(scope="module")
def whole_fit(clips, audio, tmp_path_factory):
    """The detector, the selection, the source of the weights, and the run's folder."""
    folder = tmp_path_factory.mktemp("whole")
    return *fit_network(config_of(), clips, audio, folder), folder


def test_the_encoder_is_kept_and_the_head_is_not(clips, audio, whole_fit, tmp_path):
    detector, selection, pretrained, folder = whole_fit
    assert pretrained.source == "none"
    assert [row["epoch"] for row in selection.history] == [1, 2, 3]
    assert not (folder / fit_head.HEAD).exists()
    again, _, _ = fit_network(config_of(epochs=1, frozen=1), clips, audio, tmp_path / "again")
    for one, other in zip(
        detector.backbone.get_weights(), again.backbone.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert np.abs(detector.head.get_weights()[-2] - again.head.get_weights()[-2]).max() > 1e-4


def test_the_scores_of_stored_states_are_the_detectors(clips, audio, tmp_path):
    detector = build_detector(config_of())
    stored = fit_head.StoredScorer(detector, audio, tmp_path, 5)
    whole = ClipScorer(detector.model, detector.window).score_clips(audio)
    # Half precision keeps three digits of a state.
    np.testing.assert_allclose(stored.score_clips(audio), whole, rtol=0, atol=0.02)
    assert whole.std() > 0.05


def test_fine_tuning_follows_and_changes_the_encoder(clips, audio, tmp_path):
    config = config_of(epochs=3, frozen=2)
    detector, selection, _ = fit_network(config, clips, audio, tmp_path)
    assert [row["epoch"] for row in selection.history] == [1, 2, 3]
    frozen, before, _ = fit_network(config, clips, audio, tmp_path / "f", until=2)
    assert [r["loss"] for r in before.history] == [r["loss"] for r in selection.history[:2]]
    moved = [
        np.abs(one - other).max()
        for one, other in zip(
            frozen.backbone.get_weights(), detector.backbone.get_weights(), strict=True
        )
    ]
    assert max(moved) > 0 or selection.best["epoch"] < 3


@pytest.mark.parametrize("stop", [1, 2])
def test_a_stopped_fit_continues_as_if_it_had_not_stopped(clips, audio, whole_fit, tmp_path, stop):
    whole, expected, *_ = whole_fit
    fit_network(config_of(), clips, audio, tmp_path / "parts", until=stop)
    detector, selection, _ = fit_network(config_of(), clips, audio, tmp_path / "parts")
    drop = ("seconds",)
    assert [{k: v for k, v in row.items() if k not in drop} for row in selection.history] == [
        {k: v for k, v in row.items() if k not in drop} for row in expected.history
    ]
    for one, other in zip(whole.model.get_weights(), detector.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_ctrl_c_keeps_the_best_epoch(clips, audio, tmp_path, monkeypatch):
    ends = fit_head.Selection.on_epoch_end

    def stop_after_one(self, epoch, logs=None):
        ends(self, epoch, logs)
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_head.Selection, "on_epoch_end", stop_after_one)
    _, selection, _ = fit_network(config_of(), clips, audio, tmp_path)
    assert selection.interrupted
    assert len(selection.history) == 1
    assert not list((tmp_path / fit_head.HEAD).glob("*.npy"))
    monkeypatch.undo()
    _, selection, _ = fit_network(config_of(), clips, audio, tmp_path)
    assert [row["epoch"] for row in selection.history] == [1, 2, 3]


def test_a_full_disk_is_told_before_it_is_full(clips, audio, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=fit_head.SPARE)
    monkeypatch.setattr(fit_head.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"cached_passes needs .* GB .*Received: 1\.1 GB free"):
        fit_network(config_of(), clips, audio, tmp_path)


def test_only_speech_encoders_have_states(clips, audio, tmp_path):
    config = load_config(
        CONFIGS / "cnn.yaml", ["training.cached_passes=1", "training.tensorboard=false"]
    )
    with pytest.raises(ValueError, match="cached_passes keeps the states of a speech encoder"):
        fit_network(config, clips, audio, tmp_path)
