"""Does an export say what the run said? Its own output, on real clips, against the run's scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.data.audio.decode import decode
from tfpipeline.data.audio.wav import wav_bytes
from tfpipeline.data.audio.windows import cut_windows
from tfpipeline.evaluation.scores import read_scores
from tfpipeline.models.families import find_family
from tfpipeline.runs import layout
from tfpipeline.runs.run import Run
from tfpipeline.serving.clip_batch import WINDOWS_AT_ONCE
from tfpipeline.serving.contract import read_contract
from tfpipeline.serving.status import SCORED, STATUSES

TOLERANCE = 1e-4  # log-odds
NETWORK_CLIPS, TREE_CLIPS = 32, 1000
BATCH = 8
# A rounding in the features can carry a value over a threshold of a tree.
MOST_CROSSED = 0.001


@dataclass(frozen=True)
class Checked:
    """What the comparison found.

    Attributes:
        clips: how many were compared.
        largest_difference: in log-odds, of the clips that did not cross a threshold of a tree.
        crossed: clips of trees that differ by more than `TOLERANCE`.
    """

    clips: int
    largest_difference: float
    crossed: int


def check_export(run: Run, version: Path) -> Checked:
    """Compares an export's scores with those in the run's `scores.csv`.

    The windows of every clip go through `windows`, beside those of other clips; the first few clips
    also as WAV files through `audio_bytes` and alone through `serving_default`.

    Args:
        run: whose export it is.
        version: the folder that holds `saved_model.pb`, written by this process.
    Raises:
        FileNotFoundError: none of the run's clips are here.
        ValueError: a score differs, or more rows of trees cross a threshold than `MOST_CROSSED`.
    """
    loaded = tf.saved_model.load(str(version))
    window = read_contract(version)["window_samples"]
    trees = find_family(run.config.model.name).is_classical
    clips = _clips(run, TREE_CLIPS if trees else NETWORK_CLIPS)
    first: list[np.ndarray] = []  # waveforms; those of further clips are let go at once
    compared, received = [], []
    for rows, waveforms in _batches(clips["path"].tolist()):
        compared += rows
        received.append(_means(loaded.signatures["windows"], waveforms, window))
        first += waveforms[: BATCH - len(first)]
    if not compared:
        return Checked(0, 0.0, 0)
    clips, received = clips.iloc[compared].reset_index(drop=True), np.concatenate(received)
    expected = clips["score"].to_numpy()
    others = {
        "serving_default": np.concatenate(
            [_scores(loaded.signatures["serving_default"](waveform=clip[None])) for clip in first]
        ),
        "audio_bytes": _scores(
            loaded.signatures["audio_bytes"](audio=tf.constant([wav_bytes(clip) for clip in first]))
        ),
    }
    differences = np.abs(received - expected)
    _require_close(received, expected, clips, "windows", MOST_CROSSED if trees else 0.0)
    for name, scores in others.items():
        # Rows that crossed are counted above; here the signatures must agree among themselves.
        _require_close(scores, received[: len(first)], clips, name, 0.0)
    crossed = differences > TOLERANCE
    return Checked(len(clips), float(differences[~crossed].max(initial=0.0)), int(crossed.sum()))


def _clips(run: Run, most: int) -> pd.DataFrame:
    """Rows of the run's scores whose files are here, evenly out of all parts."""
    table = read_scores(run.folder / layout.SCORES)
    here = table[[os.path.isfile(path) for path in table["path"]]]
    if here.empty:
        raise FileNotFoundError(
            f"{run.folder}: an export is checked on clips of the run. Received: none of the "
            f"{len(table)} files in scores.csv is here, such as {table['path'].iloc[0]}. Bring "
            "them back, or export with --unchecked."
        )
    places = np.linspace(0, len(here) - 1, min(most, len(here))).round().astype(int)
    return here.iloc[places].reset_index(drop=True)


def _batches(paths: list[str]) -> Iterator[tuple[list[int], list[np.ndarray]]]:
    """Places in the list and waveforms, a few at a time: all together may not fit into memory.

    Channels that are judged apart are no one waveform, and are left out.
    """
    for begin in range(0, len(paths), BATCH):
        places = range(begin, min(begin + BATCH, len(paths)))
        decoded = {at: decode(paths[at]) for at in places}
        alone = {at: clip.waveform for at, clip in decoded.items() if len(clip.channels) == 1}
        del decoded
        if alone:
            yield list(alone), list(alone.values())


def _means(signature: Callable, waveforms: list[np.ndarray], window: int) -> np.ndarray:
    """The mean of each waveform's windows, which share requests, float64 (waveforms,)."""
    each = [cut_windows(waveform[None], window)[0] for waveform in waveforms]
    windows = tf.concat(each, 0)  # (all windows, window)
    scores = [
        signature(windows=windows[at : at + WINDOWS_AT_ONCE])["score"].numpy()
        for at in range(0, len(windows), WINDOWS_AT_ONCE)
    ]
    ends = np.cumsum([len(rows) for rows in each])[:-1]
    return np.array([clip.mean() for clip in np.split(np.concatenate(scores).astype(float), ends)])


def _scores(answer: dict[str, tf.Tensor]) -> np.ndarray:
    status = answer["status"].numpy()
    unscored = ~np.isin(status, SCORED)
    if unscored.any():
        raise ValueError(
            "the export must score every clip that the run scored. Received: status "
            f"{STATUSES[int(status[unscored][0])]!r}."
        )
    return answer["score"].numpy().astype(np.float64)


def _require_close(
    received: np.ndarray, expected: np.ndarray, clips: pd.DataFrame, name: str, most: float
) -> None:
    differs = ~(np.abs(received - expected) <= TOLERANCE)
    if differs.sum() > most * len(differs):
        row = int(np.flatnonzero(differs)[0])
        raise ValueError(
            f"an export must say what the run said, to {TOLERANCE:g} in log-odds. Received: "
            f"{received[row]:.6f} from {name} for {clips['path'][row]}, where the run has "
            f"{expected[row]:.6f}; {int(differs.sum())} of {len(differs)} clips differ. Was the "
            "code, a clip or the weights changed since? Then train again."
        )
