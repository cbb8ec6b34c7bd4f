"""Speech encoders against transformers, hidden state by hidden state."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import random_state_dict
from speech_encoders import CONFIGS, LENGTHS, hub_shapes, waveform

from tfpipeline.models.named_weights import assign_weights, torch_shapes
from tfpipeline.models.speech_encoders.hub_folder import (
    MODEL_TYPES,
    build_speech_encoder,
    without_weight_norm,
)
from tfpipeline.models.speech_encoders.settings import PRESETS
from tfpipeline.models.speech_encoders.wavlm import distance_buckets
from tfpipeline.training.optimizer import layer_factors

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
TOLERANCE = 1e-4  # absolute; the states' deviation is 1 to 4


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(FIXTURES / "speech_encoders_golden.npz"))


def settings_of(name):
    config, normalize = CONFIGS[name]
    return MODEL_TYPES[config["model_type"]].from_hub(config, {"do_normalize": normalize})


@pytest.fixture(scope="module")
def weights(golden):
    """Name → arrays as a state dict has them."""
    drawn = {}
    for name in CONFIGS:
        network = build_speech_encoder(settings_of(name), final_norm=True)
        drawn[name] = random_state_dict(hub_shapes(torch_shapes(network)))
        total = sum(float(np.abs(v).sum(dtype=np.float64)) for v in drawn[name].values())
        assert total == pytest.approx(float(golden[f"{name}_weights_sum"]), rel=1e-9)
    return drawn


def encoder(name, weights, **options):
    """The network with the weights that it has a place for."""
    network = build_speech_encoder(settings_of(name), **options)
    wanted = torch_shapes(network)
    arrays = without_weight_norm(weights[name])
    assign_weights(network, {n: a for n, a in arrays.items() if n in wanted}, "random")
    return network


@pytest.mark.parametrize("name", CONFIGS)
def test_hidden_states_are_those_of_transformers(name, golden, weights):
    network = encoder(name, weights)
    for samples in LENGTHS:
        states = network(waveform(samples)[None]).numpy()[0]
        np.testing.assert_allclose(states, golden[f"{name}_{samples}"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", CONFIGS)
def test_padding_changes_nothing_behind_a_mask(name, golden, weights):
    network = encoder(name, weights, masked=True)
    clips = np.full((len(LENGTHS), max(LENGTHS) + 1_000), 0.5, np.float32)
    for row, samples in enumerate(LENGTHS):
        clips[row, :samples] = waveform(samples)
    states = network([clips, np.array(LENGTHS, np.int32)]).numpy()
    for row, samples in enumerate(LENGTHS):
        expected = golden[f"{name}_{samples}"]
        received = states[row, : len(expected)]
        np.testing.assert_allclose(received, expected, rtol=0, atol=TOLERANCE)
        assert len(expected) == settings_of(name).frames(samples)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("layers", [0, 2])
def test_first_layers_alone(name, layers, golden, weights):
    states = encoder(name, weights, layers=layers)(waveform(LENGTHS[1])[None]).numpy()[0]
    expected = golden[f"{name}_{LENGTHS[1]}"][:, : layers + 1]
    np.testing.assert_allclose(states, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_normalized_last_state_is_the_last_hidden_state(name, golden, weights):
    states = encoder(name, weights, final_norm=True)(waveform(LENGTHS[2])[None]).numpy()[0]
    np.testing.assert_allclose(states[:, -1], golden[f"{name}_last"], rtol=0, atol=TOLERANCE)
    before = golden[f"{name}_{LENGTHS[2]}"][:, :-1]
    np.testing.assert_allclose(states[:, :-1], before, rtol=0, atol=TOLERANCE)


def test_wavlms_buckets_are_the_originals(golden):
    offsets = np.arange(-1_000, 1_001)
    buckets = distance_buckets(320, 800)[np.minimum(np.abs(offsets), 800)] + 160 * (offsets > 0)
    np.testing.assert_array_equal(buckets, golden["wavlm_buckets"])


def test_more_layers_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"layers must be in 0 … 3.*Received: 4"):
        build_speech_encoder(settings_of("wavlm"), 4)


def test_presets_are_the_published_architectures():
    """Parameters as published, without those of pretraining."""
    millions = {"wav2vec2-base": 94.4, "wav2vec2-xls-r-300m": 315.4, "wavlm-large": 315.5}
    for name, count in millions.items():
        with keras.device("cpu"):
            settings = PRESETS[name]
            small = settings.model_copy(update={"num_hidden_layers": 1})
            one = build_speech_encoder(small).count_params()
            none = build_speech_encoder(small, 0).count_params()
        total = none + settings.num_hidden_layers * (one - none)
        assert total / 1e6 == pytest.approx(count, abs=0.15)


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm_stable"])
def test_trains_and_exports_in_core_operations(name, weights, tmp_path):
    network = encoder(name, weights, layers=1, masked=True)
    waveforms = tf.constant(np.stack([waveform(LENGTHS[1])] * 2))
    samples = tf.constant([4_001, 2_000])

    @tf.function(jit_compile=False)
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(network([waveforms, samples])[:, :6]))
        return tape.gradient(loss, network.trainable_variables)

    for variable, gradient in zip(network.trainable_variables, gradients(), strict=True):
        values = tf.convert_to_tensor(gradient)
        assert np.isfinite(values).all(), variable.path
        # A softmax does not see what is added to all keys alike.
        assert np.abs(values).max() > 0 or "k_proj/bias" in variable.path, variable.path
    network.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    kinds = {op.type for op in graph_operations(loaded.signatures["serving_default"].graph)}
    kinds |= {op.type for op in graph_operations(gradients.get_concrete_function().graph)}
    assert not {kind for kind in kinds if "Xla" in kind or kind in ("PyFunc", "EagerPyFunc")}
    expected = network([waveforms, samples]).numpy()
    received = loaded.serve([waveforms, samples]).numpy()
    np.testing.assert_allclose(received, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["xls_r", "wavlm"])
def test_half_precision_stays_near(name, golden, weights):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = encoder(name, weights, masked=True)
    finally:
        keras.config.set_dtype_policy("float32")
    clip = waveform(LENGTHS[2])
    padded = np.concatenate([clip, np.ones(800, np.float32)])[None]
    expected = golden[f"{name}_{LENGTHS[2]}"]
    states = network([padded, np.array([len(clip)])])[0, : len(expected)]
    error = np.abs(tf.cast(states, tf.float32).numpy() - expected)
    assert np.median(error) < 0.1  # bfloat16 has 8 bits; the states' deviation is 1 to 4


def graph_operations(graph):
    """Operations of a graph and of the functions that it calls."""
    yield from graph.get_operations()
    for function in graph._functions.values():
        yield from function.graph.get_operations()


def test_the_optimizer_counts_blocks(weights):
    for name in ("wav2vec2", "xls_r"):
        network = encoder(name, weights)
        factors = layer_factors(network, 0.5)
        rate = {
            layer.name: factors[layer.trainable_variables[0].path]
            for layer in network.layers
            if layer.trainable_variables
        }
        assert rate["feature_extractor.conv_layers.0.conv"] == 0.5**3
        for number in range(3):
            block = f"encoder.layers.{number}.attention.q_proj"
            assert rate[block] == pytest.approx(0.5 ** (3 - number))
