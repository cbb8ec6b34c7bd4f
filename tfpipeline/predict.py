"""Judges recordings: `python -m tfpipeline.predict --run saved_models/cnn FILE-or-FOLDER…`.

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
TIMELINE = "draw each file's score over time above its spectrogram, into the folder timelines"
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
    add_ray_flag(parser)
    add("--timeline", dest="timeline_to", action="store_const", const="timelines", help=TIMELINE)
    add("--timeline-to", metavar="FOLDER", help="the same, into another folder")
    add("--explain", action="store_true", help=EXPLAIN)
    add("--explain-to", metavar="FOLDER", default="explanations", help="default: explanations")
    flags = parser.parse_args(argv)
    more = " With --out, what was judged stays: --resume continues." if flags.out else ""
    return run_command(lambda: _predict(flags), f"stopped.{more}")


def _predict(flags: argparse.Namespace) -> int:
    check_row_flags(flags)
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
    from tfpipeline.workflows.predict import judge_files, open_scorer

    failed = judge_files(
        names,
        open_scorer(run_folder(flags.run) if flags.run else None, flags.server),
        form=flags.form,
        out=flags.out,
        resume=flags.resume,
        overwrite=flags.overwrite,
        explain_to=flags.explain_to if flags.explain else None,
        timeline_to=flags.timeline_to,
    )
    return SOME_FAILED if failed else OK


def _check_ray_flags(flags: argparse.Namespace) -> None:
    if not flags.out or not flags.run:
        raise ValueError("--ray needs --run and --out, a file or a folder that all machines see.")
    if flags.explain or flags.timeline_to:
        raise ValueError("--ray gives rows alone. Leave out --explain and --timeline.")


if __name__ == "__main__":
    end_process(main())
