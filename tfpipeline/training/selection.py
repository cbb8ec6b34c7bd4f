"""Which epoch's weights are kept, when training stops, and how it continues after a stop."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from tfpipeline.data.clip_audio import Audio
from tfpipeline.evaluation.metrics import equal_error_rate, roc_auc
from tfpipeline.files.atomic import atomic_file
from tfpipeline.models.detector import ClipScorer


class Selection(keras.callbacks.Callback):
    """Scores the validation clips after each epoch and keeps the weights of the best one.

    The best epoch has the highest validation AUC over whole clips; where AUCs are equal, as on a
    small validation part they often are, the lower class-balanced loss decides. After `patience`
    epochs without a better one training stops; epochs with a frozen backbone do not count.

    Everything needed to continue is written to `checkpoint` after each epoch, atomically: weights,
    optimizer state, random-number states, best weights and history.

    Args:
        scorer: over the model being trained.
        audio, labels: the validation clips, labels int (n_clips,).
        patience: in epochs.
        checkpoint: path of the `.npz`.
        clips_per_epoch: for the speed that is shown.
        frozen_epochs: the first epochs, in which the backbone does not learn.

    Attributes:
        interrupted: whether Ctrl-C ended training before its time.
        history: one row an epoch.
        best_weights: of the model after the best epoch.
    """

    def __init__(
        self,
        scorer: ClipScorer,
        audio: Audio,
        labels: np.ndarray,
        patience: int,
        checkpoint: Path,
        clips_per_epoch: int,
        frozen_epochs: int = 0,
    ):
        super().__init__()
        self.scorer, self.audio, self.labels = scorer, audio, labels
        self.patience, self.checkpoint = patience, checkpoint
        self.clips_per_epoch, self.frozen_epochs = clips_per_epoch, frozen_epochs
        self.interrupted = False
        self.history: list[dict] = []
        self.best_weights: list[np.ndarray] = []

    @property
    def best(self) -> dict | None:
        """The history row of the epoch whose weights are kept."""
        return next((row for row in reversed(self.history) if row["best"]), None)

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        if not self.best:
            return False
        return len(self.history) - max(self.best["epoch"], self.frozen_epochs) >= self.patience

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Scores, selects, shows, saves."""
        trained = time.perf_counter() - self._started
        plain = self._put_averages_in()
        scores = self.scorer.score_clips(self.audio)
        there = ~np.isnan(scores)  # NaN of clips that were lost on the way
        labels, scores = self.labels[there], scores[there]
        row = {
            "epoch": epoch + 1,
            "loss": float(logs["loss"]),
            "val_loss": balanced_loss(labels, scores),
            "val_auc": roc_auc(labels, scores),
            "val_eer": equal_error_rate(labels, scores),
            "seconds": round(trained, 3),
        }
        best = self.best
        better = (row["val_auc"], -row["val_loss"])
        row["best"] = best is None or better > (best["val_auc"], -best["val_loss"])
        self.history.append(row)
        logs.update({key: row[key] for key in ("val_loss", "val_auc", "val_eer")})
        if row["best"]:
            self.best_weights = self.model.get_weights()
        if plain is not None:
            self.model.set_weights(plain)
        print(
            f"epoch {row['epoch']:3d}  loss {row['loss']:.4f}  val loss {row['val_loss']:.4f}  "
            f"val AUC {row['val_auc']:.4f}  val EER {100 * row['val_eer']:5.2f} %  "
            f"{self.clips_per_epoch / trained:5.1f} clips/s{'  *' if row['best'] else ''}",
            file=sys.stderr,
        )
        self.save()
        if self.exhausted:
            self.model.stop_training = True

    def save(self) -> None:
        """Writes the checkpoint."""
        arrays = {"history": np.array(json.dumps(self.history))}
        for name, values in self._state().items():
            arrays.update({f"{name}/{i}": np.asarray(value) for i, value in enumerate(values)})
        with atomic_file(self.checkpoint) as partial:
            np.savez(partial, **arrays)

    def restore(self) -> int:
        """Loads the checkpoint, if there is one, into model, optimizer and this callback.

        Returns:
            The number of epochs that are done.
        """
        if not self.checkpoint.exists():
            return 0
        with np.load(self.checkpoint, allow_pickle=False) as saved:
            self.history = json.loads(str(saved["history"]))
            counts = dict.fromkeys(("model", "optimizer", "best"), 0)
            for key in saved.files:
                if "/" in key:
                    counts[key.split("/")[0]] += 1
            for name in ("model", "optimizer"):
                variables = self._variables(name)
                if counts[name] != len(variables):
                    raise ValueError(
                        f"{self.checkpoint}: expected {len(variables)} {name} arrays. "
                        f"Received: {counts[name]}. Start anew without --resume."
                    )
                for i, variable in enumerate(variables):
                    variable.assign(saved[f"{name}/{i}"])
            self.best_weights = [saved[f"best/{i}"] for i in range(counts["best"])]
        return len(self.history)

    def history_table(self) -> pd.DataFrame:
        """One row an epoch; `best` marks only the epoch whose weights are kept."""
        table = pd.DataFrame(self.history)
        return table.assign(best=table["epoch"] == self.best["epoch"])

    def _put_averages_in(self) -> list[np.ndarray] | None:
        """Puts the optimizer's averages into the model, if it keeps any; returns what was there."""
        if not self.model.optimizer.use_ema:
            return None
        plain = self.model.get_weights()
        self.model.optimizer.put_averages_in()
        return plain

    def _state(self) -> dict[str, list]:
        return {
            "model": self._variables("model"),
            "optimizer": self._variables("optimizer"),
            "best": self.best_weights,
        }

    def _variables(self, name: str) -> list:
        """All of a part's variables, the states of its random-number generators included."""
        return list(self.model.variables if name == "model" else self.model.optimizer.variables)


def balanced_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    """Binary cross-entropy of log-odds, in nats, both classes at half the weight."""
    signed = np.where(labels == 1, scores, -scores)
    losses = np.logaddexp(0, -signed)
    return float((losses[labels == 1].mean() + losses[labels == 0].mean()) / 2)
