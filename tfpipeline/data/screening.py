"""Which clips can be used: each is decoded once and looked at before a run starts.

A clip that is unreadable, empty, too short, silent or holds NaN is skipped, with its reason. So
many of them that something else must be wrong stop the run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.data.audio import check_waveform, decode, read_clip
from tfpipeline.files.archives import cache_folder
from tfpipeline.files.atomic import write_json

MAX_SKIPPED_SHARE = 0.05
# Another version for other answers: a change of the decoder or of the checks raises it.
VERSION = 1


def screen_clips(paths: Sequence[str], keep: Callable[[int, np.ndarray], None]) -> dict[int, str]:
    """Decodes clips in parallel and hands the good ones on.

    Args:
        paths: of the clips.
        keep: called with index and float32 (samples,) of each clip that can be used, in any order.
    Returns:
        index → reason, of each clip that cannot be used.
    """
    from tqdm import tqdm

    paths = np.array(paths, dtype=str)
    if not len(paths):
        return {}
    dataset = tf.data.Dataset.from_tensor_slices(paths).enumerate()
    dataset = dataset.map(
        lambda index, path: (index, decode(path)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=False,
    ).ignore_errors()
    undecided = set(range(len(paths)))
    reasons = {}
    with tqdm(total=len(paths), desc="decoding", unit="clip", ascii=" #", delay=2) as bar:
        for number, waveform in dataset.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            index = int(number)
            undecided.discard(index)
            try:
                check_waveform(waveform, paths[index])
            except ValueError as error:
                reasons[index] = str(error)
            else:
                keep(index, waveform)
            bar.update()
        # What fell out of the pipeline is read again by itself, to learn why.
        for index in sorted(undecided):
            try:
                waveform = read_clip(paths[index])
            except (ValueError, OSError) as error:
                reasons[index] = str(error)
            else:
                keep(index, waveform)
            bar.update()
    return reasons


def screen_once(paths: Sequence[str], folder: Path | None = None) -> dict[int, str]:
    """`screen_clips` for clips that are not kept: its answer is kept instead.

    The same list of unchanged files (by path, size and change time) is not decoded again.

    Args:
        paths: of the clips.
        folder: of the answers; default: `screened` in the user's cache.
    Returns:
        index → reason, of each clip that cannot be used.
    """
    digest = hashlib.sha256()
    for path in paths:
        absolute = os.path.abspath(path)
        try:
            stat = os.stat(absolute)
            state = f"{stat.st_size} {stat.st_mtime_ns}"
        except OSError:
            state = "absent"
        digest.update(f"{absolute}\0{state}\n".encode())
    answer = (folder or cache_folder() / "screened") / f"{digest.hexdigest()[:24]}-v{VERSION}.json"
    if answer.exists():
        return {int(index): why for index, why in json.loads(answer.read_text("utf-8")).items()}
    reasons = screen_clips(paths, lambda index, waveform: None)
    answer.parent.mkdir(parents=True, exist_ok=True)
    write_json(answer, reasons)
    return reasons


def drop_skipped(clips: pd.DataFrame, reasons: dict[int, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Takes the skipped clips out of a manifest.

    Args:
        clips: a manifest; reasons are by its row numbers.
        reasons: row → why it is skipped.
    Returns:
        The clips that are left, and a table `path, reason` of those that are not.
    Raises:
        ValueError: more than `MAX_SKIPPED_SHARE` of the clips are skipped.
    """
    rows = sorted(reasons)
    skipped = pd.DataFrame({
        "path": clips["path"].iloc[rows].to_numpy(),
        "reason": [reasons[row].removeprefix(f"{clips['path'].iloc[row]}: ") for row in rows],
    })  # fmt: skip
    if len(rows) > MAX_SKIPPED_SHARE * len(clips):
        raise ValueError(
            f"at most {MAX_SKIPPED_SHARE:.0%} of the clips may be unusable. Received: {len(rows)} "
            f"of {len(clips)}. The first: {reasons[rows[0]]}"
        )
    return clips.drop(index=clips.index[rows]).reset_index(drop=True), skipped
