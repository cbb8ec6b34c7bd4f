"""The end of a search: the best trial against the start on the same clips, and `best.yaml`."""

from __future__ import annotations

import sys

from tfpipeline.config import Config, config_to_yaml
from tfpipeline.files.atomic import write_json, write_text
from tfpipeline.models.families import find_family
from tfpipeline.runs import layout
from tfpipeline.tuning.records import (
    START,
    TRIALS,
    Record,
    best_record,
    read_records,
    write_trials,
)
from tfpipeline.tuning.reporting import draw_search
from tfpipeline.tuning.search import Search, logged
from tfpipeline.tuning.trial import judge_on_folds, judge_on_validation

BEST = "best.yaml"
SUMMARY = "search.json"


def finish_search(search: Search, seconds: float, settings: int | None = None) -> dict:
    """Compares the best trial with the start, and writes everything that a search leaves.

    Where there are folds, both are judged on them (a classifier's trials have been), and the better
    one is chosen: a search never ends in a config that is worse there than its start.

    Args:
        search: whose trials have ended.
        seconds: that it took, for the record.
        settings: how many the space has, where all of them were tried.
    Returns:
        The content of `search.json`.
    Raises:
        ValueError: no trial completed.
    """
    records = read_records(search.folder)
    objective = search.context.objective
    keys = [parameter.key for parameter in search.plan.space]
    write_trials(search.folder, keys)
    failed = [record for record in records if record.status == "failed" and record.trial != START]
    best = best_record(records, objective)
    exhausted = [] if settings is None else [f"all settings of the space were tried: {settings}"]
    if best is None:
        reasons = [f"{len(failed)} failed", *exhausted]
        reasons += [f"the first error: {failed[0].error}"] if failed else []
        raise ValueError(
            f"no trial completed, so there is no best one. Received: {'; '.join(reasons)}. "
            f"Records: {search.folder / TRIALS}"
        )
    start = next(record for record in records if record.trial == START)
    configs = {START: search.base, best.trial: search.base.replace(best.values, "space")}
    judged = {
        record.trial: _judge(search, record, configs[record.trial]) for record in (start, best)
    }
    where = "folds" if search.context.folds else "validation"
    compared = {trial: objective.key(judged[trial][where]) for trial in judged}
    chosen = best.trial if compared[best.trial] <= compared[START] else START
    summary = {
        "schema": 1,
        "name": search.base.name,
        "model": search.base.model.name,
        "algorithm": search.plan.algorithm,
        "objective": objective.name,
        "direction": objective.direction,
        "folds": search.context.folds,
        "trials": {
            "completed": sum(o.status == "completed" and o.trial != START for o in records),
            "failed": len(failed),
        },
        "seconds": round(seconds, 1),
        "chosen_on": where,
        "chosen": chosen,
        "start": judged[START],
        "best": {"trial": best.trial, "values": best.values, **judged[best.trial]},
        "exhausted": bool(exhausted),
        "notes": [*exhausted, _note(objective.name, where, judged, best.trial, chosen)],
    }
    draw_search(search.folder / layout.FIGURES, records, objective, search.plan.space)
    _write_best(search, configs[chosen], summary)
    write_json(search.folder / SUMMARY, summary)
    return summary


def tuned_name(config: Config) -> str:
    """The name of the config that a search ends in."""
    return f"{config.name}_tuned"


def _judge(search: Search, record: Record, config: Config) -> dict[str, dict[str, float]]:
    """A config's figures on validation, and on the folds where there are any.

    What a trial was judged on already is not judged again.
    """
    folder = search.folder / "compared" / record.trial
    folds = search.context.folds
    if not folds:
        return {"validation": record.figures}
    if not find_family(config.model.name).is_classical:
        print(f"{record.trial}: training on {folds} folds", file=sys.stderr)
    with logged(folder):
        if find_family(config.model.name).is_classical:
            validation = _figures(judge_on_validation(search.context, config, folder))
            return {"validation": validation, "folds": record.figures}
        on_folds = _figures(judge_on_folds(search.context, config, folder))
    return {"validation": record.figures, "folds": on_folds}


def _figures(figures: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if name != "epochs"}


def _note(name: str, where: str, judged: dict, trial: str, chosen: str) -> str:
    """Which of the two is chosen, and why."""
    start, best = judged[START][where][name], judged[trial][where][name]
    if chosen == START:
        return (
            f"the best trial is not better than the start on {where}: {name} {best:.4f} against "
            f"{start:.4f}; {BEST} is the start"
        )
    if start == best:
        return (
            f"trial {trial} and the start have the same {name} on {where}; {BEST} is the trial, by "
            "its min Cllr"
        )
    return f"trial {trial} is better than the start on {where}; {BEST} is the trial"


def _write_best(search: Search, config: Config, summary: dict) -> None:
    """`best.yaml`: a complete config, and above it what it came from."""
    path = search.folder / BEST
    config = config.replace({"name": tuned_name(search.base), "training.tensorboard": True})
    where, name = summary["chosen_on"], summary["objective"]
    trial = summary["start"] if summary["chosen"] == START else summary["best"]
    head = (
        f"# python -m tfpipeline.train --config {path}\n"
        f"# ({summary['algorithm']} over {summary['trials']['completed']} trials; {name} on "
        f"{where}: {trial[where][name]:.4f}, of the start {summary['start'][where][name]:.4f})\n"
    )
    write_text(path, head + config_to_yaml(config))
