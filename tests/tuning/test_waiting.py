"""A worker without a chief, and a chief without workers, end in time; over the real loopback."""

import json
import os
import socket
import threading
from dataclasses import replace

import grpc
import pytest
import yaml
from keras_tuner.src import protos

from tfpipeline import tune
from tfpipeline.tuning import distributed
from tfpipeline.tuning.distributed import Role, signs_of_life, take_role
from tfpipeline.tuning.objective import Objective
from tfpipeline.tuning.oracles import ResumableOracle, build_oracle
from tfpipeline.tuning.records import read_records
from tfpipeline.tuning.space import read_plan

LONGEST = 60  # seconds, after which something hangs
SHORT = 0.3 / 60  # minutes: what is waited for where nobody comes


@pytest.fixture
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def command(tmp_path, quick_trials, one_process, address):
    space = {"training.learning_rate": {"choice": [0.01, 0.02]}}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({"space": space}))
    argv = ["--model", "cnn", "--space", str(tmp_path / "space.yaml"), "--algorithm", "grid"]
    return [*argv, "--run", str(tmp_path / "run"), "--chief", address]


def last_line(capsys):
    return capsys.readouterr().err.splitlines()[-1]


def wait(minutes):
    return ["--wait-minutes", str(minutes)]


@pytest.fixture
def now(monkeypatch):
    """The chief's clock: a list of one number, of seconds."""
    seconds = [0.0]
    monkeypatch.setattr(ResumableOracle, "clock", staticmethod(lambda: seconds[0]))
    return seconds


def ask_chief(address, method, **request):
    """The trial that the chief answers a worker with."""
    # Else a worker that comes first asks again after a second.
    options = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20)]
    with grpc.insecure_channel(address, options) as channel:
        ask = getattr(protos.get_service_grpc().OracleStub(channel), method)
        message = getattr(protos.get_service(), f"{method}Request")(**request)
        return ask(message, wait_for_ready=True, timeout=LONGEST).trial.trial_id


def test_a_worker_whose_chief_makes_no_folder_ends(command, tmp_path, capsys):
    assert tune.main([*command, "--worker", "w1", *wait(0.001)]) == 2
    assert last_line(capsys).startswith(
        f"error: no search in {tmp_path / 'run'} after 0.001 minutes (--wait-minutes)."
    )


def test_a_chief_without_workers_ends_and_so_does_a_worker_after_it(
    command, address, tmp_path, capsys
):
    assert tune.main([*command, *wait(SHORT)]) == 2
    told = last_line(capsys)
    assert told.startswith("error: no worker came for 0.005 minutes (--wait-minutes)")
    assert "Start the chief again with --resume" in told
    assert not (tmp_path / "run" / "best.yaml").exists()
    # The folder is there now, and nobody answers.
    assert tune.main([*command, "--worker", "w1", *wait(SHORT)]) == 2
    told = last_line(capsys)
    assert told.startswith(f"error: no answer from the chief at {address} in 0.005 minutes")


def test_a_chief_whose_worker_died_ends_and_resumes_with_its_trial(
    command, address, tmp_path, capsys, now
):
    taken = []

    def die():
        taken.append(ask_chief(address, "CreateTrial", tuner_id="w1"))
        now[0] = 121

    threading.Thread(target=die, daemon=True).start()
    assert tune.main([*command, *wait(2)]) == 2
    assert taken == ["0000"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2] == "worker w1 was silent for 2 minutes; its trial 0000 is given to another"
    assert lines[-1].startswith("error: every worker was silent for 2 minutes (--wait-minutes)")
    for name in distributed.VARIABLES:
        del os.environ[name]
    assert tune.main([*command[:-2], "--resume"]) == 0
    records = {own.trial: own.status for own in read_records(tmp_path / "run")}
    assert records == {"start": "completed", "0000": "completed", "0001": "completed"}


def test_the_trial_of_a_dead_worker_is_run_by_another(
    command, address, tmp_path, quick_trials, now
):
    codes = []
    chief = threading.Thread(target=lambda: codes.append(tune.main(command)), daemon=True)
    chief.start()
    assert ask_chief(address, "CreateTrial", tuner_id="w1") == "0000"  # and w1 dies

    def take_an_hour(config):
        if now[0] == 0:
            now[0] = 1800
            assert ask_chief(address, "GetTrial", trial_id="0001") == "0001"  # a sign of life
            now[0] = 3700
        return False

    quick_trials.fails = take_an_hour
    assert tune.main([*command, "--worker", "w2"]) == 0
    chief.join(LONGEST)
    assert codes == [0]
    records = {own.trial: (own.status, own.worker) for own in read_records(tmp_path / "run")}
    assert records.pop("start") == ("completed", "chief")
    assert records == {"0000": ("completed", "w2"), "0001": ("completed", "w2")}
    summary = json.loads((tmp_path / "run" / "search.json").read_text())
    assert summary["notes"][0] == "all settings of the space were tried: 2"


def test_a_busy_worker_gives_signs_of_life():
    enough, calls = threading.Event(), []

    def sign():
        calls.append(threading.current_thread())
        if len(calls) == 3:
            enough.set()
        raise grpc.RpcError  # which the worker's own requests tell

    with signs_of_life(sign, Role("w1", "127.0.0.1:1", wait_seconds=0.04)):
        assert enough.wait(LONGEST)
    assert threading.current_thread() not in calls


def test_who_gives_signs_keeps_a_trial_and_who_is_silent_loses_it(command, tmp_path, now):
    plan = read_plan(tmp_path / "space.yaml")
    oracle = build_oracle(replace(plan, algorithm="grid"), Objective("auc", "max"), 0)
    oracle._set_project_dir(str(tmp_path), "trials")
    busy, silent = oracle.create_trial("busy"), oracle.create_trial("silent")
    assert oracle.create_trial("idle").status == "IDLE"  # not dismissed: somebody may die
    now[0] = 8
    oracle.get_trial(busy.trial_id)
    now[0] = 11
    assert oracle.release_silent(10) == {"idle": None, "silent": silent.trial_id}
    again = oracle.create_trial("idle")
    assert again.trial_id == silent.trial_id
    # The one that was only silent ends it after all; the other's end changes nothing then.
    for trial in (silent, again):
        trial.status = "COMPLETED"
        oracle.update_trial(trial.trial_id, {"auc": 0.5})
        oracle.end_trial(trial)
    assert oracle.end_order == [silent.trial_id]
    assert list(oracle.ongoing_trials) == ["busy"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"chief": None, "wait_minutes": 5}, r"belongs to a search of several processes"),
        ({"chief": "127.0.0.1:9", "wait_minutes": 0}, r"must be above 0.*Received: 0"),
        ({"chief": "127.0.0.1:9", "wait_minutes": float("nan")}, r"Received: nan"),
    ],
)
def test_times_that_cannot_be_waited_are_refused(one_process, flags, message):
    with pytest.raises(ValueError, match=message):
        take_role(worker=None, **flags)
