"""What runs tell while they go on (spec §5.14)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SHOWN", "Event"]

#: The kinds that a person is shown; the others are the engine's own book-keeping.
SHOWN = frozenset(
    {
        "stream",
        "notify",
        "input",
        "modal",
        "htmlmodal",
        "filepicker",
        "web",
        "error",
        "event",
        "info",
        "push",
        "wait",
        "loading.start",
        "loading.end",
        "clipboard",
    }
)


@dataclass(frozen=True)
class Event:
    """One thing that a run tells.

    Attributes:
        kind: ``stream`` (text), ``notify``, ``input``, ``error``, ``event`` …; see `SHOWN`.
        data: what it is about; JSON-like.
        run: id of the run.
        index: index of the step, None outside of one.
        time: seconds since the epoch.
    """

    kind: str
    data: Any
    run: str
    index: int | str | None = None
    time: float = field(default_factory=time.time)

    def to_dict(self) -> dict[str, Any]:
        """Return the event as a JSON-like object."""
        return {"kind": self.kind, "data": self.data, "run": self.run, "index": self.index, "time": self.time}
