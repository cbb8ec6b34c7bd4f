"""Two processes on the loopback stand for two machines that train one network."""

import json
import os
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tiny import TINY

from tfpipeline import train
from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.automatic_splits import hold_out_attacks
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.clips import write_manifest
from tfpipeline.training.cluster import Cluster, read_cluster
from tfpipeline.training.fit import fit_network

# A network whose every draw is known: the losses of one process and of two are the same.
FLAGS = [
    *TINY,
    *("--set", "training.batch_size=8", "--set", "training.tensorboard=false"),
    *("--set", "augment={}", "--set", "model.head_dropout=0"),
]
SECONDS = 480  # in which a process must end, on a busy machine

SCRIPT = """
import os, signal, sys
from tfpipeline import train
from tfpipeline.auditing import audit
from tfpipeline.data.clips import read_manifest
from tfpipeline.data.corpora import CORPORA
from tfpipeline.training.selection import Selection
from tfpipeline.workflows import complete

manifest, die_after, *flags = sys.argv[1:]
clips = read_manifest(manifest)
CORPORA["tiny"] = lambda path, split: clips
audit.ROUNDS = 20
complete.export_version = lambda *arguments: None
save = Selection.save
def save_and_die(self):
    save(self)
    if len(self.history) == int(die_after):
        os.kill(os.getpid(), signal.SIGKILL)
Selection.save = save_and_die
train.end_process(train.main(flags))
"""


def cluster_of(*ports, index, kind="worker"):
    hosts = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": hosts}, "task": {"type": kind, "index": index}})


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    try:
        for own in sockets:
            own.bind(("127.0.0.1", 0))
        return [own.getsockname()[1] for own in sockets]
    finally:
        for own in sockets:
            own.close()


def start_both(manifest, folder, *flags, die_after=(0, 0)):
    """Exit codes, what was printed, and the folders of both processes."""
    ports = free_ports(2)
    processes, folders = [], []
    for index in range(2):
        folders.append(folder / str(index))
        folders[-1].mkdir(exist_ok=True)
        (folders[-1] / "tmp").mkdir(exist_ok=True)
        command = [sys.executable, "-c", SCRIPT, str(manifest), str(die_after[index])]
        environment = {
            **os.environ,
            "TF_CONFIG": cluster_of(*ports, index=index),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "TMPDIR": str(folders[-1] / "tmp"),
        }
        process = subprocess.Popen(
            [*command, *FLAGS, "--run", "together", *flags],
            cwd=folders[-1],
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
    try:
        printed = [process.communicate(timeout=SECONDS)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], printed, folders


@pytest.fixture(scope="module")
def manifest(tiny_corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("cluster") / "manifest.csv"
    write_manifest(path, tiny_corpus)
    return path


def test_two_machines_train_as_one(manifest, tiny_corpus, tmp_path):
    codes, printed, (chief, worker) = start_both(manifest, tmp_path)
    assert codes == [0, 0], printed
    overrides = [FLAGS[at + 1] for at, flag in enumerate(FLAGS) if flag == "--set"]
    config = load_config(CONFIGS / "cnn.yaml", overrides)
    clips, audio, _ = open_audio(hold_out_attacks(tiny_corpus, ["hifigan"]))
    alone = fit_network(config, clips, audio, tmp_path)[1].history_table()
    run = chief / "saved_models" / "together"
    history = pd.read_csv(run / "history.csv")
    for column in ("loss", "val_loss"):
        np.testing.assert_allclose(history[column], alone[column], rtol=1e-3)
    environment = json.loads((run / "environment.json").read_text())
    assert environment["workers"] == 2
    assert json.loads((run / "metrics.json").read_text())["parts"]["test"]["auc"] is not None
    assert [path.name for path in worker.rglob("*")] == ["tmp"]
    assert printed[1].splitlines()[-1] == "worker 1 of 2: the chief reports"


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 1])
def test_a_worker_that_dies_ends_all_and_they_resume(dead, manifest, tmp_path):
    longer = ("--set", "training.epochs=4")
    whole = tmp_path / "whole"
    whole.mkdir()
    codes, printed, (chief, _) = start_both(manifest, whole, *longer)
    assert codes == [0, 0], printed
    expected = pd.read_csv(chief / "saved_models" / "together" / "history.csv")
    die_after = [0, 0]
    die_after[dead] = 2
    codes, printed, folders = start_both(manifest, tmp_path, *longer, die_after=die_after)
    assert codes[dead] == -signal.SIGKILL
    assert codes[1 - dead] == 2
    assert "a worker of TF_CONFIG does not answer" in printed[1 - dead].splitlines()[-1]
    assert not (folders[0] / "saved_models" / "together").exists()
    codes, printed, folders = start_both(manifest, tmp_path, *longer, "--resume")
    assert codes == [0, 0], printed
    resumed = pd.read_csv(folders[0] / "saved_models" / "together" / "history.csv")
    np.testing.assert_allclose(resumed["loss"], expected["loss"], rtol=1e-3)


@pytest.mark.slow
def test_a_chief_that_refuses_ends_all(manifest, tmp_path):
    (tmp_path / "0" / "saved_models" / "together").mkdir(parents=True)
    codes, printed, _ = start_both(manifest, tmp_path)
    assert codes == [2, 2]
    assert "a run is not replaced unasked" in printed[0]
    assert "a worker of TF_CONFIG does not answer" in printed[1].splitlines()[-1]


@pytest.mark.parametrize(
    ("cluster", "task", "expected"),
    [
        ({}, {}, None),
        ({"worker": ["a:1"]}, {"type": "worker", "index": 0}, None),
        ({"chief": ["a:1"]}, {"type": "chief", "index": 0}, None),
        ({"worker": ["a:1", "b:1"]}, {"type": "worker", "index": 1}, (1, 2)),
        ({"worker": ["a:1", "b:1"]}, {"type": "worker", "index": "1"}, (1, 2)),
        ({"chief": ["a:1"], "worker": ["b:1"]}, {"type": "chief", "index": 0}, (0, 2)),
        ({"chief": ["a:1"], "worker": ["b:1"]}, {"type": "worker", "index": 0}, (1, 2)),
    ],
)
def test_which_machine_this_is(cluster, task, expected, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert read_cluster() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"TF_CONFIG must be a JSON object such as .* Received: '\{'"),
        ("[1]", r"TF_CONFIG must be a JSON object such as .* Received: '\[1\]'"),
        (cluster_of(1, 2, index=2), r"Received: 2 worker, and this one is worker 2"),
        (cluster_of(1, 2, index=0, kind="ps"), r"and this one is ps 0"),
        ('{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}}', "Received: 1 ps, 1 worker"),
    ],
)
def test_a_malformed_cluster_is_one_line(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        read_cluster()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "histgb"], "TF_CONFIG names several machines, which train networks"),
        (["--model", "trees"], "TF_CONFIG names several machines, which train networks"),
        (["--model", "cnn", "--set", "training.devices=[/CPU:0]"], "each of which takes all its"),
        (["--model", "cnn", "--set", "mel.place=pipeline"], "each of which takes all its"),
    ],
)
def test_what_one_machine_does_is_refused(flags, message, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TF_CONFIG", cluster_of(1, 2, index=0))
    monkeypatch.chdir(tmp_path)
    assert train.main(flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_a_batch_must_be_shared_evenly():
    cluster = Cluster(SimpleNamespace(num_replicas_in_sync=4), index=1, workers=2)
    assert cluster.share(8).devices == 2
    with pytest.raises(ValueError, match=r"shared by 4 devices of 2 workers.* Received: 6"):
        cluster.share(6)
