"""Fitting a network: stream, loss, optimiser, precision, and the loop over epochs."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.config import Config, TrainingConfig
from tfpipeline.data.clips import LABELS
from tfpipeline.data.pipeline import Audio, steps_per_epoch, training_batches
from tfpipeline.data.placement import default_device, distribution, map_on_device
from tfpipeline.features.augment import augment_waveforms
from tfpipeline.models.detector import Detector, build_detector, crop_samples
from tfpipeline.models.scoring import ClipScorer
from tfpipeline.training.selection import Selection


def device_settings(config: TrainingConfig) -> dict[str, str | bool]:
    """Precision and jit for the device found.

    `auto` on a CPU is float32 without jit: XLA halves the speed of convolutions there. `auto` on a
    GPU is mixed_float16 with jit, which is the usual advice and has not been measured here.
    """
    gpu = bool(tf.config.list_physical_devices("GPU"))
    precision = config.precision
    if precision == "auto":
        precision = "mixed_float16" if gpu else "float32"
    jit = gpu if config.jit == "auto" else config.jit == "on"
    return {"device": "GPU" if gpu else "CPU", "precision": precision, "jit": jit}


def fit_network(
    config: Config, clips: pd.DataFrame, audio: Audio, folder: Path
) -> tuple[Detector, Selection]:
    """Trains the configured network and leaves it with the best epoch's weights.

    Args:
        config: of the run.
        clips: a manifest with `train` and `validation` parts.
        audio: of the same clips.
        folder: of the run; takes the checkpoint, from which a stopped run goes on, and the
            TensorBoard log.
    Returns:
        The detector, float32 whatever the training precision, and the epochs' history. After
        Ctrl-C the best epoch so far is returned, if there is one.
    """
    training = config.training
    settings = device_settings(training)
    in_train, in_validation = (
        (clips["part"] == part).to_numpy() for part in ("train", "validation")
    )
    train = clips[in_train].reset_index(drop=True)
    train_audio = audio.subset(in_train)

    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(settings["precision"])
    steps = steps_per_epoch(len(train), training.batch_size)
    try:
        with distribution(training.devices).scope():
            detector = build_detector(config)
            trained = detector.body if config.mel.place == "pipeline" else detector.model
            trained.compile(
                optimizer=_optimiser(training, steps),
                loss=keras.losses.BinaryCrossentropy(
                    from_logits=True, label_smoothing=training.label_smoothing
                ),
                jit_compile=settings["jit"],
            )
            trained.optimizer.build(trained.trainable_variables)
    finally:
        keras.config.set_dtype_policy("float32")
    selection = Selection(
        ClipScorer(detector.model, detector.window, training.batch_size),
        audio.subset(in_validation),
        clips["label"].map(LABELS).to_numpy()[in_validation],
        training.patience,
        folder / "checkpoint.npz",
        steps * training.batch_size,
    )
    selection.set_model(trained)
    done = selection.restore()
    if done < training.epochs and not selection.exhausted:
        try:
            trained.fit(
                training_stream(config, detector, train_audio, train, start_step=done * steps),
                initial_epoch=done,
                epochs=training.epochs,
                steps_per_epoch=steps,
                callbacks=[selection, *_logs(training, folder)],
                shuffle=False,
                verbose=0,
            )
        except KeyboardInterrupt:
            if not selection.best:
                raise
            selection.interrupted = True
    trained.set_weights(selection.best_weights)
    return _in_float32(config, detector), selection


def training_stream(
    config: Config, detector: Detector, audio: Audio, clips: pd.DataFrame, start_step: int = 0
) -> tf.data.Dataset:
    """The endless stream of (input, label (batch, 1), weight (batch,)) that `fit` takes.

    The input is the waveform, or the spectrogram where `mel.place` is `pipeline`.
    """
    balance = class_weights(clips) if config.training.class_balance else (1.0, 1.0)

    def prepare(step: tf.Tensor, waveform: tf.Tensor, label: tf.Tensor) -> tuple:
        waveform, label = augment_waveforms(step, waveform, label, config.augment, config.seed)
        weight = balance[0] * (1 - label) + balance[1] * label
        return waveform, label[:, None], weight

    batches = training_batches(
        audio,
        clips,
        crop_samples(config),
        config.training.batch_size,
        config.seed,
        start_step,
        config.augment.speed,
    ).map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if config.mel.place == "pipeline":
        return map_on_device(
            batches,
            lambda x, y, w: (detector.front_end(x), y, w),
            config.mel.device or default_device(),
        )
    return batches.prefetch(tf.data.AUTOTUNE)


def class_weights(clips: pd.DataFrame) -> tuple[float, float]:
    """Weights of (bonafide, spoof) with which both classes have the same mass, 1 on average."""
    counts = np.bincount(clips["label"].map(LABELS), minlength=2)
    return tuple(float(len(clips) / (2 * count)) for count in counts)


def _optimiser(training: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    """Adam, or AdamW where there is weight decay, on the configured schedule."""
    rate = training.learning_rate
    if training.schedule == "cosine":
        warmup = int(training.warmup_epochs * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else rate,
            decay_steps=max(1, training.epochs * steps - warmup),
            alpha=0.01,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    if training.weight_decay:
        return keras.optimizers.AdamW(rate, weight_decay=training.weight_decay)
    return keras.optimizers.Adam(rate)


def _logs(training: TrainingConfig, folder: Path) -> list[keras.callbacks.Callback]:
    if not training.tensorboard:
        return []
    return [keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False)]


def _in_float32(config: Config, detector: Detector) -> Detector:
    """The same detector computing in float32: what scores, calibrates and serves."""
    if config.training.precision == "float32":
        return detector
    plain = build_detector(config)
    plain.model.set_weights(detector.model.get_weights())
    return plain
