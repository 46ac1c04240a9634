"""URIs of scripts and files: ``~/`` paths, absolute and relative paths, git URIs (spec §2.11)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.errors import ScriptNotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinokiocloud.home.layout import Home

__all__ = [
    "GitUri", "download_name", "folder_name", "installed", "public", "remote_of", "remotes", "resolve", "same_remote",
]

_WEB = ("http://", "https://")
# The host is left out of the search: there are hosts that end in .git.
_GIT = re.compile(r"(https?://[^/]+/.+?\.git)(?:/+(.*))?", re.DOTALL)
_USER = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/]*@", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://([^/]*)(.*)", re.IGNORECASE | re.DOTALL)
_SHORT = re.compile(r"(?:[^/@:]+@)?([^/:]+):(?!//)(.+)", re.DOTALL)
_SECTION = re.compile(r'\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')


@dataclass(frozen=True)
class GitUri:
    """A git URI, taken apart (spec §2.11).

    Parameters:
        remote: the repository's URL, ending in ``.git``.
        path: the path inside the repository, "" for the repository itself.
    """

    remote: str
    path: str = ""

    @classmethod
    def parse(cls, uri: str) -> GitUri:
        """Take a git URI apart: ``<remote ending in .git>[/path]``.

        Parameters:
            uri: the URI, starting with ``http://`` or ``https://``.

        Raises:
            UsageError: it holds no ``.git``, or its path leads out of the repository.
        """
        match = _GIT.fullmatch(uri)
        if match is None:
            raise UsageError(
                f"a git repository URI must end with .git: {uri}",
                hint="write https://host/owner/name.git, or https://host/owner/name.git/path/in/it",
                uri=uri,
            )
        path = os.path.normpath(match[2]) if match[2] else ""
        if path == ".." or path.startswith("../") or "\0" in path:
            raise UsageError(f"the path of a git URI must stay inside the repository: {uri}", uri=uri)
        return cls(match[1], "" if path == "." else path)

    def __str__(self) -> str:
        return f"{self.remote}/{self.path}" if self.path else self.remote


def resolve(uri: str, base: Path | None, home: Home) -> Path:
    """Return the path that a URI stands for (spec §2.11).

    ``http://…`` and ``https://…`` are git URIs of installed apps; ``~/…`` is below the home folder; an absolute path
    is itself; anything else is relative to ``base``. Paths may lead anywhere, as in the reference; ``..`` is taken
    away textually. (The reference takes every text that starts with ``http`` for a git URI, ``http-server.js`` too.)

    Parameters:
        uri: the URI.
        base: what relative paths are relative to, usually the run's folder; None where there is no such folder.
        home: the home folder.

    Returns:
        The path, absolute, which need not exist.

    Raises:
        UsageError: the git URI is malformed, or the path is relative and there is no base, or it holds a NUL.
        ScriptNotFoundError: the git URI's repository is not installed.
    """
    if uri.startswith(_WEB):
        git = GitUri.parse(uri)
        folder = installed(git.remote, home)
        if folder is None:
            hint = f"install it first: a clone of {git.remote} below {home.api}"
            raise ScriptNotFoundError(f"the repository of {uri} is not installed", hint=hint, uri=uri)
        return folder / git.path
    if "\0" in uri:
        raise UsageError(f"not a path: {uri!r}", uri=uri)
    if uri.startswith("~/"):
        return _joined(str(home.root), uri[2:].lstrip("/"))
    if uri.startswith("/"):
        return _joined("/", uri.lstrip("/"))
    if base is None:
        raise UsageError(
            f"a relative path has nothing to be relative to here: {uri}",
            hint="use ~/… (the home folder), an absolute path or a git URI",
            uri=uri,
        )
    return _joined(str(base), uri)


def installed(remote: str, home: Home) -> Path | None:
    """Return the app folder that is a clone of a repository, None if there is none (spec §2.11).

    Parameters:
        remote: the repository's URL, with or without ``.git``.
        home: the home folder.
    """
    found = dict(_scan(home.api))
    wanted, ending = _identity(remote), public(remote).removesuffix(".git")
    # The second pass finds clones through a mirror: https://mirror.example/https://github.com/owner/name.git
    name = next((name for name, url in found.items() if _identity(url) == wanted), None) or next(
        (name for name, url in found.items() if url.removesuffix(".git").endswith(f"/{ending}")), None
    )
    return None if name is None else home.api / name


def remotes(api_dir: Path) -> dict[str, str]:
    """Return the ``remote.origin.url`` of every direct child folder that is a git repository.

    Parameters:
        api_dir: the folder of apps; "not there" counts as empty.

    Returns:
        The URLs by folder name, in alphabetical order, as they are written in ``.git/config``.
    """
    return dict(_scan(api_dir))


def remote_of(folder: Path) -> str | None:
    """Return the ``remote.origin.url`` of a repository, None if there is no repository or no such remote.

    Read is the config file that belongs to ``<folder>/.git``, which may be a file that points to the real folder
    (submodules, worktrees). No git command is run.

    Parameters:
        folder: the top folder of the working tree.
    """
    git = folder / ".git"
    try:
        if git.is_file():
            pointer = git.read_text(encoding="utf-8", errors="replace").strip()
            if not pointer.startswith("gitdir:"):
                return None
            git = folder / pointer.removeprefix("gitdir:").strip()
            common = git / "commondir"
            if common.is_file():
                git /= common.read_text(encoding="utf-8", errors="replace").strip()
        text = (git / "config").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return None
    return next((value for key, value in _settings(text) if key == "remote.origin.url" and value), None)


def same_remote(one: str, other: str) -> bool:
    """Tell whether two URLs name the same repository.

    ``.git`` and slashes at the end, the scheme, user names and passwords make no difference, nor does
    ``git@host:owner/name``, nor, on GitHub, upper case.

    Parameters:
        one: a URL of a repository.
        other: another.
    """
    return _identity(one) == _identity(other)


def public(url: str) -> str:
    """Return a URL without user name and password: neither belongs into the name of a folder or into a file.

    Parameters:
        url: a URL of a repository.
    """
    return _USER.sub(r"\1", url.strip())


def folder_name(url: str) -> str:
    """Return the folder below ``HOME/api`` that ``script.start`` and its like clone a repository to (spec §2.11).

    Parameters:
        url: the repository's URL.

    Returns:
        The URL without scheme, user name and password, every character but ``A-Z a-z 0-9 _ -`` replaced by ``_``:
        ``https://github.com/a/b.git`` gives ``github_com_a_b_git``.

    Raises:
        UsageError: nothing is left.
    """
    name = re.sub(r"[^A-Za-z0-9_-]", "_", re.sub(r"^[a-z][a-z0-9+.-]*://", "", public(url), flags=re.IGNORECASE))
    if not name:
        raise UsageError(f"not a URL of a repository: {url!r}", url=url)
    return name


def download_name(url: str) -> str:
    """Return the folder below ``HOME/api`` that an app is downloaded to unless the user names one (spec §5.4).

    Parameters:
        url: the repository's URL.

    Returns:
        Its last segment, with ``.git`` at the end: ``https://github.com/a/b`` gives ``b.git``.

    Raises:
        UsageError: there is no such segment.
    """
    path = url.partition("#")[0].partition("?")[0].rstrip("/")
    path = re.sub(r"^[a-z][a-z0-9+.-]*://[^/]*", "", path, flags=re.IGNORECASE)
    name = re.split(r"[/\\:]", path)[-1].strip()
    if name.strip(".") in {"", "git"} or not name.isprintable():
        raise UsageError(f"not a URL of a repository: {url!r}", hint="it should end in owner/name", url=url)
    return name if name.endswith(".git") else f"{name}.git"


def _joined(base: str, path: str) -> Path:
    """Return a path below another with ``.`` and ``..`` taken away textually, as ``path.resolve`` does."""
    return Path(os.path.normpath(f"{base.rstrip('/')}/{path}"))


def _identity(url: str) -> str:
    """Return what two URLs of one repository have in common."""
    text = public(url)
    match = _URL.fullmatch(text) or _SHORT.fullmatch(text)
    host, path = (match[1], match[2]) if match else ("", text)
    path = path.strip("/").removesuffix(".git").rstrip("/")
    host = host.lower()
    return f"{host}/{path.lower() if host == 'github.com' else path}"


def _scan(api_dir: Path) -> Iterator[tuple[str, str]]:
    """Give the folder name and remote of every repository, in alphabetical order."""
    try:
        names = sorted(os.listdir(api_dir))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    for name in names:
        url = remote_of(api_dir / name)
        if url:
            yield name, url


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Give the settings of a git config file, ``section.subsection.key`` and value, as far as remotes need it."""
    section = ""
    for raw in text.replace("\r\n", "\n").replace("\\\n", "").split("\n"):
        line = raw.strip()
        head = _SECTION.match(line)
        if head:
            section = head[1].lower()
            if head[2] is not None:
                section += "." + re.sub(r"\\(.)", r"\1", head[2])
            line = line[head.end() :].strip()
        if not line or line[0] in "#;":
            continue
        key, sign, value = line.partition("=")
        yield f"{section}.{key.strip().lower()}", _setting(value) if sign else "true"


def _setting(raw: str) -> str:
    """Return a value of a git config file without quotes, escapes and comment."""
    value, quoted = [], False
    escapes = {"n": "\n", "t": "\t", "b": "\b"}
    characters = iter(raw.strip())
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            value.append(escapes.get(following, following))
        elif character == '"':
            quoted = not quoted
        elif character in "#;" and not quoted:
            return "".join(value).rstrip()
        else:
            value.append(character)
    return "".join(value)
