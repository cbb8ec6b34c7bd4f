"""Pretraining a speech encoder by masked prediction: the loop over epochs, and its checkpoint."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.config import Config
from tfpipeline.data.clip_audio import Audio
from tfpipeline.data.pipeline import scoring_batches, steps_per_epoch, training_batches
from tfpipeline.files.atomic import write_table
from tfpipeline.files.progress import Progress
from tfpipeline.models.detector import crop_samples, weights_source, window_samples
from tfpipeline.models.pretrained import load_pretrained
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS
from tfpipeline.models.speech_encoders.hub_folder import build_speech_encoder
from tfpipeline.runs import layout
from tfpipeline.training.masked_prediction import MaskedPrediction
from tfpipeline.training.optimizer import build_optimizer


def pretrain_encoder(
    config: Config, clips: pd.DataFrame, audio: Audio, folder: Path
) -> tuple[keras.Model, pd.DataFrame]:
    """Trains the configured speech encoder to tell what masked stretches sounded like.

    Args:
        config: `model.name` is a speech encoder; `training` holds for the loop.
        clips: with the parts `train` and `validation`; labels are not read.
        audio: of the same clips.
        folder: takes the checkpoint of each epoch, from which a stopped run continues, and
            `history.csv`.
    Returns:
        The encoder, and a row an epoch: `epoch`, `loss`, `accuracy`, `val_loss`, `val_accuracy`
        over masked frames, `seconds`.
    Raises:
        ValueError: an encoder without a spectrogram, or settings that do not go together.
    """
    training = config.training
    in_train = (clips["part"] == "train").to_numpy()
    train = clips[in_train].reset_index(drop=True)
    steps = steps_per_epoch(len(train), training.batch_size)
    keras.utils.set_random_seed(config.seed)
    encoder = build_speech_encoder(SPEECH_ENCODERS[config.model.name].settings)
    load_pretrained(encoder, config.model.name, weights_source(config))
    model = MaskedPrediction(encoder, config.seed)
    optimizer = build_optimizer(training, steps, None)
    variables = [*model.behind.trainable_variables, *model.classifier.trainable_variables]
    optimizer.build(variables)

    done = tf.Variable(0, dtype=tf.int64)
    kept = [variable.value for variable in (*variables, *optimizer.variables)]
    saved = tf.train.Checkpoint(variables=kept, done=done)
    checkpoints = tf.train.CheckpointManager(saved, str(folder / "checkpoints"), max_to_keep=1)
    history = []
    if checkpoints.restore_or_initialize():
        history = pd.read_csv(folder / layout.HISTORY).to_dict("records")[: int(done)]

    @tf.function
    def learn(waveform: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss, accuracy = model.masked_loss(waveform, step, training=True)
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]))
        return loss, accuracy

    judge = tf.function(lambda waveform, step: model.masked_loss(waveform, step, training=False))
    validation = audio.subset((clips["part"] == "validation").to_numpy())
    stream = iter(
        training_batches(
            audio.subset(in_train),
            train.assign(label="bonafide"),
            crop_samples(config),
            training.batch_size,
            config.seed,
            int(done) * steps,
            config.augment,
        ).prefetch(tf.data.AUTOTUNE)
    )
    for epoch in range(int(done) + 1, training.epochs + 1):
        began, rows = time.perf_counter(), []
        with Progress(f"epoch {epoch}", steps, "steps") as bar:
            for _ in range(steps):
                step, waveform, _ = next(stream)
                rows.append([float(value) for value in learn(waveform, step)])
                bar.advance()
        seconds = time.perf_counter() - began
        # The same masks after each epoch.
        batches = scoring_batches(validation, window_samples(config), training.batch_size)
        judged = [
            [float(value) for value in judge(waveform, tf.constant(-1 - number, tf.int64))]
            for number, (_, waveform) in enumerate(batches)
        ]
        (loss, accuracy), (val_loss, val_accuracy) = np.mean(rows, 0), np.mean(judged, 0)
        history.append(
            {
                "epoch": epoch,
                "loss": loss,
                "accuracy": accuracy,
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
                "seconds": round(seconds, 3),
            }
        )
        print(
            f"epoch {epoch:3d}  loss {loss:.4f}  val loss {val_loss:.4f}  "
            f"val accuracy {100 * val_accuracy:5.2f} %  "
            f"{steps * training.batch_size / seconds:5.1f} clips/s",
            file=sys.stderr,
        )
        write_table(folder / layout.HISTORY, pd.DataFrame(history))
        done.assign(epoch)
        checkpoints.save()
    return encoder, pd.DataFrame(history)
