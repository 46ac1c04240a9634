"""Paths in scripts that were written for another machine, and the folders that scripts may use."""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pinokiocloud.errors import PinokioError
from pinokiocloud.home.layout import Home
from pinokiocloud.platforms.detect import modules
from pinokiocloud.platforms.platform import Platform

__all__ = ["PathError", "PathMapper"]

_DRIVE = re.compile(r"(?:[\\/]{2}[?.][\\/])?([A-Za-z]):(?:[\\/]+(.*))?", re.DOTALL)
_LONG_UNC = re.compile(r"[\\/]{2}[?.][\\/]UNC[\\/]+(.*)", re.DOTALL | re.IGNORECASE)
_UNC = re.compile(r"\\\\(?![?.]\\)(.*)", re.DOTALL)
# Below a drive or a user's folder, a folder of this name is Pinokio's home.
_HOMES = {"pinokio", "pinokios"}
_WINDOWS_TEMP = (("appdata", "local", "temp"), ("windows", "temp"), ("temp",), ("tmp",))
_MAC_TEMP = re.compile(r"/(?:private/)?(?:var/folders/[^/]+/[^/]+/T|tmp)(?:/(.*))?", re.DOTALL)


class PathError(PinokioError):
    """A path leads out of the folders that scripts may use, or is no path at all."""

    code = "path"


class PathMapper:
    """Turns paths of scripts into paths of this machine, and refuses those that lead out of the allowed folders.

    Allowed are the home folder, the platform's work, persistent and temporary folders, and what a setting adds.
    Symbolic links are followed before a path is judged, so a link in an allowed folder opens no way out. A path is
    judged as things are now: nobody is kept from changing a link afterwards.

    Parameters:
        home: the home folder, which ``~`` stands for in scripts.
        platform: the platform.
        extra_roots: more folders that are allowed.
        roots: the folders of other platforms, each with the place that stands for it here (``work``, ``persistent``
            or ``temp``); by default those that the platforms' modules name.
    """

    def __init__(
        self,
        home: Home,
        platform: Platform,
        extra_roots: Iterable[str | os.PathLike[str]] = (),
        *,
        roots: Mapping[str, str] | None = None,
    ) -> None:
        self._home = home.root
        self._work = platform.work_dir
        self._temp = platform.temp[0] if platform.temp else home.cache
        self._persistent = platform.persistent[0] if platform.persistent else platform.work_dir
        own = [home.root, platform.work_dir, *platform.persistent, *platform.temp]
        extra = [Path(os.path.abspath(os.path.expanduser(folder))) for folder in extra_roots]  # noqa: PTH100, PTH111
        # A platform folder that is the whole disk (HOME=/ in some containers) would allow everything.
        self.roots = tuple(dict.fromkeys([*(root for root in own if root != Path("/")), *extra]))
        if roots is None:
            roots = {root: place for module in modules() for root, place in module.ROOTS.items()}
        self._foreign = sorted(roots.items(), key=lambda item: -len(item[0]))

    def map(self, text: str, base: Path | None = None) -> Path:
        r"""Return the path of this machine that a text in a script stands for.

        ======================================  ========================================================
        ``~``, ``~/x``                          below the home folder (spec §2.11)
        ``x``, ``./x``, ``a\b``                 below ``base``
        ``/x`` in an allowed folder             itself
        ``/content/x``, ``/workspace/x`` …      below the work folder, if it is not of this platform
        ``C:\pinokio\x``, ``/Users/me/pinokio``   below the home folder
        ``C:\Users\me\x``, ``/Users/me/x``      below the work folder
        ``C:\x``, ``D:\x``                      ``x`` and ``d/x`` below the work folder
        ``\\server\share\x``                    ``server/share/x`` below the work folder
        temporary folders of Windows and macOS  below the temporary folder
        ======================================  ========================================================

        Backslashes are always separators. ``..`` is taken away textually, and on Windows paths stops at the drive.

        Parameters:
            text: the path as it is written.
            base: what relative paths are relative to, by default the home folder.

        Returns:
            The path, absolute, with links resolved; it need not exist.

        Raises:
            PathError: it is no path, or leads out of the allowed folders.
        """
        if not text or "\0" in text:
            raise PathError(f"not a path: {text!r}", path=text)
        return self.check(self._mapped(text, self._home if base is None else base), text)

    def allowed(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether a path of this machine is in an allowed folder, after links are resolved.

        Parameters:
            path: the path; a relative one is relative to the home folder.
        """
        try:
            self.check(path)
        except PathError:
            return False
        return True

    def check(self, path: str | os.PathLike[str], text: str | None = None) -> Path:
        """Return a path of this machine with links resolved, if it is in an allowed folder.

        Parameters:
            path: the path; a relative one is relative to the home folder.
            text: what to call it in the error, if it was written in another way.

        Raises:
            PathError: it is in none.
        """
        shown = os.fspath(path) if text is None else text
        if "\0" in os.fspath(path):
            raise PathError(f"not a path: {shown!r}", path=shown)
        try:
            real = Path(os.path.realpath(os.path.normpath(self._home / path)))
        except (OSError, ValueError, RuntimeError) as error:
            raise PathError(f"not a path: {shown!r}", path=shown) from error
        for root in self.roots:
            inside = Path(os.path.realpath(root))
            if real == inside or inside in real.parents:
                return real
        where = "" if str(real) == shown else f", which is {real},"
        raise PathError(
            f"{shown}{where} is outside of the folders that scripts may use",
            hint=f"they are {', '.join(map(str, self.roots))}; a setting adds more",
            path=shown,
            resolved=str(real),
        )

    def _mapped(self, text: str, base: Path) -> Path:
        """Return where a text leads, before it is judged."""
        for pattern in (_LONG_UNC, _UNC):
            share = pattern.fullmatch(text)
            if share:
                return self._work.joinpath(*_parts(share[1]))
        drive = _DRIVE.fullmatch(text)
        if drive:
            return self._windows(drive[1].lower(), _parts(drive[2] or ""))
        plain = text.replace("\\", "/")
        if plain == "~" or plain.startswith("~/"):
            return Path(os.path.normpath(f"{self._home}/{plain[1:]}"))
        if not plain.startswith("/"):
            return Path(os.path.normpath(f"{base}/{plain}"))
        path = posixpath.normpath("/" + plain.lstrip("/"))
        return Path(path) if self._own(path) else self._elsewhere(path)

    def _windows(self, drive: str, parts: list[str]) -> Path:
        """Return where a path on a Windows drive leads."""
        low = [part.lower() for part in parts]
        if low[:1] == ["users"] and len(parts) > 1:
            parts, low = parts[2:], low[2:]
            drive = "c"
        if low[:1] and low[0] in _HOMES:
            return self._home.joinpath(*parts[1:])
        for temp in _WINDOWS_TEMP:
            if tuple(low[: len(temp)]) == temp:
                return self._temp.joinpath(*parts[len(temp) :])
        return self._work.joinpath(*([] if drive == "c" else [drive]), *parts)

    def _elsewhere(self, path: str) -> Path:
        """Return where an absolute path leads that is not of this machine, itself if nothing is known about it."""
        match = re.fullmatch(r"/Users/[^/]+(?:/(.*))?", path, re.DOTALL)
        if match:
            parts = [part for part in (match[1] or "").split("/") if part]
            if parts and parts[0].lower() in _HOMES:
                return self._home.joinpath(*parts[1:])
            return self._work.joinpath(*parts)
        match = _MAC_TEMP.fullmatch(path)
        if match:
            return self._temp / (match[1] or "")
        for root, place in self._foreign:
            if path == root or path.startswith(f"{root}/"):
                rest = path[len(root) :].lstrip("/")
                first, _, below = rest.partition("/")
                if place == "work" and first.lower() in _HOMES:
                    return self._home / below
                return {"temp": self._temp, "persistent": self._persistent}.get(place, self._work) / rest
        return Path(path)

    def _own(self, path: str) -> bool:
        """Tell whether a path is, as it is written, in an allowed folder."""
        return any(path == str(root) or path.startswith(f"{str(root).rstrip('/')}/") for root in self.roots)


def _parts(text: str) -> list[str]:
    """Return the folders of a Windows path below its drive; ``..`` stops there."""
    normal = ntpath.normpath("\\" + text.replace("/", "\\").lstrip("\\"))
    return [part for part in normal.split("\\") if part not in {"", ".", ".."}]
