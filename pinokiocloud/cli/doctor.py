"""``pinokiocloud doctor``: what this machine has and lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinokiocloud.apps.doctor import diagnose
from pinokiocloud.cli.text import Screen, write_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["show_diagnosis"]

_STYLES = {"ok": "green", "warning": "yellow", "fault": "red"}
_MARKS = {"ok": "ok", "warning": "!", "fault": "x"}


def show_diagnosis(*, home: Path | None, as_json: bool) -> int:
    """Print what this machine has and lacks, and what to do.

    Parameters:
        home: the home folder.
        as_json: print JSON.

    Returns:
        The exit code: 1 when scripts cannot run, else 0.
    """
    diagnosis = diagnose(home)
    if as_json:
        write_json(diagnosis.to_dict())
        return 0 if diagnosis.ok else 1
    screen = Screen()
    width = max(len(condition.name) for condition in diagnosis.conditions)
    for condition in diagnosis.conditions:
        mark = screen.paint(f"{_MARKS[condition.status]:<2}", _STYLES[condition.status])
        screen.line(f"{mark} {condition.name:<{width}}  {condition.value}")
        if condition.hint and condition.status != "ok":
            screen.line(condition.hint, "dim", indent=width + 5)
    screen.line()
    screen.line("scripts can run" if diagnosis.ok else "scripts cannot run", "green" if diagnosis.ok else "red")
    return 0 if diagnosis.ok else 1
