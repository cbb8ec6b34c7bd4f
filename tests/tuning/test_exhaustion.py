"""Searches end when their space is exhausted; trials that fail are one line and a record."""

import json

import pytest
import yaml

from tfpipeline import tune
from tfpipeline.tuning.records import START, read_records, record_path
from tfpipeline.tuning.settings import setting_of, untried_setting
from tfpipeline.tuning.space import read_plan

RATE, SIZE = "training.learning_rate", "training.batch_size"
SCHEDULE, WARMUP = "training.schedule", "training.warmup_epochs"
ALGORITHMS = ("random", "bayesian", "hyperband", "grid")
# A space, and its settings as somebody counts them by hand.
FINITE = {
    "one": ({RATE: {"choice": [0.01]}}, [{RATE: 0.01}]),
    "two": ({RATE: {"choice": [0.01, 0.02]}}, [{RATE: 0.01}, {RATE: 0.02}]),
    "three": ({SIZE: {"int": [4, 6], "log": True}}, [{SIZE: 4}, {SIZE: 5}, {SIZE: 6}]),
    "steps": (
        {RATE: {"float": [0.001, 0.1], "step": 10, "log": True}},
        [{RATE: 0.001}, {RATE: 0.01}, {RATE: 0.1}],
    ),
    "product": (
        {RATE: {"choice": [0.01, 0.02]}, SIZE: {"int": [4, 8], "step": 4}},
        [{RATE: rate, SIZE: size} for rate in (0.01, 0.02) for size in (4, 8)],
    ),
    "conditional": (
        {
            SCHEDULE: {"choice": ["constant", "cosine"]},
            WARMUP: {"float": [0, 1], "step": 0.5, "when": {SCHEDULE: "cosine"}},
        },
        [
            {SCHEDULE: "constant"},
            *({SCHEDULE: "cosine", WARMUP: warmup} for warmup in (0.0, 0.5, 1.0)),
        ],
    ),
}
CONTINUOUS = {RATE: {"float": [0.001, 0.1], "log": True}}
SAID = "all settings of the space were tried"


@pytest.fixture
def search(tmp_path, quick_trials, capsys):
    """(space, algorithm, flags) → exit code, records without the start's, stdout, stderr."""

    def run(space, algorithm, *flags):
        path = tmp_path / "space.yaml"
        path.write_text(yaml.safe_dump({"space": space}))
        argv = ["--model", "cnn", "--space", str(path), "--algorithm", algorithm, *flags]
        budget = ["--max-trials", "8"] if algorithm in ("random", "bayesian") else []
        code = tune.main([*argv, *budget, "--max-epochs", "3", "--run", str(tmp_path / "run")])
        records = [own for own in read_records(tmp_path / "run") if own.trial != START]
        return code, records, *capsys.readouterr()

    return run


def as_text(settings):
    return sorted(json.dumps(values, sort_keys=True) for values in settings)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", FINITE)
def test_a_finite_space_is_tried_once_and_said_to_be_exhausted(search, name, algorithm):
    space, settings = FINITE[name]
    code, records, out, _ = search(space, algorithm)
    assert code == 0
    assert f"{SAID}: {len(settings)}" in out
    # Hyperband trains what it judged on, for which it tries the setting again.
    fresh = [own for own in records if own.continues is None]
    assert as_text(own.values for own in fresh) == as_text(settings)
    assert max(own.epochs for own in records) == 3
    if algorithm != "hyperband":
        assert len(records) == len(settings)


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband"])
def test_a_continuous_space_is_never_exhausted(search, algorithm, tmp_path):
    code, records, out, _ = search(CONTINUOUS, algorithm)
    assert code == 0
    assert SAID not in out
    assert not json.loads((tmp_path / "run" / "search.json").read_text())["exhausted"]
    fresh = [own.values[RATE] for own in records if own.continues is None]
    # Hyperband of three epochs: three trials of one epoch, and two of three.
    assert len(set(fresh)) == len(fresh) == (5 if algorithm == "hyperband" else 8)


def test_a_range_of_few_digits_has_an_end_too(search):
    _, records, out, _ = search({RATE: {"float": [0.01, 0.01002]}}, "random")
    assert sorted(own.values[RATE] for own in records) == [0.01, 0.01001, 0.01002]
    assert f"{SAID}: 3" in out


def test_grid_needs_steps_and_keeps_a_budget(search):
    code, _, _, err = search(CONTINUOUS, "grid")
    assert code == 2
    assert f"Received: {RATE} without one. Add `step`" in err
    _, records, out, _ = search(FINITE["product"][0], "grid", "--max-trials", "3")
    assert as_text(own.values for own in records) == as_text(FINITE["product"][1][:3])
    assert SAID not in out


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_exhausted_search_that_is_resumed_says_so_and_ends(search, algorithm, quick_trials):
    space, settings = FINITE["two"]
    _, before, _, _ = search(space, algorithm)
    judged = len(quick_trials.configs)
    code, after, out, _ = search(space, algorithm, "--resume")
    assert code == 0
    assert f"{SAID}: {len(settings)}" in out
    assert after == before
    assert len(quick_trials.configs) == judged


def test_a_budget_that_is_raised_ends_with_the_space(search):
    space, settings = FINITE["conditional"]
    _, records, out, _ = search(space, "grid", "--max-trials", "2")
    assert len(records) == 2
    assert SAID not in out
    _, records, out, _ = search(space, "grid", "--max-trials", "9", "--resume")
    assert as_text(own.values for own in records) == as_text(settings)
    assert f"{SAID}: {len(settings)}" in out


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_failed_trial_is_one_line_that_names_its_record(
    search, algorithm, quick_trials, tmp_path
):
    quick_trials.fails = lambda config: config.training.batch_size == 5
    code, records, out, err = search(FINITE["three"][0], algorithm)
    assert code == 0
    (failed,) = [own for own in records if own.status == "failed"]
    (line,) = [line for line in err.splitlines() if "FAILED" in line]
    path = record_path(tmp_path / "run", failed.trial)
    assert line.endswith(f"RuntimeError: no memory is left for this trial  ({path})")
    assert "Traceback" not in out + err
    told = json.loads(path.read_text())["traceback"]
    assert told.startswith("Traceback (most recent call last)")
    assert told.endswith("RuntimeError: no memory is left\nfor this trial\n")
    completed = [own for own in records if own.status == "completed"]
    assert {own.values[SIZE] for own in completed} == {4, 6}
    assert {own.traceback for own in completed} == {None}
    assert f"{SAID}: 3" in out


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_search_whose_trials_all_fail_ends_in_one_line(search, algorithm, quick_trials, tmp_path):
    quick_trials.fails = lambda config: True
    code, records, out, err = search(FINITE["three"][0], algorithm)
    assert code == 2
    assert {own.status for own in records} == {"failed"}
    assert out == ""
    lines = err.splitlines()
    assert sum("FAILED" in line for line in lines) == len(records) == 3
    assert lines[-1].startswith("error: no trial completed")
    assert f"3 failed; {SAID}: 3; the first error: RuntimeError: no memory is left" in lines[-1]
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert not (tmp_path / "run" / "best.yaml").exists()


def test_settings_that_do_not_apply_do_not_count(tmp_path):
    """A draw of a parameter whose condition does not hold is the same setting."""
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump({"space": FINITE["conditional"][0]}))
    space = read_plan(path).space
    drawn = {SCHEDULE: '"constant"', WARMUP: 0.5}
    assert setting_of(space, drawn) == setting_of(space, {SCHEDULE: '"constant"'})
    assert untried_setting(space, {setting_of(space, drawn)}) == {SCHEDULE: '"cosine"', WARMUP: 0.0}
