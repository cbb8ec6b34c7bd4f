"""What every reader of a published data set shares: its record, and the last steps of reading it.

A reader is a module with `CORPUS`, its record, and `read(path)`, which returns a `ReadCorpus`.
`load_data_set` makes the manifest of it: official parts are kept, otherwise the clips are assigned
by group; counts that are not the published ones, and all else that a user should know, go to
stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from tfpipeline.data.automatic_splits import split_by_best_group
from tfpipeline.data.clips import LABELS, UNKNOWN, normalize_manifest
from tfpipeline.data.corpora.reading.arena import keep_named, split_protocol

ALL = "all"
MOST_LINES = 12
# Published counts of a part: bonafide and spoof, or both together.
Counts = Mapping[str, tuple[int, int] | int]


@dataclass(frozen=True)
class Corpus:
    """A published data set.

    Attributes:
        name: as in `--data NAME:PATH`.
        title: as its authors call it.
        what: what is in it, in a line.
        license: as its authors state it.
        citation: the paper.
        home: where it is described or fetched.
        layout: what PATH must hold.
        counts: part → clips as published; `all` stands for all parts together. What is not
            published, or differs between versions, is not in it.
        second: what PATH2 of `NAME:PATH+PATH2` is, where PATH holds fakes only.
        arena: clips, bonafide and spoof, of the Speech DF Arena's protocol file; None if it judges
            on another data set, or the counts are not known.
    """

    name: str
    title: str
    what: str
    license: str
    citation: str
    home: str
    layout: str
    counts: Counts = field(default_factory=dict)
    second: str = ""
    arena: tuple[int, int] | None = None

    @property
    def layout_text(self) -> str:
        """What PATH must hold, and PATH2 where there is one."""
        return self.layout + (f"; PATH2: {self.second}" if self.second else "")


@dataclass
class ReadCorpus:
    """What a reader made of a folder.

    Attributes:
        clips: at least `path` and `label`; `part` is an official one, or absent.
        notes: lines for the user.
        counts: those that apply to what was read, if they are not all of the corpus's.
    """

    clips: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    counts: Counts | None = None


def load_data_set(
    corpus: Corpus, read: Callable[[str], ReadCorpus], path: str | None, split: bool = True
) -> pd.DataFrame:
    """The manifest of a published data set; what was made of it goes to stderr.

    Args:
        corpus: its record.
        read: its reader.
        path: where it is; `PATH+PROTOCOL.csv` keeps the clips of a protocol, as a test set.
        split: assign clips to parts where it has no official ones.
    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: it is not there, or not as expected.
    """
    if not path:
        raise ValueError(
            f"--data {corpus.name} needs a PATH. Received: none. Expected there: {corpus.layout}."
        )
    folder, protocol = split_protocol(path)
    reading = read(folder)
    clips = normalize_manifest(reading.clips, f"{corpus.name}:{path}")
    counts = corpus.counts if reading.counts is None else reading.counts
    if protocol is not None:
        clips, protocol_notes = keep_named(clips, protocol)
        reading.notes = protocol_notes + reading.notes
        counts = {} if corpus.arena is None else {"test": corpus.arena}
    # What is of the whole comes first: readers may say something of each of a hundred folders.
    notes = wrong_counts(clips, counts)
    notes += [f"no {label} clip" for label in LABELS if not (clips["label"] == label).any()]
    if (clips["part"] != UNKNOWN).all():
        clips = _set_aside_shared(clips, notes)
    elif split:
        _refuse_one_class(corpus, path, clips)
        clips, how = split_by_best_group(clips, f"{corpus.name}:{path}")
        notes.append(how)
    notes += reading.notes
    if len(notes) > MOST_LINES:
        notes[MOST_LINES:] = [f"and {len(notes) - MOST_LINES} more lines like these"]
    for line in notes:
        print(f"{corpus.name}: {line}", file=sys.stderr)
    return clips


def wrong_counts(clips: pd.DataFrame, counts: Counts) -> list[str]:
    """A line that says which parts have not as many clips as published; none if all have.

    Args:
        clips: a manifest.
        counts: as in `Corpus`; a part of which there is no clip is passed over, so that a user may
            have fetched one of them only.
    """
    found = clips.groupby(["part", "label"]).size()
    wrong = []
    for part, expected in counts.items():
        sizes = found if part == ALL else found[found.index.get_level_values("part") == part]
        both = tuple(int(sizes[sizes.index.get_level_values("label") == k].sum()) for k in LABELS)
        received = sum(both) if isinstance(expected, int) else both
        if sum(both) and received != expected:
            wrong.append(f"{part} {_counted(received)} (published: {_counted(expected)})")
    if not wrong:
        return []
    return [f"the counts are off: {'; '.join(wrong)}. Is it complete, and the published version?"]


def _refuse_one_class(corpus: Corpus, path: str, clips: pd.DataFrame) -> None:
    missing = [label for label in LABELS if not (clips["label"] == label).any()]
    if missing:
        fix = f"Name {corpus.second}: --data {corpus.name}:PATH+PATH2." if corpus.second else ""
        raise ValueError(
            f"{corpus.name}:{path}: training needs clips of both classes. Received: no "
            f"{missing[0]} clip. {fix}".strip()
        )


def _counted(counts: tuple[int, int] | int) -> str:
    if isinstance(counts, int):
        return f"{counts:,} clips"
    return " and ".join(f"{n:,} {label}" for n, label in zip(counts, LABELS, strict=True))


def _set_aside_shared(clips: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Moves speakers and sources that official parts share to `shared_speaker`, `shared_source`.

    The official split is kept as it is; but it must not be taken for one by speaker.
    """
    side = clips["part"].replace({"unseen": "test"})
    for column in ("speaker", "source"):
        pairs = pd.DataFrame({"value": clips[column], "side": side}).drop_duplicates()
        values = pairs["value"][pairs["value"] != UNKNOWN]
        shared = values[values.duplicated()].unique()
        if len(shared):
            notes.append(
                f"official parts share {len(shared)} of {values.nunique()} {column}s, such as "
                f"{shared[0]}: kept in the column shared_{column}; test is no measure of new ones"
            )
            clips = clips.assign(**{f"shared_{column}": clips[column], column: UNKNOWN})
    return clips
