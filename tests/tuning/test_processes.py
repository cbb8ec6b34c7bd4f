"""Searches that are killed, and searches of several processes, over the loopback."""

import json
import socket
import subprocess
import sys

import pytest
import yaml

from tfpipeline.data.clips import write_manifest
from tfpipeline.tuning import distributed as machines
from tfpipeline.tuning.records import read_record, read_records

SMALL = {
    "training.batch_size": "4",
    "data.crop_seconds": "1",
    "model.channels": "[4, 8]",
    "mel.n_mels": "32",
    "data.unseen_attacks": "[hifigan]",
    "augment": "{}",
}
POLL = 0.05  # seconds
LONGEST = 300  # seconds that anything here may take


@pytest.fixture
def command(tiny_corpus, tmp_path):
    write_manifest(tmp_path / "manifest.csv", tiny_corpus)
    space = {"training.learning_rate": {"float": [1e-3, 1e-1], "log": True}}
    plan = {"algorithm": "random", "max_trials": 2, "max_epochs": 6, "space": space}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(plan))
    overrides = [text for pair in SMALL.items() for text in ("--set", "=".join(pair))]
    return [
        sys.executable,
        "-m",
        "tfpipeline.tune",
        "--model",
        "cnn",
        *overrides,
        "--data",
        f"manifest:{tmp_path / 'manifest.csv'}",
        "--space",
        str(tmp_path / "space.yaml"),
        "--run",
        str(tmp_path / "run"),
    ]


@pytest.fixture
def start(tmp_path):
    """Starts a command, its output in a file; what still runs in the end is killed."""
    running = []

    def begin(argv, name):
        with (tmp_path / f"{name}.txt").open("w") as out:
            running.append(subprocess.Popen(argv, stdout=out, stderr=out))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()


def wait_until(holds, process):
    """Waits while the process runs, until something holds."""
    for _ in range(round(LONGEST / POLL)):
        if holds():
            return
        try:
            code = process.wait(POLL)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the process ended with {code}")
    raise AssertionError("it took too long")


def ongoing(run, worker):
    """The trial that a worker runs, with a checkpoint already; None if there is none."""
    state = run / "trials" / "oracle.json"
    if not state.exists():
        return None
    trial = json.loads(state.read_text())["ongoing_trials"].get(worker)
    folder = run / "trials" / f"trial_{trial}"
    return trial if (folder / "checkpoint.npz").exists() else None


def epochs_told(run, trial):
    log = (run / "trials" / f"trial_{trial}" / "log.txt").read_text()
    return [int(line.split()[1]) for line in log.splitlines() if line.startswith("epoch")]


@pytest.mark.slow  # test_tune has a search that is stopped in this process
def test_a_killed_search_goes_on_where_it_stopped(command, start, tmp_path):
    run = tmp_path / "run"
    first = start(command, "first")
    # In the middle of a trial after the first one.
    wait_until(lambda: read_record(run, "0") and ongoing(run, "tuner0") == "1", first)
    first.kill()
    first.wait()
    before = {own.trial: own for own in read_records(run)}
    second = start([*command, "--resume"], "second")
    assert second.wait(LONGEST) == 0, (tmp_path / "second.txt").read_text()[-2000:]
    after = {own.trial: own for own in read_records(run)}
    assert set(after) == {"start", "0", "1"}
    assert {own.status for own in after.values()} == {"completed"}
    for trial, record in before.items():
        assert after[trial] == record
    # The trial that was killed went on after its last whole epoch.
    if "1" not in before:
        assert epochs_told(run, "1") == list(range(1, 7))
    assert json.loads((run / "search.json").read_text())["trials"]["completed"] == 2


@pytest.mark.slow
def test_a_chief_and_two_workers_one_of_them_killed(command, start, tmp_path):
    run = tmp_path / "run"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [*command, "--chief", address]
    chief = start(command, "chief")
    workers = {name: start([*command, "--worker", name], name) for name in ("w1", "w2")}
    # Whichever is in the middle of a trial first.
    wait_until(lambda: any(ongoing(run, name) for name in workers), chief)
    name = next(name for name in workers if ongoing(run, name))
    killed = ongoing(run, name)
    workers[name].kill()
    workers[name].wait()
    workers[name] = start([*command, "--worker", name], f"{name}-again")
    for own in (*workers.values(), chief):
        said = {path.name: path.read_text()[-2000:] for path in tmp_path.glob("*.txt")}
        assert own.wait(LONGEST) == 0, said
    records = {own.trial: own for own in read_records(run)}
    assert set(records) == {"start", "0", "1"}
    assert {own.status for own in records.values()} == {"completed"}
    assert records["start"].worker == "chief"
    # The worker of the same id got its own trial again, and lost no other.
    assert records[killed].worker == name
    assert epochs_told(run, killed) == list(range(1, 7))
    assert json.loads((run / "search.json").read_text())["trials"]["completed"] == 2
    assert (run / "best.yaml").exists()


def test_an_address_that_others_reach_is_warned_of(one_process, capsys):
    assert machines.take_role("127.0.0.1:8000", "w1").is_worker
    assert "no authentication" not in capsys.readouterr().err
    assert machines.take_role("192.0.2.1:8000", "w1").address == "192.0.2.1:8000"
    assert "192.0.2.1 is not this machine alone" in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match=r"the chief cannot listen on 127\.0\.0\.1"):
            machines.check_port(*taken.getsockname())
