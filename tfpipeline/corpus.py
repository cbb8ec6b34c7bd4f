"""Looks at corpora: `python -m tfpipeline.corpus list`, `inspect NAME:PATH`, `verify NAME:PATH` …

What there is and how it is named; what stands where; whether every file can be decoded; the table
of clips, split or in folds; and decoded audio, kept for the runs to come.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tfpipeline.cli import OK, SOME_FAILED, CommandParser, quiet_tensorflow, run_command

MOST_HEADERS = 20_000  # files whose headers `inspect` reads; of larger corpora a random choice


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and runs a sub-command; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.corpus", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, body, help: str, corpus: bool = True) -> argparse.ArgumentParser:
        own = commands.add_parser(name, help=help, description=help)
        if corpus:
            own.add_argument(
                "data", nargs="+", metavar="NAME[:PATH]", help="the corpus; several are mixed"
            )
            own.add_argument(
                "--set",
                action="append",
                default=[],
                dest="overrides",
                metavar="A=VALUE",
                help="a key of the section data of a config, such as split.by=[speaker]",
            )
        own.add_argument("--json", action="store_true", help="print JSON")
        own.set_defaults(body=body)
        return own

    add("list", _list, "the corpora that can be named, and how", corpus=False)
    inspect = add("inspect", _inspect, "counts, hours, sample rates, first problems")
    inspect.add_argument("--picture", metavar="FILE", help="draw the clips' lengths as PNG")
    verify = add("verify", _verify, "decode every file; exit code 1 if any fails")
    verify.add_argument("--out", metavar="FILE", help="write path and reason of those as CSV")
    add("fingerprint", _fingerprint, "one hash of ids, labels, parts and file sizes")
    manifest = add("manifest", _manifest, "write the table of clips, CSV or Parquet")
    manifest.add_argument("--out", required=True, metavar="FILE", help=".csv or .parquet")
    manifest.add_argument(
        "--folds", type=int, metavar="K", help="K tables FILE-1 … FILE-K, each fold tested once"
    )
    manifest.add_argument(
        "--leave-attack-out",
        action="store_true",
        help="a table FILE-ATTACK for each attack, which is unseen there",
    )
    add("cache", _cache, "decode all audio into the cache that data.cache=disk reads")
    flags = parser.parse_args(argv)
    return run_command(lambda: flags.body(flags), "stopped. Resume with the same command.")


def _list(flags: argparse.Namespace) -> int:
    from tfpipeline.data.corpora import CORPORA, DATA_SETS

    own = {
        "demo": ("real speech and its vocoded copies, built from public packages", "Apache-2.0"),
        "folder": ("audio in folders whose names tell the label", "yours"),
        "manifest": ("a table of clips, CSV or Parquet", "yours"),
    }
    rows = []
    for name in CORPORA:
        if name in DATA_SETS:
            found = DATA_SETS[name]
            given = f"{name}:PATH" + ("+PATH2" if found.second else "")
            needs = found.layout + (f"; PATH2: {found.second}" if found.second else "")
            rows.append(
                {
                    "name": name,
                    "title": found.title,
                    "what": found.what,
                    "licence": found.licence,
                    "give": given,
                    "layout": needs,
                    "citation": found.citation,
                    "home": found.home,
                    "counts": dict(found.counts),
                }
            )
        else:
            what, licence = own.get(name, ("", ""))
            given = name if name == "demo" else f"{name}:PATH"
            rows.append({"name": name, "what": what, "licence": licence, "give": given})
    if flags.json:
        print(json.dumps(rows, indent=2))
        return OK
    from tfpipeline.reporting.corpus_tables import print_corpora

    print_corpora(rows)
    return OK


def _inspect(flags: argparse.Namespace) -> int:
    import numpy as np

    from tfpipeline.data.inspection import read_headers, summarise
    from tfpipeline.reporting.corpus_tables import draw_lengths, print_summary

    clips, name = _load(flags, split=True)
    at = np.arange(len(clips))
    if len(at) > MOST_HEADERS:
        at = np.sort(np.random.default_rng(0).choice(at, MOST_HEADERS, replace=False))
    headers = read_headers(clips["path"].iloc[at].tolist())
    headers.index = clips.index[at]
    # A corpus that tells no lengths gets those of the headers, where all were read.
    if clips["seconds"].isna().all() and len(at) == len(clips):
        clips = clips.assign(seconds=headers["seconds"])
    problems = headers["problem"] != ""
    summary = {"data": name, **summarise(clips)}
    summary["headers"] = {
        "read": len(headers),
        "formats": _counted(headers.loc[~problems, "format"]),
        "sample_rates": _counted(headers.loc[~problems, "sample_rate"]),
        "channels": _counted(headers.loc[~problems, "channels"]),
        "unreadable": int(problems.sum()),
        "first_problems": [
            {"path": clips["path"][row], "problem": headers["problem"][row]}
            for row in headers.index[problems][:5]
        ],
    }
    if flags.picture:
        shown = clips.loc[headers.index].assign(seconds=headers["seconds"])
        draw_lengths(shown if clips["seconds"].isna().all() else clips, flags.picture)
    print(json.dumps(summary, indent=2)) if flags.json else print_summary(summary)
    return OK


def _verify(flags: argparse.Namespace) -> int:
    quiet_tensorflow()
    import pandas as pd

    from tfpipeline.data.screening import screen_clips
    from tfpipeline.files.atomic import write_table

    clips, name = _load(flags, split=False, more=["unseen_attacks=[]"])  # all there are
    paths = clips["path"].tolist()
    screening = screen_clips(paths, lambda index, clip: None)
    reasons = screening.reasons
    failed = pd.DataFrame(
        {
            "path": [paths[row] for row in sorted(reasons)],
            "reason": [reasons[row].removeprefix(f"{paths[row]}: ") for row in sorted(reasons)],
        }
    )
    if flags.out:
        write_table(flags.out, failed)
    if flags.json:
        rows = failed.to_dict("records")
        remarks = [
            {"path": paths[row], "remarks": own} for row, own in sorted(screening.remarks.items())
        ]
        found = {"data": name, "clips": len(paths), "failed": rows, "remarks": remarks}
        print(json.dumps(found, indent=2))
    else:
        for row in failed.itertuples():
            print(f"{row.path}: {row.reason}")
        for row, remarks in sorted(screening.remarks.items()):
            print(f"{paths[row]}: usable; {'; '.join(remarks)}")
        print(
            f"{name}: {len(paths)} clips, {len(failed)} cannot be used, remarks on "
            f"{len(screening.remarks)}"
        )
    return SOME_FAILED if len(failed) else OK


def _fingerprint(flags: argparse.Namespace) -> int:
    from tfpipeline.data.clips import corpus_fingerprint

    clips, name = _load(flags, split=True)
    found = {"data": name, "clips": len(clips), "fingerprint": corpus_fingerprint(clips)}
    print(json.dumps(found) if flags.json else f"{found['fingerprint']}  {name}")
    return OK


def _manifest(flags: argparse.Namespace) -> int:
    from tfpipeline.data.automatic_splits import leave_one_attack_out
    from tfpipeline.data.clips import write_manifest
    from tfpipeline.data.corpora import load_folds

    out = Path(flags.out)
    if out.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--out ends with .csv or .parquet. Received: {flags.out}.")
    if flags.folds and flags.leave_attack_out:
        raise ValueError("--folds and --leave-attack-out are two ways to split. Take one.")
    if flags.folds:
        data = _data(flags, [f"split.folds={flags.folds}", "split.fold=0"])
        tables = {str(number): clips for number, clips in enumerate(load_folds(data), start=1)}
    elif flags.leave_attack_out:
        tables = dict(leave_one_attack_out(_load(flags, True, ["unseen_attacks=[]"])[0]))
    else:
        tables = {"": _load(flags, split=True)[0]}
    written = []
    for suffix, clips in tables.items():
        path = out.with_name(f"{out.stem}-{suffix}{out.suffix}") if suffix else out
        write_manifest(path, clips)
        written.append({"path": str(path), "clips": len(clips)})
    for row in written:
        print(json.dumps(row) if flags.json else f"{row['path']}: {row['clips']} clips")
    return OK


def _cache(flags: argparse.Namespace) -> int:
    quiet_tensorflow()
    from tfpipeline.data.cache import DecodedFiles
    from tfpipeline.data.clip_audio import decode_missing

    clips, name = _load(flags, split=False, more=["unseen_attacks=[]"])  # all there are
    decoded = DecodedFiles(clips["path"])
    asked, screening = decode_missing(decoded, clips["path"])
    reasons = screening.reasons
    new = asked - len(reasons)
    for reason in list(reasons.values())[:5]:
        print(f"skipped: {reason}", file=sys.stderr)
    found = {
        "data": name,
        "clips": len(clips),
        "decoded": new,
        "skipped": len(reasons),
        "gigabytes": round(decoded.size() / 1e9, 3),
        "folder": str(decoded.folder),
    }
    if flags.json:
        print(json.dumps(found))
    else:
        print(
            f"{name}: {found['clips']} clips, {new} newly decoded, {len(reasons)} cannot be used; "
            f"{found['gigabytes']} GB in {found['folder']}\ntrain on it with --set data.cache=disk"
        )
    return SOME_FAILED if reasons else OK


def _load(flags: argparse.Namespace, split: bool, more: list[str] | tuple[str, ...] = ()) -> tuple:
    """The clips that the flags name, and the name of the corpus."""
    from tfpipeline.data.corpora import load_clips

    data = _data(flags, more)
    return load_clips(data, split), data.corpus_name


def _data(flags: argparse.Namespace, more: list[str] | tuple[str, ...] = ()):
    """The section `data` of a config that the flags name."""
    from tfpipeline.cli import corpus_from_flag
    from tfpipeline.config import data_from_overrides

    return data_from_overrides(corpus_from_flag(flags.data), [*more, *flags.overrides])


def _counted(values) -> dict[str, int]:
    return {str(value): int(number) for value, number in values.value_counts().items()}


if __name__ == "__main__":
    sys.exit(main())
