"""Fitting a network: stream, loss, optimizer, precision, and the loop over epochs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.config import Config, TrainingConfig, config_to_yaml
from tfpipeline.data.clip_audio import Audio
from tfpipeline.data.clips import LABELS
from tfpipeline.data.codec_bank import codec_bank
from tfpipeline.data.mixing import draw_weights, training_rows
from tfpipeline.data.pipeline import (
    WHOLE,
    Share,
    default_device,
    distribution,
    map_on_device,
    steps_per_epoch,
    training_batches,
)
from tfpipeline.features.augment import augment_waveforms
from tfpipeline.models.detector import (
    ClipScorer,
    DetectorModel,
    build_detector,
    crop_samples,
    weights_source,
)
from tfpipeline.models.families import find_family
from tfpipeline.models.pretrained import Pretrained, load_pretrained
from tfpipeline.runs import layout
from tfpipeline.training.cluster import Cluster, SharedScorer, fit_in_step
from tfpipeline.training.fit_head import compile_head, fit_head
from tfpipeline.training.optimizer import build_optimizer
from tfpipeline.training.selection import Selection


def device_settings(config: TrainingConfig, image_network: bool = False) -> dict[str, str | bool]:
    """Precision and jit for the device found.

    `auto` on a CPU is float32 without jit: XLA halves the speed of convolutions there. An image
    network takes mixed_bfloat16 where the CPU has instructions for it, with which ResNet-18 was
    half as fast again; without them it is several times slower. `auto` on a
    GPU is mixed_float16 with jit, which is the usual advice and has not been measured here.
    """
    gpu = bool(tf.config.list_physical_devices("GPU"))
    precision = config.precision
    if precision == "auto":
        bfloat16 = image_network and cpu_has_bfloat16()
        precision = "mixed_float16" if gpu else "mixed_bfloat16" if bfloat16 else "float32"
    jit = gpu if config.jit == "auto" else config.jit == "on"
    return {"device": "GPU" if gpu else "CPU", "precision": precision, "jit": jit}


def cpu_has_bfloat16() -> bool:
    """Whether the CPU says that it multiplies bfloat16; False where it cannot be asked."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def fit_network(
    config: Config,
    clips: pd.DataFrame,
    audio: Audio,
    folder: Path,
    until: int | None = None,
    cluster: Cluster | None = None,
) -> tuple[DetectorModel, Selection, Pretrained | None]:
    """Trains the configured network and leaves it with the best epoch's weights.

    Args:
        config: of the run.
        clips: a manifest with `train` and `validation` parts.
        audio: of the same clips.
        folder: of the run; takes the checkpoint, from which a stopped run continues, and the
            TensorBoard log.
        until: the epoch to stop after for now, on the schedule of all `training.epochs`; a later
            call with the same folder continues. None: the last one.
        cluster: the machines that train together; all call this, each with a folder of its own.
    Returns:
        The detector, float32 whatever the training precision; the epochs' history; and what its
        backbone began with, None where it has none. After Ctrl-C the best epoch so far is returned,
        if there is one.
    Raises:
        ConnectionError, FileNotFoundError, ValueError: as `load_pretrained`, or settings that do
            not go together, or too many clips were lost on the way.
    """
    training = config.training
    if cluster:
        cluster.check_alike(_digest(config, clips))
    settings = device_settings(training, find_family(config.model.name).kind == "image")
    # What is drawn by its source is balanced in the stream.
    balance = "none" if config.data.balance == "source" else config.data.balance
    in_train = training_rows(clips, balance, config.seed)
    in_validation = (clips["part"] == "validation").to_numpy()
    train = clips.iloc[in_train].reset_index(drop=True)
    train_audio = audio.subset(in_train)

    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(settings["precision"])
    steps = steps_per_epoch(len(train), training.batch_size)
    share = cluster.share(training.batch_size) if cluster else WHOLE
    strategy = cluster.strategy if cluster else distribution(training.devices)
    try:
        with strategy.scope():
            detector = build_detector(config)
            pretrained = _load_backbone(config, detector)
            trained = detector.body if config.mel.place == "pipeline" else detector.model
            trained.compile(
                optimizer=build_optimizer(training, steps, detector.backbone),
                loss=keras.losses.BinaryCrossentropy(
                    from_logits=True, label_smoothing=training.label_smoothing
                ),
                jit_compile=settings["jit"],
            )
            trained.optimizer.build(trained.trainable_variables)
            if training.cached_passes:
                compile_head(detector, training, steps, settings["jit"], trained.loss)
    finally:
        keras.config.set_dtype_policy("float32")
    last = min(until or training.epochs, training.epochs)
    validation = audio.subset(in_validation)
    judged = (detector.model, detector.window, training.batch_size)
    selection = Selection(
        SharedScorer(cluster, *judged) if cluster else ClipScorer(*judged),
        validation,
        clips["label"].map(LABELS).to_numpy()[in_validation],
        training.patience,
        folder / layout.CHECKPOINT,
        steps * training.batch_size,
        # Where the backbone stays frozen to the end, all epochs count for patience.
        training.frozen_epochs if training.frozen_epochs < training.epochs else 0,
    )
    selection.set_model(trained)
    if cluster:
        cluster.copy_from_chief(selection.checkpoint)
    done = selection.restore()
    frozen = min(training.frozen_epochs, last)
    if training.cached_passes and done < frozen and not selection.exhausted:
        stream = waveform_stream(config, train_audio, train)
        with audio.lost.told():
            fit_head(detector, training, stream, steps, config.seed, selection, folder, frozen)
        done = last if selection.interrupted else len(selection.history)
    fixed = _fixed_layers(detector)
    try:
        for end in sorted({min(training.frozen_epochs, last), last}):
            if done >= end or selection.exhausted:
                continue
            if detector.backbone is not None:
                detector.backbone.trainable = end > training.frozen_epochs
                for layer in fixed:
                    layer.trainable = False
                trained.train_function = None  # traced anew, for the variables that learn now

            def stream(done: int = done) -> tf.data.Dataset:
                return training_stream(config, detector, train_audio, train, done * steps, share)

            callbacks = [selection, *_logs(training, folder)]
            with audio.lost.told():
                if cluster:
                    fit_in_step(trained, cluster, stream, steps, range(done, end), callbacks)
                else:
                    trained.fit(
                        stream(),
                        initial_epoch=done,
                        epochs=end,
                        steps_per_epoch=steps,
                        callbacks=callbacks,
                        shuffle=False,
                        verbose=0,
                    )
            done = len(selection.history)
    except KeyboardInterrupt:
        if not selection.best:
            raise
        selection.interrupted = True
    trained.set_weights(selection.best_weights)
    return _plain(config, detector, cluster), selection, pretrained


def _digest(config: Config, clips: pd.DataFrame) -> bytes:
    """Of the config and of the clips in their order, wherever their files are; 32 bytes."""
    names = clips["clip_id"].map(os.path.basename)
    rows = "\n".join(names + "\t" + clips["label"] + "\t" + clips["part"])
    return hashlib.sha256((config_to_yaml(config) + rows).encode("utf-8", "replace")).digest()


def _load_backbone(config: Config, detector: DetectorModel) -> Pretrained | None:
    if detector.backbone is None:
        return None
    return load_pretrained(detector.backbone, config.model.name, weights_source(config))


def _fixed_layers(detector: DetectorModel) -> list[keras.Layer]:
    """Layers of the backbone that its builder froze for good."""
    layers = detector.backbone.layers if detector.backbone is not None else []
    return [layer for layer in layers if layer.weights and not layer.trainable]


def training_stream(
    config: Config,
    detector: DetectorModel,
    audio: Audio,
    clips: pd.DataFrame,
    start_step: int = 0,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """The endless stream of (input, label (batch, 1), weight (batch,)) that `fit` takes.

    The input is the waveform, or the spectrogram where `mel.place` is `pipeline`.
    """
    batches = waveform_stream(config, audio, clips, start_step, share)
    if config.mel.place == "pipeline":
        return map_on_device(
            batches,
            lambda x, y, w: (detector.front_end(x), y, w),
            config.mel.device or default_device(),
        )
    return batches.prefetch(tf.data.AUTOTUNE)


def waveform_stream(
    config: Config,
    audio: Audio,
    clips: pd.DataFrame,
    start_step: int = 0,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """The endless stream of augmented (waveform, label (batch, 1), weight (batch,))."""
    drawn = config.data.balance == "source"
    balance = class_weights(clips) if config.training.class_balance and not drawn else (1.0, 1.0)

    def prepare(step: tf.Tensor, waveform: tf.Tensor, label: tf.Tensor) -> tuple:
        waveform, label = augment_waveforms(step, waveform, label, config.augment, config.seed)
        weight = balance[0] * (1 - label) + balance[1] * label
        return waveform, label[:, None], weight

    augment, codecs = config.augment, None
    if augment.distortions.codec:
        codecs = codec_bank(
            clips["path"].tolist(),
            audio.channels,
            augment.codecs,
            augment.distortions.codec,
            config.seed,
        )
    return training_batches(
        audio,
        clips,
        crop_samples(config),
        config.training.batch_size,
        config.seed,
        start_step,
        config.augment,
        draw_weights(clips) if drawn else None,
        codecs,
        share,
    ).map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def class_weights(clips: pd.DataFrame) -> tuple[float, float]:
    """Weights of (bonafide, spoof) with which both classes have the same mass, 1 on average."""
    counts = np.bincount(clips["label"].map(LABELS), minlength=2)
    return tuple(float(len(clips) / (2 * count)) for count in counts)


def _logs(training: TrainingConfig, folder: Path) -> list[keras.callbacks.Callback]:
    if not training.tensorboard:
        return []
    return [keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False)]


def _plain(config: Config, detector: DetectorModel, cluster: Cluster | None) -> DetectorModel:
    """The same detector in float32, on one machine: what scores, calibrates and serves."""
    if config.training.precision == "float32" and not cluster:
        return detector
    plain = build_detector(config)
    plain.model.set_weights(detector.model.get_weights())
    return plain
