"""Extracts hand-made features: `python -m tfpipeline.extract --data demo --out F.parquet`.

One row a window of each clip, with the clip's id, label, attack, speaker, source and part. An
extraction that was stopped resumes with the same command.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

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
    parser.add_argument("--overwrite", action="store_true", help="replace FILE, start anew")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    flags = parser.parse_args(argv)
    return run_command(
        lambda: _extract(flags), "stopped. Resume with the same command, without --overwrite."
    )


def _extract(flags: argparse.Namespace) -> int:
    out = Path(flags.out)
    if out.exists() and not flags.overwrite:
        raise ValueError(f"{out} exists. Replace it with --overwrite, or name another --out.")
    if out.is_dir():
        raise ValueError(f"--out is a file. Received the folder {out}. Try {out / 'f.parquet'}.")
    if not flags.window_seconds > 0:
        raise ValueError(
            f"--window-seconds must be more than 0. Received: {flags.window_seconds:g}."
        )
    quiet_tensorflow()

    from tfpipeline.config import AS_RECORDED, DataConfig, FrontEndConfig
    from tfpipeline.data.audio import SAMPLE_RATE
    from tfpipeline.data.clip_audio import open_audio
    from tfpipeline.data.corpora import load_clips
    from tfpipeline.features.handcrafted.extraction import (
        check_window,
        extract_to_parquet,
        partial_folder,
    )
    from tfpipeline.features.handcrafted.layer import HandcraftedFeatures
    from tfpipeline.files.atomic import write_table

    # What cannot work fails before anything is decoded.
    window = round(flags.window_seconds * SAMPLE_RATE)
    check_window(HandcraftedFeatures(flags.features), window)
    # Nothing is held out: the table is of all clips.
    data = DataConfig(corpus=corpus_from_flag(flags.data or ["demo"]), unseen_attacks=())
    if flags.overwrite:
        shutil.rmtree(partial_folder(out), ignore_errors=True)
    clips, audio, skipped = open_audio(load_clips(data), flags.cache)
    skip_list = out.with_suffix(".skipped.csv")
    if len(skipped):
        write_table(skip_list, skipped)
        print(
            f"{len(skipped)} of {len(skipped) + len(clips)} clips skipped, see {skip_list}",
            file=sys.stderr,
        )
    else:
        skip_list.unlink(missing_ok=True)  # of an older table of that name
    front_end = AS_RECORDED if flags.as_recorded else FrontEndConfig()
    rows = extract_to_parquet(clips, audio, flags.features, window, front_end, out)
    result = {"out": str(out), "clips": len(clips), "rows": rows, "skipped": len(skipped)}
    print(json.dumps(result) if flags.json else f"{out}: {rows} windows of {len(clips)} clips")
    return SOME_FAILED if len(skipped) else OK


if __name__ == "__main__":
    sys.exit(main())
