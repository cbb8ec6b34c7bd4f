"""Audits a corpus before training: `python -m tfpipeline.audit --data demo`.

Can the label be told from silence, level, bandwidth, file format? Does a recording overlap between
splits? The exit code is 1 where something leaks.
"""

from __future__ import annotations

import argparse
import sys

from tfpipeline.cli import (
    OK,
    SOME_FAILED,
    CommandParser,
    add_data_flag,
    corpus_from_flag,
    print_result,
    run_command,
)


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and audits; returns the exit code: 1 if something leaks."""
    parser = CommandParser(prog="python -m tfpipeline.audit", description=__doc__)
    add_data_flag(parser, "the corpus", required=True)
    parser.add_argument("--out", metavar="FILE", help="write audit.json there too")
    parser.add_argument("--json", action="store_true", help="print audit.json instead of a table")
    flags = parser.parse_args(argv)
    return run_command(lambda: _audit(flags))


def _audit(flags: argparse.Namespace) -> int:
    from tfpipeline.auditing.audit import print_audit
    from tfpipeline.config import DataConfig
    from tfpipeline.files.atomic import write_json
    from tfpipeline.workflows.corpus import audit_corpus

    audit = audit_corpus(DataConfig(corpus=corpus_from_flag(flags.data)))
    if flags.out:
        write_json(flags.out, audit)
    print_result(audit, flags.json, print_audit)
    return SOME_FAILED if audit["verdict"] == "leak" else OK


if __name__ == "__main__":
    sys.exit(main())
