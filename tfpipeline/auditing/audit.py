"""An audit: how well the label can be told before any training, from what should not matter.

Each cue of `cues` alone, and all together, as an AUC with an interval over speakers (or
sources); the same recording in two splits; speakers and sources in two splits. A line's verdict:

- `leak`: the AUC's interval, corrected for the number of looks (Bonferroni), lies above .6; or
  anything at all overlaps between splits.
- `look`: its plain 95 % interval lies above .55.
- `fine`: neither.

An AUC below .5 tells the label as well, so cues are turned to the side on which they tell more.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pandas as pd

from tfpipeline.auditing.cues import ADVICE, CATEGORIES, FRAME, file_cues, sound_cues
from tfpipeline.auditing.duplicates import digest, fingerprint, near_duplicates
from tfpipeline.data.clips import LABELS, UNKNOWN
from tfpipeline.evaluation.bootstrap import bootstrap_auc, interval, resampling_groups
from tfpipeline.evaluation.metrics import roc_auc
from tfpipeline.files.progress import track

LEAK, LOOK = 0.6, 0.55
MOST_CLIPS = 20_000  # a random choice stands for larger corpora
FOLDS = 5
ROUNDS = 2000
WORST = ("leak", "look", "fine")


def audit_clips(clips: pd.DataFrame, audio, data: str, most_clips: int = MOST_CLIPS) -> dict:
    """Audits a corpus.

    Args:
        clips: a manifest with parts.
        audio: of the same clips, a `data.clip_audio.Audio`.
        data: the corpus's name.
        most_clips: a larger corpus is judged by so many clips, drawn at random.
    Returns:
        `{"schema": 1, "data", "n_clips", "n_measured", "looks", "verdict", "lines": [{"what",
        "verdict", "auc", "low", "high", "low_corrected", "found", "advice"}]}`, JSON-ready; what
        is undefined is None.
    """
    rows = np.arange(len(clips))
    if len(clips) > most_clips:
        rows = np.sort(np.random.default_rng(0).choice(rows, most_clips, replace=False))
    chosen = clips.iloc[rows].reset_index(drop=True)
    cues, fingerprints, digests = _measure(chosen["path"].tolist(), audio.subset(rows))
    lines = _shortcut_lines(chosen, cues)
    lines += _duplicate_lines(chosen, fingerprints, digests) + _side_lines(clips)
    verdicts = [line["verdict"] for line in lines]
    return {
        "schema": 1,
        "data": data,
        "n_clips": len(clips),
        "n_measured": len(chosen),
        "looks": sum(line["auc"] is not None for line in lines),
        "verdict": next((worst for worst in WORST if worst in verdicts), "fine"),
        "lines": lines,
    }


def print_audit(audit: dict) -> None:
    """Prints the lines as a table, and what to do about those that are not fine."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(title=f"audit of {audit['data']}", box=SIMPLE, title_justify="left")
    table.add_column("what tells the label", no_wrap=True)
    table.add_column("AUC [95 %] or number", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for line in audit["lines"]:
        cell = line["found"].split(",")[0]
        if line["auc"] is not None:
            cell = f"{line['auc']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"
        style = {"leak": "bold red", "look": "yellow"}.get(line["verdict"])
        table.add_row(line["what"], Text(cell), line["verdict"], style=style)
    console.print(table)
    for line in audit["lines"]:
        if line["verdict"] != "fine":
            console.print(Text(f"{line['what']}: {line['found']}. To do: {line['advice']}."))
    measured = f"{audit['n_measured']} of {audit['n_clips']} clips"
    console.print(f"verdict: {audit['verdict']} ({measured}, {audit['looks']} looks)")


def _measure(paths: list[str], audio) -> tuple[pd.DataFrame, list[np.ndarray], list[str]]:
    """Cues, fingerprint and digest of each clip; waveforms are not kept."""
    import tensorflow as tf

    waveforms = tf.data.Dataset.range(len(paths)).map(
        audio.waveform, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    cues, fingerprints, digests = [], [], []
    stream = waveforms.prefetch(tf.data.AUTOTUNE).as_numpy_iterator()
    for path, waveform in zip(track(paths, "audit", "clips"), stream, strict=True):
        if not len(waveform):  # lost on the way; what is left of it is silence
            waveform = np.zeros(FRAME, np.float32)
        cues.append({**sound_cues(waveform), **file_cues(path)})
        fingerprints.append(fingerprint(waveform))
        digests.append(digest(waveform))
    return pd.DataFrame(cues), fingerprints, digests


def _shortcut_lines(clips: pd.DataFrame, cues: pd.DataFrame) -> list[dict]:
    labels = clips["label"].map(LABELS).to_numpy()
    if len(set(labels)) < 2:
        found = f"{clips['label'].iloc[0]} clips only" if len(clips) else "no clips"
        return [_line("shortcuts", "look", found, "an audit needs clips of both classes")]
    groups, noun = resampling_groups(clips)
    folds = _folds(groups)
    looks = len(ADVICE) + 1
    lines = []
    for cue, advice in ADVICE.items():
        if cue in CATEGORIES:
            scores = _category_scores(cues[cue].to_numpy(str), labels, folds)
        else:
            scores = cues[cue].fillna(cues[cue].median()).fillna(0).to_numpy(np.float64)
        found = _contrast(cues[cue], labels, cue in CATEGORIES)
        lines.append(_judge(cue, scores, labels, groups, looks, found, advice))
    advice = "train nothing before the lines above are fixed; this is what a detector may learn"
    together = _boosted_scores(cues, labels, folds)
    found = f"all cues in a boosted model, folds over {noun}"
    lines.append(_judge("all together", together, labels, groups, looks, found, advice))
    return lines


def _judge(what, scores, labels, groups, looks: int, found: str, advice: str) -> dict:
    """The AUC of one cue, turned to the side on which it tells more, and its verdict."""
    auc = roc_auc(labels, scores)
    draws = bootstrap_auc(labels, scores, groups, ROUNDS)
    if auc < 0.5:
        auc, draws = 1 - auc, 1 - draws
    plain = interval(draws)
    # Twice the looks, since either direction would have counted.
    corrected = interval(draws, level=1 - 0.05 / looks)
    if plain is None or len(set(groups)) < FOLDS:
        return {
            **_line(what, "look", f"{found}; too few speakers or sources to tell", advice),
            "auc": auc,
            "low": 0.0,
            "high": 1.0,
            "low_corrected": 0.0,
        }
    verdict = "leak" if corrected[0] > LEAK else "look" if plain[0] > LOOK else "fine"
    return {
        **_line(what, verdict, found, advice),
        "auc": auc,
        "low": plain[0],
        "high": plain[1],
        "low_corrected": corrected[0],
    }


def _folds(groups: np.ndarray) -> np.ndarray:
    """A fold a clip; groups are assigned whole, the same way each time."""
    codes, names = pd.factorize(groups)
    return np.random.default_rng(0).permutation(len(names))[codes] % FOLDS


def _category_scores(values: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """How much more often than usual a category is spoof, by the other folds: log-odds.

    Taken against the other folds' own share of spoofs: otherwise a category that all clips share
    would seem to tell the label, by how the folds happen to differ.
    """
    scores = np.zeros(len(labels))
    for fold in np.unique(folds):
        others = folds != fold
        if not others.any():
            continue
        usual = _log_odds(labels[others])
        for value in np.unique(values[~others]):
            same = labels[others & (values == value)]
            if len(same):
                scores[~others & (values == value)] = _log_odds(same) - usual
    constant = len(np.unique(values)) == 1
    return np.zeros(len(labels)) if constant else scores


def _boosted_scores(cues: pd.DataFrame, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Out-of-fold log-odds of a small boosted model on all cues."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    columns = {
        cue: pd.factorize(cues[cue].astype(str), sort=True)[0] if cue in CATEGORIES else cues[cue]
        for cue in ADVICE
    }
    table = pd.DataFrame(columns).to_numpy(np.float64)
    scores = np.zeros(len(labels))
    for fold in np.unique(folds):
        others = folds != fold
        if len(set(labels[others])) < 2:
            continue
        model = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, min_samples_leaf=10, random_state=0
        ).fit(table[others], labels[others])
        scores[~others] = model.decision_function(table[~others]) - _log_odds(labels[others])
    return scores


def _duplicate_lines(clips, fingerprints: list[np.ndarray], digests: list[str]) -> list[dict]:
    side = clips["part"].replace({"unseen": "test"}).to_numpy(str)
    label, names = clips["label"].to_numpy(str), clips["clip_id"].to_numpy(str)
    first: dict[str, int] = {}
    across, both_labels = [], []
    for place, content in enumerate(digests):
        earlier = first.setdefault(content, place)
        if side[earlier] != side[place]:
            across.append((earlier, place))
        if label[earlier] != label[place]:
            both_labels.append((earlier, place))
    near = [(a, b) for a, b, _ in near_duplicates(fingerprints, side) if digests[a] != digests[b]]
    advice = "leave one of each pair out, or bring both to one side"
    return [
        _pair_line("exact duplicates across parts", across, names, advice),
        _pair_line("near duplicates across parts", near, names, advice),
        _pair_line(
            "one recording with both labels", both_labels, names, "find out which label is right"
        ),
    ]


def _pair_line(what: str, pairs: list[tuple[int, int]], names: np.ndarray, advice: str) -> dict:
    if not pairs:
        return _line(what, "fine", "none", advice)
    one, other = pairs[0]
    return _line(what, "leak", f"{len(pairs)}, such as {names[one]} and {names[other]}", advice)


def _side_lines(clips: pd.DataFrame) -> list[dict]:
    """Speakers and source recordings that overlap between splits."""
    side = clips["part"].replace({"unseen": "test"})
    lines = []
    for column in ("speaker", "source"):
        known = clips[column] != UNKNOWN
        sides = side[known].groupby(clips[column][known]).nunique()
        shared = sides.index[sides > 1]
        found = f"{len(shared)}, such as {shared[0]}" if len(shared) else "none"
        found = found if known.any() else "not known"
        lines.append(
            _line(
                f"{column}s in two splits",
                "leak" if len(shared) else "fine",
                found,
                f"split again by {column}",
            )
        )
    return lines


def _contrast(values: pd.Series, labels: np.ndarray, category: bool) -> str:
    """What a cue is like in each class, in a few words."""
    phrases = []
    for name, label in LABELS.items():
        group = values[labels == label]
        if category:
            common, number = Counter(group.astype(str)).most_common(1)[0]
            phrases.append(f"{name} {100 * number / len(group):.0f} % {common}")
        else:
            phrases.append(f"{name} median {group.median():.4g}")
    return ", ".join(phrases)


def _log_odds(labels: np.ndarray) -> float:
    """Log-odds of spoof, one clip of each class added so that they are finite."""
    return float(np.log((np.sum(labels == 1) + 1) / (np.sum(labels == 0) + 1)))


def _line(what: str, verdict: str, found: str, advice: str) -> dict:
    return {
        "what": what,
        "verdict": verdict,
        "auc": None,
        "low": None,
        "high": None,
        "low_corrected": None,
        "found": found,
        "advice": advice,
    }


def tell_in_a_line(audit: dict) -> None:
    """One line on stderr: the verdict, and which lines are not fine."""
    named = [
        f"{line['what']} ({line['verdict']})"
        for line in audit["lines"]
        if line["verdict"] != "fine"
    ]
    print(f"audit: {audit['verdict']}{': ' + ', '.join(named) if named else ''}", file=sys.stderr)
