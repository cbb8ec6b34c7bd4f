"""Extracts hand-made features: `python -m tfpipeline.extract --data demo --out F.parquet`.

One row a window of each clip, with the clip's id, label, attack, speaker, source and part. An
extraction that was stopped resumes with the same command.
"""

from __future__ import annotations

import argparse
import sys

from tfpipeline.cli import (
    OK,
    SOME_FAILED,
    CommandParser,
    add_data_flag,
    add_ray_flag,
    corpus_from_flag,
    print_result,
    run_command,
)


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and extracts; returns the exit code: 1 if some clips cannot be used."""
    parser = CommandParser(prog="python -m tfpipeline.extract", description=__doc__)
    add_data_flag(parser, "the corpus (default: demo)")
    parser.add_argument(
        "--features", default="selected", help="baseline, selected (the default) or all"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the Parquet file to write")
    parser.add_argument("--window-seconds", type=float, default=4.0, metavar="S", help="default: 4")
    parser.add_argument(
        "--cache",
        choices=("auto", "memory", "disk", "none"),
        default="auto",
        help="where decoded audio is kept, as data.cache of a config",
    )
    parser.add_argument(
        "--as-recorded",
        action="store_true",
        help="without the high-pass and the level that a config has by default, front_end",
    )
    add_ray_flag(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace FILE, start anew")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    flags = parser.parse_args(argv)
    return run_command(
        lambda: _extract(flags), "stopped. Resume with the same command, without --overwrite."
    )


def _extract(flags: argparse.Namespace) -> int:
    from tfpipeline.config import AS_RECORDED, DataConfig
    from tfpipeline.workflows.extract import write_features

    # Nothing is held out: the table is of all clips.
    corpus = corpus_from_flag(flags.data or ["demo"])
    result = write_features(
        DataConfig(corpus=corpus, unseen_attacks=(), cache=flags.cache),
        flags.out,
        flags.features,
        flags.window_seconds,
        AS_RECORDED if flags.as_recorded else None,
        flags.overwrite,
        flags.ray,
    )
    print_result(result, flags.json, "{out}: {rows} windows of {clips} clips", indent=None)
    return SOME_FAILED if result["skipped"] else OK


if __name__ == "__main__":
    sys.exit(main())
