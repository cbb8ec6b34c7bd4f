"""The first layer: its response on tones and against SciPy, any length, any batch, any policy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import signal

from tfpipeline.config import AS_RECORDED, FrontEndConfig
from tfpipeline.features.conditioning import Conditioning, conditioning_layer

RATE = 16_000
EDGE = slice(2 * 1408, -2 * 1408)  # beyond which no mirrored sample is heard
HIGHPASS = {"highpass_hz": 60.0, "level_dbfs": None}


def tone(frequency, seconds=3.0, phase=0.3):
    time = np.arange(round(seconds * RATE)) / RATE
    return np.cos(2 * np.pi * frequency * time + phase).astype(np.float32)


def decibels(ratio):
    return 20 * np.log10(ratio)


def response_db(layer, frequency):
    """What the layer makes of a tone, all that it adds elsewhere included."""
    waveform = tone(frequency)
    return decibels(np.std(layer(waveform[None])[0, EDGE]) / np.std(waveform[EDGE]))


def reference_highpass(waveform):
    """The same filter in one piece: SciPy's Kaiser low-pass at 16 kHz, taken off in float64."""
    taps, beta = signal.kaiserord(60, 35 / (RATE / 2))
    lowpass = signal.firwin(taps | 1, 77.5, window=("kaiser", beta), fs=RATE)
    margin = min(len(lowpass), len(waveform))
    extended = np.pad(waveform.astype(np.float64), margin, mode="symmetric")
    low = signal.fftconvolve(extended, lowpass / lowpass.sum(), mode="same")
    return waveform - low[margin : margin + len(waveform)]


@pytest.mark.parametrize("edge", [10.0, 60.0, 150.0])
def test_what_lies_below_goes_and_what_lies_above_stays(edge):
    layer = Conditioning(edge, None)
    for frequency in (edge / 3, edge / 2, edge - 5, edge):
        assert response_db(layer, frequency) < -55
    for frequency in (edge + 35, edge + 40, 200, 440, 500, 500 + edge, 1000, 3000, 7900):
        assert abs(response_db(layer, frequency)) < 0.02
    assert response_db(layer, edge + 17.5) == pytest.approx(-6, abs=0.1)


@pytest.mark.parametrize("hum", [50, 60])
def test_hum_of_the_mains_goes(hum):
    assert response_db(Conditioning(**HIGHPASS), hum) < -55


def test_aliases_and_images_lie_70_db_down():
    """A tone that passes leaves nothing anywhere else: 440 Hz would alias to 60 Hz of 500."""
    for frequency in (440, 450, 560, 940):
        waveform = tone(frequency)
        passed = Conditioning(**HIGHPASS)(waveform[None])[0].numpy()
        assert decibels(np.abs(passed - waveform)[EDGE].max()) < -70


def test_it_equals_scipys_filter_in_one_piece(speech):
    received = Conditioning(**HIGHPASS)(speech).numpy()
    expected = np.stack([reference_highpass(clip) for clip in speech])
    difference = np.std(received - expected, axis=1) / np.std(speech, axis=1)
    assert decibels(difference).max() < -45
    assert decibels(np.abs(received - expected).max() / np.abs(speech).max()) < -35


def test_there_is_no_delay(speech):
    received = Conditioning(**HIGHPASS)(speech).numpy()
    for clip, passed in zip(speech, received, strict=True):
        lags = signal.correlate(passed, clip, mode="same")
        assert np.argmax(lags) == len(clip) // 2


@pytest.mark.parametrize("offset", [0.02, -0.5, 1.0])
@pytest.mark.parametrize("samples", [1, 2, 63, 64, 65, 127, 128, 129, 8000, 8001])
def test_an_offset_goes_at_any_length(speech, samples, offset):
    layer = Conditioning(**HIGHPASS)
    clips = speech[:2, 20_000 : 20_000 + samples]
    clean, moved = layer(clips).numpy(), layer(clips + np.float32(offset)).numpy()
    assert clean.shape == clips.shape
    # Some roundings of float32.
    np.testing.assert_allclose(moved, clean, rtol=0, atol=1e-6 * max(1, abs(offset)))
    constant = np.full((1, samples), offset, np.float32)
    np.testing.assert_allclose(layer(constant), 0, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 127, 128, 129, 5000])
def test_unknown_sizes_in_a_graph_give_the_same(speech, samples):
    layer = Conditioning()
    clips = speech[:3, 20_000 : 20_000 + samples]
    graph = tf.function(layer, input_signature=[tf.TensorSpec([None, None], tf.float32)])
    np.testing.assert_allclose(graph(clips), layer(clips), rtol=1e-5, atol=1e-7)
    assert graph(clips[:0]).shape == (0, samples)


def test_every_example_gets_the_level_whatever_its_gain(speech):
    layer = Conditioning()
    expected = layer(speech).numpy()
    np.testing.assert_allclose(np.std(expected, axis=1), 10 ** (-26 / 20), rtol=1e-4)
    for gain_db in (-30, -20, -10, 6):
        received = layer(speech * np.float32(10 ** (gain_db / 20))).numpy()
        np.testing.assert_allclose(received, expected, rtol=0, atol=2e-6)


def test_silence_stays_silence(speech):
    rounding = np.random.default_rng(0).integers(-1, 2, (1, 8000)).astype(np.float32) / 32768
    clips = np.concatenate(
        [np.zeros((1, 8000), "float32"), np.full((1, 8000), 0.3, "f4"), rounding]
    )
    received = Conditioning()(clips).numpy()
    assert (received[0] == 0).all()
    assert np.abs(received[1]).max() < 1e-4
    assert decibels(np.std(received[2])) < -36  # 26 below full scale is speech's


def test_a_clip_does_not_depend_on_its_batch_mates(speech):
    layer = tf.function(Conditioning(), input_signature=[tf.TensorSpec([None, None], tf.float32)])
    clips = np.concatenate([speech, speech * 0.01])
    together = layer(clips).numpy()
    for row in range(len(clips)):
        # A last digit, by which a sum over one row may round otherwise than over several.
        alone = layer(clips[row : row + 1])[0]
        np.testing.assert_allclose(alone, together[row], rtol=0, atol=1e-7)


def test_one_or_the_other_may_be_off(speech):
    leveled = Conditioning(None, -26.0)(speech).numpy()
    np.testing.assert_allclose(
        leveled,
        speech * (10 ** (-26 / 20) / np.sqrt(np.mean(speech**2, 1, keepdims=True))),
        rtol=1e-4,
    )
    np.testing.assert_array_equal(Conditioning(None, None)(speech), speech)
    assert conditioning_layer(AS_RECORDED) is None
    assert conditioning_layer(FrontEndConfig(highpass_hz=80.0, level_dbfs=None)).highpass_hz == 80.0


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float64"])
def test_the_global_dtype_policy_changes_nothing(speech, policy):
    expected = Conditioning()(speech).numpy()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        waveform = keras.Input((None,), dtype="float32", name="waveform")
        received = keras.Model(waveform, Conditioning()(waveform))(speech)
    finally:
        keras.config.set_dtype_policy(before)
    assert received.dtype == tf.float32
    np.testing.assert_array_equal(received, expected)
    doubled = Conditioning()(speech.astype(np.float64))
    assert doubled.dtype == tf.float32


def test_the_waveform_gets_a_finite_gradient(speech):
    clips = tf.constant(np.concatenate([speech[:2, :5000], np.zeros((1, 5000), "float32")]))
    layer = Conditioning()
    with tf.GradientTape() as tape:
        tape.watch(clips)
        total = tf.reduce_sum(layer(clips) ** 3)
    slope = tape.gradient(total, clips).numpy()
    assert np.isfinite(slope).all()
    assert (np.abs(slope[:2]).max(axis=1) > 0).all()


@pytest.mark.parametrize("settings", [(60.0, -26.0), (None, -30.0), (80.0, None)])
def test_config_and_saved_model_give_the_same_layer(speech, tmp_path, settings):
    layer = Conditioning(*settings, name="conditioning")
    copy = Conditioning.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    waveform = keras.Input((None,), name="waveform")
    model = keras.Model(waveform, layer(waveform))
    assert model.output_shape == (None, None)
    assert not model.weights
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(speech, verbose=0), model.predict(speech, verbose=0)
    )


def test_other_sample_rates(speech):
    for rate in (8000, 24_000, 44_100):
        time = np.arange(3 * rate) / rate
        layer = Conditioning(60.0, None, sample_rate=rate)
        for frequency, most in ((50, -50), (100, 0.1), (1000, 0.1)):
            waveform = np.cos(2 * np.pi * frequency * time).astype(np.float32)
            inner = slice(rate // 2, -rate // 2)
            ratio = decibels(np.std(layer(waveform[None])[0, inner]) / np.std(waveform[inner]))
            assert ratio < most
            assert frequency == 50 or ratio > -0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((5.0, None), r"highpass_hz must be a finite number in 10 … 150 or null\. Received: 5"),
        ((60.0, 3.0), r"level_dbfs must be a finite number in -60 … 0 or null\. Received: 3"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Conditioning(*settings)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros(100, "float32"), r"shape \(batch, samples\)"),
        (np.zeros((1, 100, 1), "float32"), r"shape \(batch, samples\)"),
        (np.zeros((1, 100), "int16"), r"float in \[-1, 1\]\. Received: int16"),
    ],
)
def test_what_is_no_waveform_is_refused(waveform, message):
    with pytest.raises(ValueError, match=message):
        Conditioning()(tf.constant(waveform))
