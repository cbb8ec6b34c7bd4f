"""HiFi-GAN against its PyTorch reference, with the published weights (fixture of `conftest.py`)."""

import io
import pathlib

import numpy as np
import pytest

from tfpipeline.data.demo import hifigan

GOLDEN = pathlib.Path(__file__).parents[1] / "fixtures" / "hifigan_golden.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def generator(hifigan_checkpoint):
    return hifigan.load_generator(hifigan_checkpoint)


def test_mel_equals_the_official_one(golden):
    mel = hifigan.mel_spectrogram(golden["recording"])
    assert mel.shape == (48, 80)
    assert mel.dtype == np.float32
    np.testing.assert_allclose(mel, golden["mel_of_doubles"], rtol=0, atol=2e-6)
    # The official mel is computed in float32, whose rounding shows in the quietest bands.
    np.testing.assert_allclose(mel, golden["mel"], rtol=0, atol=1e-3)
    assert np.abs(mel - golden["mel"]).mean() < 1e-5


def test_generator_equals_pytorch(generator, golden):
    waveform = np.asarray(generator(golden["mel"][np.newaxis]))
    assert waveform.shape == (1, 48 * 256)
    np.testing.assert_allclose(waveform[0], golden["waveform"], rtol=0, atol=1e-4)


def test_vocode_equals_pytorch_from_recording_to_waveform(generator, golden):
    waveform = hifigan.vocode(generator, golden["recording"])
    np.testing.assert_allclose(waveform, golden["waveform"], rtol=0, atol=1e-4)


def test_a_row_does_not_depend_on_its_batch_mates(generator, golden):
    quiet, loud = golden["mel"][:24] - 2.0, golden["mel"][24:]
    together = np.asarray(generator(np.stack([quiet, loud])))
    for mel, waveform in zip((quiet, loud), together, strict=True):
        alone = np.asarray(generator(mel[np.newaxis]))[0]
        np.testing.assert_allclose(waveform, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_samples", [385, 16 * 256 - 1, 16 * 256, 16 * 256 + 1])
def test_vocode_keeps_the_length(generator, golden, n_samples):
    waveform = hifigan.vocode(generator, golden["recording"][:n_samples])
    assert waveform.shape == (n_samples,)
    assert waveform.dtype == np.float32


def test_vocode_stays_in_step_at_awkward_lengths(generator, golden):
    # Well inside, past the reach of the last frames, the end of the clip must not be felt at all.
    whole = hifigan.vocode(generator, golden["recording"])
    cut = hifigan.vocode(generator, golden["recording"][: 40 * 256 + 1])
    np.testing.assert_allclose(cut[: 20 * 256], whole[: 20 * 256], rtol=0, atol=1e-6)


def test_vocode_gives_the_same_bytes_whatever_came_before(generator, golden):
    clips = [golden["recording"][:n] for n in (3000, 5000)]
    hifigan._compiled.cache_clear()
    forth = [hifigan.vocode(generator, clip).tobytes() for clip in clips]
    hifigan._compiled.cache_clear()
    back = [hifigan.vocode(generator, clip).tobytes() for clip in reversed(clips)]
    assert forth == back[::-1]


@pytest.mark.parametrize(
    ("waveform", "rule"),
    [
        (np.zeros(384, np.float32), "more than 384 samples.*Received: 384"),
        (np.zeros((2, 4000), np.float32), r"float \(samples,\).*Received: shape \(2, 4000\)"),
        (np.zeros(4000, np.int16), "Received: .*int16"),
        (np.full(4000, np.nan, np.float32), "finite. Received: 4000"),
    ],
)
def test_mel_refuses_what_is_no_waveform(waveform, rule):
    with pytest.raises(ValueError, match=rule):
        hifigan.mel_spectrogram(waveform)


def _saved(generator):
    """A dict as a checkpoint of the generator would give, of the right names and shapes."""
    saved = {}
    for layer in generator.layers:
        if layer.weights:
            shape = layer.kernel.shape[::-1]
            name = layer.name.replace("_convs", ".convs").replace("ups_", "ups.")
            saved[f"{name}.weight_g"] = np.ones((shape[0], 1, 1), np.float32)
            saved[f"{name}.weight_v"] = np.ones(shape, np.float32)
            saved[f"{name}.bias"] = np.zeros(layer.bias.shape, np.float32)
    return saved


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda saved: saved.pop("conv_pre.bias"), r"1 missing \['conv_pre.bias'\], 0 unexpected"),
        (
            lambda saved: saved.update({"extra.bias": 0}),
            r"0 missing \[\], 1 unexpected \['extra.bias'",
        ),
        (
            lambda saved: saved.update({"conv_post.bias": np.zeros(2)}),
            r"conv_post: expected shapes",
        ),
    ],
)
def test_load_refuses_other_names_and_shapes(monkeypatch, generator, change, rule):
    saved = _saved(generator)
    change(saved)
    monkeypatch.setattr(hifigan, "read_torch_weights", lambda checkpoint: {"generator": saved})
    with pytest.raises(ValueError, match=rule):
        hifigan.load_generator("generator.pth")


def test_load_refuses_a_file_without_a_generator(monkeypatch):
    monkeypatch.setattr(hifigan, "read_torch_weights", lambda checkpoint: {"mpd": {}})
    with pytest.raises(ValueError, match=r"discriminator\.pth: expected a dict under `generator`"):
        hifigan.load_generator("discriminator.pth")


def test_load_reads_a_file_object(hifigan_checkpoint, generator):
    content = io.BytesIO(pathlib.Path(hifigan_checkpoint).read_bytes())
    again = hifigan.load_generator(content)
    for first, second in zip(generator.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
