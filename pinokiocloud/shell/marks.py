"""The marks that bashrc prints: where output begins, where a prompt is back, where a command goes on."""

from __future__ import annotations

from typing import Any

__all__ = ["Marks"]


class Marks:
    """Finds the marks that bashrc prints, in chunks, and takes them out."""

    def __init__(self, token: str) -> None:
        self._start = f"\x1b]698;{token}\x07".encode()
        self._prompt = f"\x1b]697;{token};".encode()
        self._more = f"\x1b]699;{token}\x07".encode()
        self._held = b""

    def feed(self, data: bytes) -> list[tuple[str, Any]]:
        """Return ("data", bytes), ("start", None), ("more", None) and ("prompt", code) in the order of the output."""
        data = self._held + data
        self._held = b""
        out: list[tuple[str, Any]] = []
        at = 0
        while True:
            i = data.find(b"\x1b]69", at)
            if i < 0:
                break
            if data.startswith(self._start, i):
                out += [("data", data[at:i]), ("start", None)]
                at = i + len(self._start)
                continue
            if data.startswith(self._more, i):
                out += [("data", data[at:i]), ("more", None)]
                at = i + len(self._more)
                continue
            if data.startswith(self._prompt, i):
                j = data.find(b"\x07", i)
                if j < 0:
                    self._held = data[i:]
                    data = data[:i]
                    break
                out += [("data", data[at:i]), ("prompt", int(data[i + len(self._prompt) : j] or b"0"))]
                at = j + 1
                continue
            if len(data) - i < len(self._prompt) + 6 and any(
                mark.startswith(data[i:]) for mark in (self._start, self._prompt, self._more)
            ):
                self._held = data[i:]
                data = data[:i]
                break
            out.append(("data", data[at : i + 4]))
            at = i + 4
        rest = data[at:]
        # the first bytes of a mark may end the chunk
        for size in range(min(4, len(rest)), 0, -1):
            if not self._held and rest.endswith(b"\x1b]69"[:size]):
                self._held = rest[-size:]
                rest = rest[:-size]
                break
        out.append(("data", rest))
        return [item for item in out if item[0] != "data" or item[1]]
