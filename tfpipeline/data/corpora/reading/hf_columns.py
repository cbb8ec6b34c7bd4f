"""Which column of a Hugging Face table is the audio and which the label, and what labels mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from tfpipeline.data.corpora.reading.hf_tables import type_of
from tfpipeline.data.corpora.reading.names import known_label_names, label_from_name

if TYPE_CHECKING:
    import pyarrow

HIDDEN = {"", "-1", "none", "nan"}  # of a label that is not told
MOST_VALUES = 8  # of a column, in a message


def audio_column(schema: pyarrow.Schema, source: str, named: str | None, others) -> str:
    """The column with the audio: the one named, else the only one whose type or name says so.

    Args:
        schema: of the table.
        source: the data set, for messages.
        named: by the user; `outer.inner` is a field of a column.
        others: names of columns that hold paths, in order.
    Raises:
        ValueError: there is none, or several, or a row would have several recordings.
    """
    import pyarrow as pa

    columns = ", ".join(schema.names)
    if named is not None:
        if type_of(schema, named) is None:
            raise ValueError(f"{source}: expected a column {named}. Received: {columns}.")
        found = [named]
    else:
        found = list(_audio_fields(schema, ""))
        by_name = [name for name in others if name in schema.names]
        found = ["audio"] if "audio" in found else found or by_name[:1]
    if not found:
        raise ValueError(
            f"{source}: expected a column with audio. Received: {columns}. Which is it? Name it: "
            "+audio=COLUMN."
        )
    if len(found) > 1:
        raise ValueError(
            f"{source}: a clip has one recording. Received: columns {', '.join(found)}. Which is "
            f"meant? Such as +audio={found[0]}."
        )
    kind = type_of(schema, found[0])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        raise ValueError(
            f"{source}: a row is one clip. Received: a list in each row of {found[0]}. Write each "
            "recording into a row of its own."
        )
    return found[0]


def _audio_fields(fields, prefix: str):
    """Names of fields that hold audio as `datasets` keeps it, at any depth."""
    import pyarrow as pa

    for field in fields:
        name = prefix + field.name
        if not pa.types.is_struct(field.type):
            continue
        inner = {field.type.field(at).name for at in range(field.type.num_fields)}
        if {"bytes", "path"} <= inner or {"array", "sampling_rate"} <= inner:
            yield name
        else:
            inner_fields = [field.type.field(at) for at in range(field.type.num_fields)]
            yield from _audio_fields(inner_fields, f"{name}.")


def label_column(names: Sequence[str], features: Mapping, source: str, named: str | None) -> str:
    """The column with the label: the one named, `label`, or the only class whose names are known.

    Raises:
        ValueError: it cannot be told.
    """
    if named is not None:
        return named
    classes = [
        name
        for name in names
        if (known := class_names(features, name)) and all(map(label_from_name, known))
    ]
    found = [name for name in names if name.lower() == "label"] or classes
    if len(found) != 1:
        raise ValueError(
            f"{source}: expected a column label. Received: {', '.join(names)}. Name the column and "
            "what means spoof in it, such as +label=is_fake+spoof=1."
        )
    return found[0]


def class_names(features: Mapping, column: str) -> list[str]:
    """The names of a `ClassLabel`, in the order of its numbers; [] if the column is none."""
    found = features
    for name in [column] if column in features else column.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    names = found.get("names") if isinstance(found, Mapping) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def to_labels(
    written: pd.Series, classes: Sequence[str], meant: Mapping[str, Sequence[str]], source: str
) -> tuple[pd.Series, pd.Series]:
    """Turns a column into labels.

    Args:
        written: the column: words, numbers, booleans.
        classes: the names of its numbers, if it has any.
        meant: label → values that mean it. If one label is given, all other values mean the other.
        source: the data set, for messages.
    Returns:
        `bonafide`, `spoof`, or None where the label is hidden or another than those meant; and the
        values as text, the names where there are some.
    Raises:
        ValueError: values are not understood, or what is meant does not occur.
    """
    plain = written.map(as_text)
    text = plain.map({str(at): name for at, name in enumerate(classes)}).fillna(plain)
    hidden = plain.str.lower().isin(HIDDEN)
    values = sorted(text[~hidden].unique())
    shown = ", ".join(values[:MOST_VALUES]) + (" …" if len(values) > MOST_VALUES else "")
    if not values:
        return pd.Series(None, index=written.index, dtype=object), text
    if not meant:
        labels = text.map({value: label_from_name(value) for value in text.unique()})
        if labels[~hidden].isna().any():
            raise ValueError(
                f"{source}: a label is a word for bonafide or spoof. Received: {shown}. Say what "
                f"is what, such as +spoof={values[-1]}. Known words: {known_label_names()}."
            )
        return labels.where(~hidden, None), text
    labels = pd.Series(None, index=written.index, dtype=object)
    for label, words in meant.items():
        folded = {value.strip().lower() for value in words}
        is_meant = text.str.lower().isin(folded) | plain.str.lower().isin(folded)
        if not is_meant.any():
            raise ValueError(
                f"{source}: {label}={','.join(words)} means values of the label's column. "
                f"Received there: {shown}."
            )
        if (is_meant & labels.notna()).any():
            raise ValueError(
                f"{source}: a value means one label. Received: "
                f"{text[is_meant & labels.notna()].iloc[0]} for both."
            )
        labels[is_meant] = label
    if len(meant) == 1:
        (label,) = meant
        labels[labels.isna() & ~hidden] = "spoof" if label == "bonafide" else "bonafide"
    return labels, text


def as_text(value) -> str:
    """A cell as text: whole numbers without a point, "" for nothing."""
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
