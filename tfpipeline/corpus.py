"""Corpora: `python -m tfpipeline.corpus list`, `build web`, `inspect NAME:PATH` …

What there is and how it is named; what is in each part; whether every file can be decoded; the
table of clips, split or in folds; and decoded audio, kept for the runs to come.
"""

from __future__ import annotations

import argparse
import sys

from tfpipeline.cli import (
    OK,
    SOME_FAILED,
    CommandParser,
    add_ray_flag,
    corpus_from_flag,
    print_result,
    run_command,
)

COMMANDS = {
    "build": "make the corpus demo or web; resumable; exit code 1 if clips are missing",
    "list": "the corpora that can be named, and how",
    "inspect": "counts, hours, sample rates, first problems",
    "verify": "decode every file; exit code 1 if any fails",
    "fingerprint": "one hash of ids, labels, parts and file sizes",
    "manifest": "write the table of clips, CSV or Parquet",
    "cache": "decode all audio into the cache that data.cache=disk reads",
}
DATA = "the corpus; several are mixed"
SET = "a key of the section data of a config, such as split.by=[speaker]"
MIRRORS = "web: read snapshots, git directories named owner+name, instead of GitHub"
FOLDS = "K tables FILE-1 … FILE-K, each fold tested once"
EACH_ATTACK = "a table FILE-ATTACK for each attack, which is unseen there"


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and runs a sub-command; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.corpus", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = {}
    for name, help in COMMANDS.items():
        add[name] = commands.add_parser(name, help=help, description=help).add_argument
        if name not in ("build", "list"):
            add[name]("data", nargs="+", metavar="NAME[:PATH]", help=DATA)
            add[name]("--set", action="append", default=[], metavar="A=VALUE", help=SET)
        add[name]("--json", action="store_true", help="print JSON")
    add["build"]("corpus", choices=("demo", "web"), help="which one")
    add["build"]("--mirrors", metavar="FOLDER", help=MIRRORS)
    add["build"]("--licenses", choices=("all", "open"), help="web: of which repositories; all")
    add["build"]("--workers", type=int, metavar="N", help="web: repositories at a time; 4")
    add["build"]("--copies", action="store_true", help="web: vocoded copies of its human side too")
    add["inspect"]("--picture", metavar="FILE", help="draw the clips' lengths as PNG")
    add_ray_flag(commands.choices["verify"])
    add["verify"]("--out", metavar="FILE", help="write path and reason of those as CSV")
    add["manifest"]("--out", required=True, metavar="FILE", help=".csv or .parquet")
    add["manifest"]("--folds", type=int, metavar="K", help=FOLDS)
    add["manifest"]("--leave-attack-out", action="store_true", help=EACH_ATTACK)
    flags = parser.parse_args(argv)
    return run_command(lambda: _run(flags), "stopped. Resume with the same command.")


def _run(flags: argparse.Namespace) -> int:
    from tfpipeline.config import data_from_overrides
    from tfpipeline.data.corpora import list_corpora
    from tfpipeline.reporting import corpus_tables as tables
    from tfpipeline.workflows import corpus

    if flags.command == "list":
        print_result(list_corpora(), flags.json, tables.print_corpora)
        return OK
    if flags.command == "build":
        own = (flags.mirrors, flags.licenses, flags.workers, flags.copies or None)
        found = corpus.build_corpus(flags.corpus, *own)
        print_result(found, flags.json, tables.print_built)
        return SOME_FAILED if found["missing"] else OK
    if vars(flags).get("folds"):
        flags.set[:0] = [f"split.folds={flags.folds}", "split.fold=0"]
    data = data_from_overrides(corpus_from_flag(flags.data), flags.set)
    if flags.command == "inspect":
        print_result(corpus.inspect_corpus(data, flags.picture), flags.json, tables.print_summary)
    elif flags.command == "verify":
        found = corpus.verify_corpus(data, flags.out, flags.ray)
        print_result(found, flags.json, tables.print_verified)
        return SOME_FAILED if found["failed"] else OK
    elif flags.command == "fingerprint":
        print_result(corpus.fingerprint_corpus(data), flags.json, "{fingerprint}  {data}", None)
    elif flags.command == "cache":
        found = corpus.cache_corpus(data)
        print_result(found, flags.json, tables.CACHED, None)
        return SOME_FAILED if found["skipped"] else OK
    else:
        folds = bool(flags.folds)
        for row in corpus.write_manifests(data, flags.out, folds, flags.leave_attack_out):
            print_result(row, flags.json, "{path}: {clips} clips", None)
    return OK


if __name__ == "__main__":
    sys.exit(main())
