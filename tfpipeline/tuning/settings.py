"""The settings of a space in keras-tuner's terms: declared, enumerated, and read from what it drew.

Choices travel as JSON text: keras-tuner knows no lists, and its wire format turns true into 1.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import keras_tuner

from tfpipeline.tuning.space import Parameter, active, rounded

SLACK = 1e-3  # of a step
POINTS = 10_000  # of a continuous range, where all settings are listed; few ranges are so narrow


def hyperparameters(space: Sequence[Parameter]) -> keras_tuner.HyperParameters:
    """The space in keras-tuner's terms."""
    found = keras_tuner.HyperParameters()
    for parameter in space:
        _declare(found, parameter, list(parameter.when))
    return found


def values_of(space: Sequence[Parameter], drawn: dict[str, Any]) -> dict[str, Any]:
    """Config key → value, of what an algorithm drew; parameters that do not apply are left out."""
    values: dict[str, Any] = {}
    for parameter in space:
        if parameter.key not in drawn or not active(parameter, values):
            continue
        raw = drawn[parameter.key]
        if parameter.kind == "choice":
            raw = next(value for value in parameter.values if _text(value) == raw)
        values[parameter.key] = rounded(parameter, raw)
    return values


def setting_of(space: Sequence[Parameter], drawn: dict[str, Any]) -> str:
    """A text that two draws share where a trial of both would be the same."""
    return _text(values_of(space, drawn))


def untried_setting(space: Sequence[Parameter], tried: Collection[str]) -> dict[str, Any] | None:
    """The first setting that no trial has had, as an algorithm would draw it; None: all were tried.

    Args:
        space: the parameters.
        tried: `setting_of` each trial.
    """
    return next(
        (point for point in _settings(space) if setting_of(space, point) not in tried), None
    )


def _settings(space: Sequence[Parameter]) -> Iterator[dict[str, Any]]:
    """Every setting, one at a time: few are asked for, however many there are."""
    declared = hyperparameters(space).space

    def completed(drawn: dict[str, Any], place: int) -> Iterator[dict[str, Any]]:
        if place == len(space):
            yield drawn
        elif not active(space[place], values_of(space, drawn)):
            yield from completed(drawn, place + 1)
        else:
            for value in _possible(space[place], declared[place]):
                yield from completed({**drawn, space[place].key: value}, place + 1)

    return completed({}, 0)


def _possible(parameter: Parameter, declared: Any) -> Iterable:
    """What may be drawn of one parameter."""
    if parameter.kind == "choice" or parameter.step is not None:
        return declared.values
    if parameter.kind == "int":
        return range(parameter.values[0], parameter.values[1] + 1)
    drawn = (declared.prob_to_value(point / POINTS) for point in range(POINTS + 1))
    return (value for value, _ in groupby(rounded(parameter, raw) for raw in drawn))


def _declare(found: keras_tuner.HyperParameters, parameter: Parameter, when: list) -> None:
    if when:
        key, allowed = when[0]
        with found.conditional_scope(key, [_text(value) for value in allowed]):
            _declare(found, parameter, when[1:])
        return
    if parameter.kind == "choice":
        found.Choice(parameter.key, [_text(value) for value in parameter.values])
        return
    declare = found.Int if parameter.kind == "int" else found.Float
    low, high = parameter.values
    sampling = "log" if parameter.log else "linear"
    if parameter.kind == "float" and parameter.step:
        # keras-tuner divides the range by the step without allowance for rounding, and 0.1 … 1 in
        # steps of 0.1 ended at 0.9; `rounded` keeps what is drawn inside the range.
        high = high * parameter.step**SLACK if parameter.log else high + SLACK * parameter.step
    declare(parameter.key, low, high, step=parameter.step, sampling=sampling)


def _text(value: Any) -> str:
    return json.dumps(value)
