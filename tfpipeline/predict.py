"""Judges recordings: `python -m tfpipeline.predict FILE-or-FOLDER…`.

One row a file: the raw score (log-odds), the calibrated probability of spoof, the verdict by the
threshold that the run fixed on its validation part, the windows where the evidence lies, or why
there is no verdict. Recordings may be of any length up to four hours.
"""

from __future__ import annotations

import argparse

from tfpipeline.cli import (
    OK,
    SOME_FAILED,
    CommandParser,
    add_judge_flags,
    add_ray_flag,
    add_row_flags,
    check_row_flags,
    end_process,
    quiet_tensorflow,
    run_command,
    run_folder,
)

FILES = (
    "audio files, folders, patterns in quotes ('clips/**/*.wav'), or - for audio on standard input"
)
THRESHOLD = (
    "what a score must reach to be called spoof: eer (default), where both errors were equal on "
    "validation; far1, where at most 1 %% of its human clips were called fake; or a score"
)
TIMELINE = "draw each file's score over time above its spectrogram, into the folder timelines"
FOLLOW = "judge one pipe, WAV or raw samples, while it comes: a row of CSV or --json a window"
EXPLAIN = (
    "tell why: what each hand-made feature added to the score, or, of a network, a picture of "
    "where in time and frequency the evidence lies"
)


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and predicts; returns the exit code: 1 if some files failed."""
    parser = CommandParser(prog="python -m tfpipeline.predict", description=__doc__)
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help=FILES)
    add("--files-from", metavar="FILE", help="a list of more, one path a line; - is standard input")
    add_judge_flags(parser)
    add_row_flags(parser)
    add("--threshold", metavar="NAME-or-score", help=THRESHOLD)
    add_ray_flag(parser)
    add("--timeline", dest="timeline_to", action="store_const", const="timelines", help=TIMELINE)
    add("--timeline-to", metavar="FOLDER", help="the same, into another folder")
    add("--follow", action="store_true", help=FOLLOW)
    add("--format", metavar="NAME", help="with --follow: raw samples, such as s16le, not WAV")
    add("--rate", type=int, default=16_000, metavar="HZ", help="of --format (default: 16000)")
    add("--channels", type=int, default=1, metavar="N", help="of --format (default: 1)")
    add("--explain", action="store_true", help=EXPLAIN)
    add("--explain-to", metavar="FOLDER", default="explanations", help="default: explanations")
    flags = parser.parse_args(argv)
    more = " With --out, what was judged stays: --resume continues." if flags.out else ""
    body = _follow if flags.follow else _predict
    return run_command(lambda: body(flags), f"stopped.{more}")


def _follow(flags: argparse.Namespace) -> int:
    others = ("out", "resume", "overwrite", "files_from", "timeline_to", "explain")
    if len(flags.files) != 1 or any(getattr(flags, name) for name in others):
        raise ValueError(
            "--follow judges one stream, such as -, and prints its rows. It goes with --csv, "
            "--json, --format, --rate and --channels alone. Redirect the rows into a file."
        )
    from tfpipeline.data.audio.live import raw_layout

    layout = raw_layout(flags.format, flags.rate, flags.channels) if flags.format else None
    quiet_tensorflow()
    from tfpipeline.workflows.follow import judge_stream

    scorer = _scorer(flags)
    return judge_stream(flags.files[0], scorer, layout, flags.form == "json")


def _predict(flags: argparse.Namespace) -> int:
    check_row_flags(flags)
    if flags.format:
        raise ValueError("--format is of a stream: add --follow.")
    if flags.explain and flags.server:
        raise ValueError("--explain needs the run itself. Take --run instead of --server.")
    from tfpipeline.prediction.inputs import list_inputs

    if flags.ray:
        _check_ray_flags(flags)
    names = list_inputs(flags.files, flags.files_from)  # before TensorFlow takes its time
    quiet_tensorflow()
    if flags.ray:
        from tfpipeline.workflows.many_machines.predict import judge_files_on_cluster, tell_failed

        run, given = run_folder(flags.run), (flags.out, flags.resume, flags.overwrite)
        failed = judge_files_on_cluster(names, run, flags.ray, *given)
        tell_failed(failed, len(names), flags.out)
        return SOME_FAILED if failed else OK
    from tfpipeline.workflows.predict import judge_files

    failed = judge_files(
        names,
        _scorer(flags),
        form=flags.form,
        out=flags.out,
        resume=flags.resume,
        overwrite=flags.overwrite,
        explain_to=flags.explain_to if flags.explain else None,
        timeline_to=flags.timeline_to,
    )
    return SOME_FAILED if failed else OK


def _scorer(flags: argparse.Namespace):
    from tfpipeline.workflows.predict import open_scorer

    run = None if flags.server else run_folder(flags.run)
    return open_scorer(run, flags.server, flags.threshold)


def _check_ray_flags(flags: argparse.Namespace) -> None:
    if flags.server or not flags.out:
        raise ValueError("--ray needs --out, a file or folder that all machines see, and a run.")
    if flags.explain or flags.timeline_to or flags.threshold:
        raise ValueError("--ray gives rows alone. Leave out --explain, --timeline, --threshold.")


if __name__ == "__main__":
    end_process(main())
