"""Searches whose trials take no time: no audio is read and nothing is trained."""

from types import SimpleNamespace

import pytest

from tfpipeline.tuning import distributed, finish
from tfpipeline.tuning import search as searching
from tfpipeline.tuning.objective import Objective
from tfpipeline.tuning.search import Search
from tfpipeline.workflows import tune as workflow


@pytest.fixture
def quick_trials(monkeypatch):
    """Trials that are told which configs they judge, and fail where `fails(config)`."""
    trials = SimpleNamespace(configs=[], fails=lambda config: False)
    context = SimpleNamespace(objective=Objective("auc", "max"), folds=0)

    def evaluate(context, config, folder, until):
        trials.configs.append(config)
        if len(trials.configs) > 1 and trials.fails(config):  # the first one is the start's
            raise RuntimeError("no memory is left\nfor this trial")
        auc = 0.5 + len(trials.configs) / 1000
        return {"auc": auc, "min_cllr": 0.5, "epochs": until or config.training.epochs}

    def opened(base, plan, target, role):
        return Search(target, plan, base, context, role)

    monkeypatch.setattr(workflow, "open_search", opened)
    monkeypatch.setattr(searching, "evaluate_trial", evaluate)
    monkeypatch.setattr(searching, "IDLE_SECONDS", 0.02)
    monkeypatch.setattr(finish, "draw_search", lambda *arguments: None)
    return trials


@pytest.fixture
def one_process(monkeypatch):
    """Undoes what a role sets for keras-tuner."""
    for name in distributed.VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
