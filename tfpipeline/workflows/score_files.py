"""Score files of other systems, judged; and one system on several data sets, EERs pooled."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tfpipeline.data.clips import LABELS
from tfpipeline.evaluation.breakdown import break_down
from tfpipeline.evaluation.calibration import fit_calibration
from tfpipeline.evaluation.metrics import eer_threshold
from tfpipeline.evaluation.pooled import pooled_report
from tfpipeline.evaluation.score_files import ScoreFile, read_score_file
from tfpipeline.evaluation.score_forms import LOGITS
from tfpipeline.evaluation.scores import calibrated
from tfpipeline.files.atomic import write_json, write_table
from tfpipeline.reporting.report import Evaluation
from tfpipeline.runs.run import Run
from tfpipeline.workflows.other_corpus import (
    open_whole,
    refuse_seen,
    score_clips,
    seen_paths,
)


@dataclass(frozen=True)
class ScoreFiles:
    """Score files and how they are read; see `read_score_file`.

    Attributes:
        paths: of the scores.
        keys: of their labels: none, one for all, or one each in their order.
        polarity, subset, logits: as `read_score_file` has them, for all.
    """

    paths: Sequence[str | Path] = ()
    keys: Sequence[str | Path] = ()
    polarity: str | None = None
    subset: str | None = None
    logits: str | None = None

    def read(self) -> Iterator[tuple[str, Path, ScoreFile]]:
        """The name of each, its path and what was read; how it was understood is printed.

        Raises:
            ValueError: there are more or fewer keys than files, or one cannot be read.
        """
        if len(self.keys) not in (0, 1, len(self.paths)):
            raise ValueError(
                "--key takes one key for all score files, or one each in their order. Received: "
                f"{len(self.keys)} keys, {len(self.paths)} score files."
            )
        paths = [Path(path) for path in self.paths]
        keys = self.keys if len(self.keys) > 1 else [*self.keys, None][:1] * len(paths)
        for path, key, name in zip(paths, keys, _names(paths), strict=True):
            read = read_score_file(path, key, self.polarity, self.subset, self.logits)
            turned = ", turned round" if read.polarity == "bonafide" else ""
            form = f"form {read.form} ({read.layout}), high = {read.polarity}{turned}"
            print(f"{path}: {form}", file=sys.stderr)
            for note in _notes(read):
                print(f"{path}: {note}", file=sys.stderr)
            yield name, path, read


def evaluate_score_file(
    name: str, path: Path, read: ScoreFile, by: Sequence[str] = ()
) -> Evaluation:
    """Judges a score file; threshold and calibration are fitted on its validation part, if any."""
    table, threshold = read.table, None
    validation = table[table["part"] == "validation"]
    if validation["label"].nunique() == 2:
        labels = validation["label"].map(LABELS).to_numpy()
        scores = validation["score"].to_numpy()
        threshold = {
            "value": eer_threshold(labels, scores),
            "rule": "equal error rate",
            "part": "validation",
        }
        if table["llr"].isna().any():
            table = calibrated(table, fit_calibration(labels, scores))
    metrics = break_down(table, name, read.form, path.name, None, threshold, by)
    if threshold is None:
        metrics["notes"].append("no validation part, so no threshold and no calibration")
    metrics["notes"] += _notes(read)
    other = "spoof" if read.polarity == "bonafide" else "bonafide"
    turned = next(order for order in LOGITS if f"{order} logits" not in read.layout)
    fix = f"--logits {turned}" if read.form == "logits" else f"--polarity {other}"
    for part, values in metrics["parts"].items():
        if values["auc"] is not None and values["auc"] < 0.5:
            metrics["notes"].append(
                f"{part}: an AUC of {values['auc']:.3f} is below chance. Is the sign turned round? "
                f"Then name it: {fix}"
            )
    return Evaluation(metrics, table)


def pool(runs: Sequence[Run], corpora: Sequence[str], files: ScoreFiles) -> tuple[list[dict], bool]:
    """EER of each data set, their mean, and pooled: of runs, or of one system's score files.

    Args:
        runs: complete ones.
        corpora: `NAME[:PATH]` of each that they score.
        files: of one system, one a data set; where there are runs, none.
    Returns:
        One row `{"run", **pooled_report}` a system, and whether all clips have a score.
    """
    if runs:
        return _pool_runs(runs, corpora), True
    tables, notes, complete = {}, [], True
    for data_set, _, read in files.read():
        tables[data_set] = read.table
        notes += [f"{data_set}: {note}" for note in _notes(read)]
        complete &= not read.unscored
    report = pooled_report(tables)
    name = " + ".join(tables)
    return [{"run": name, **report, "notes": notes + report["notes"]}], complete


def _pool_runs(runs: Sequence[Run], corpora: Sequence[str]) -> list[dict]:
    """Runs on corpora that they score first: EER of each, mean, pooled; a row a run.

    Of a corpus with a test part, that part counts; of others all clips.

    Args:
        runs: complete ones.
        corpora: `NAME[:PATH]` of each.
    Raises:
        ValueError: a run saw clips of a corpus in training, or a corpus is named twice.
    """
    repeated = next((name for name in corpora if list(corpora).count(name) > 1), None)
    if repeated:
        raise ValueError(f"each corpus is pooled once. Received: {repeated} twice.")
    tables: dict[str, dict[str, pd.DataFrame]] = {run.folder.name: {} for run in runs}
    notes = []
    for corpus in corpora:
        clips, audio, skipped = open_whole(corpus)
        tested = clips["part"].isin(("test", "unseen")).to_numpy()
        if tested.any() and not tested.all():
            clips, audio = clips[tested].reset_index(drop=True), audio.subset(tested.nonzero()[0])
            notes.append(f"{corpus}: its test part, {len(clips)} clips")
        if len(skipped):
            notes.append(f"{corpus}: {len(skipped)} clips cannot be read, and are left out")
        for run in runs:
            refuse_seen(clips, seen_paths(run), corpus)
            tables[run.folder.name][corpus] = score_clips(run, clips, audio)
    reports = [{"run": run, **pooled_report(table)} for run, table in tables.items()]
    return [{**report, "notes": notes + report["notes"]} for report in reports]


def write_pooled(reports: Sequence[dict], out: Path) -> Path:
    """Writes `pooled.json`, and `pooled.csv` of a row a run and data set; returns its path."""
    rows = []
    for report in reports:
        rows += [{"run": report["run"], **row} for row in report["data_sets"]]
        for name in ("mean", "pooled"):
            rows.append({"run": report["run"], "data_set": name, **report[name]})
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "pooled.json", {"schema": 1, "runs": list(reports)})
    columns = ("run", "data_set", "n_bonafide", "n_spoof", "eer", "miss_rate", "false_alarm_rate")
    table = pd.DataFrame(rows, columns=[*columns, "threshold"])
    counts = {"n_bonafide": "Int64", "n_spoof": "Int64"}  # none in the row of the mean
    write_table(out / "pooled.csv", table.astype(counts))
    return out / "pooled.csv"


def _notes(read: ScoreFile) -> list[str]:
    lacking = (
        f"{read.unscored} clips of the key have no score, so these figures are not those that the "
        "organizers' packages would give: they stop there"
    )
    return [*read.notes, *([lacking] if read.unscored else [])]


def _names(paths: Sequence[Path]) -> list[str]:
    """The files' stems, with their folder's name where stems repeat: `LA/score`, `DF/score`."""
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    names = [f"{path.resolve().parent.name}/{path.stem}" for path in paths]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise ValueError(f"each model needs a name of its own. Received: {repeated} twice.")
    return names
