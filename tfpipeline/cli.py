"""Flags, exit codes and the reporting of errors: the same in every command."""

from __future__ import annotations

import argparse
import atexit
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:  # pydantic would double the time of --help
    from tfpipeline.config import Config

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
SAVED_MODELS = Path("saved_models")


class CommandParser(argparse.ArgumentParser):
    """argparse's parser, with a hint where the name of a file is taken for a flag."""

    def parse_known_args(self, args=None, namespace=None):
        """As argparse's."""
        self._given = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(self._given, namespace)

    def error(self, message: str) -> NoReturn:
        """As argparse's."""
        name = next(filter(_may_be_a_file, self._given), None)
        if name:
            behind = any(not action.option_strings for action in self._actions)
            message += (
                f". A name that begins with a dash is read as a flag: write ./{name}"
                f"{', or name the files behind --' if behind else ''}"
            )
        super().error(message)


def _may_be_a_file(argument: str) -> bool:
    if len(argument) < 2 or argument[0] != "-":
        return False
    # `--data.cache` is rather a key of a config.
    suffix = os.path.splitext(argument)[1] if argument[1] != "-" else ""
    return suffix[1:2].isalpha() or os.path.lexists(argument)


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that choose and change a config."""
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--model", metavar="X", help="short for --config configs/X.yaml")
    chosen.add_argument("--config", metavar="FILE", help="a YAML file; see configs/")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=VALUE",
        dest="overrides",
        help="change one key of the config; may be repeated",
    )
    add_data_flag(parser, "the corpus; sets data.corpus; several are trained on together")
    parser.add_argument("--seed", type=int, help="sets seed")


def add_data_flag(parser: argparse.ArgumentParser, help: str, required: bool = False) -> None:
    """Adds `--data`, which may be repeated: None, or a list of `NAME[:PATH]`."""
    parser.add_argument(
        "--data",
        action="append",
        metavar="NAME[:PATH]",
        help=f"{help}; may be repeated",
        required=required,
    )


def corpus_from_flag(given: list[str]) -> str | tuple[str, ...]:
    """What `data.corpus` is for the corpora that `--data` names: a text for one."""
    return given[0] if len(given) == 1 else tuple(given)


def add_target_flags(parser: argparse.ArgumentParser, help: str) -> None:
    """Adds `--run` for a run that is made, and what happens where it is there already."""
    add_run_flag(parser, help)
    parser.add_argument("--overwrite", action="store_true", help="replace a complete run")
    parser.add_argument("--resume", action="store_true", help="resume a stopped run")


def add_run_flag(parser: argparse.ArgumentParser, help: str, required: bool = False) -> None:
    """Adds `--run`, a name under `saved_models/` or a folder."""
    parser.add_argument("--run", metavar="NAME-or-folder", help=help, required=required)


def add_judge_flags(parser: argparse.ArgumentParser) -> None:
    """Adds `--run` and `--server`, of which one can be given."""
    judges = parser.add_mutually_exclusive_group()
    add_run_flag(judges, "the run to judge by (default: the detector that comes with tfpipeline)")
    judges.add_argument(
        "--server",
        metavar="URL",
        help="a server of an exported run instead: grpc://host:port/model or http://…",
    )


def add_row_flags(parser: argparse.ArgumentParser) -> None:
    """Adds where rows go, and how: `form` is `table`, `json` or `csv`; `out` a file or None."""
    shown = parser.add_mutually_exclusive_group()
    for form, help in (("json", "one JSON object a line"), ("csv", "CSV")):
        shown.add_argument(f"--{form}", action="store_const", const=form, dest="form", help=help)
    shown.add_argument("--out", metavar="FILE", help="write the rows to a .csv or .jsonl file")
    parser.add_argument(
        "--resume", action="store_true", help="with --out: continue behind the rows that are there"
    )
    parser.add_argument("--overwrite", action="store_true", help="with --out: replace the file")
    parser.set_defaults(form="table")


def add_ray_flag(parser: argparse.ArgumentParser) -> None:
    """Adds `--ray`, the address of a cluster."""
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="let the machines of a Ray cluster do it: auto, HOST:PORT or ray://HOST:PORT",
    )


def check_row_flags(flags: argparse.Namespace) -> None:
    """Refuses flags of `add_row_flags` that do not go together."""
    if (flags.resume or flags.overwrite) and not flags.out:
        raise ValueError("--resume and --overwrite are about a file. Name it with --out.")
    if flags.resume and flags.overwrite:
        raise ValueError("--resume continues a file, --overwrite replaces it. Take one of them.")


def config_from_flags(flags: argparse.Namespace, model: str | None = None) -> Config:
    """The config that the flags name, with their changes laid over it.

    Args:
        flags: of `add_config_flags`.
        model: instead of `--model`.
    Raises:
        ValueError, FileNotFoundError: as `load_config`; or neither --model nor --config is given.
    """
    from tfpipeline.config import CONFIGS, config_names, load_config

    model = model or flags.model
    if not model and not flags.config:
        raise ValueError(f"--model or --config is needed. Models: {', '.join(config_names())}.")
    path = flags.config or CONFIGS / f"{model}.yaml"
    overrides = list(flags.overrides)
    if flags.data:
        # As an override, since what else is set may hold for several corpora only. JSON is YAML.
        overrides.append(f"data.corpus={json.dumps(corpus_from_flag(flags.data))}")
    config = load_config(path, overrides)
    return config if flags.seed is None else config.replace({"seed": flags.seed}, "--seed")


def run_folder(name: str | None) -> Path:
    """The folder that `--run` means: a path if it has a separator, else a name.

    None is the detector that comes with the project, which is called `pretrained`. A run of that
    name comes first. A folder here counts only where it holds a run: any other, such as a root for
    serving, may have the name by chance.
    """
    from tfpipeline.runs import layout

    if name is None:
        return layout.PRETRAINED
    path, named = Path(name), SAVED_MODELS / name
    if os.sep in name or (os.altsep and os.altsep in name):
        return path
    if not named.is_dir():
        if (path / layout.CONFIG).is_file():
            return path
        if name == layout.PRETRAINED.name:
            return layout.PRETRAINED
    return named


def quiet_tensorflow() -> None:
    """Keeps TensorFlow's start-up notes off the terminal; what fails is still raised.

    Level 3, since 2.17 logs harmless notes about CUDA plug-ins as errors.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def print_result(
    result: Any, as_json: bool, show: Callable[[Any], None] | str, indent: int | None = 2
) -> None:
    """Prints the result of a command.

    Args:
        result: JSON-ready.
        as_json: whether `--json` is given.
        show: what else prints it for people, or a line with the result's keys in braces.
        indent: of the JSON; None: all in one line.
    """
    if as_json:
        print(json.dumps(result, indent=indent))
    elif isinstance(show, str):
        print(show.format_map(result))
    else:
        show(result)


def run_command(body: Callable[[], int], interrupted: str = "stopped.") -> int:
    """Runs a command's body; what a user can fix becomes one line and an exit code.

    Args:
        body: does the work and returns an exit code.
        interrupted: the message after Ctrl-C.
    """
    quiet_tensorflow()
    try:
        return body()
    except (ValueError, OSError) as error:
        for line in getattr(error, "lines", [str(error)]):  # a config's mistakes, one a line
            print(f"error: {' '.join(line.split())}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
        return INTERRUPTED


def end_process(code: int) -> NoReturn:
    """Ends the process once all is written: taking TensorFlow down takes more than a second.

    What waits for the end, such as AutoGraph's temporary files to be removed, is done first.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
