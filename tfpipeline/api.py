"""The front door: what `import tfpipeline as tfp` offers, beside the classes that it names."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tfpipeline.cli import corpus_from_flag, run_folder
from tfpipeline.config import CONFIGS, Config, DataConfig, load_config
from tfpipeline.runs import layout

if TYPE_CHECKING:
    from tfpipeline.prediction.detector import Detector

TABLES = (".csv", ".tsv", ".parquet")


class Run:
    """A complete run: what `fit` returns, and what a run folder holds.

    Args:
        folder: of the run.

    Attributes:
        folder: a `Path`.
        report: `report.html` in it.

    Example:
        >>> run = Run("saved_models/cnn")
        >>> run.report
        PosixPath('saved_models/cnn/report.html')
        >>> run.metrics["parts"]["test"]["auc"]    # doctest: +SKIP
        0.986
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.report = self.folder / layout.REPORT

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def detector(self) -> Detector:
        """The trained detector."""
        return load(self.folder)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The score table, one row a clip of every part."""
        from tfpipeline.evaluation.scores import read_scores

        return read_scores(self.folder / layout.SCORES)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of `metrics.json`: figures by part and by group, and notes."""
        from tfpipeline.runs.run import open_run

        return open_run(self.folder).metrics


def load(run: str | os.PathLike | None = None, threshold: str | float | None = None) -> Detector:
    """Opens a trained detector.

    Args:
        run: the name of a run in `saved_models/`, or the folder of a run. None: the detector that
            comes with the project.
        threshold: what a score must reach to be called spoof: `eer` (default), `far1`, or a score;
            see `python -m tfpipeline.predict --help`.
    Raises:
        FileNotFoundError: there is no such run; the message tells how to train one.
        ValueError: the run is damaged, or has no such threshold.

    Example:
        >>> load().name
        'pretrained'
    """
    from tfpipeline.prediction.detector import Detector

    return Detector(run_folder(None if run is None else os.fspath(run)), threshold)


def load_clips(
    data: str | os.PathLike | Sequence[str] = "demo", split: bool = True
) -> pd.DataFrame:
    """Lists the clips of a corpus, or of several together.

    Args:
        data: `NAME` or `NAME:PATH` as for `--data`, such as `demo`, `folder:speech` or
            `manifest:clips.csv`; a list of several; or the path of a folder or of a table alone.
        split: assign clips to train, validation and test where the corpus does not.
    Returns:
        The manifest: one row a clip, columns `clip_id, path, label, speaker, attack, source, part,
        language, codec, seconds` and the corpus's own; what is not known is `-`.
    Raises:
        ValueError: no such corpus, or it cannot be split.
        FileNotFoundError: its files are not there.

    Example:
        >>> load_clips("folder:speech")["label"].value_counts()    # doctest: +SKIP
    """
    from tfpipeline.data import corpora

    if isinstance(data, (str, os.PathLike)):
        data = [os.fspath(data)]
    corpus = corpus_from_flag([_corpus(name) for name in data])
    clips = corpora.load_clips(DataConfig(corpus=corpus), split)
    clips.attrs["corpus"] = corpus
    return clips


def fit(
    model: str | Config,
    clips: pd.DataFrame | str | os.PathLike | None = None,
    *,
    run: str | os.PathLike | None = None,
    overwrite: bool = False,
    epochs: int | None = None,
    seed: int | None = None,
    settings: Sequence[str] = (),
) -> Run:
    """Trains a detector, scores every part, calibrates it, and leaves a run folder.

    Args:
        model: a file of `configs/` by its name, such as `cnn`, `resnet18` or `lightgbm`; the path
            of a YAML file; or a `Config`.
        clips: a manifest, as `load_clips` gives it, or what `load_clips` takes. None: the config's
            own corpus.
        run: a name under `saved_models/`, or a folder. Default: the config's name.
        overwrite: replace a complete run of that name.
        epochs: sets `training.epochs`.
        seed: sets `seed`.
        settings: changes of the config, each `section.key=value` as for `--set`.
    Returns:
        The complete run.
    Raises:
        ValueError: an unknown setting, or clips that cannot be trained on.

    Example:
        >>> run = fit("cnn", load_clips("folder:speech"), epochs=5)    # doctest: +SKIP
        >>> run.metrics["parts"]["test"]["auc"]                        # doctest: +SKIP
        0.98
    """
    from tfpipeline.workflows.train import train_run

    if clips is not None and not isinstance(clips, pd.DataFrame):
        clips = load_clips(clips)
    config = _config(model, clips, epochs, seed, settings)
    target = run_folder(os.fspath(run) if run is not None else config.name)
    train_run(config, target, overwrite=overwrite, clips=clips)
    return Run(target)


def evaluate_scores(
    labels: Sequence[int] | Sequence[str] | np.ndarray,
    scores: Sequence[float] | np.ndarray,
    threshold: float | None = None,
    groups: Sequence[str] | None = None,
) -> dict[str, float | int | None]:
    """The metrics of scores: AUC, EER, costs, and rates at a threshold.

    Args:
        labels: of the clips, 1 or `spoof`, 0 or `bonafide`.
        scores: of the same clips, higher = more likely spoof, any scale.
        threshold: fixed on other clips; adds `miss_rate`, `false_alarm_rate`, `hter` and
            `balanced_accuracy`.
        groups: the speaker (or source) of each clip; adds 95 % intervals by the bootstrap over
            groups.
    Returns:
        Name → value; None where it is not defined.
    Raises:
        ValueError: lengths differ, a label is neither, or a score is not finite.

    Example:
        >>> found = evaluate_scores(["bonafide", "spoof", "spoof"], [-1.0, 2.0, 0.5], threshold=1)
        >>> found["auc"], found["eer"], found["miss_rate"]
        (1.0, 0.0, 0.5)
    """
    from tfpipeline.data.clips import LABELS, UNKNOWN
    from tfpipeline.evaluation.evaluator import Evaluator
    from tfpipeline.evaluation.metrics import checked

    words = {number: word for word, number in LABELS.items()}
    labels = [words.get(value, value) for value in np.asarray(labels).tolist()]
    wrong = next((value for value in labels if value not in LABELS), None)
    if wrong is not None:
        raise ValueError(f"a label must be 0, 1, bonafide or spoof. Received: {wrong!r}")
    _, scores = checked(np.array([LABELS[word] for word in labels], int), np.asarray(scores, float))
    rows = pd.DataFrame({"label": labels, "score": scores})
    rows["speaker"] = list(groups) if groups is not None else UNKNOWN
    rows = rows.assign(clip_id=range(len(rows)), source=UNKNOWN, llr=np.nan, probability=np.nan)
    evaluator = Evaluator(threshold) if groups is not None else Evaluator(threshold, rounds=0)
    return evaluator.full(rows, "the scores")


def _corpus(name: str) -> str:
    """`NAME:PATH` of what may be a path alone."""
    path = Path(name)
    if path.suffix.lower() in TABLES and path.is_file():
        return f"manifest:{name}"
    return f"folder:{name}" if path.is_dir() else name


def _config(
    model: str | Config, clips: pd.DataFrame | None, epochs, seed, settings: Sequence[str]
) -> Config:
    changes = list(settings)
    if epochs is not None:
        changes.append(f"training.epochs={epochs}")
    if seed is not None:
        changes.append(f"seed={seed}")
    if clips is not None:
        corpus = clips.attrs.get("corpus", "manifest:clips")
        changes.append(f"data.corpus={json.dumps(corpus)}")
    if isinstance(model, Config):
        return model.override(changes)
    path = Path(model)
    named = path.suffix not in (".yaml", ".yml")
    return load_config(CONFIGS / f"{model}.yaml" if named else path, changes)
