"""Traces: a record of every step and event of a run, as JSON lines (docs: trace format)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

from pinokiocloud.script import wire

__all__ = ["TraceFile", "trace_value"]


def trace_value(value: Any) -> Any:
    """Encode a value for a trace; the host's half is ``trace`` in ``wire.js``."""
    if value is wire.UNDEFINED:
        return {"$undef": True}
    if isinstance(value, wire.Match):
        return {
            "$match": [trace_value(item) for item in value],
            "index": value.index,
            "groups": trace_value(value.groups),
        }
    if isinstance(value, wire.JSError):
        return {"$error": value.name, "message": value.message, "code": value.code}
    if isinstance(value, dict):
        return {key: trace_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [trace_value(item) for item in value]
    return wire.plain(value)


class TraceFile:
    """A trace that is being written.

    Steps stand in the order of their starts: a caller's before its child's.

    Parameters:
        path: the file; an existing one is replaced.
    """

    def __init__(self, path: Path) -> None:
        # line by line, since readers follow it; a lone surrogate becomes its escape, which is JSON too
        self._file: IO[str] = path.open("w", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._ended = False
        self._held: dict[int, dict[str, Any]] = {}
        self._next = 0

    def step(self, record: dict[str, Any]) -> None:
        """Take the record of a step that has ended."""
        self._held[record["n"]] = record
        while self._next in self._held:
            self._write(self._held.pop(self._next))
            self._next += 1

    def event(self, kind: str, data: Any, index: int | str | None) -> None:
        """Write an event; its data is encoded."""
        record: dict[str, Any] = {"type": "event", "kind": kind, "data": data}
        if index is not None:
            record["index"] = index
        self._write(record)

    def end(self, status: str, error: Any, local: Any, detail: Any) -> None:
        """Write the last record; steps that never ended leave gaps before it. What comes later is left out."""
        for number in sorted(self._held):
            self._write(self._held[number])
        self._held.clear()
        self._write({"type": "end", "status": status, "error": error, "local": local, "detail": detail})
        self._ended = True

    def _write(self, record: dict[str, Any]) -> None:
        if self._ended:
            return
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
