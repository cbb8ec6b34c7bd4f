"""Pretrains a speech encoder without labels: `python -m tfpipeline.pretrain --data demo`.

The encoder learns to tell what masked stretches of speech sounded like (BEST-RQ). Leaves a folder
with its weights, which `model.weights` of a later training names.
"""

from __future__ import annotations

import sys

from tfpipeline.cli import (
    OK,
    CommandParser,
    add_config_flags,
    add_target_flags,
    config_from_flags,
    print_result,
    run_command,
    run_folder,
)

FILES = "recordings and folders without labels, in place of --data"


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and pretrains; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.pretrain", description=__doc__)
    add_config_flags(parser)
    add_target_flags(parser, "where the weights go (default: saved_models/<config's name>)")
    parser.add_argument("--files", nargs="+", default=[], metavar="FILE", help=FILES)
    parser.add_argument("--json", action="store_true", help="print the last epoch as JSON")
    flags = parser.parse_args(argv)
    return run_command(lambda: _pretrain(flags), "stopped. Resume with the same and --resume.")


def _pretrain(flags) -> int:
    if flags.model is None and flags.config is None:
        flags.model = "pretrain"
    config = config_from_flags(flags)
    target = run_folder(flags.run or config.name)
    from tfpipeline.workflows.pretrain import pretrain_run

    history = pretrain_run(
        config, target, files=flags.files, overwrite=flags.overwrite, resume=flags.resume
    )
    row = history.iloc[-1].to_dict()
    shown = "val loss {val_loss:.4f}, {val_accuracy:.1%} of masked frames guessed"
    print_result(row, flags.json, shown, None)
    print(f"weights: {target}   use: --set model.weights={target}", file=sys.stderr)
    return OK


if __name__ == "__main__":
    sys.exit(main())
