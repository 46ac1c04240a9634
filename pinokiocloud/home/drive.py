"""Virtual drives: folders of an app that live outside of it, and are shared with its peers (spec §5.8).

``<drive>/drives.json`` records ``{git URI: {route: folder}}``; the folders are ``<drive>/drives/peers/d<ms>/<route>``.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.errors import UsageError
from pinokiocloud.home.files import write_atomic
from pinokiocloud.home.uri import public, same_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Conflict", "DriveResult", "Link", "drive_home", "link"]

_REGISTRY = threading.Lock()


@dataclass(frozen=True)
class Link:
    """A link of an app to a folder of the drive.

    Parameters:
        path: the link.
        folder: the folder on the drive.
        route: the name of the folder in the script.
        created: whether it was made now; False: it was a link already, and was left alone.
        moved: how many files were moved into the drive.
    """

    path: Path
    folder: Path
    route: str
    created: bool
    moved: int = 0


@dataclass(frozen=True)
class Conflict:
    """A file that the drive had already, with other content: the drive's stays, the app's is kept beside it.

    Parameters:
        path: where the file was.
        kept: where the app's file is now, on the drive.
    """

    path: Path
    kept: Path


@dataclass(frozen=True)
class DriveResult:
    """What ``link`` did.

    Parameters:
        links: the links that are there now.
        conflicts: files that were kept beside those of the drive.
        problems: what could not be done, a sentence each; nothing is lost by it.
    """

    links: tuple[Link, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    problems: tuple[str, ...] = ()


def drive_home(env: Mapping[str, str], app_dir: Path, default: Path) -> Path:
    """Return the folder of the virtual drive: ``PINOKIO_DRIVE`` against the app's folder (spec §5.8).

    Parameters:
        env: the app's environment.
        app_dir: the app's folder.
        default: the drive where the variable is not set, usually ``home.drive``.
    """
    value = env.get("PINOKIO_DRIVE", "").strip()
    return Path(os.path.normpath(app_dir / value)) if value else default


def link(
    routes: Mapping[str, str | Sequence[str]],
    *,
    drive: Path,
    cwd: Path,
    own: str | None = None,
    peers: Sequence[str] = (),
    clock: Callable[[], float] = time.time,
) -> DriveResult:
    """Replace folders of an app by links to folders of the drive, as ``fs.link {drive, peers}`` does (spec §5.8).

    For each route the folder that a peer, else the app itself, has recorded is used; else a new one, in a drive that
    one of them has, else in a new drive. What the app's folder holds is moved there: files that the drive has already
    stay as they are, and the app's are dropped if they are equal, else kept as ``<name>.conflict-<ms>``. Then the
    folder becomes a relative link, and the routes are recorded for the app and its peers, if the app has a remote.

    Parameters:
        routes: the folders of the app by route; all links are relative to ``cwd`` (in the reference, those that are
            absolute or start with ``.`` end up elsewhere). What is a link already is left alone.
        drive: the folder of the drive, see ``drive_home``.
        cwd: the folder of the script.
        own: the git URI of the app, None if it has no remote; user name and password in it are not recorded.
        peers: the git URIs of apps to share with.
        clock: the time in seconds, for names.

    Returns:
        What was linked, and what could not be; failures of a single folder are in ``problems``.

    Raises:
        UsageError: ``routes`` or ``peers`` is of the wrong type.
    """
    wanted = _checked(routes, peers)
    plan = _Plan(drive, clock)
    try:
        with _REGISTRY:
            folders = plan.folders(list(wanted), public(own) if own else None, peers)
    except OSError as error:
        plan.problems.append(f"the drive {drive} cannot be used: {error.strerror or error}")
        return plan.result()
    for route, folder in folders.items():
        for name in wanted[route]:
            path = Path(os.path.normpath(cwd / name))
            try:
                plan.link(path, folder, route, cwd)
            except OSError as error:
                plan.problems.append(f"{path} was not linked to {folder}: {error.strerror or error}")
    return plan.result()


class _Plan:
    """One call of ``link`` under way."""

    def __init__(self, drive: Path, clock: Callable[[], float]) -> None:
        self.drive = drive
        self.stamp = int(clock() * 1000)
        self.links: list[Link] = []
        self.conflicts: list[Conflict] = []
        self.problems: list[str] = []

    def result(self) -> DriveResult:
        return DriveResult(tuple(self.links), tuple(self.conflicts), tuple(self.problems))

    def folders(self, routes: Sequence[str], own: str | None, peers: Sequence[str]) -> dict[str, Path]:
        """Return the folder of each route; it exists then, and is recorded."""
        self.drive.mkdir(parents=True, exist_ok=True)
        registry = self._read()
        before = json.dumps(registry)
        uris = [*peers, *([own] if own else [])]
        folders: dict[str, Path] = {}
        for route in routes:
            if not _inside(route):
                self.problems.append(f"{route!r} is not the name of a folder on the drive")
                continue
            folder = self._folder(route, [entry for uri in uris for entry in _entries(registry, uri)])
            folder.mkdir(parents=True, exist_ok=True)
            folders[route] = folder
            # Without a remote nothing is recorded, not even for the peers.
            for uri in uris if own else ():
                key = next((key for key in registry if same_remote(key, uri)), uri)
                registry[key] = {**_entry(registry.get(key)), route: str(folder)}
        if json.dumps(registry) != before:
            write_atomic(self.drive / "drives.json", json.dumps(registry, indent=2) + "\n")
        return folders

    def _folder(self, route: str, entries: Sequence[Mapping[str, str]]) -> Path:
        """Return the folder of a route: recorded, in a drive that is recorded, or in a new drive."""
        for entry in entries:
            if route in entry:
                return self._present(Path(entry[route]))
        for entry in entries:
            for known, place in entry.items():
                folder, parts = self._present(Path(place)), Path(known).parts
                if folder.parts[-len(parts) :] == parts:
                    return folder.parents[len(parts) - 1] / route
        peers = self.drive / "drives" / "peers"
        while (peers / f"d{self.stamp}").exists():
            self.stamp += 1
        folder = peers / f"d{self.stamp}" / route
        self.stamp += 1
        return folder

    def _present(self, folder: Path) -> Path:
        """Return where a recorded folder is now: the drive may be on another machine, or mounted elsewhere."""
        tail = None if folder.is_dir() else _tail(folder)
        return self.drive.joinpath(*tail) if tail else folder

    def _read(self) -> dict[str, Any]:
        """Return the registry; one that is broken is put aside, not overwritten."""
        file = self.drive / "drives.json"
        try:
            content: Any = json.loads(file.read_bytes() or b"{}")
            if not isinstance(content, dict):
                raise ValueError("not an object")  # noqa: TRY301, TRY004
        except FileNotFoundError:
            return {}
        except ValueError as error:
            aside = file.with_name(f"drives.json.broken-{self.stamp}")
            file.replace(aside)
            self.problems.append(f"{file} is broken ({error}); it was put aside as {aside.name} and begun anew")
            return {}
        else:
            return content

    def link(self, path: Path, folder: Path, route: str, cwd: Path) -> None:
        """Make one link, and move what was in its place into the drive's folder."""
        if path.is_symlink():
            if not path.exists() and not self._repair(path, folder):
                self.problems.append(f"{path} is a link to {os.readlink(path)}, which does not exist")  # noqa: PTH115
            self.links.append(Link(path, Path(os.path.realpath(path)), route, created=False))
            return
        reason = self._refusal(path, folder, cwd)
        if reason:
            self.problems.append(f"{path} was not linked: {reason}")
            return
        path.mkdir(parents=True, exist_ok=True)
        # Made before anything is moved: some mounted storage has no links at all.
        new = self._new_link(path, folder)
        try:
            moved = self._merge(path, folder, path)
            path.rmdir()
            new.replace(path)
        except OSError as error:
            new.unlink()
            # What could not be moved is still in its place, and the next call goes on from there.
            raise OSError(error.errno, f"{error.strerror or error} ({error.filename or path})") from error
        self.links.append(Link(path, folder, route, created=True, moved=moved))

    def _repair(self, path: Path, folder: Path) -> bool:
        """Lead a link to the folder that it meant when the drive was elsewhere; tell whether it meant this one."""
        meant = _tail(Path(os.readlink(path)))  # noqa: PTH115
        if meant is None or meant != _tail(folder):
            return False
        self._new_link(path, folder).replace(path)
        return True

    def _new_link(self, path: Path, folder: Path) -> Path:
        """Make a link to a folder under another name, from which it can take its place in one step."""
        new = path.with_name(f".{path.name}.link-{self.stamp}")
        new.symlink_to(_relative(folder, path.parent))
        return new

    def _refusal(self, path: Path, folder: Path, cwd: Path) -> str | None:
        """Return why a folder must not be moved into the drive, None if it may be."""
        if path.exists() and not path.is_dir():
            return "it is not a folder"
        real, target = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
        needed = {"its folder on the drive": folder, "the drive": self.drive, "the script's folder": cwd}
        for what, place in needed.items():
            if Path(os.path.realpath(place)).is_relative_to(real):
                return f"{what} is in it"
        if path.is_relative_to(self.drive) or real.is_relative_to(target):
            return "it is on the drive already"
        if path.is_dir() and os.path.ismount(path):
            return "something is mounted there"
        return None

    def _merge(self, source: Path, target: Path, top: Path) -> int:
        """Move the content of a folder, in the tree below ``top``, into another; return the number of files moved."""
        moved = 0
        with os.scandir(source) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            old, new = source / entry.name, target / entry.name
            if entry.is_dir(follow_symlinks=False):
                if not os.path.lexists(new):
                    new.mkdir()
                    with contextlib.suppress(OSError):
                        shutil.copystat(old, new)
                if new.is_dir():
                    moved += self._merge(old, new, top)
                    old.rmdir()
                    continue
            if not os.path.lexists(new):
                _move(old, new, top)
            elif _equal(old, new, top):
                old.unlink()
                continue
            else:
                kept = self._beside(new)
                _move(old, kept, top)
                self.conflicts.append(Conflict(old, kept))
            moved += 1
        return moved

    def _beside(self, path: Path) -> Path:
        """Return a free name beside a file for another version of it."""
        stamp = self.stamp
        while os.path.lexists(kept := path.with_name(f"{path.name}.conflict-{stamp}")):
            stamp += 1
        return kept


def _checked(routes: object, peers: object) -> dict[str, list[str]]:
    """Return the links of each route as lists."""
    if not isinstance(routes, Mapping):
        raise UsageError("fs.link: drive must be an object of folders", hint='{"drive": {"models": "app/models"}}')
    if not isinstance(peers, Sequence) or isinstance(peers, str) or not all(isinstance(peer, str) for peer in peers):
        raise UsageError("fs.link: peers must be a list of git URIs")
    wanted: dict[str, list[str]] = {}
    for route, links in routes.items():
        listed = [links] if isinstance(links, str) else links
        if not isinstance(listed, Sequence) or not all(_is_path(name) for name in listed):
            raise UsageError(f"fs.link: the folders of {route!r} must be a path or a list of paths", route=route)
        wanted[str(route)] = list(listed)
    return wanted


def _is_path(name: object) -> bool:
    """Tell whether a value can be a path at all."""
    return isinstance(name, str) and bool(name) and "\0" not in name


def _entries(registry: Mapping[str, Any], uri: str) -> Iterator[Mapping[str, str]]:
    """Give what is recorded for a URI."""
    return (_entry(entry) for key, entry in registry.items() if same_remote(key, uri))


def _entry(entry: object) -> dict[str, str]:
    """Return what is recorded for one key: the folders by route."""
    if not isinstance(entry, dict):
        return {}
    return {route: place for route, place in entry.items() if isinstance(place, str)}


def _tail(folder: Path) -> tuple[str, ...] | None:
    """Return the part of a path that is the same wherever the drive is: ``drives/peers/d<ms>/<route>``."""
    parts = folder.parts
    starts = [start for start in range(1, len(parts)) if parts[start - 1 : start + 1] == ("drives", "peers")]
    return parts[starts[-1] - 1 :] if starts else None


def _inside(route: str) -> bool:
    """Tell whether a route names a folder that is inside of its drive."""
    path = Path(os.path.normpath(route))
    return not path.is_absolute() and path.parts[:1] not in {(), ("..",)} and "\0" not in route


def _relative(folder: Path, parent: Path) -> str:
    """Return the text of a relative link in one folder to another: through links as they are, if that leads there."""
    start, target = os.path.realpath(parent), os.path.realpath(folder)
    for seen in (os.path.relpath(folder, parent), os.path.relpath(folder, start)):
        if os.path.realpath(Path(start, seen)) == target:
            return seen
    return os.path.relpath(target, start)


def _equal(old: Path, new: Path, top: Path) -> bool:
    """Tell whether a file, or a link, is the same as the one that is where it should go."""
    first, second = old.lstat(), new.lstat()
    if stat.S_ISLNK(first.st_mode) and stat.S_ISLNK(second.st_mode):
        return _text(old, new, top) == os.readlink(new) or os.path.realpath(old) == os.path.realpath(new)  # noqa: PTH115
    if not stat.S_ISREG(first.st_mode) or not stat.S_ISREG(second.st_mode):
        return False
    return os.path.samestat(first, second) or filecmp.cmp(old, new, shallow=False)


def _move(old: Path, new: Path, top: Path) -> None:
    """Move a file, link or folder to a name that is free, on the same disk or another; never half of it."""
    mode = old.lstat().st_mode
    if stat.S_ISLNK(mode):
        new.symlink_to(_text(old, new, top))
        old.unlink()
        return
    with contextlib.suppress(OSError):
        old.rename(new)
        return
    # Another disk, or storage that cannot rename; anything else fails again below, with its reason.
    partial = new.with_name(f".{new.name}.part")
    try:
        if stat.S_ISDIR(mode):
            shutil.copytree(old, partial, symlinks=True, copy_function=_copy)
        else:
            # Refuses pipes and sockets.
            _copy(old, partial)
        partial.rename(new)
    except BaseException:
        with contextlib.suppress(OSError):
            _remove(partial)
        raise
    _remove(old)


def _text(old: Path, new: Path, top: Path) -> str:
    """Return the text of a link at its new place: it leads where it led, or along with the tree below ``top``."""
    text = os.readlink(old)  # noqa: PTH115
    target = Path(os.path.normpath(Path(os.path.realpath(old.parent), text)))
    if os.path.isabs(text) or target.is_relative_to(os.path.realpath(top)):  # noqa: PTH117
        return text
    return os.path.relpath(target, os.path.realpath(new.parent))


def _copy(old: str | os.PathLike[str], new: str | os.PathLike[str]) -> None:
    """Copy a file, and what the storage takes of its times and permissions."""
    shutil.copyfile(old, new)
    with contextlib.suppress(OSError):
        shutil.copystat(old, new)


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
