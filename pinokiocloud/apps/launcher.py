"""Loading scripts and launchers without running them (spec §1, §5.2)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.apps.inspector import Inspector, app_folder, home_at
from pinokiocloud.errors import ScriptLoadError, ScriptNotFoundError
from pinokiocloud.home.uri import resolve
from pinokiocloud.script import wire

if TYPE_CHECKING:
    from pinokiocloud.home import Home

__all__ = ["Script", "find_launcher", "load_error", "load_script", "script_path"]


@dataclass(frozen=True)
class Script:
    """A loaded script.

    Attributes:
        path: its file.
        value: what it exports, JSON-like; functions and the like are ``wire.JSValue``.
        actions: the lists of steps by name; ``run`` is the one that is run by default. A step is JSON-like.
        daemon: whether the run stays up when its steps are done (spec §2.8).
    """

    path: Path
    value: Any
    actions: dict[str, list[Any]] = field(default_factory=dict)
    daemon: bool = False

    @property
    def steps(self) -> list[Any]:
        """The steps of ``run``; empty when there are none."""
        return self.actions.get("run", [])

    @property
    def runnable(self) -> bool:
        """Whether it has steps to run (spec §1.4)."""
        return bool(self.steps)


def find_launcher(app: str | os.PathLike[str]) -> Path | None:
    """Return the launcher of an app, ``pinokio.js`` or ``pinokio/pinokio.js`` (spec §5.2); None without one.

    Parameters:
        app: the app's folder.
    """
    root = Path(app)
    return next((file for file in (root / "pinokio.js", root / "pinokio" / "pinokio.js") if file.is_file()), None)


def script_path(uri: str, home: Home) -> Path:
    """Return the path of a script as people name it: from here, else from ``HOME/api`` (spec §2.2).

    Parameters:
        uri: a path, ``~/…`` (below the home), or a git address of an installed app.
        home: the home folder.

    Raises:
        UsageError: a git address that is none.
        ScriptNotFoundError: the repository is not installed.
    """
    if uri.startswith(("http://", "https://", "~/")) or os.path.isabs(uri):  # noqa: PTH117 - a text that may be a URI
        return Path(os.path.normpath(resolve(uri, None, home)))
    here = Path.cwd() / uri
    return Path(os.path.normpath(here if here.exists() else home.api / uri))


def load_error(file: str | os.PathLike[str], fault: dict[str, Any], what: str = "cannot be loaded") -> ScriptLoadError:
    """Return the error for a script's fault as the host tells it: ``file:line: what: reason``.

    Parameters:
        file: the script.
        fault: ``file``, ``line``, ``reason`` and ``blame`` of the host.
        what: what failed.
    """
    where = str(fault.get("file") or file)
    line = fault.get("line")
    place = f"{where}:{line}" if line else where
    reason = str(fault.get("reason") or "unknown reason")
    denied = fault.get("blame") == "denied"
    hint = "a script or menu is only looked at here: it cannot write files or start programs" if denied else None
    return ScriptLoadError(f"{place}: it {what}: {reason}", hint=hint, path=str(file), file=where, line=line)


async def load_script(
    path: str | os.PathLike[str],
    *,
    home: str | os.PathLike[str] | None = None,
    inspector: Inspector | None = None,
) -> Script:
    """Load a script as a run would, without running it (spec §1.2).

    Parameters:
        path: the script's file.
        home: the home folder; it need not exist.
        inspector: the process to load it in; by default one of its own.

    Returns:
        The script; one without steps loads, too (``Script.runnable``).

    Raises:
        ScriptNotFoundError: there is no such file.
        ScriptLoadError: it cannot be loaded; the message begins with ``file:line``.
        HostError: its code never gave back control, or ended the process.
    """
    file = Path(os.path.abspath(path))  # noqa: PTH100 - a link stays a link: scripts look beside themselves
    if not file.is_file():
        raise ScriptNotFoundError(f"there is no script {file}", hint="is the path right?", path=str(file))
    if inspector is None:
        where = home if home is None else os.fspath(home)
        async with Inspector(app_folder(file, home_at(where)), home=where) as own:
            return await load_script(file, inspector=own)
    got = await inspector.call("inspect.load", path=str(file), env=inspector.environment())
    if not got["ok"]:
        raise load_error(file, got["fault"])
    if got["fault"]:
        raise load_error(file, got["fault"], "has steps that cannot be made")
    value = wire.decode(got["value"])
    actions = {name: wire.decode(steps) for name, steps in got["actions"].items() if steps is not None}
    daemon = bool(value.get("daemon")) if isinstance(value, dict) else False
    return Script(file, value, actions, daemon)
