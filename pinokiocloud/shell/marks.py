"""The marks that bashrc prints: where output begins, where a prompt is back, where a command goes on."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["Marks"]


class Marks:
    """Finds the marks that bashrc prints, in chunks, and takes them out.

    Parameters:
        token: the secret that makes a mark real.
    """

    def __init__(self, token: str) -> None:
        self._start = f"\x1b]698;{token}\x07".encode()
        self._more = f"\x1b]699;{token}\x07".encode()
        self._prompt = f"\x1b]697;{token};".encode()
        any_of = b"|".join((re.escape(self._start), re.escape(self._more), re.escape(self._prompt) + rb"(\d{1,3})\x07"))
        self._mark = re.compile(any_of)
        self._open_prompt = re.compile(re.escape(self._prompt) + rb"\d{0,3}")
        self._held = b""

    def feed(self, data: bytes) -> list[tuple[str, Any]]:
        """Return ("data", bytes), ("start", None), ("more", None) and ("prompt", code) in the order of the output."""
        data = self._held + data
        self._held = b""
        out: list[tuple[str, Any]] = []
        at = 0
        if b"\x1b" in data:
            for mark in self._mark.finditer(data):
                out.append(("data", data[at : mark.start()]))
                if mark.group(1) is not None:
                    out.append(("prompt", int(mark.group(1))))
                else:
                    out.append(("start" if mark.group() == self._start else "more", None))
                at = mark.end()
            last = data.rfind(b"\x1b", at)
            if last >= 0 and self._may_become_mark(data[last:]):
                self._held = data[last:]
                data = data[:last]
        out.append(("data", data[at:]))
        return [item for item in out if item[0] != "data" or item[1]]

    def rest(self) -> bytes:
        """Return what was held back because it might have become a mark: nothing more comes."""
        held, self._held = self._held, b""
        return held

    def _may_become_mark(self, tail: bytes) -> bool:
        if any(mark.startswith(tail) for mark in (self._start, self._more, self._prompt)):
            return True
        return self._open_prompt.fullmatch(tail) is not None
