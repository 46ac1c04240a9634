"""Text for a terminal: colours where there is one, JSON where it is asked for."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

__all__ = ["Screen", "write_json"]

_CODES = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}


class Screen:
    """Writes lines to a stream, in colour on a terminal (and not with ``NO_COLOR``).

    Parameters:
        out: the stream; by default the standard output.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stdout if out is None else out
        self._colour = self._out.isatty() and not os.environ.get("NO_COLOR")

    def paint(self, text: str, style: str) -> str:
        """Return text in a style: a colour, ``dim`` or ``bold``."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._colour and text else text

    def line(self, text: str = "", style: str | None = None, indent: int = 0) -> None:
        """Write a line; further lines of the text are indented as well."""
        pad = " " * indent
        body = f"\n{pad}".join(text.split("\n"))
        self._out.write(f"{pad}{self.paint(body, style) if style else body}\n")


def write_json(value: Any) -> None:
    """Write a value to the standard output as JSON."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")
