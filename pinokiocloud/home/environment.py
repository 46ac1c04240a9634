"""The environment that ENVIRONMENT files give to scripts and shells: base < system < app (spec §5.5).

``HOME/ENVIRONMENT`` holds the variables of the home folder, ``<app>/ENVIRONMENT`` those of an app. The format is in
``dotenv``; which file counts, what is in a new one and how the two combine is here.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.errors import HomeError
from pinokiocloud.home.dotenv import assignment, edited, parse, read, set_values, switch_values
from pinokiocloud.home.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pinokiocloud.home.layout import Home

__all__ = [
    "APP_DEFAULTS",
    "CACHE_KEYS",
    "FORCED",
    "SYSTEM_DEFAULTS",
    "Environment",
    "completed_system",
    "parse",
    "read",
    "set_values",
    "switch_values",
]


def _cache(*names: str) -> dict[str, str]:
    return {name: f"./cache/{name}" for name in names}


#: The variables of a new ``HOME/ENVIRONMENT``, in file order (spec §5.5).
SYSTEM_DEFAULTS: Mapping[str, str] = {
    **_cache("HOMEBREW_CACHE", "XDG_CACHE_HOME", "PIP_CACHE_DIR", "UV_CACHE_DIR"),
    **_cache("PIP_TMPDIR", "TMPDIR", "TEMP", "TMP"),
    **_cache("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"),
    "PIP_CONFIG_FILE": "./pipconfig",
    "CONDARC": "./condarc",
    "PS1": "<<PINOKIO_SHELL>> ",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ALLOWED_PATHS": "./",
    "PINOKIO_SHARE_VAR": "url",
    "PINOKIO_SHARE_CLOUDFLARE": "false",
    "PINOKIO_SCRIPT_DEFAULT": "true",
    "PINOKIO_DRIVE": "./drive",
    **_cache("GRADIO_TEMP_DIR", "HF_HOME", "TORCH_HOME"),
    "PINOKIO_SHARE_LOCAL": "false",
    "PINOKIO_SHARE_LOCAL_PORT": "",
    "HTTP_PROXY": "",
    "HTTPS_PROXY": "",
    "NO_PROXY": "",
}

#: The variables that are put back to ``./cache/<NAME>`` whenever a home is opened (spec §5.5).
FORCED: Mapping[str, str] = _cache("TMP", "TEMP", "TMPDIR", "PIP_TMPDIR", "UV_CACHE_DIR", "PIP_CACHE_DIR")

#: The variables of a new app file, in file order; a value of the system file goes before the one here (spec §5.5).
APP_DEFAULTS: Mapping[str, str] = {
    "PINOKIO_SCRIPT_AUTOLAUNCH": "",
    "PINOKIO_SCRIPT_REQUIRES": "",
    "PINOKIO_SHARE_CLOUDFLARE": "false",
    "PINOKIO_SHARE_PASSCODE": "",
    "PINOKIO_SCRIPT_DEFAULT": "true",
    **_cache("GRADIO_TEMP_DIR", "HF_HOME", "TORCH_HOME"),
    "PINOKIO_SHARE_LOCAL": "false",
    "PINOKIO_SHARE_LOCAL_PORT": "",
}

#: The engine's own cache folders: they have to exist before a command uses them.
CACHE_KEYS = frozenset(key for key, value in SYSTEM_DEFAULTS.items() if value == f"./cache/{key}")

#: Paths of files, which are never made folders (spec §4.2.6).
_FILE_KEYS = frozenset({"PIP_CONFIG_FILE", "CONDARC", "HF_TOKEN_PATH"})

_COMMENTS = {
    "HOMEBREW_CACHE": "Caches, temporary files and settings of tools, shared by all apps. ./ is the home folder.",
    "GRADIO_ALLOWED_PATHS": "Folders outside of an app that its Gradio server may serve.",
    "PINOKIO_SCRIPT_AUTOLAUNCH": "A script of this app that starts with the engine, and the apps that it needs.",
    "PINOKIO_SHARE_VAR": "The variable of a script that holds the app's address, which is what gets shared.",
    "PINOKIO_SHARE_CLOUDFLARE": "true: share the app through a public Cloudflare tunnel.",
    "PINOKIO_SCRIPT_DEFAULT": "false: do not start what an app's menu marks as default.",
    "PINOKIO_DRIVE": "The folder of files that apps share; any absolute path will do.",
    "GRADIO_TEMP_DIR": "Uploads and models. In an app's file, delete a line to use the home folder's value.",
    "PINOKIO_SHARE_LOCAL": "true: share the app on the local network, at this port or a free one.",
    "HTTP_PROXY": "Proxy servers.",
}

#: Files younger than this when they were read are read again: their time stamp may not tell a second change.
_RACY_NS = 50_000_000


@dataclass(frozen=True)
class _File:
    """An ENVIRONMENT file as it was read: its values, and what its ``stat`` was unless that cannot be relied on."""

    stamp: tuple[int, ...] | None
    values: Mapping[str, str]


_MISSING = _File(None, {})


class Environment:
    """The variables of a home folder and its apps, read from their ENVIRONMENT files when these have changed.

    Parameters:
        home: the home folder.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._root = str(home.root)
        self._system_path = str(home.environment_file)
        self._files: dict[str, _File] = {}
        self._overlays: dict[str | None, tuple[_File, _File, dict[str, str]]] = {}

    def merged(self, app_dir: Path | None, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of an app: base < system file < app file (spec §5.5).

        Values of the files that start with ``./`` are absolute, against the home folder or the app; blank ones are
        left out and override nothing. With unchanged files this costs a few ``stat`` calls.

        Parameters:
            app_dir: the app's folder (see ``app_of``), None for the system's variables alone.
            base: the environment below, usually the engine's own; not changed.

        Raises:
            HomeError: a file is there and cannot be read.
        """
        return {**base, **self._overlay(app_dir)}

    def path_values(self, app_dir: Path | None) -> list[Path]:
        """Return the folders that have to exist before a shell of the app starts (spec §4.2.6, item 3).

        The reference creates every value that is an absolute path or starts with ``./``, even if it names a file.
        Here these are only the values that end in ``/``, and the engine's own caches (``CACHE_KEYS``) wherever they
        point.

        Parameters:
            app_dir: the app's folder, None for the system's variables alone.

        Raises:
            HomeError: a file is there and cannot be read.
        """
        raw: dict[str, tuple[str, str]] = {}
        for root, file in self._sources(app_dir):
            raw.update({key: (root, value) for key, value in file.values.items() if value.strip()})
        return [
            Path(os.path.normpath(os.path.join(root, value)))  # noqa: PTH118
            for key, (root, value) in raw.items()
            if key not in _FILE_KEYS
            and value.startswith(("./", "/"))
            and (value.endswith("/") or key in CACHE_KEYS)
        ]

    def app_of(self, path: str | os.PathLike[str]) -> Path | None:
        """Return the app that a path belongs to: the first folder below ``HOME/api``; None outside of it.

        Parameters:
            path: an absolute path, which need not exist; a path that leads into the home by a link counts too.
        """
        api = self._home.api
        name = _first_below(os.path.normpath(path), str(api))
        name = name or _first_below(os.path.realpath(path), os.path.realpath(api))
        # A script that lies in HOME/api itself is in no app.
        return None if name is None or (api / name).is_file() else api / name

    def app_file(self, app_dir: Path) -> Path:
        """Return the ENVIRONMENT file that is read for an app, which need not exist (spec §5.5).

        Parameters:
            app_dir: the app's folder.

        Returns:
            ``<app>/pinokio/ENVIRONMENT`` if there is a folder ``<app>/pinokio``, else ``<app>/ENVIRONMENT``.
        """
        return Path(_app_path(str(app_dir)))

    def settings_file(self, app_dir: Path, *, strict: bool = False) -> Path:
        """Return the ENVIRONMENT file that ``env.set`` writes for an app.

        The reference writes ``<app>/ENVIRONMENT`` even where it reads another file, so that nothing changes
        (spec §4.6). Here that is done only if the file that is read does not exist.

        Parameters:
            app_dir: the app's folder.
            strict: always ``<app>/ENVIRONMENT``, as the reference.
        """
        own = app_dir / "ENVIRONMENT"
        if strict:
            return own
        file = self.app_file(app_dir)
        return file if file.is_file() or not own.is_file() else own

    def create_app_environment(self, app_dir: Path) -> Path:
        """Create the ENVIRONMENT file of an app unless it has one (spec §5.5).

        It holds the text of the app's ``_ENVIRONMENT``, then the app defaults, with the values of the system file,
        then the variables that the user has added to the system file. Variables that ``_ENVIRONMENT`` gives are not
        repeated; the reference repeats them, and so overrides what the app's author wrote.

        Parameters:
            app_dir: the app's folder.

        Returns:
            The file that is read for the app.

        Raises:
            HomeError: the file cannot be written, or another one not be read.
        """
        file = self.app_file(app_dir)
        if file.is_file():
            return file
        try:
            template = read(file.with_name("_ENVIRONMENT"))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            template = ""
        except OSError as error:
            raise _unusable(file.with_name("_ENVIRONMENT"), error, "read") from error
        given = parse(template)
        system = self._load(self._system_path).values
        values = {key: system.get(key) or value for key, value in APP_DEFAULTS.items() if key not in given}
        own = {
            key: value
            for key, value in system.items()
            if value.strip() and key not in SYSTEM_DEFAULTS and key not in APP_DEFAULTS and key not in given
        }
        parts = [template.rstrip() + "\n\n"] if template.strip() else []
        parts.append(_lines(values))
        if own:
            parts.append("\n# From the home folder's ENVIRONMENT.\n" + _lines(own))
        try:
            write_atomic(file, "".join(parts))
        except OSError as error:
            raise _unusable(file, error, "written") from error
        return file

    def _overlay(self, app_dir: Path | None) -> dict[str, str]:
        """Return the variables that the files put over the base."""
        system = self._load(self._system_path)
        root = None if app_dir is None else str(app_dir)
        app = _MISSING if root is None else self._load(_app_path(root))
        kept = self._overlays.get(root)
        if kept is not None and kept[0] is system and kept[1] is app:
            return kept[2]
        overlay: dict[str, str] = {}
        for folder, file in ((self._root, system), (root or "", app)):
            for key, value in file.values.items():
                if value.strip():
                    overlay[key] = _absolute(value, folder)
        self._overlays[root] = (system, app, overlay)
        return overlay

    def _sources(self, app_dir: Path | None) -> list[tuple[str, _File]]:
        """Return the files that count for an app, lowest first, each with the folder its ``./`` stands for."""
        sources = [(self._root, self._load(self._system_path))]
        if app_dir is not None:
            sources.append((str(app_dir), self._load(_app_path(str(app_dir)))))
        return sources

    def _load(self, path: str) -> _File:
        """Return a file's values: the same object as long as the file has not changed."""
        try:
            status = os.stat(path)  # noqa: PTH116 - a Path is slower than the call itself
            stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)
            kept = self._files.get(path)
            if kept is not None and kept.stamp == stamp:
                return kept
            values = parse(read(path))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return _MISSING
        except OSError as error:
            raise _unusable(Path(path), error, "read") from error
        if abs(time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns)) < _RACY_NS:
            return _File(None, values)
        file = self._files[path] = _File(stamp, values)
        return file


def completed_system(text: str) -> str:
    """Return the text of ``HOME/ENVIRONMENT`` with every system default, and the forced ones put back (spec §5.5).

    Parameters:
        text: what the file holds, "" for a new one; what is complete comes back unchanged, everything else in it is
            left as it is.
    """
    present = parse(text)
    if not present and not text.strip():
        return _lines(SYSTEM_DEFAULTS)
    wrong = {key: value for key, value in FORCED.items() if present.get(key, value) != value}
    missing = {key: value for key, value in SYSTEM_DEFAULTS.items() if key not in present}
    return edited(text, {**wrong, **missing}) if wrong or missing else text


def _lines(values: Mapping[str, str]) -> str:
    """Return the lines of a new file, with a comment above those that a user may want to change."""
    parts: list[str] = []
    for key, value in values.items():
        if key in _COMMENTS:
            parts.append(f"{chr(10) if parts else ''}# {_COMMENTS[key]}\n")
        parts.append(assignment(key, value) + "\n")
    return "".join(parts)


def _first_below(path: str, top: str) -> str | None:
    """Return the first folder of a path below another, None if it is not below."""
    return path[len(top) + 1 :].split(os.sep, 1)[0] if path.startswith(top + os.sep) else None


def _absolute(value: str, root: str) -> str:
    """Return a value with a leading ``./`` resolved."""
    return os.path.normpath(os.path.join(root, value)) if value.startswith("./") else value  # noqa: PTH118


def _app_path(root: str) -> str:
    """Return the ENVIRONMENT file that is read for the app in this folder."""
    inner = root + "/pinokio"
    return (inner if os.path.isdir(inner) else root) + "/ENVIRONMENT"  # noqa: PTH112 - on every step's path


def _unusable(file: Path, error: OSError, verb: str) -> HomeError:
    """Return the error for a file of variables that cannot be used."""
    return HomeError(f"{file} cannot be {verb}: {error.strerror or error}", path=str(file))
