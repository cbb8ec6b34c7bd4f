"""The `hf` corpus: any audio data set of Hugging Face, as saved, as downloaded, or beside metadata.

`hf:FOLDER`, or `hf:FOLDER+label=is_tts+spoof=1+speaker=voice` where columns must be named. The
keys are those of `KEYS`; `bonafide` and `spoof` take several values, with commas between. The
folder holds tables (`reading.hf_tables`) or audio with `metadata.csv`, `.jsonl` or `.parquet`, as
`datasets` reads by `audiofolder`. Splits are parts if all their names mean one; the split `train`
alone is split anew. The package `datasets` is not needed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.data.corpora.manifest import PATH_NAMES, keep_or_assign_parts, named_columns
from tfpipeline.data.corpora.reading.clip_paths import find_clips
from tfpipeline.data.corpora.reading.dataset_layout import listed, open_root, split_paths
from tfpipeline.data.corpora.reading.delimited import read_delimited
from tfpipeline.data.corpora.reading.hf_audio import extract_audio
from tfpipeline.data.corpora.reading.hf_columns import (
    as_text,
    audio_column,
    class_names,
    label_column,
    to_labels,
)
from tfpipeline.data.corpora.reading.hf_tables import (
    Table,
    features_of,
    find_tables,
    missing_shards,
    schema_of,
    type_of,
)
from tfpipeline.data.corpora.reading.names import label_from_name, part_from_name
from tfpipeline.data.corpora.reading.protocols import drop_repeated

# Of the manifest's columns, those that are taken by their own name, and those only where named.
BY_NAME = ("speaker", "attack", "language", "codec", "seconds", "clip_id")
NAMED = ("source", "part")
KEYS = ("audio", "label", "bonafide", "spoof", *BY_NAME, *NAMED)
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def load_hf(path: str | None, split: bool = True) -> pd.DataFrame:
    """The clips of a data set; what was made of it goes to stderr."""
    if not path:
        raise ValueError(
            "--data hf needs a PATH. Received: none. Such as --data hf:FOLDER+label=is_tts+spoof=1."
        )
    clips, notes = read_hf(path, split)
    for line in notes:
        print(f"hf: {line}", file=sys.stderr)
    return clips


def read_hf(path: str, split: bool = True) -> tuple[pd.DataFrame, list[str]]:
    """Reads a data set of Hugging Face, takes its audio out of it, and splits it if need be.

    Args:
        path: FOLDER, and options behind it, `+key=value` each.
        split: whether clips are assigned to parts where the splits tell none.
    Returns:
        The manifest, and lines that say what was made of it.
    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
        ValueError: it holds no such data set, a column cannot be told or read, or audio is missing.
    """
    folder, options = _options(path)
    root, source = open_root(folder), f"hf:{folder}"
    snapshots = sorted(root.glob("snapshots/*/"))
    if len(snapshots) == 1:  # of Hugging Face's own cache
        root = snapshots[0]
    tables = find_tables(root)
    levels = ("", "*/", "data/*/")
    metadata = [root.glob(level + name) for level in levels for name in METADATA]
    metadata = sorted({file for found in metadata for file in found})
    if tables:
        rows, label, classes, notes = _read_tables(tables, source, options)
    elif metadata:
        rows, label, classes, notes = _read_metadata(root, metadata, source, options)
    else:
        raise ValueError(
            f"{source}: expected tables (train-00000-of-00001.parquet, data-00000-of-00001.arrow), "
            f"there or in data/, or metadata.csv beside audio. Received: {listed(root)}. Is it one "
            f"configuration's folder? Audio sorted by label is read with --data folder:{folder}."
        )
    meant = {key: options[key].split(",") for key in ("bonafide", "spoof") if key in options}
    labels, text = to_labels(rows[label], classes, meant, source)
    clips = _to_manifest_names(rows, label, source, options)
    clips["label"] = labels
    if "attack" not in clips:
        # As in a table of clips, `fake` or `vits` names an attack; numbers and booleans do not.
        clips["attack"] = text.mask(text.str.fullmatch(r"[-.\d]*|true|false", case=False), UNKNOWN)
    notes += _set_parts(clips, options)
    hidden = labels.isna()
    if hidden.all():
        raise ValueError(f"{source}: expected clips with labels. Received: hidden ones only.")
    if hidden.any():
        notes.append(f"{hidden.sum()} of {len(clips)} clips have no label, and are left out")
        clips = clips[~hidden].reset_index(drop=True)
    clips, repeated = drop_repeated(clips, source, "path")
    clips, parts = keep_or_assign_parts(named_columns(clips, source), source, split)
    return clips, notes + repeated + parts


def _options(path: str) -> tuple[str, dict[str, str]]:
    """The folder, and what the user says of its columns."""
    folder, *given = split_paths(path)
    options = {}
    for option in given:
        key, equals, value = option.partition("=")
        if key not in KEYS or not equals or not value or key in options:
            raise ValueError(
                f"hf:{folder}: behind the folder stands +key=value, each key once, of "
                f"{', '.join(KEYS)}. Received: +{option}."
            )
        options[key] = value
    return folder, options


def _read_tables(
    tables: list[Table], source: str, options: dict[str, str]
) -> tuple[pd.DataFrame, str, list[str], list[str]]:
    """The rows with `path` and `split`, the label's column, the names of its classes, and notes."""
    import pyarrow as pa

    schema, features = schema_of(tables[0]), features_of(tables[0])
    missing = missing_shards(tables)
    notes = [f"{len(missing)} shards are not there, such as {missing[0]}"] if missing else []
    audio = audio_column(schema, source, options.get("audio"), ("audio", "path", *PATH_NAMES))
    flat = [
        field.name
        for field in schema
        if field.name != audio and not pa.types.is_nested(field.type) and not _is_bytes(field.type)
    ]
    named = [options[key] for key in ("label", *BY_NAME, *NAMED) if key in options]
    for column in named:
        if type_of(schema, column) is None:
            raise ValueError(
                f"{source}: expected a column {column}. Received: {', '.join(schema.names)}."
            )
    columns = list(dict.fromkeys([*flat, *named]))
    label = label_column(columns, features, source, options.get("label"))
    rows = extract_audio(tables, columns, audio=audio, notes=notes)
    if not len(rows):
        raise ValueError(f"{source}: expected a row for each clip. Received: 0 rows.")
    return rows, label, class_names(features, label), notes


def _is_bytes(kind) -> bool:
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _read_metadata(
    root: Path, files: list[Path], source: str, options: dict[str, str]
) -> tuple[pd.DataFrame, str, list[str], list[str]]:
    """The same of a folder of audio; without a column for it, folders tell the label."""
    tables, notes = [], []
    for file in files:
        rows, file_notes = _read_one(file, options.get("audio", "file_name"))
        name = options.get("audio", "file_name")
        if name not in rows:
            raise ValueError(f"{file}: expected a column {name}. Received: {', '.join(rows)}.")
        written = rows[name].astype(str)
        paths, path_notes = find_clips(
            written.tolist(), [str(file.parent)], str(file), "Paths start from its own folder."
        )
        notes += file_notes + path_notes
        inside = [(*file.relative_to(root).parts[:-1], *text.split("/")[:-1]) for text in written]
        rows = rows.rename(columns={column: f"{column}_written" for column in ("path", "split")})
        rows = rows.drop(columns=[] if name == "path" else name, errors="ignore")
        splits = [next(filter(part_from_name, names), "train") for names in inside]
        labels = [next(filter(label_from_name, reversed(names)), "") for names in inside]
        tables.append(rows.assign(path=paths, split=splits, _folder=labels))
    rows = pd.concat(tables, ignore_index=True)
    folders = rows.pop("_folder")
    if "label" not in options and "label" not in rows and (folders != "").all():
        rows["label"] = folders
    columns = [column for column in rows if column not in ("path", "split")]
    return rows, label_column(columns, {}, source, options.get("label")), [], notes


def _read_one(file: Path, name: str) -> tuple[pd.DataFrame, list[str]]:
    try:
        if file.suffix == ".csv":
            return read_delimited(file, lambda cells: name in cells)
        if file.suffix == ".parquet":
            return pd.read_parquet(file), []
        return pd.read_json(file, lines=True, dtype=False, convert_dates=False), []
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"{file}: expected a table of clips. Received: {reason}.") from None


def _to_manifest_names(
    rows: pd.DataFrame, label: str, source: str, options: dict[str, str]
) -> pd.DataFrame:
    """Renames what the user named, and what only looks like the manifest's columns."""
    written = {column: f"{column}_written" for column in ("path", "split")}
    chosen = {key: options[key] for key in (*BY_NAME, *NAMED) if key in options}
    missing = [column for column in chosen.values() if written.get(column, column) not in rows]
    if label not in rows or missing:
        raise ValueError(
            f"{source}: expected a column {missing[0] if missing else label}. Received: "
            f"{', '.join(rows)}."
        )
    clips = rows.copy()
    for name in {"label", *NAMED, *chosen} & set(clips):
        clips = clips.rename(columns={name: f"{name}_written"})
    for key, column in chosen.items():
        name = written.get(column, column)
        clips[key] = clips[name] if name in clips else clips[f"{name}_written"]
    for key in {*BY_NAME, *NAMED} & set(clips) - {"seconds"}:
        clips[key] = clips[key].map(as_text)  # 3, where a missing number made it 3.0
    if "clip_id" not in clips:
        number = clips.groupby("split").cumcount()
        names = [f"{split}/{at:06}" for split, at in zip(clips["split"], number, strict=True)]
        ids = clips["id"].astype(str) if "id" in clips else pd.Series(names)
        clips["clip_id"] = ids if ids.is_unique and (ids != "").all() else names
    return clips


def _set_parts(clips: pd.DataFrame, options: dict[str, str]) -> list[str]:
    """Fills `part`, in place, and says why splits are not kept."""
    splits = clips["split"].unique()
    clips.rename(columns={"split": "hf_split"}, inplace=True)
    if "part" in options or list(splits) == ["train"]:
        return []
    unknown = [split for split in splits if not part_from_name(split)]
    if unknown:
        return [f"the splits {', '.join(splits)} are no parts: kept in the column hf_split"]
    clips["part"] = clips["hf_split"].map(part_from_name)
    return []
