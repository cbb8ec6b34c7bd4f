"""Settings that come from people: pydantic checks them, and each mistake is reported in one line.

Nothing is converted, but for an integer where a number is asked, and a list, which becomes a tuple.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
NAMES = {int: "an integer", float: "a finite number", bool: "true or false", str: "text"}


class Section(BaseModel):
    """A group of settings: frozen, of known keys, strictly typed."""

    model_config = STRICT

    @model_validator(mode="before")
    @classmethod
    def _lists_to_tuples(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        return {k: to_tuples(v) if k in cls.model_fields else v for k, v in raw.items()}


Kind = TypeVar("Kind", bound=Section)


class SettingsError(ValueError):
    """All that is wrong with some settings.

    Args:
        lines: one a mistake.
    """

    def __init__(self, lines: Sequence[str]):
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def check(
    kind: type[Kind], raw: Any, source: str, prefix: str = "", more: Sequence[str] = ()
) -> Kind:
    """Builds a section from plain values.

    Args:
        kind: of the section.
        raw: nested mappings, as read from YAML or JSON.
        source: where they come from, named in errors.
        prefix: of the keys in errors, such as `model.`.
        more: mistakes that were met before.
    Raises:
        SettingsError: with a line for each unknown key and each value that breaks its rule.
    """
    mistakes = list(more)
    try:
        checked = kind.model_validate(raw)
    except ValidationError as error:
        mistakes += [_mistake(kind, raw, detail, prefix) for detail in error.errors()]
    if mistakes:
        raise SettingsError([f"{source}: {mistake}" for mistake in dict.fromkeys(mistakes)])
    return checked


def check_value(value: Any, hint: Any, where: str) -> Any:
    """Returns `value` as the annotated type, or raises `ValueError` that names `where`."""
    try:
        return TypeAdapter(
            hint, config=ConfigDict(strict=True, allow_inf_nan=False)
        ).validate_python(to_tuples(value))
    except ValidationError:
        raise ValueError(f"{where} must be {rule(hint)}. Received: {value!r}") from None


def to_tuples(value: Any) -> Any:
    """The value with tuples in place of lists."""
    return tuple(to_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def rule(hint: Any, metadata: Sequence[Any] = ()) -> str:
    """How a type and its bounds are named to a user."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return rule(args[0], [*args[1:], *metadata])
    if origin is Literal:
        return "one of " + ", ".join(map(repr, args))
    if origin is tuple:
        if args[-1] is Ellipsis:
            return f"a list, each {rule(args[0])}"
        return f"a list of {len(args)}, each {rule(args[0])}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(rule(a, metadata) for a in args)
    if hint in (type(None), None):
        return "null"
    name = NAMES.get(hint, "a section of keys")
    return f"{name} {_range(metadata)}".rstrip() if hint in (int, float) else name


def _range(metadata: Sequence[Any]) -> str:
    """The bounds that pydantic keeps in a field's metadata, in words."""
    bounds: dict[str, float] = {}
    for item in metadata:
        for bound in item.metadata if isinstance(item, FieldInfo) else (item,):
            bounds |= {n: getattr(bound, n) for n in ("ge", "gt", "le", "lt") if hasattr(bound, n)}
    if set(bounds) == {"ge", "le"}:
        return f"in {bounds['ge']} … {bounds['le']}"
    words = {"ge": "of at least", "gt": "above", "le": "at most", "lt": "below"}
    return " and ".join(f"{words[name]} {value}" for name, value in bounds.items())


def _mistake(kind: type[Section], raw: Any, detail: Mapping[str, Any], prefix: str) -> str:
    """One of pydantic's errors in a line: the key, its whole rule, and what was received."""
    if detail["type"] == "value_error":  # of a section's own validator, which names its keys
        return str(detail["ctx"]["error"])
    section: type[Section] | None = kind
    text, value = "a section of keys", raw
    path = []
    for key in detail["loc"]:
        if section is None:  # what follows is inside the value of one key
            break
        field = section.model_fields.get(str(key))
        path.append(str(key))
        if field is None:
            known = list(section.model_fields)
            alike = difflib.get_close_matches(str(key), known, 1)
            hint = f". Is it {alike[0]}?" if alike else ""
            return (
                f"unknown key {prefix}{'.'.join(path)}. Known keys here: {', '.join(known)}{hint}"
            )
        text, value = rule(field.annotation, field.metadata), value[key]
        section = next(_sections(field.annotation), None)
    name = f"{prefix}{'.'.join(path)}".rstrip(".") or "this"
    return f"{name} must be {text}. Received: {value!r}"


def _sections(hint: Any) -> Iterator[type[Section]]:
    """The section that a type is, or may be beside null."""
    for part in (hint, *typing.get_args(hint)):
        if isinstance(part, type) and issubclass(part, Section):
            yield part
