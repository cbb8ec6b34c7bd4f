"""The rooms of the package import one way, and a command answers --help without heavy imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tfpipeline
from tfpipeline.__main__ import COMMANDS

PACKAGE = Path(tfpipeline.__file__).parent
ORDER = (
    "files",
    "config",
    "cli",
    "data",
    "features",
    "models",
    "training",
    "evaluation",
    "reporting",
    "auditing",
    "runs",
    "tuning",
    "serving",
    "prediction",
    "workflows",
    "api",
    "page",
)
# On NumPy alone, and so open to everyone.
LEAVES = {"tfpipeline.evaluation.metrics", "tfpipeline.runs", "tfpipeline.runs.layout"}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_imports_go_one_way():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE)
        own = name.with_suffix("").parts[0]
        rank = ORDER.index(own) if own in ORDER else len(ORDER)
        for module in imported_modules(path):
            if not module.startswith("tfpipeline.") or module in LEAVES:
                continue
            other = module.split(".")[1]
            if other in COMMANDS:
                wrong.append(f"{name} imports the command {other}")
            elif ORDER.index(other) > rank:
                wrong.append(f"{name} imports {other}")
    assert not wrong


def test_every_command_has_its_module():
    modules = {p.stem for p in PACKAGE.glob("*.py") if "def main(" in p.read_text("utf-8")}
    assert modules == {"__main__", *COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys, importlib\n"
        f"module = importlib.import_module('tfpipeline.{command}')\n"
        "try: module.main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'pandas', 'sklearn', 'librosa'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"tfpipeline.{command}" in done.stdout
