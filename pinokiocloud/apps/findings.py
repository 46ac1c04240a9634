"""What ``check`` finds: faults, which break a script, and warnings, which tell of what is hardly meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FAULT", "WARNING", "Finding", "Findings"]

FAULT = "fault"
WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or hardly meant.

    Attributes:
        level: ``fault`` or ``warning``.
        code: what kind it is: ``syntax load export menu href step method params template when event jump uri module
            environment metadata denied host``.
        message: what is wrong, in one or two sentences.
        file: the file.
        line: its line, from 1; None when it is not known.
        action: the list of steps; None outside of steps.
        step: the index of the step; None outside of steps.
        machines: the machines where it is so; empty for all.
        states: the states of the app in which it is so, for menus; empty for all.
        hint: what to do about it.
    """

    level: str
    code: str
    message: str
    file: str
    line: int | None = None
    action: str | None = None
    step: int | None = None
    machines: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as a JSON-like object."""
        return {
            "level": self.level,
            "code": self.code,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "action": self.action,
            "step": self.step,
            "machines": list(self.machines),
            "states": list(self.states),
            "hint": self.hint,
        }


class Findings:
    """Collects findings; those that differ only in machine and state become one.

    Parameters:
        machines: all machines: a finding on all of them names none.
    """

    def __init__(self, machines: Iterable[str]) -> None:
        self._all = tuple(machines)
        self._found: dict[tuple[Any, ...], Finding] = {}
        self._machines: dict[tuple[Any, ...], dict[str, None]] = {}
        self._states: dict[tuple[Any, ...], dict[str, None]] = {}

    def add(self, finding: Finding) -> None:
        """Add a finding; without machines it holds for all."""
        key = (finding.level, finding.code, finding.message, finding.file, finding.line, finding.action, finding.step)
        self._found.setdefault(key, finding)
        self._machines.setdefault(key, {}).update(dict.fromkeys(finding.machines or self._all))
        self._states.setdefault(key, {}).update(dict.fromkeys(finding.states))

    def __iter__(self) -> Any:
        return iter(self.result())

    def result(self) -> list[Finding]:
        """Return the findings by file and line."""
        out = []
        for key, finding in self._found.items():
            machines = tuple(name for name in self._all if name in self._machines[key])
            out.append(
                Finding(
                    finding.level,
                    finding.code,
                    finding.message,
                    finding.file,
                    finding.line,
                    finding.action,
                    finding.step,
                    () if machines == self._all else machines,
                    tuple(self._states[key]),
                    finding.hint,
                )
            )
        return sorted(out, key=lambda f: (f.file, f.line or 0, f.step or 0, f.level))
