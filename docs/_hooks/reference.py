"""Writes the reference out of the code when the documentation is built, so that both agree.

A page asks for a text by a comment, `<!-- generated: config_keys -->`; `TEXTS` names what there is.
MkDocs calls `on_page_markdown`. The tests of the documentation use the parsers of this file too.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import griffe

import tfpipeline
from tfpipeline.config import Config

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
PACKAGE = Path(tfpipeline.__file__).parent
MARKER = re.compile(r"<!-- generated: (\w+) -->")
# Sections of the config whose keys are the arguments of a layer, which describes them.
DESCRIBED_BY = {"mel": "features.mel.LogMel"}
TYPE_NAMES = {str: "text", int: "integer", float: "number", bool: "true or false"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces each marker of a page by the text that it names."""
    return MARKER.sub(lambda match: TEXTS[match[1]](), markdown)


def command_names() -> list[str]:
    """The modules at the top of the package that are commands."""
    paths = sorted(PACKAGE.glob("[!_]*.py"))
    return [path.stem for path in paths if "def main(" in path.read_text(encoding="utf-8")]


class _ParsingError(Exception):
    pass


def command_parser(command: str) -> argparse.ArgumentParser:
    """The parser that a command builds; the command is stopped where it would parse its flags."""

    def stop(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise _ParsingError(parser)

    module = importlib.import_module(f"tfpipeline.{command}")
    try:
        with mock.patch.object(argparse.ArgumentParser, "parse_args", stop):
            module.main([])
    except _ParsingError as parsing:
        return parsing.args[0]
    raise ValueError(f"tfpipeline.{command}: main must parse its flags by argparse.")


def model_builders() -> dict[str, Callable]:
    """Model name → its builder, whose keyword arguments are the model's options in a config."""
    from tfpipeline.models.families import FAMILIES

    return {name: family.build for name, family in FAMILIES.items()}


def command_line() -> str:
    """Each command's usage and flags."""
    parts = []
    for command in command_names():
        parser = command_parser(command)
        parts += [f"## {command}", _escaped(inspect.cleandoc(parser.description or ""))]
        parts += _flags(parser)
    return "\n\n".join(parts)


def _flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=88)
    usage = parser.format_usage().removeprefix("usage: ").replace("\n       ", "\n")
    yield f"```text\n{usage.rstrip()}\n```"
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser_below in action.choices.items():
                yield f"### {parser.prog.rpartition('.')[2]} {name}"
                text = parser_below.description or ""
                yield _escaped(f"{text[:1].upper()}{text[1:]}.")
                yield from _flags(parser_below)
        elif not isinstance(action, argparse._HelpAction):
            name = ", ".join(action.option_strings) or action.metavar or action.dest
            value = "" if action.nargs == 0 or not action.option_strings else _value(action)
            text = (action.help or "").replace("%%", "%").replace("*", "\\*")
            rows.append((f"`{name}{value}`", text))
    if rows:
        yield _table(("flag", "meaning"), rows)


def _value(action: argparse.Action) -> str:
    if action.choices:
        return " " + "|".join(map(str, action.choices))
    return f" {action.metavar or action.dest.upper()}" + (" …" if action.nargs == "+" else "")


def config_keys() -> str:
    """Each section of a config: keys, types, defaults, meanings."""
    return "\n\n".join(_section(Config, Config(), ""))


def _section(kind: type, defaults: Any, prefix: str) -> Iterator[str]:
    text, meanings = _parsed(inspect.getdoc(kind) or "")
    title = prefix.rstrip(".")
    yield f"## {f'`{title}`' if title else 'Top level'}"
    yield text
    if title in DESCRIBED_BY:
        meanings = {**_layer_arguments(DESCRIBED_BY[title]), **meanings}
    rows, below = [], []
    for key, hint in _keys(kind).items():
        section = next((own for own in (hint, *typing.get_args(hint)) if _is_section(own)), None)
        value = getattr(defaults, key)
        if section:
            below.append((section, section() if value is None else value, f"{prefix}{key}."))
            if value is not None:
                continue
        shown = "a section, see below" if section else _type_text(hint) + _bounds(kind, key)
        rows.append((f"`{prefix}{key}`", shown, f"`{_plain(value)}`", meanings.get(key, "")))
    yield _table(("key", "type", "default", "meaning"), rows)
    for args in below:
        yield from _section(*args)


def _keys(kind: type) -> dict[str, Any]:
    """The fields of a section, with their types."""
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in kind.model_fields}


def _bounds(kind: type, key: str) -> str:
    """The bounds of a number, as they follow its type."""
    texts: dict[str, None] = {}  # without what is repeated
    for rule in kind.model_fields[key].metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            bound = getattr(rule, name, None)
            if bound is not None:
                texts[f", {sign} {_plain(bound)}"] = None
    return "".join(texts)


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and hint.__module__ == Config.__module__


def _layer_arguments(path: str) -> dict[str, str]:
    """What the docstring of a class says of its arguments; nothing of it is imported."""
    package = griffe.load("tfpipeline", search_paths=[PACKAGE.parent])
    return _parsed(package[path].docstring.value)[1]


def _parsed(docstring: str) -> tuple[str, dict[str, str]]:
    """The text of a docstring, and what it says of each attribute or argument."""
    texts, meanings = [], {}
    for section in griffe.Docstring(docstring, lineno=1).parse("google", warnings=False):
        if section.kind.value == "text":
            texts.append(section.value)
        elif section.kind.value in ("attributes", "parameters", "other parameters"):
            for item in section.value:
                names = [item.name.rstrip(",")]
                if item.name.endswith(","):  # of `one, two: text` the parser takes `two` for a type
                    names.append(str(item.annotation))
                meanings |= dict.fromkeys(names, " ".join(item.description.split()))
    return "\n\n".join(texts), meanings


def _type_text(hint: Any) -> str:
    """A type as a user writes its values in YAML."""
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if hint is type(None):
        return "null"
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_text(own) for own in arguments)
    if origin in (tuple, list):
        items = "s, ".join(dict.fromkeys(_type_text(own) for own in arguments if own is not ...))
        return f"list of {items}s" if ... in arguments else f"list of {len(arguments)} {items}s"
    return TYPE_NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def _plain(value: Any) -> str:
    """A value as YAML has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_plain, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def model_options() -> str:
    """The options of each model, out of its builder's signature."""
    alike: dict[str, list[str]] = {}
    for name, build in model_builders().items():
        meanings = _parsed(inspect.getdoc(build) or "")[1]
        hints = typing.get_type_hints(build)
        rows = [
            (
                f"`model.{key}`",
                _type_text(hints[key]),
                f"`{_plain(own.default)}`",
                meanings.get(key, ""),
            )
            for key, own in inspect.signature(build).parameters.items()
            if own.kind is own.KEYWORD_ONLY
        ]
        table = _table(("key", "type", "default", "meaning"), rows) if rows else "No options."
        alike.setdefault(table, []).append(name)
    parts = []
    for table, names in alike.items():
        parts.append(f"### `{names[0]}`" + (f" and {len(names) - 1} more" if names[1:] else ""))
        parts += [", ".join(f"`{name}`" for name in names)] * (len(names) > 1)
        parts.append(table)
    return "\n\n".join(parts)


def signatures() -> str:
    """What an export takes and answers, and its status codes."""
    from tfpipeline.serving.contract import SIGNATURES
    from tfpipeline.serving.status import STATUSES

    parts = []
    for name, own in SIGNATURES.items():
        rows = [
            (f"`{key}`", side, what)
            for side, tensors in (("input", own["inputs"]), ("output", own["outputs"]))
            for key, what in tensors.items()
        ]
        parts += [f"### `{name}`", _table(("tensor", "", "what it is"), rows)]
    codes = [(f"`{code}`", text) for code, text in STATUSES.items()]
    return "\n\n".join([*parts, "## Status codes", _table(("status", "meaning"), codes)])


def score_columns() -> str:
    """The columns of a score table, in their order."""
    from tfpipeline.evaluation.scores import SCORE_COLUMNS

    return ", ".join(f"`{name}`" for name in SCORE_COLUMNS)


def verdict_fields() -> str:
    """The fields of a row of `predict`, in their order."""
    from tfpipeline.prediction.predict_files import FIELDS

    return ", ".join(f"`{name}`" for name in FIELDS)


def data_sets() -> str:
    """The published data sets that can be read, with license and citation."""
    from tfpipeline.data.corpora import DATA_SETS

    rows = [
        (
            f"`{name}`" + (" (two paths)" if own.second else ""),
            f"[{own.title}]({own.home})" if own.home.startswith("http") else own.title,
            own.layout_text,
            own.license,
            own.citation,
        )
        for name, own in DATA_SETS.items()
    ]
    return _table(("name", "data set", "PATH holds", "license", "citation"), rows)


def web_table() -> str:
    """What the table of the corpus `web` names: parts, kinds, languages, licenses."""
    from tfpipeline.data.web.corpus import OPEN_LICENSES, read_web_table

    rows = read_web_table()
    rows["license"] += rows["license"].map(lambda name: " (open)" if name in OPEN_LICENSES else "")
    head = ("clips", "bonafide", "spoof", "hours", "repositories", "systems")
    tables = []
    for column, most in (("part", 3), ("kind", 7), ("language", 12), ("license", 20)):
        few = rows[column].isin(rows[column].value_counts().index[:most])
        named = rows.assign(**{column: rows[column].where(few, "others")})
        groups = [*named.groupby(column), *([("all", rows)] if column == "part" else [])]
        groups.sort(key=lambda group: -len(group[1]))
        cells = [
            (
                str(name),
                f"{len(own):,}",
                f"{(own['label'] == 'bonafide').sum():,}",
                f"{(own['label'] == 'spoof').sum():,}",
                f"{own['seconds'].sum() / 3600:.1f}",
                str(own["repository"].nunique()),
                str(own.loc[own["label"] == "spoof", "attack"].nunique()),
            )
            for name, own in groups
        ]
        tables.append(_table((column, *head), cells))
    return "\n\n".join(tables)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    escaped = ([_escaped(cell).replace("|", "\\|") for cell in row] for row in lines)
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def _escaped(text: str) -> str:
    """Text whose `<` is no HTML; code spans keep theirs."""
    parts = text.split("`")
    return "`".join(own if at % 2 else own.replace("<", "&lt;") for at, own in enumerate(parts))


TEXTS: dict[str, Callable[[], str]] = {
    "command_line": command_line,
    "config_keys": config_keys,
    "model_options": model_options,
    "signatures": signatures,
    "score_columns": score_columns,
    "verdict_fields": verdict_fields,
    "data_sets": data_sets,
    "web_table": web_table,
}
