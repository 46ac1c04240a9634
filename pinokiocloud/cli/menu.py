"""``pinokiocloud menu``: the menu of an app as it is now."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from pinokiocloud.apps.menu import Menu, MenuItem, evaluate_menu
from pinokiocloud.cli.text import Screen, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["show_menu"]


def _item(screen: Screen, item: MenuItem, menu: Menu, depth: int) -> None:
    mark = screen.paint("▸", "green") if item.default else "·"
    target = item.href or ""
    if item.script is not None and item.script.is_relative_to(menu.root):
        target = str(item.script.relative_to(menu.root))
    if item.params:
        target += " " + " ".join(f"{key}={value}" for key, value in item.params.items())
    for key in ("shell", "run", "action"):
        if not target and key in item.extra:
            target = f"{key}: {item.extra[key]}"
    missing = "  (missing)" if item.script is not None and not item.script.exists() else ""
    line = f"{mark} {item.text}" + (f"  {screen.paint(target, 'cyan')}" if target else "")
    screen.line(line + screen.paint(missing, "red"), indent=2 + 2 * depth)
    for one in item.items:
        _item(screen, one, menu, depth + 1)


def show_menu(
    app: Path,
    *,
    home: Path | None,
    running: Sequence[str],
    local: Mapping[str, Mapping[str, Any]] | None,
    as_json: bool,
) -> int:
    """Print the menu of an app for the state that its files are in.

    Parameters:
        app: the app's folder.
        home: the home folder.
        running: the scripts that are to be taken as running.
        local: local variables by running script.
        as_json: print JSON.

    Returns:
        The exit code: 0.

    Raises:
        ScriptLoadError: the launcher cannot be loaded, or its menu throws.
        PinokioError: there is no such folder, or Node could not be started.
    """
    menu = asyncio.run(evaluate_menu(app, home=home, running=running, local=local))
    for note in menu.notes:
        sys.stderr.write(f"note: {note}\n")
    if as_json:
        write_json(menu.to_dict())
        return 0
    screen = Screen()
    screen.line(menu.title, "bold")
    if menu.description:
        screen.line(menu.description, "dim")
    if menu.launcher is None:
        screen.line("it has no launcher (pinokio.js)")
    elif not menu.items:
        screen.line("its menu is empty")
    for item in menu.items:
        _item(screen, item, menu, 0)
    return 0
