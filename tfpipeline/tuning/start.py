"""The start of a search: what is checked before any clip is read, and the search's folder."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

from tfpipeline.config import Config
from tfpipeline.files.atomic import write_json
from tfpipeline.models.families import find_family
from tfpipeline.tuning.space import SearchConfig, plan_to_dict, probes
from tfpipeline.tuning.trial import check_options

SETTINGS = "plan.json"
FREE = ("max_trials", "max_minutes")  # budgets that a resumed search may change
# A network's folds compare start and best in the end; no trial is judged on them.
FREE_OF_NETWORKS = (*FREE, "folds")
POLL_SECONDS = 0.1


def check_space(base: Config, plan: SearchConfig) -> None:
    """Builds a config of each choice and each end of a range.

    Raises:
        ValueError: a key or value that the config, or its model, does not know, or models of
            both families.
    """
    check_options(base)
    for values in probes(plan.space):
        where = ", ".join(f"{key}={value!r}" for key, value in values.items())
        config = base.replace(values, f"space at {where}")
        try:
            check_options(config)
        except ValueError as error:
            raise ValueError(f"space at {where}: {error}") from None
        if find_family(config.model.name).kind != find_family(base.model.name).kind:
            raise ValueError(
                f"space at {where}: networks and classifiers are searched apart, since they are "
                "judged otherwise."
            )


def check_budget(plan: SearchConfig, classifier: bool) -> None:
    """Refuses a budget that the algorithm, or the model, cannot keep.

    Raises:
        ValueError: one does not go with the other; the message says why.
    """
    for name in ("max_trials", "max_epochs", "max_minutes", "initial_trials"):
        value = getattr(plan, name)
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be more than 0. Received: {value}")
    if plan.factor < 2:
        raise ValueError(f"factor must be 2 or more. Received: {plan.factor}")
    if classifier and plan.algorithm == "hyperband":
        raise ValueError(
            "hyperband prunes by epochs, and a classifier has none. Received: hyperband for a "
            "classifier. Try --algorithm bayesian or random."
        )
    if classifier and plan.max_epochs is not None:
        raise ValueError(
            "a classifier is not trained by epochs; its budget is --max-trials or --max-minutes. "
            f"Received: max_epochs {plan.max_epochs}."
        )
    if plan.algorithm == "hyperband" and plan.max_trials is not None:
        raise ValueError(
            "hyperband counts epochs: how many trials there are follows from --max-epochs and "
            f"factor. Received: max_trials {plan.max_trials}. Set --max-epochs or --max-minutes."
        )
    ends = plan.max_trials is not None or plan.max_minutes is not None
    if plan.algorithm in ("random", "bayesian") and not ends:
        raise ValueError(f"{plan.algorithm} needs an end: set --max-trials or --max-minutes.")
    ranges = [
        parameter.key
        for parameter in plan.space
        if parameter.kind == "float" and parameter.step is None
    ]
    if plan.algorithm == "grid" and ranges:
        raise ValueError(
            "grid tries every setting, and a range of floats needs a step for that. Received: "
            f"{', '.join(ranges)} without one. Add `step`, or try --algorithm random."
        )


def start_search(
    target: Path, plan: SearchConfig, base: dict, resume: bool, overwrite: bool
) -> None:
    """Makes the folder of a search, or takes up that of a stopped one.

    Raises:
        ValueError: there is a search already and no flag says what to do with it, there is none to
            resume, or it has other settings.
    """
    settings = _settings(plan, base)
    path = target / SETTINGS
    if resume:
        if not path.exists():
            raise ValueError(f"--resume needs a stopped search. Received: none in {target}.")
        _check_same(path, settings)
        (target / "best.yaml").unlink(missing_ok=True)  # of an end that is no longer the last
    elif target.exists():
        if not overwrite:
            raise ValueError(
                f"a search is not replaced unasked. Received: {target}, which exists. Name another "
                "with --run, resume it with --resume, or replace it with --overwrite."
            )
        shutil.rmtree(target)
    write_json(path, settings)


def wait_for_chief(target: Path, plan: SearchConfig, base: dict, seconds: float) -> None:
    """Waits until the chief has made the search's folder, and checks that it is the same search.

    Raises:
        ValueError: it has other settings.
        OSError: the folder does not come in so many seconds.
    """
    path, end = target / SETTINGS, time.monotonic() + seconds
    if not path.exists():
        print(f"waiting for the chief to make {target}", file=sys.stderr)
    while not path.exists():
        if time.monotonic() > end:
            raise OSError(
                f"no search in {target} after {seconds / 60:g} minutes (--wait-minutes). Is the "
                "chief running, and is the folder one that it shares with this machine?"
            )
        time.sleep(POLL_SECONDS)
    _check_same(path, _settings(plan, base))


def _settings(plan: SearchConfig, base: dict) -> dict:
    return json.loads(json.dumps({"schema": 1, "plan": plan_to_dict(plan), "config": base}))


def _check_same(path: Path, settings: dict) -> None:
    """Refuses other settings than those of the search, but for budgets that may change."""
    known = json.loads(path.read_text(encoding="utf-8"))
    classifier = find_family(settings["config"]["model"]["name"]).is_classical
    free = FREE if classifier else FREE_OF_NETWORKS
    for section in ("plan", "config"):
        for key, value in settings[section].items():
            if section == "plan" and key in free:
                continue
            if known[section].get(key) != value:
                raise ValueError(
                    f"a search resumes with the same settings. Received: {section} {key} "
                    f"{value!r}, in {path} {known[section].get(key)!r}. Start anew with "
                    "--overwrite."
                )
