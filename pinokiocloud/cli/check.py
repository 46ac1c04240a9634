"""``pinokiocloud check``: what is wrong with apps and scripts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.apps.check import CheckResult, check_app
from pinokiocloud.cli.text import Screen, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pinokiocloud.apps.findings import Finding

__all__ = ["check_paths"]

_SHOWN_STATES = 3


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _place(finding: Finding, base: Path) -> str:
    file = Path(finding.file)
    name = str(file.relative_to(base)) if file.is_relative_to(base) else finding.file
    step = f" step {finding.step}" if finding.step is not None else ""
    action = f" of {finding.action}" if step and finding.action not in (None, "run") else ""
    return f"{name}{f':{finding.line}' if finding.line else ''}{step}{action}"


def _where(finding: Finding) -> str:
    parts = []
    if finding.machines:
        parts.append("on " + ", ".join(finding.machines))
    if finding.states and len(finding.states) <= _SHOWN_STATES:
        parts.append("when " + ", ".join(finding.states))
    return f" [{'; '.join(parts)}]" if parts else ""


def _show(screen: Screen, result: CheckResult) -> None:
    base = result.path if result.path.is_dir() else result.path.parent
    screen.line(str(result.path), "bold")
    for finding in result.findings:
        fault = finding.level == "fault"
        level = screen.paint(finding.level, "red" if fault else "yellow")
        screen.line(f"{_place(finding, base)}: {level}: {finding.message}{_where(finding)}", indent=2)
        if finding.hint:
            screen.line(finding.hint, "dim", indent=6)
    numbers = [
        _count(len(result.scripts), "script"),
        _count(len(result.faults), "fault"),
        _count(len(result.warnings), "warning"),
    ]
    menu = [f"{count if count is not None else '?'} {state}" for state, count in result.menu.items()]
    if menu:
        numbers.append(f"menu items: {', '.join(menu)}")
    screen.line(", ".join(numbers), "red" if result.faults else "green", indent=2)


async def _check(paths: Sequence[Path], home: Path | None) -> list[CheckResult]:
    return [await check_app(path, home=home) for path in paths]


def check_paths(paths: Sequence[Path], *, home: Path | None, as_json: bool) -> int:
    """Check apps, launcher folders and scripts, and print what was found.

    Parameters:
        paths: what is to be checked.
        home: the home folder.
        as_json: print JSON: one object for one path, a list for several.

    Returns:
        The exit code: 1 when there are faults, else 0.

    Raises:
        PinokioError: there is no such path, or Node could not be started.
    """
    results = asyncio.run(_check(paths, home))
    if as_json:
        told = [result.to_dict() for result in results]
        write_json(told[0] if len(told) == 1 else told)
    else:
        screen = Screen()
        for result in results:
            _show(screen, result)
    return 0 if all(result.ok for result in results) else 1
