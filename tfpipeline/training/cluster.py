"""Training on several machines: the workers that `TF_CONFIG` names, and what they exchange.

All workers open the same corpus and train in step (`tf.distribute.MultiWorkerMirroredStrategy`),
each on its share of every batch, and each scores its share of the validation clips. Losses, scores
and decisions are so the same on all, and the same as on one machine. The first worker, the chief,
writes the run.

`fit` of Keras 3 cannot average the results of a step over machines (keras-team/keras#20585), hence
the loop in `fit_in_step`, around Keras's own `train_step`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfpipeline.data.clip_audio import Audio
from tfpipeline.data.pipeline import Share
from tfpipeline.models.detector import ClipScorer

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", …}}'


@dataclass(frozen=True)
class Cluster:
    """The machines that train one model.

    Attributes:
        strategy: of TensorFlow, connected.
        index: of this worker, 0 is the chief's.
        workers: how many there are.
    """

    strategy: tf.distribute.Strategy
    index: int
    workers: int

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the run."""
        return self.index == 0

    def share(self, batch_size: int) -> Share:
        """This worker's share of every batch.

        Raises:
            ValueError: the batch cannot be shared evenly.
        """
        devices = self.strategy.num_replicas_in_sync
        if batch_size % devices:
            raise ValueError(
                f"training.batch_size is shared by {devices} devices of {self.workers} workers, "
                f"and must be a multiple of {devices}. Received: {batch_size}."
            )
        return Share(self.index, self.workers, devices // self.workers)

    def add_up(self, values: np.ndarray) -> np.ndarray:
        """The sum of all workers' arrays, which have one shape; float64 or int64."""
        own = self.strategy.num_replicas_in_sync // self.workers

        def of_device(context: tf.distribute.ReplicaContext) -> tf.Tensor:
            first = context.replica_id_in_sync_group % own == 0
            return tf.constant(values if first else np.zeros_like(values))

        shared = self.strategy.experimental_distribute_values_from_function(of_device)
        with lost_workers():
            return self.strategy.reduce("SUM", shared, axis=None).numpy()

    def from_chief(self, content: bytes) -> bytes:
        """The chief's bytes, whatever those of the others."""
        own = content if self.is_chief else b""
        (size,) = self.add_up(np.array([len(own)], np.int64))
        if not size:  # TensorFlow 2.17 crashes when it adds up empty arrays
            return b""
        padded = own.ljust(-(-size // 8) * 8, b"\0")
        return self.add_up(np.frombuffer(padded, np.int64)).tobytes()[:size]

    def copy_from_chief(self, path: Path) -> None:
        """Gives every worker the chief's file, where the chief has it."""
        content = self.from_chief(path.read_bytes() if self.is_chief and path.exists() else b"")
        if content and not self.is_chief:
            path.write_bytes(content)

    def check_alike(self, digest: bytes) -> None:
        """Refuses workers that do not train the same.

        Args:
            digest: of all that must be the same.
        Raises:
            ValueError: some differ; on all of them.
        """
        differs = self.from_chief(digest) != digest
        if self.add_up(np.array([differs], np.int64))[0]:
            whose = "this worker's differ" if differs else "those of another worker differ"
            raise ValueError(
                f"all workers of {VARIABLE} must have the chief's config and clips. Received: "
                f"{whose}. Do all see the same corpus, and have the same command?"
            )


class SharedScorer(ClipScorer):
    """Scores clips, each worker its share of them; all have all scores.

    Args:
        cluster: of the workers.
        *arguments: of `ClipScorer`.
    """

    def __init__(self, cluster: Cluster, *arguments):
        super().__init__(*arguments)
        self._cluster = cluster

    def score_clips(self, audio: Audio) -> np.ndarray:
        scores = np.zeros(audio.n_clips)
        own = np.arange(self._cluster.index, audio.n_clips, self._cluster.workers)
        scores[own] = super().score_clips(audio.subset(own))
        return self._cluster.add_up(scores)


def read_cluster() -> tuple[int, int] | None:
    """Index of this worker and number of workers, of `TF_CONFIG`; None for one machine.

    Raises:
        ValueError: it is malformed, or of another kind of cluster.
    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        return None
    try:
        whole = json.loads(text)
        jobs = {job: list(hosts) for job, hosts in whole.get("cluster", {}).items() if hosts}
        task = whole.get("task", {})
        kind, index = task.get("type"), int(task.get("index", -1))
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"{VARIABLE} must be a JSON object such as {EXAMPLE}. Received: {text[:200]!r}."
        ) from None
    workers = sum(len(jobs.get(job, ())) for job in ("chief", "worker"))
    if workers < 2 and not set(jobs) - {"chief", "worker"}:
        return None
    if set(jobs) - {"chief", "worker"} or not 0 <= index < len(jobs.get(kind, ())):
        raise ValueError(
            f"{VARIABLE} must name workers, at most one of them as chief, and which this one is: "
            f"{EXAMPLE}. Received: {', '.join(f'{len(own)} {job}' for job, own in jobs.items())}, "
            f"and this one is {kind} {index}."
        )
    return (index if kind == "chief" else len(jobs.get("chief", ())) + index), workers


def join_cluster() -> Cluster | None:
    """Waits for all workers of `TF_CONFIG`; None for one machine.

    Call it before any operation of TensorFlow.

    Raises:
        ValueError: as `read_cluster`.
        OSError: the others do not come.
    """
    place = read_cluster()
    if place is None:
        return None
    with lost_workers():
        return Cluster(tf.distribute.MultiWorkerMirroredStrategy(), *place)


@contextmanager
def lost_workers() -> Iterator[None]:
    """Turns TensorFlow's errors about other workers into one line.

    Raises:
        OSError: one of them is gone.
    """
    try:
        yield
    except (
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.InternalError,
        tf.errors.UnavailableError,
    ) as error:
        reason = error.message.partition("\n")[0][:200]
        raise OSError(
            f"a worker of {VARIABLE} does not answer: {reason}. Start all workers again; with "
            "--resume they continue from the last whole epoch."
        ) from None


def fit_in_step(
    model: keras.Model,
    cluster: Cluster,
    stream: Callable[[], tf.data.Dataset],
    steps: int,
    epochs: range,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """`model.fit` on several machines.

    Args:
        model: compiled within the strategy's scope.
        cluster: of the workers.
        stream: makes this worker's batches, one for each of its devices.
        steps: of an epoch.
        epochs: to train.
        callbacks: called at the begin and end of epochs.
    """
    strategy = cluster.strategy

    @tf.function
    def step(batches: tf.distribute.DistributedIterator) -> None:
        strategy.run(model.train_step, args=(next(batches),))

    batches = iter(strategy.distribute_datasets_from_function(lambda context: stream()))
    told = keras.callbacks.CallbackList(callbacks, model=model)
    model.stop_training = False
    told.on_train_begin()
    for epoch in epochs:
        model.reset_metrics()
        told.on_epoch_begin(epoch)
        with lost_workers():
            for _ in range(steps):
                step(batches)
            logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        told.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    told.on_train_end()
