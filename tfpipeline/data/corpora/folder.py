"""The `folder` corpus: any tree of audio files whose folders' names tell the labels.

The nearest folder above a file whose name means bonafide or spoof decides, so `real/fake/x.wav` is
a spoof. Of the folders below it, the first that has no namesake among the bonafide folders is the
attack: `fake/hifigan/x.wav`, `fake/p225/hifigan/x.wav`. Part folders (`train`, `dev`, `eval` …) are
kept if all clips stand below one; otherwise the clips are split. What begins with a dot is left
out, and a folder that links lead to more than once is read once.
"""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from pathlib import Path

import pandas as pd

from tfpipeline.data.audio.checks import left_out
from tfpipeline.data.automatic_splits import split_by_best_group
from tfpipeline.data.clips import LABELS, UNKNOWN, normalize_manifest
from tfpipeline.data.corpora.reading.audio_index import audio_folders
from tfpipeline.data.corpora.reading.names import (
    is_generic,
    known_label_names,
    label_from_name,
    part_from_name,
    sources_of_stems,
    speaker_of_stem,
)

SPEAKERS_A_PART = 3  # with fewer, what looks like speakers may be anything
ALMOST_ALL = 0.95
LANGUAGE = re.compile(r"[a-z]{1,2}([-_][a-z]{2})?", re.IGNORECASE)


def load_folder(path: str | None, split: bool = True) -> pd.DataFrame:
    """The manifest of a folder; what was made of its names goes to stderr."""
    if not path:
        raise ValueError(
            "--data folder needs a PATH. Received: none. Such as --data folder:/data/speech, "
            "with /data/speech/real and /data/speech/fake."
        )
    clips, notes = read_folder(path, split)
    for line in notes:
        print(f"folder: {line}", file=sys.stderr)
    return clips


def read_folder(path: str | Path, split: bool = True) -> tuple[pd.DataFrame, list[str]]:
    """Lists a folder, labels its clips by their folders, and splits them if it has no parts.

    Args:
        path: the folder; its own name says nothing.
        split: whether clips without part folders are assigned to parts.
    Returns:
        The manifest, and lines that say what was made of the names. `clip_id` is the path below
        the folder.
    Raises:
        FileNotFoundError, NotADirectoryError, PermissionError: the folder, or one in it.
        ValueError: no audio, no folder that tells a label, or a class without clips.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder. Is the path right?")
    if not root.is_dir():
        raise NotADirectoryError(
            f"{root}: expected a folder. Received: a file. A table of clips is read with "
            f"--data manifest:{root}."
        )
    others: list[str] = []
    clips, notes = _label(root, dict(audio_folders(root, others)))
    notes += [line] if (line := left_out(others)) else []
    if (clips["part"] != UNKNOWN).all():
        counts = ", ".join(f"{part} {n}" for part, n in clips["part"].value_counts().items())
        notes.append(f"parts kept as the folders name them: {counts}")
        return _tell_leaks(clips, notes), notes
    if (clips["part"] != UNKNOWN).any():
        several = (clips["part"] != UNKNOWN).sum()
        notes.append(f"part folders are above {several} of {len(clips)} clips only: left aside")
    if not split:
        return _tell_groups(clips.assign(part=UNKNOWN)).drop(columns=["stem", "below"]), notes
    clips, how = split_by_best_group(_tell_groups(clips), str(root), SPEAKERS_A_PART)
    return clips.drop(columns=["stem", "below"]), [*notes, how.replace(":", ", by the names:", 1)]


def _label(root: Path, folders: dict[tuple[str, ...], list[str]]) -> tuple[pd.DataFrame, list[str]]:
    """The clips of all folders that tell a label, with `stem` and `below` besides, and notes."""
    rows, notes, unlabelled, nested = [], [], {}, []
    for names, files in sorted(folders.items()):
        known = [at for at, name in enumerate(names) if label_from_name(name)]
        if not files:
            continue
        if not known:
            unlabelled["/".join(names) or "the folder itself"] = len(files)
            continue
        label = label_from_name(names[known[-1]])
        if any(label_from_name(names[at]) != label for at in known):
            nested.append("/".join(names))
        parts = [part_from_name(name) for name in names]
        below = tuple(n for n in names[known[-1] + 1 :] if not part_from_name(n))
        part = next((part for part in reversed(parts) if part), UNKNOWN)
        attack = names[known[-1]].lower() if label == "spoof" else UNKNOWN
        folder = os.path.join(root, *names)
        for file in files:
            rows.append(
                (
                    "/".join((*names, file)),
                    os.path.join(folder, file),
                    label,
                    attack,
                    part,
                    file.rpartition(".")[0],
                    below,
                )
            )
    _refuse_unusable(root, folders, {row[2] for row in rows}, bool(rows or unlabelled))
    if unlabelled:
        examples = ", ".join(list(unlabelled)[:3])
        notes.append(f"{sum(unlabelled.values())} files tell no label and are left out: {examples}")
    if nested:
        notes.append(f"folders in one of the other class, the nearest name counts: {nested[0]} …")
    columns = ["clip_id", "path", "label", "attack", "part", "stem", "below"]
    clips = pd.DataFrame(rows, columns=columns)
    bonafide = set().union(*clips["below"][clips["label"] == "bonafide"].unique())
    clips["attack"] = [
        next((n for n in below if n not in bonafide), attack) if attack != UNKNOWN else attack
        for attack, below in zip(clips["attack"], clips["below"], strict=True)
    ]
    return normalize_manifest(clips, str(root)), notes


def _refuse_unusable(root: Path, folders, labels: set[str], any_audio: bool) -> None:
    found = sorted({name for names in folders for name in names})
    listed = ", ".join(found[:10]) + (" …" if len(found) > 10 else "") if found else "none"
    if not any_audio:
        raise ValueError(
            f"{root}: expected audio files, such as .wav, .flac, .mp3, .m4a. Received: none. "
            f"Folders in it: {listed}."
        )
    if not any(label_from_name(name) for name in found):
        raise ValueError(
            f"{root}: expected sub-folders whose names tell the label. Received: {listed}. "
            f"Rename them; known names: {known_label_names()}."
        )
    for label in LABELS:
        if label not in labels:
            raise ValueError(
                f"{root}: expected clips of both classes. Received: no {label} clip, in folders "
                f"{listed}. Known names: {known_label_names()}."
            )


def _tell_groups(clips: pd.DataFrame) -> pd.DataFrame:
    """Fills `speaker`, if almost all names tell one, and `source`."""
    # Corpus names first: LibriSpeech's folders next to the files are chapters, not speakers.
    for speakers in (clips["stem"].map(speaker_of_stem), _folder_speakers(clips)):
        if (speakers != UNKNOWN).mean() >= ALMOST_ALL and speakers.nunique() >= SPEAKERS_A_PART:
            clips = clips.assign(speaker=speakers)
            break
    return clips.assign(source=sources_of_stems(clips["stem"], clips["label"], clips["speaker"]))


def _folder_speakers(clips: pd.DataFrame) -> pd.Series:
    """Speakers by folders that stand right above bonafide files and also below spoof ones."""
    of_label = defaultdict(set)
    for label, below in set(zip(clips["label"], clips["below"], strict=True)):
        of_label[label].update(below[-1:] if label == "bonafide" else below)
    shared = {n for n in of_label["bonafide"] & of_label["spoof"] if not LANGUAGE.fullmatch(n)}
    return clips["below"].map(lambda below: next((n for n in below[::-1] if n in shared), UNKNOWN))


def _tell_leaks(clips: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Fills the groups of given parts, and tells of folders that may be speakers in several.

    Only groups that a telling name names are filled: training refuses those that overlap.
    """
    by_folder = _folder_speakers(clips)
    clips = _tell_groups(clips)
    if clips["speaker"].nunique() <= 2 * SPEAKERS_A_PART:
        clips["speaker"] = UNKNOWN  # one reader's corpus, such as LJSpeech, must share it
    elif clips["speaker"].equals(by_folder.rename("speaker")):
        side = clips["part"].replace({"unseen": "test"})
        shared = side.groupby(by_folder).nunique().drop(UNKNOWN, errors="ignore")
        shared = shared.index[shared > 1]
        if len(shared):
            notes.append(
                f"{len(shared)} folders stand in several parts, such as {shared[0]}: if they are "
                "speakers, test knows voices of train, and the figures are too good"
            )
            clips["speaker"] = UNKNOWN
    # file12.wav of one part has nothing to do with file12.wav of another.
    clips["source"] = clips["source"].mask(clips["stem"].map(is_generic), UNKNOWN)
    return clips.drop(columns=["stem", "below"])
