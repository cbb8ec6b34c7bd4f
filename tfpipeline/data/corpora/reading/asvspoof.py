"""What the ASVspoof editions share: protocols of fields between spaces, and folders of FLAC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.data.corpora.reading.audio_index import attach_audio
from tfpipeline.data.corpora.reading.corpus import Corpus
from tfpipeline.data.corpora.reading.dataset_layout import Need, expect_layout
from tfpipeline.data.corpora.reading.protocols import drop_repeated, read_fields, to_labels

LABELS = {"bonafide": "bonafide", "spoof": "spoof"}
# By the number of fields of a line, to tell a user which edition a protocol is of.
EDITIONS = {5: "asvspoof2019_la", 8: "asvspoof2021_la", 10: "asvspoof5", 13: "asvspoof2021_df"}
PREFIXES = {
    "LA_T_": "ASVspoof 2019 LA",
    "LA_D_": "ASVspoof 2019 LA",
    "LA_E_": "ASVspoof 2019 or 2021 LA",
    "DF_E_": "ASVspoof 2021 DF",
    "PA_": "a PA track",
    "T_": "ASVspoof 5",
    "D_": "ASVspoof 5",
    "E_": "ASVspoof 5",
}
KEYS_2021 = (
    "keys/{track}/CM/trial_metadata.txt",
    "{track}-keys-full/keys/{track}/CM/trial_metadata.txt",
    "ASVspoof2021_{track}_eval/keys/{track}/CM/trial_metadata.txt",
    "ASVspoof2021_{track}_eval/keys/CM/trial_metadata.txt",
    "keys/CM/trial_metadata.txt",
    "{track}/CM/trial_metadata.txt",
    "trial_metadata.txt",
)
AUDIO_2021 = (
    "ASVspoof2021_{track}_eval/flac",
    "flac",
    "ASVspoof2021_{track}_eval_part00/ASVspoof2021_{track}_eval/flac",
)
# The last two letters or digits of an archive's part: `_part00`, `_aa`.
ARCHIVE = re.compile(r"_(part\d\d|[a-z][a-z])$")


def read_protocol(
    path: Path, columns: Sequence[str], prefix: str
) -> tuple[pd.DataFrame, list[str]]:
    """Reads a protocol with the columns `clip_id`, `attack` and `label` among others.

    Args:
        path: of the protocol.
        columns: the name of each field.
        prefix: that each clip's id begins with.
    Returns:
        The clips, labels and attacks in the manifest's words, and lines for the user.
    Raises:
        ValueError: it is of another edition, a label is unknown, or a clip has both.
    """
    clips = read_fields(path, columns, EDITIONS)
    strange = ~clips["clip_id"].str.startswith(prefix)
    if strange.any():
        first = clips["clip_id"][strange].iloc[0]
        other = next((name for p, name in PREFIXES.items() if first.startswith(p)), None)
        raise ValueError(
            f"{path}: its clips should be named {prefix}…. Received: {first}, one of "
            f"{int(strange.sum())} such. "
            + (f"That is {other}." if other else "Is it the right protocol?")
        )
    clips["label"] = to_labels(clips["label"], LABELS, path)
    # Some editions write `bonafide` where others write `-`.
    clips["attack"] = clips["attack"].mask(clips["label"] == "bonafide", UNKNOWN)
    return drop_repeated(clips, path)


def audio_parts(folder: Path, root: Path) -> list[Path]:
    """The folders of audio of an archive whose parts were unpacked each into its own.

    Args:
        folder: one of them, such as `ASVspoof2021_DF_eval_part00/ASVspoof2021_DF_eval/flac`.
        root: above all of them.
    """
    top, *inner = folder.relative_to(root).parts
    stem = ARCHIVE.sub("", top)
    if stem == top:
        return [folder]
    alike = [path for path in sorted(root.glob(f"{stem}_*")) if ARCHIVE.sub("", path.name) == stem]
    return [path.joinpath(*inner) for path in alike if path.joinpath(*inner).is_dir()]


def read_eval_2021(
    corpus: Corpus, path: str, track: str, columns: Sequence[str], prefix: str
) -> tuple[pd.DataFrame, list[str]]:
    """Reads the evaluation set of 2021, of which only the subset `eval` is kept, as `test`.

    `progress` and `hidden` are what the challenge showed its entrants, and trials without the
    usual silence; no published figure of the track is over them.

    Args:
        corpus: the record.
        path: as the user gave it.
        track: `LA` or `DF`.
        columns: the name of each field; one is `subset`.
        prefix: that each clip's id begins with.
    """
    needs: list[Need] = [
        tuple(name.format(track=track) for name in KEYS_2021),
        tuple(name.format(track=track) for name in AUDIO_2021),
    ]
    keys, folder = expect_layout(corpus, path, needs)
    clips, notes = read_protocol(keys, columns, prefix)
    others = clips["subset"][clips["subset"] != "eval"].value_counts()
    if len(others):
        counted = ", ".join(f"{name} {number:,}" for name, number in others.items())
        notes.append(f"only the subset eval is read, as published figures are; not {counted}")
    clips = clips[clips["subset"] == "eval"].reset_index(drop=True)
    if not len(clips):
        raise ValueError(f"{keys}: expected clips of the subset eval. Received: {counted}.")
    # Audio of the other subsets lies in the same folder, so what is not named is no news.
    folders = audio_parts(folder, Path(path).expanduser())
    clips, absent = attach_audio(clips, clips["clip_id"].tolist(), folders, keys)
    notes += [line for line in absent if "does not name" not in line]
    return clips.assign(part="test"), notes
