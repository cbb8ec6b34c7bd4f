"""A search over several processes or machines: keras-tuner's chief and workers, and their address.

The chief holds the algorithm and answers over gRPC, without authentication or encryption: whoever
reaches the port can take and answer trials. Hence the loopback, or a network that is trusted.

The beginning of a search: what is checked before any clip is read, and its folder.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tfpipeline.config import Config
from tfpipeline.files.atomic import write_json
from tfpipeline.models import find_family
from tfpipeline.tuning.space import SearchConfig, plan_to_dict, probes
from tfpipeline.tuning.trial import check_options

VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
CHIEF = "chief"


@dataclass(frozen=True)
class Role:
    """What this process is in a search.

    Attributes:
        name: `chief`, a worker's id, or `-` where there is but one process.
        address: HOST:PORT of the chief; None where there is but one process.
    """

    name: str = "-"
    address: str | None = None

    @property
    def is_chief(self) -> bool:
        """Whether it holds the algorithm for others."""
        return self.name == CHIEF

    @property
    def is_worker(self) -> bool:
        """Whether it runs trials for a chief."""
        return self.address is not None and not self.is_chief


def take_role(chief: str | None, worker: str | None) -> Role:
    """The role that the flags name, set where keras-tuner reads it.

    Args:
        chief: HOST:PORT, or None.
        worker: the worker's id, or None.
    Raises:
        ValueError: a flag is missing or malformed, or keras-tuner's variables are set without one.
    """
    if worker is not None and chief is None:
        raise ValueError("--worker needs the chief's address: --worker ID --chief HOST:PORT.")
    if chief is None:
        found = [name for name in VARIABLES if name in os.environ]
        if found:
            raise ValueError(
                "a search over several machines is named by --chief HOST:PORT and --worker ID. "
                f"Received: {found[0]} in the environment, without them."
            )
        return Role()
    host, colon, port = chief.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"--chief takes HOST:PORT, such as 127.0.0.1:8000. Received: {chief!r}")
    if worker is not None and (CHIEF in worker or not worker.replace("-", "").isalnum()):
        raise ValueError(
            f"--worker takes a name of letters, digits and - without {CHIEF!r} in it, another for "
            f"each worker. Received: {worker!r}"
        )
    role = Role(worker or CHIEF, chief)
    os.environ.update(zip(VARIABLES, (role.name, host, port), strict=True))
    if role.is_chief:
        check_port(host, int(port))
    if not _is_loopback(host):
        print(
            f"warning: {host} is not this machine alone, and the search has no authentication: "
            "whoever reaches the port can take and answer trials. Use a network that you trust.",
            file=sys.stderr,
        )
    return role


def check_port(host: str, port: int) -> None:
    """Refuses an address that is taken; gRPC would share it in silence.

    Raises:
        OSError: it is taken, or none of this machine's.
    """
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise OSError(
                f"the chief cannot listen on {host}:{port}: {error.strerror or error}. Is another "
                "search running there?"
            ) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


SETTINGS = "plan.json"
FREE = ("max_trials", "max_minutes")  # budgets that a resumed search may change
# A network's folds compare start and best in the end; no trial is judged on them.
FREE_OF_NETWORKS = (*FREE, "folds")
POLL_SECONDS = 0.5
WAIT_SECONDS = 3600


def check_space(base: Config, plan: SearchConfig) -> None:
    """Builds a config of each choice and each end of a range.

    Raises:
        ValueError: a key or value that the config, or its model, does not know, or models of
            both families.
    """
    check_options(base)
    for values in probes(plan.space):
        said = ", ".join(f"{key}={value!r}" for key, value in values.items())
        config = base.replace(values, f"space at {said}")
        try:
            check_options(config)
        except ValueError as error:
            raise ValueError(f"space at {said}: {error}") from None
        if find_family(config.model.name).kind != find_family(base.model.name).kind:
            raise ValueError(
                f"space at {said}: networks and classifiers are searched apart, since they are "
                "judged otherwise."
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


def wait_for_chief(target: Path, plan: SearchConfig, base: dict) -> None:
    """Waits until the chief has made the search's folder, and checks that it is the same search.

    Raises:
        ValueError: it has other settings.
        OSError: the folder does not come.
    """
    path, end = target / SETTINGS, time.monotonic() + WAIT_SECONDS
    if not path.exists():
        print(f"waiting for the chief to make {target}", file=sys.stderr)
    while not path.exists():
        if time.monotonic() > end:
            raise OSError(
                f"no search in {target}. Is the chief running, and is the folder one that it "
                "shares with this machine?"
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
