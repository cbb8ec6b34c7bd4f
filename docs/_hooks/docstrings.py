"""A Griffe extension: sections need no blank line between them, and `Example` holds doctests."""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTION = re.compile(
    r"^(?=(Args|Attributes|Returns|Yields|Raises|Example|Reference):$)", re.MULTILINE
)


class Sections(griffe.Extension):
    """Writes docstrings as Griffe's parser wants them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of one object, before it is parsed."""
        if obj.docstring:
            text = SECTION.sub("\n", obj.docstring.value)
            obj.docstring.value = text.replace("\nExample:\n", "\nExamples:\n")

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """The same for the package itself, which Griffe takes for no object."""
        self.on_object(obj=pkg)
