"""Values that come from people: checked against a type annotation, never guessed."""

from __future__ import annotations

import math
import types
import typing
from typing import Any, Literal


def checked(value: Any, kind: Any, where: str) -> Any:
    """Returns `value` as the annotated type `kind`, or raises `ValueError` that names `where`.

    `1e-4`, which YAML 1.1 reads as text, is taken as a number; a list becomes a tuple; nothing
    else is converted.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        for option in args:
            try:
                return checked(value, option, where)
            except ValueError:
                continue
    elif origin is Literal:
        if any(value == a and type(value) is type(a) for a in args):
            return value
        if "on" in args and isinstance(value, bool):  # YAML 1.1 reads on and off as booleans
            return "on" if value else "off"
    elif origin is tuple:
        if isinstance(value, list | tuple):
            inner = [args[0]] * len(value) if args[-1] is Ellipsis else args
            if len(inner) == len(value):
                return tuple(
                    checked(v, k, f"{where}[{i}]")
                    for i, (v, k) in enumerate(zip(value, inner, strict=True))
                )
    elif kind is float and not isinstance(value, bool):
        try:
            number = float(value) if isinstance(value, int | float | str) else math.nan
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    elif kind in (type(None), None):
        if value is None:
            return None
    elif type(value) is kind:
        return value
    raise ValueError(f"{where} must be {_type_name(kind)}. Received: {value!r}")


def _type_name(kind: Any) -> str:
    """How a type is named to a user."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, args))
    if origin is tuple:
        inner = args[:1] if args[-1] is Ellipsis else args
        return f"a list of {' and '.join(_type_name(a) for a in inner)}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_type_name(a) for a in args)
    names = {int: "an integer", float: "a finite number", bool: "true or false", str: "text"}
    return "null" if kind in (type(None), None) else names.get(kind, str(kind))
