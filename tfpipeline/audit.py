"""Audits a corpus before training: `python -m tfpipeline.audit --data demo`.

Can the label be told from silence, level, bandwidth, file format? Does a recording stand on two
sides? The exit code is 1 where something leaks.
"""

from __future__ import annotations

import argparse
import json
import sys

from tfpipeline.cli import (
    OK,
    SOME_FAILED,
    CommandParser,
    add_data_flag,
    corpus_from_flag,
    quiet_tensorflow,
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
    quiet_tensorflow()

    from tfpipeline.auditing.audit import audit_clips, print_audit
    from tfpipeline.config import DataConfig
    from tfpipeline.data.clip_audio import open_audio
    from tfpipeline.data.corpora import load_clips
    from tfpipeline.files.atomic import write_json

    data = DataConfig(corpus=corpus_from_flag(flags.data))
    clips, audio, skipped = open_audio(load_clips(data))
    if len(skipped):
        print(f"{len(skipped)} clips cannot be used and are left out", file=sys.stderr)
    audit = audit_clips(clips, audio, data.corpus_name)
    if flags.out:
        write_json(flags.out, audit)
    print(json.dumps(audit, indent=2)) if flags.json else print_audit(audit)
    return SOME_FAILED if audit["verdict"] == "leak" else OK


if __name__ == "__main__":
    sys.exit(main())
