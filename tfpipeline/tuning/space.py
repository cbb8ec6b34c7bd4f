"""The space of a search: a YAML file beside the configs, whose keys are keys of a config.

    algorithm: bayesian
    max_trials: 30
    folds: 5
    space:
      model.learning_rate: {float: [0.01, 0.3], log: true}
      model.num_leaves: {int: [4, 64], log: true}
      features.set: {choice: [selected, all]}
      training.schedule: {choice: [constant, cosine]}
      training.warmup_epochs: {float: [0, 3], step: 0.5, when: {training.schedule: cosine}}

Any key of a config may be searched, but for those of `FIXED`. A parameter with `when` is searched
only where the choices named there have one of the values given; elsewhere its key keeps the value
of the config that the search starts from.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from tfpipeline.config import CONFIGS, RENAMED_KEYS, read_yaml
from tfpipeline.files.strict import check_value

# Keys that are not searched, and why.
FIXED = {
    "name": "it is the run's",
    "seed": "the luckiest seed is no better a model",
    "data.corpus": "all trials are judged on the same clips",
    "data.split": "all trials are judged on the same clips",
    "data.unseen_attacks": "all trials are judged on the same clips",
    "data.cache": "the audio is decoded once, for all trials",
    "training.epochs": "it is the search's budget; set max_epochs",
    "training.tensorboard": "trials write no event files",
}
DIGITS = 4  # significant ones of a number that is drawn


@dataclass(frozen=True)
class Parameter:
    """One key that is searched.

    Attributes:
        key: of a config, such as `training.learning_rate`.
        kind: `choice`, `int` or `float`.
        values: the choices; or the lowest and the highest number, both included.
        log: numbers are drawn evenly on a logarithmic scale.
        step: between numbers; with `log` the factor between them.
        when: (key, values) pairs of choices, all of which must hold.
    """

    key: str
    kind: Literal["choice", "int", "float"]
    values: tuple
    log: bool = False
    step: float | None = None
    when: tuple[tuple[str, tuple], ...] = ()


@dataclass(frozen=True)
class SearchConfig:
    """A search: what is searched, how, and for how long.

    Attributes:
        algorithm: `hyperband`, `bayesian`, `random` or `grid`, which tries every setting.
        objective: a figure of the evaluator, or `worst:COLUMN`.
        max_trials: for all but `hyperband`.
        max_epochs: the longest that a network is trained.
        max_minutes: after these no trial begins.
        folds: by speaker: a classifier's trials are judged on them, a network's best trial is
            compared with its start on them; 0: the validation part alone.
        factor: Hyperband's: of so many trials one continues, for so many times the epochs.
        initial_trials: random ones before the Bayesian; null: three a parameter.
        space: the parameters.
    """

    algorithm: Literal["hyperband", "bayesian", "random", "grid"] = "random"
    objective: str = "auc"
    max_trials: int | None = None
    max_epochs: int | None = None
    max_minutes: float | None = None
    folds: int = 0
    factor: int = 3
    initial_trials: int | None = None
    space: tuple[Parameter, ...] = ()


def read_plan(path: str | Path) -> SearchConfig:
    """Reads and checks a space file.

    Raises:
        FileNotFoundError: there is no such file; the message names those there are.
        ValueError: not YAML, an unknown key, or something that is no range or choice.
    """
    path = Path(path)
    try:
        raw = read_yaml(path, "a space")
    except FileNotFoundError:
        known = ", ".join(sorted(file.name for file in CONFIGS.glob("tune_*.yaml")))
        raise FileNotFoundError(
            f"no file {path} with the space to search. Name one with --space; shipped in "
            f"{CONFIGS.name}/: {known}."
        ) from None
    if not isinstance(raw, dict) or not isinstance(raw.get("space"), dict) or not raw["space"]:
        raise ValueError(
            f"{path}: a search has a section `space` of keys, such as "
            f"`training.learning_rate: {{float: [1e-4, 1e-2], log: true}}`. Received: {raw!r:.100}"
        )
    hints = typing.get_type_hints(SearchConfig)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in hints:
            raise ValueError(f"{path}: unknown key {key}. Known keys here: {', '.join(hints)}")
        if key != "space":
            values[key] = check_value(value, hints[key], f"{path}: {key}")
    parameters: dict[str, Parameter] = {}
    for key, section in raw["space"].items():
        parameters[key] = _parameter(str(key), section, parameters, f"{path}: {key}")
    return SearchConfig(**values, space=tuple(parameters.values()))


def plan_to_dict(plan: SearchConfig) -> dict:
    """The plan as plain values, for JSON."""
    plain = {field.name: getattr(plan, field.name) for field in fields(plan)}
    plain["space"] = [
        {field.name: getattr(parameter, field.name) for field in fields(parameter)}
        for parameter in plan.space
    ]
    return json.loads(json.dumps(plain))


def active(parameter: Parameter, values: Mapping[str, Any]) -> bool:
    """Whether a parameter is searched where others have these values."""
    return all(key in values and values[key] in allowed for key, allowed in parameter.when)


def probes(space: Sequence[Parameter]) -> Iterator[dict[str, Any]]:
    """Values to build a config of: each choice and each end of a range, with what it hangs on."""
    parents = {parameter.key: parameter for parameter in space}

    def needed(parameter: Parameter) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, allowed in parameter.when:
            values.update(needed(parents[key]))
            values[key] = allowed[0]
        return values

    for parameter in space:
        for value in parameter.values:
            yield {**needed(parameter), parameter.key: value}


def rounded(parameter: Parameter, value: Any) -> Any:
    """A drawn number with few digits, inside its range; a choice as it is."""
    if parameter.kind == "choice":
        return value
    low, high = parameter.values
    # keras-tuner's Bayesian search draws one more than the highest integer of a logarithmic range.
    number = int(value) if parameter.kind == "int" else float(f"{value:.{DIGITS}g}")
    return min(max(number, low), high)


def _parameter(key: str, raw: Any, earlier: Mapping[str, Parameter], where: str) -> Parameter:
    if key in RENAMED_KEYS:
        raise ValueError(f"{where} is now called {RENAMED_KEYS[key]}")
    if key in FIXED:
        raise ValueError(f"{where} is not searched: {FIXED[key]}.")
    kinds = [kind for kind in ("choice", "int", "float") if isinstance(raw, dict) and kind in raw]
    if len(kinds) != 1 or set(raw) - {*kinds, "log", "step", "when"}:
        raise ValueError(
            f"{where} must be {{choice: [values]}}, {{int: [low, high]}} or "
            f"{{float: [low, high]}}, with log, step and when at will. Received: {raw!r}"
        )
    kind = kinds[0]
    listed = raw[kind]
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"{where}: {kind} takes a list. Received: {listed!r}")
    when = _conditions(raw.get("when", {}), earlier, where)
    if kind == "choice":
        if "log" in raw or "step" in raw:
            raise ValueError(f"{where}: log and step belong to int and float. Received: {raw!r}")
        return Parameter(key, kind, tuple(_frozen(value) for value in listed), when=when)
    number = int if kind == "int" else float
    if len(listed) != 2:
        raise ValueError(f"{where}: {kind} takes [low, high]. Received: {listed!r}")
    low, high = (check_value(value, number, f"{where}: {kind}") for value in listed)
    log = check_value(raw.get("log", False), bool, f"{where}: log")
    step = None if raw.get("step") is None else check_value(raw["step"], number, f"{where}: step")
    if not low < high or (log and low <= 0):
        rule = "0 < low < high, for log" if log else "low < high"
        raise ValueError(f"{where}: {kind} takes [low, high] with {rule}. Received: {listed!r}")
    if step is not None and step <= (1 if log else 0):
        least = "a factor above 1" if log else "above 0"
        raise ValueError(f"{where}: step must be {least}. Received: {step!r}")
    return Parameter(key, kind, (low, high), log, step, when)


def _conditions(raw: Any, earlier: Mapping[str, Parameter], where: str) -> tuple:
    if not isinstance(raw, dict):
        raise ValueError(f"{where}: when is a mapping of keys to values. Received: {raw!r}")
    found = []
    for key, value in raw.items():
        parent = earlier.get(key)
        if parent is None or parent.kind != "choice":
            raise ValueError(f"{where}: when names a choice that stands above it. Received: {key}.")
        allowed = tuple(_frozen(v) for v in (value if isinstance(value, list) else [value]))
        for wanted in allowed:
            if wanted not in parent.values:
                raise ValueError(
                    f"{where}: when names values of {key}: {list(parent.values)}. "
                    f"Received: {wanted!r}"
                )
        found.append((key, allowed))
    return tuple(found)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
