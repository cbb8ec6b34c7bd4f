"""Hand-made features of a corpus as a table: what `tfpipeline extract` does."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pandas as pd

from tfpipeline.config import DataConfig, FrontEndConfig
from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.corpora import load_clips
from tfpipeline.features.handcrafted.extraction import (
    check_window,
    extract_to_parquet,
)
from tfpipeline.features.handcrafted.layer import HandcraftedFeatures
from tfpipeline.files.atomic import partial_folder, write_table


def write_features(
    data: DataConfig,
    out: str | Path,
    features: str = "selected",
    window_seconds: float = 4.0,
    front_end: FrontEndConfig | None = None,
    overwrite: bool = False,
    ray: str | None = None,
) -> dict:
    """Writes the features of all windows of a corpus; resumes what was stopped.

    Args:
        data: of a config; its cache keeps the decoded audio.
        out: the Parquet file; clips that cannot be used are listed beside it, in `.skipped.csv`.
        features: `baseline`, `selected` or `all`.
        window_seconds: length of a window.
        front_end: what is done to the waveforms before; default: as a config has it by default.
        overwrite: replace the file, and start anew.
        ray: address of a Ray cluster whose machines do it; each holds but a few clips at a time.
    Returns:
        `{"out", "clips", "rows", "skipped"}`; a row is a window.
    Raises:
        ValueError: the file exists, or the window is too short for the features.

    Example:
        >>> write_features(DataConfig(corpus="demo"), "features.parquet")["rows"]  # doctest: +SKIP
        148
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists. Replace it with --overwrite, or name another --out.")
    if out.is_dir():
        raise ValueError(f"--out is a file. Received the folder {out}. Try {out / 'f.parquet'}.")
    if not window_seconds > 0:
        raise ValueError(f"--window-seconds must be more than 0. Received: {window_seconds:g}.")
    # What cannot work fails before anything is decoded.
    window = round(window_seconds * SAMPLE_RATE)
    check_window(HandcraftedFeatures(features), window)
    if ray and data.cache != "auto":
        raise ValueError("--ray keeps no decoded audio. Leave out --cache.")
    if overwrite:
        shutil.rmtree(partial_folder(out), ignore_errors=True)
    clips, front_end = load_clips(data), front_end or FrontEndConfig()
    if ray:
        from tfpipeline.workflows.many_machines.extract import extract_on_cluster

        rows, skipped = extract_on_cluster(clips, ray, features, window, front_end, out)
        _list_skipped(out, skipped, len(clips))
        kept = len(clips) - len(skipped)
        return {"out": str(out), "clips": kept, "rows": rows, "skipped": len(skipped)}
    clips, audio, skipped = open_audio(clips, data.cache)
    _list_skipped(out, skipped, len(clips) + len(skipped))
    rows = extract_to_parquet(clips, audio, features, window, front_end, out)
    return {"out": str(out), "clips": len(clips), "rows": rows, "skipped": len(skipped)}


def _list_skipped(out: Path, skipped: pd.DataFrame, total: int) -> None:
    """Writes the list of the clips that cannot be used beside the file."""
    skip_list = out.with_suffix(".skipped.csv")
    if len(skipped):
        write_table(skip_list, skipped)
        print(f"{len(skipped)} of {total} clips skipped, see {skip_list}", file=sys.stderr)
    else:
        skip_list.unlink(missing_ok=True)  # of an older table of that name
