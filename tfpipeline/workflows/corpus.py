"""What `tfpipeline corpus` and `tfpipeline audit` do with the corpora that a config names."""

from __future__ import annotations

import sys
from pathlib import Path

from tfpipeline.config import DataConfig
from tfpipeline.data.automatic_splits import leave_one_attack_out
from tfpipeline.data.clips import corpus_fingerprint, write_manifest
from tfpipeline.data.corpora import load_clips, load_folds
from tfpipeline.data.inspection import inspect_clips
from tfpipeline.files.atomic import write_table
from tfpipeline.reporting.corpus_tables import draw_lengths


def build_corpus(
    name: str,
    mirrors: str | None = None,
    licenses: str | None = None,
    workers: int | None = None,
    copies: bool | None = None,
) -> dict:
    """Builds a corpus that is made on the machine, and keeps it in the cache.

    Args:
        name: `demo` or `web`.
        mirrors, licenses, workers, copies: of `web`, as `data.web.corpus.build_web`; None: its
            defaults.
    Returns:
        What `build_web` returns; of `demo`, `{"data", "clips", "missing": {}}`.
    Raises:
        ValueError: a flag that the corpus does not have; and as `build_web` and `load_demo`.

    Example:
        >>> build_corpus("web", licenses="open")["repositories"]    # doctest: +SKIP
        90
    """
    given = {"mirrors": mirrors, "licenses": licenses, "workers": workers, "copies": copies}
    given = {flag: value for flag, value in given.items() if value is not None}
    if name == "web":
        from tfpipeline.data.web.corpus import build_web

        return build_web(**given)
    if given:
        raise ValueError(f"--{next(iter(given))} is a flag of the corpus web. Received: {name}.")
    return {"data": name, "clips": len(load_clips(DataConfig(corpus=name))), "missing": {}}


def inspect_corpus(data: DataConfig, picture: str | Path | None = None) -> dict:
    """Counts, hours, sample rates and first problems of a corpus.

    Args:
        data: of a config.
        picture: where the lengths of the clips are drawn, as PNG.
    Returns:
        What `data.inspection.inspect_clips` found, and the corpus's name, `data`.

    Example:
        >>> inspect_corpus(DataConfig(corpus="folder:speech"))["clips"]    # doctest: +SKIP
        120
    """
    summary, clips = inspect_clips(load_clips(data))
    if picture:
        draw_lengths(clips, picture)
    return {"data": data.corpus_name, **summary}


def verify_corpus(data: DataConfig, out: str | Path | None = None, ray: str | None = None) -> dict:
    """Decodes every file of a corpus.

    Args:
        data: of a config; attacks are held out only where it names them.
        out: a CSV file for path and reason of the clips that cannot be used.
        ray: address of a Ray cluster whose machines do it; `out` is needed then.
    Returns:
        `{"data", "clips", "failed": [{"path", "reason"}], "remarks": [{"path", "remarks"}]}`.

    Example:
        >>> verify_corpus(DataConfig(corpus="folder:speech"))["failed"]    # doctest: +SKIP
        []
    """
    from tfpipeline.data.screening import screen_clips, skipped_table

    if ray and not out:
        raise ValueError("--ray needs --out, a file in a folder that all machines see.")
    paths = load_clips(_whole(data), split=False)["path"].tolist()
    if ray:
        from tfpipeline.workflows.many_machines.verify import verify_on_cluster

        return verify_on_cluster(paths, data, ray, out)
    screening = screen_clips(paths, lambda index, clip: None)
    rows = sorted(screening.reasons)
    failed = skipped_table([paths[row] for row in rows], [screening.reasons[row] for row in rows])
    if out:
        write_table(out, failed)
    remarks = [
        {"path": paths[row], "remarks": remarks}
        for row, remarks in sorted(screening.remarks.items())
    ]
    return {
        "data": data.corpus_name,
        "clips": len(paths),
        "failed": failed.to_dict("records"),
        "remarks": remarks,
    }


def fingerprint_corpus(data: DataConfig) -> dict:
    """One hash of a corpus's ids, labels, parts and file sizes, as `environment.json` of a run has.

    Args:
        data: of a config.
    Returns:
        `{"data", "clips", "fingerprint"}`.

    Example:
        >>> fingerprint_corpus(DataConfig(corpus="demo"))["clips"]    # doctest: +SKIP
        148
    """
    clips = load_clips(data)
    return {
        "data": data.corpus_name,
        "clips": len(clips),
        "fingerprint": corpus_fingerprint(clips),
    }


def cache_corpus(data: DataConfig) -> dict:
    """Decodes all audio of a corpus into the cache that `data.cache=disk` reads.

    Clips that are there already are not decoded again; the first reasons for skipping go to stderr.

    Args:
        data: of a config; attacks are held out only where it names them.
    Returns:
        `{"data", "clips", "decoded", "skipped", "gigabytes", "folder"}`; `decoded` are new.

    Example:
        >>> cache_corpus(DataConfig(corpus="folder:speech"))["skipped"]    # doctest: +SKIP
        0
    """
    from tfpipeline.data.cache import DecodedFiles
    from tfpipeline.data.clip_audio import decode_missing

    clips = load_clips(_whole(data), split=False)
    decoded = DecodedFiles(clips["path"])
    missing, screening = decode_missing(decoded, clips["path"])
    for reason in list(screening.reasons.values())[:5]:
        print(f"skipped: {reason}", file=sys.stderr)
    return {
        "data": data.corpus_name,
        "clips": len(clips),
        "decoded": missing - len(screening.reasons),
        "skipped": len(screening.reasons),
        "gigabytes": round(decoded.size() / 1e9, 3),
        "folder": str(decoded.folder),
    }


def write_manifests(
    data: DataConfig, out: str | Path, folds: bool = False, leave_attack_out: bool = False
) -> list[dict]:
    """Writes the table of clips, or several that split them in different ways.

    Args:
        data: of a config.
        out: `.csv` or `.parquet`.
        folds: a table `<out>-1`, `<out>-2` … for each fold of `data.split`.
        leave_attack_out: a table `<out>-<attack>` for each attack, which is unseen there.
    Returns:
        `{"path", "clips"}` of each table.
    Raises:
        ValueError: `out` has another extension, or the clips cannot be split so.

    Example:
        >>> write_manifests(DataConfig(corpus="folder:speech"), "clips.csv")    # doctest: +SKIP
        [{'path': 'clips.csv', 'clips': 120}]
    """
    out = Path(out)
    if out.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--out ends with .csv or .parquet. Received: {out}.")
    if folds and leave_attack_out:
        raise ValueError("--folds and --leave-attack-out are two ways to split. Take one.")
    if folds:
        tables = {str(number): clips for number, clips in enumerate(load_folds(data), start=1)}
    elif leave_attack_out:
        tables = dict(leave_one_attack_out(load_clips(_whole(data))))
    else:
        tables = {"": load_clips(data)}
    written = []
    for suffix, clips in tables.items():
        path = out.with_name(f"{out.stem}-{suffix}{out.suffix}") if suffix else out
        write_manifest(path, clips)
        written.append({"path": str(path), "clips": len(clips)})
    return written


def audit_corpus(data: DataConfig) -> dict:
    """Audits a corpus before training: what gives the label away, and what overlaps.

    Args:
        data: of a config.
    Returns:
        What `auditing.audit.audit_clips` found; clips that cannot be used are left out.

    Example:
        >>> audit_corpus(DataConfig(corpus="folder:speech"))["verdict"]    # doctest: +SKIP
        'fine'
    """
    from tfpipeline.auditing.audit import audit_clips
    from tfpipeline.data.clip_audio import open_audio

    clips, audio, skipped = open_audio(load_clips(data))
    if len(skipped):
        print(f"{len(skipped)} clips cannot be used and are left out", file=sys.stderr)
    return audit_clips(clips, audio, data.corpus_name)


def _whole(data: DataConfig) -> DataConfig:
    """The same corpora, with no attack held out that the config does not name."""
    none_named = data.unseen_attacks is None
    return data.model_copy(update={"unseen_attacks": ()}) if none_named else data
