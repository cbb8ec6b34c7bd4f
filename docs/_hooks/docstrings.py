"""A Griffe extension: sections of a docstring need no blank line between them."""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTION = re.compile(
    r"^(?=(Args|Attributes|Returns|Yields|Raises|Example|Reference):$)", re.MULTILINE
)


class Sections(griffe.Extension):
    """Puts a blank line, which Griffe's parser wants, before each section."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of one object, before it is parsed."""
        if obj.docstring:
            obj.docstring.value = SECTION.sub("\n", obj.docstring.value)
