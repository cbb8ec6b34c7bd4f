"""LogMel against librosa on real speech, and the properties that a front end must have."""

import itertools
import warnings

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.features.mel import LogMel

SMALL = {"n_fft": 512, "hop_length": 160, "n_mels": 40}

SETTINGS = [
    {},
    {"n_fft": 400, "hop_length": 160, "n_mels": 80},
    {"n_fft": 400, "hop_length": 160, "n_mels": 40, "power": 1.0, "pad_mode": "reflect"},
    {"n_fft": 512, "hop_length": 160, "n_mels": 80, "win_length": 400},
    {"n_fft": 512, "hop_length": 160, "n_mels": 80, "win_length": 400, "top_db": None},
    {"n_fft": 512, "hop_length": 512, "n_mels": 128},
    {"n_fft": 512, "hop_length": 256, "n_mels": 40, "center": False, "htk": True, "norm": None},
    {"n_fft": 1024, "hop_length": 256, "n_mels": 80, "fmin": 20.0, "fmax": 7600.0},
    {"n_fft": 1024, "hop_length": 160, "n_mels": 80, "htk": True, "ref": "max"},
    {"n_fft": 1024, "hop_length": 512, "n_mels": 40, "norm": None, "top_db": None, "power": 1.0},
    {"n_fft": 2048, "hop_length": 512, "n_mels": 128, "pad_mode": "reflect", "ref": "max"},
    {"n_fft": 2048, "hop_length": 256, "n_mels": 80, "center": False, "win_length": 400},
    {"n_fft": 2048, "hop_length": 512, "n_mels": 128, "window": "hamming", "ref": 0.5},
    {"n_fft": 399, "hop_length": 500, "n_mels": 40, "win_length": 256, "power": 1.5},
]


@pytest.fixture(autouse=True)
def expected_warnings():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(hold no FFT bin|Empty filters)")
        warnings.filterwarnings("ignore", message="n_fft=.* is too large")  # librosa's
        yield


def librosa_log_mel(clips, ref=1.0, amin=1e-10, top_db=80.0, **settings):
    """librosa, one clip a call: float32 (batch, frames, n_mels) in dB."""
    return np.stack(
        [
            librosa.power_to_db(
                librosa.feature.melspectrogram(y=clip, sr=16_000, **settings),
                ref=np.max if ref == "max" else ref,
                amin=amin,
                top_db=top_db,
            ).T
            for clip in clips
        ]
    )


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_equals_librosa(speech, settings):
    expected = librosa_log_mel(speech, **settings)
    audible = expected > expected.max(axis=(1, 2), keepdims=True) - 80
    for precision, most_db, nearly_all_db in (("float32", 0.01, 1e-3), ("float64", 1e-4, 1e-4)):
        layer = LogMel(**settings, precision=precision)
        decibels = layer(speech).numpy()
        assert decibels.dtype == np.float32
        assert decibels.shape == expected.shape
        assert decibels.shape == layer.compute_output_shape(speech.shape)
        difference = np.abs(decibels - expected)
        assert difference[audible].max() < most_db
        assert np.quantile(difference, 0.999) < nearly_all_db


@pytest.mark.parametrize(
    ("center", "pad_mode"), [(True, "constant"), (True, "reflect"), (False, "constant")]
)
@pytest.mark.parametrize("n_fft", [400, 401])
def test_lengths_around_a_hop_and_a_frame(speech, center, pad_mode, n_fft):
    settings = {"n_fft": n_fft, "hop_length": 160, "n_mels": 40, "center": center}
    settings |= {"pad_mode": pad_mode}
    layer = LogMel(**settings, precision="float64")
    lengths = [n + d for n, d in itertools.product((n_fft, 480, 800, 1600), (-1, 0, 1))]
    for samples in lengths:
        clips = speech[:2, 8000 : 8000 + samples]
        if not center and samples < n_fft:
            with pytest.raises(ValueError, match=f"{n_fft} samples or more"):
                layer(clips)
            continue
        expected = librosa_log_mel(clips, **settings)
        assert layer.frame_count(samples) == expected.shape[1]
        np.testing.assert_allclose(layer(clips), expected, rtol=0, atol=1e-4)


def test_one_sample_is_enough_when_centred():
    expected = librosa_log_mel(np.ones((1, 1), "float32"), **SMALL)
    decibels = LogMel(**SMALL)(np.ones((1, 1), "float32"))
    np.testing.assert_allclose(decibels, expected, atol=1e-3)


@pytest.mark.parametrize("compiled", ["eager", "graph", "xla"])
def test_a_clip_does_not_depend_on_its_batch_mates(speech, compiled):
    layer = LogMel(**SMALL)
    call = layer
    if compiled != "eager":
        signature = [tf.TensorSpec([None, None], tf.float32)]
        call = tf.function(layer, input_signature=signature, jit_compile=compiled == "xla")
    clips = np.concatenate(
        [speech[:, :16_000], speech[:, 16_000:32_000] * 0.01, speech[:1, :16_000]]
    )
    together = call(tf.constant(clips)).numpy()
    assert together.shape == (13, 101, 40)
    for i, size in [(0, 1), (6, 1), (12, 1), (2, 9)]:
        alone = call(tf.constant(clips[i : i + size])).numpy()
        # 4 units in the last place at 64 dB: a product's rounding depends on how many rows it has.
        np.testing.assert_allclose(alone, together[i : i + size], rtol=0, atol=3e-5)
    np.testing.assert_allclose(together, layer(clips), rtol=0, atol=2e-3)


def test_top_db_and_ref_look_at_one_example_at_a_time(speech):
    pair = np.stack([speech[0], speech[1] * 0.03])
    decibels = LogMel(**SMALL)(pair).numpy()
    np.testing.assert_allclose(np.ptp(decibels, axis=(1, 2)), 80.0, atol=1e-4)
    assert decibels[1].max() < decibels[0].max() - 20
    relative = LogMel(**SMALL, ref="max")(pair).numpy()
    np.testing.assert_array_equal(relative.max(axis=(1, 2)), [0.0, 0.0])


@pytest.mark.parametrize("ref", [1.0, "max"])
def test_silence_is_finite_and_has_a_finite_gradient(ref):
    silence = tf.zeros((2, 4000))
    for power in (1.0, 2.0):
        layer = LogMel(**SMALL, ref=ref, power=power)
        with tf.GradientTape() as tape:
            tape.watch(silence)
            decibels = layer(silence)
        np.testing.assert_allclose(decibels, -100.0 if ref == 1.0 else 0.0, atol=1e-4)
        assert np.isfinite(tape.gradient(decibels, silence)).all()


def test_the_waveform_gets_a_gradient_in_a_graph(speech):
    layer = LogMel(**SMALL)

    @tf.function
    def gradient(clips):
        with tf.GradientTape() as tape:
            tape.watch(clips)
            total = tf.reduce_sum(layer(clips))
        return tape.gradient(total, clips)

    slope = gradient(tf.constant(speech[:5, :8000])).numpy()
    assert np.isfinite(slope).all()
    assert (np.abs(slope).max(axis=1) > 0).all()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float64"])
def test_the_global_dtype_policy_changes_nothing(speech, policy):
    clips = speech[:2, :16_000]
    expected = LogMel(**SMALL)(clips).numpy()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        waveform = keras.Input((None,), dtype="float32", name="waveform")
        model = keras.Model(waveform, LogMel(**SMALL)(waveform))
        assert model.output.dtype == "float32"
        decibels = model(clips)
    finally:
        keras.config.set_dtype_policy(before)
    assert decibels.dtype == tf.float32
    np.testing.assert_allclose(decibels, expected, rtol=0, atol=1e-5)


def test_float64_throughout(speech):
    settings = SMALL | {"precision": "float64", "dtype": "float64"}
    clips = speech[:1].astype("float64")
    decibels = LogMel(**settings)(clips)
    assert decibels.dtype == tf.float64
    np.testing.assert_allclose(decibels, librosa_log_mel(clips, **SMALL), rtol=0, atol=1e-5)


def test_config_and_saved_model_give_the_same_layer(speech, tmp_path):
    settings = SMALL | {"win_length": 400, "window": "hamming", "pad_mode": "reflect"}
    settings |= {"power": 1.0, "fmin": 20.0, "fmax": 7000.0, "htk": True, "norm": None}
    settings |= {"ref": "max", "top_db": 60.0, "precision": "float64"}
    layer = LogMel(**settings, name="front_end")
    copy = LogMel.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert settings.items() <= copy.get_config().items()

    waveform = keras.Input((None,), name="waveform")
    model = keras.Model(waveform, layer(waveform))
    assert model.output_shape == (None, None, 40)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    clips = speech[:2, :16_000]
    np.testing.assert_array_equal(loaded.predict(clips, verbose=0), model.predict(clips, verbose=0))


def test_the_exported_graph_holds_core_ops_alone(speech, tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    waveform = keras.Input((None,), name="waveform")
    model = keras.Model(waveform, {"mel": LogMel(**SMALL, precision="float64")(waveform)})
    model.export(str(tmp_path / "export"), verbose=False)

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((tmp_path / "export" / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    assert "RFFT" in {node.op for node in nodes}
    for node in nodes:
        assert not node.op.startswith(("IO>", "PyFunc", "EagerPyFunc", "NumpyFunction"))
        assert not node.attr["_XlaMustCompile"].b
    for function in graph.library.function:
        assert not function.attr["_XlaMustCompile"].b

    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    clips = speech[:5, :12_345]
    np.testing.assert_allclose(served(tf.constant(clips))["mel"], model(clips)["mel"], atol=1e-5)


def test_an_unknown_length_is_checked_when_it_is_known():
    layer = LogMel(**SMALL, center=False)
    call = tf.function(layer, input_signature=[tf.TensorSpec([None, None], tf.float32)])
    with pytest.raises(tf.errors.InvalidArgumentError, match="too short for one frame"):
        call(tf.zeros((1, 511)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_fft": 0}, r"n_fft must be a positive whole number\. Received: 0"),
        ({"hop_length": 160.0}, r"hop_length must be .* Received: 160\.0"),
        ({"n_mels": -1}, "n_mels must be"),
        ({"sample_rate": 0}, "sample_rate must be"),
        ({"win_length": 4096}, "Received: 4096. Is it in milliseconds"),
        ({"win_length": 0}, r"win_length must lie in 1 … n_fft \(2048\)"),
        ({"fmax": 8001.0}, r"sample_rate / 2 \(8000 Hz\)"),
        ({"fmin": 8000.0}, "Are they in kHz"),
        ({"window": "hannn"}, "Received: 'hannn'.* Try \"hann\""),
        ({"pad_mode": "edge"}, "pad_mode must be one of"),
        ({"norm": "area"}, "norm must be one of"),
        ({"precision": "float16"}, "precision must be one of"),
        ({"dtype": "mixed_bfloat16"}, "half precision spans too few dB"),
        ({"power": 0.0}, "power must be positive"),
        ({"amin": 0.0}, "amin must be positive"),
        ({"ref": "mean"}, 'ref must be a positive power or "max"'),
        ({"top_db": -80.0}, "counts down from the peak"),
    ],
)
def test_refuses_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        LogMel(**settings)


def test_refuses_waveforms():
    layer = LogMel(**SMALL, pad_mode="reflect")
    with pytest.raises(ValueError, match=r"shape \(batch, samples\)"):
        layer(np.zeros(64_000, "float32"))
    with pytest.raises(ValueError, match="divided by 32768"):
        layer(np.zeros((1, 64_000), "int16"))
    with pytest.raises(ValueError, match="257 samples or more"):
        layer(np.zeros((1, 256), "float32"))
    with pytest.raises(ValueError, match="1 samples or more"):
        LogMel(**SMALL)(np.zeros((1, 0), "float32"))


def test_empty_bands_are_warned_of():
    with pytest.warns(UserWarning, match=r"of 128 mel bands hold no FFT bin.*n_fft=256"):
        LogMel(n_fft=256, n_mels=128)
