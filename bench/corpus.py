"""Checks a folder of apps and writes what came of it as Markdown.

    python bench/corpus.py /path/to/apps > docs/corpus.md

Each folder in it is one app, named ``owner__name`` or anything else. Nothing is run and nothing is written into them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from pinokiocloud.apps.check import CheckResult, check_app
from pinokiocloud.apps.findings import FAULT, Finding
from pinokiocloud.errors import PinokioError

_STATES = ("fresh", "installed", "running")


def _title(folder: Path) -> str:
    return folder.name.replace("__", "/", 1)


def _cell(text: str) -> str:
    """Return text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)


async def _checked(folders: list[Path], home: Path, at_once: int) -> dict[Path, CheckResult | PinokioError]:
    turn = asyncio.Semaphore(at_once)

    async def one(folder: Path) -> CheckResult | PinokioError:
        async with turn:
            try:
                return await check_app(folder, home=home)
            except PinokioError as error:
                return error

    results = await asyncio.gather(*(one(folder) for folder in folders))
    return dict(zip(folders, results, strict=True))


def _row(folder: Path, result: CheckResult | PinokioError) -> str:
    if isinstance(result, PinokioError):
        return f"| {_title(folder)} | – | {_cell(result.message)} | | | | |"
    menu = [_count(result.menu.get(state)) for state in _STATES]
    cells = [_title(folder), len(result.scripts), len(result.faults), len(result.warnings), *menu]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _line(folder: Path, finding: Finding) -> str:
    file = os.path.relpath(finding.file, folder)
    place = f"{file}:{finding.line}" if finding.line else file
    step = f", step {finding.step}" if finding.step is not None else ""
    where = f" (on {', '.join(finding.machines)})" if finding.machines else ""
    return f"| {_title(folder)} | {place}{step} | {_cell(finding.message)}{where} |"


def _report(results: dict[Path, CheckResult | PinokioError], seconds: float) -> str:
    done = {folder: result for folder, result in results.items() if isinstance(result, CheckResult)}
    scripts = sum(len(result.scripts) for result in done.values())
    found = [(folder, finding) for folder, result in done.items() for finding in result.findings]
    faults = [item for item in found if item[1].level == FAULT]
    sound = sum(1 for result in done.values() if result.ok)
    summary = (
        f"`pinokiocloud check` on {len(results)} public apps with {scripts} scripts, for five machines each, in"
        f" {seconds:.0f} s: {sound} apps without a fault; {len(faults)} faults and {len(found) - len(faults)} warnings."
        " Menu items are counted for a new copy, with everything installed, and with the app running, on Linux with an"
        " NVIDIA card. Made by `bench/corpus.py`."
    )
    lines = [
        "# Public apps, checked",
        "",
        summary,
        "",
        "| app | scripts | faults | warnings | menu: fresh | installed | running |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(_row(folder, result) for folder, result in results.items()),
    ]
    for title, items in (("Faults", faults), ("Warnings", [item for item in found if item[1].level != FAULT])):
        if items:
            lines += ["", f"## {title}", "", "| app | place | what |", "|---|---|---|"]
            lines += [_line(folder, finding) for folder, finding in items]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Check the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="the folder of apps")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="how many apps are checked at a time")
    options = parser.parse_args()
    folders = sorted(entry.absolute() for entry in options.folder.iterdir() if entry.is_dir())
    with tempfile.TemporaryDirectory() as home:
        begun = time.perf_counter()
        results = asyncio.run(_checked(folders, Path(home), options.at_once))
        sys.stdout.write(_report(results, time.perf_counter() - begun))


if __name__ == "__main__":
    main()
