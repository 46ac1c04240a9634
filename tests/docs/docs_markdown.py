"""Reads the runnable blocks of Markdown pages.

What a fenced block is for stands in a comment on the line above it:

``<!-- file: hello.js -->``  the block is the content of a file for the blocks below
``<!-- run -->``             a ``console`` block: its ``$`` lines are run, the others are what they print;
                             a ``python`` block: it is run as a program
``<!-- output -->``          what the ``python`` block above prints
``<!-- not run: why -->``    the block is not run

In an expected output ``...`` stands for anything, on a line of its own for any number of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "blocks", "pages", "same", "steps"]

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*?) -->\n)?(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Give the pages that people read."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Give a page's fenced blocks in their order."""
    text = page.read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        indent = match["indent"]
        body = "".join(part.removeprefix(indent) for part in match["text"].splitlines(keepends=True))
        found.append(Block(page, line, match["language"], match["mark"] or "", body))
    return found


def steps(block: Block) -> list[tuple[str, str]]:
    """Give the commands of a console block, each with what it prints."""
    found: list[tuple[str, str]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif found:
            command, output = found[-1]
            found[-1] = (command, f"{output}{line}\n")
        else:
            raise ValueError(f"{block}: the block does not begin with a command")
    return found


def same(expected: str, actual: str) -> bool:
    """Tell whether an output is the expected one; ``...`` stands for anything."""
    pieces = re.split(r"(^[ ]*\.\.\.\n|\.\.\.)", expected.strip("\n") + "\n", flags=re.MULTILINE)
    pattern = "".join(_pattern(piece) for piece in pieces)
    return re.fullmatch(pattern, actual.strip("\n") + "\n") is not None


def _pattern(piece: str) -> str:
    if piece == "...":
        return "[^\n]*"
    return "(?:.*\n)*?" if piece.strip() == "..." else re.escape(piece)
