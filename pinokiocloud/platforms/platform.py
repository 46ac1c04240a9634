"""What a platform is, and what a module that knows one offers (platforms §1).

One platform is one module of this package. It is found by what it holds, so a new platform is one new file: ``NAME``,
``TITLE``, ``ORDER``, ``ROOTS`` and the functions of ``PlatformModule``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pinokiocloud.home.dotenv import parse

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = [
    "Facts",
    "Look",
    "Notice",
    "Platform",
    "PlatformModule",
    "default_home",
    "read_text",
    "temp_folder",
    "user_home",
]

HOME_FOLDER = "pinokios"


def read_text(path: str) -> str:
    """Return the text of a file, "" if it cannot be read.

    Parameters:
        path: the file.
    """
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True)
class Look:
    """All that detection can see; tests give it without the platform.

    Parameters:
        environ: the environment. It is not shown by ``repr``: it holds secrets.
        exists: tells whether a path is there.
        read: returns the text of a file, "" if it cannot be read.
        shell: the class name of the running IPython shell, "" outside of IPython.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    exists: Callable[[str], bool] = os.path.exists
    read: Callable[[str], str] = read_text
    shell: str = ""

    def with_file(self, path: str) -> Look:
        """Return a look that also knows the variables of a file; those of the environment win.

        A kernel that the platform's own start script did not start lacks them (platforms §1.1: RunPod, Vast).

        Parameters:
            path: a file of lines such as ``NAME=value`` or ``export NAME="value"``.
        """
        text = self.read(path)
        if not text:
            return self
        return Look({**parse(text), **self.environ}, self.exists, self.read, self.shell)

    def present(self, *names: str) -> tuple[str, ...]:
        """Return evidence, ``NAME is set``, for those of the variables that are there, even if blank.

        Parameters:
            names: the variables.
        """
        return tuple(f"{name} is set" for name in names if name in self.environ)

    def there(self, *paths: str) -> tuple[str, ...]:
        """Return evidence, ``/path exists``, for those of the paths that are there.

        Parameters:
            paths: the files and folders.
        """
        return tuple(f"{path} exists" for path in paths if self.exists(path))


@dataclass(frozen=True)
class Notice:
    """Something the user has to be told once, before using the platform (platforms §1.4).

    Parameters:
        id: names the notice, so that it is shown once.
        text: what to say.
        source: where it comes from.
    """

    id: str
    text: str
    source: str


@dataclass(frozen=True)
class Facts:
    """What is known about a platform beyond its folders (platforms §1.2).

    Parameters:
        persists: what stays, and for how long, in words.
        life: how long a machine lives, in words; "" if nothing ends it.
        hosted: whether it is a machine of the platform, not the user's own with the platform's software.
        ui: how widgets get their updates, ``push`` or ``pull`` (platforms §2.3).
        tunnels: ``ask`` after a notice, ``yes`` on a click, ``no`` where they are reported to be forbidden.
        root: whether the user is root; None if it is not known.
        bins: folders with tools that are not on PATH.
        scrub: variables that child processes must not get.
        base_url: the path of the platform's Jupyter server, where it is always the same.
        public_url: the address of the platform's Jupyter server for browsers, where it is known.
    """

    persists: str
    life: str = ""
    hosted: bool = True
    ui: str = "push"
    tunnels: str = "yes"
    root: bool | None = None
    bins: tuple[str, ...] = ()
    scrub: tuple[str, ...] = ()
    base_url: str = ""
    public_url: str = ""


@dataclass(frozen=True)
class Platform:
    """The platform that this machine belongs to.

    Parameters:
        name: its name in settings, ``colab``.
        title: its name for people, ``Google Colab``.
        work_dir: the folder for work; the home folder is made in it.
        persistent: the folders that survive the machine.
        temp: the folders for what may be lost.
        evidence: what it was recognized by, in words, never with a value that could be secret.
        notices: what the user has to be told.
        facts: what else is known.
        forced: whether ``PINOKIOCLOUD_PLATFORM`` decided.
    """

    name: str
    title: str
    work_dir: Path
    persistent: tuple[Path, ...]
    temp: tuple[Path, ...]
    evidence: tuple[str, ...]
    facts: Facts
    notices: tuple[Notice, ...] = ()
    forced: bool = False


class PlatformModule(Protocol):
    """What a module of a platform holds.

    ``ORDER`` says when it is asked, the lowest first: the first hit wins (platforms §1.1). ``ROOTS`` are its own
    folders as scripts that were written for it name them, each with the place that stands for it elsewhere:
    ``work``, ``persistent`` or ``temp``.
    """

    NAME: str
    TITLE: str
    ORDER: int
    ROOTS: Mapping[str, str]

    def evidence(self, look: Look) -> tuple[str, ...]:
        """Return what speaks for the platform; nothing if it is not the one."""
        ...

    def platform(self, look: Look, evidence: tuple[str, ...]) -> Platform:
        """Return the platform, with the folders of this machine."""
        ...

    def exposers(self, platform: Platform, look: Look) -> Sequence[Exposer]:
        """Return the platform's own ways to show a port, the best first."""
        ...

    def secret_stores(self, platform: Platform, look: Look) -> Sequence[SecretStore]:
        """Return the platform's own stores of secrets, beside the environment."""
        ...


def default_home(platform: Platform, environ: Mapping[str, str]) -> Path:
    """Return where the home folder is: ``PINOKIO_HOME``, else ``<work dir>/pinokios``.

    Parameters:
        platform: the platform.
        environ: the environment.

    Returns:
        The folder, absolute; it need not exist. A relative ``PINOKIO_HOME`` is relative to the current folder.
    """
    chosen = environ.get("PINOKIO_HOME", "").strip()
    if not chosen:
        return platform.work_dir / HOME_FOLDER
    if chosen == "~" or chosen.startswith("~/"):
        chosen = f"{user_home(environ)}{chosen[1:]}"
    return Path(os.path.abspath(chosen))  # noqa: PTH100 - takes ".." away as Home.open does


def user_home(environ: Mapping[str, str]) -> Path:
    """Return the home folder of the user.

    Parameters:
        environ: the environment; without HOME in it the user database tells.
    """
    home = environ.get("HOME", "")
    return Path(home) if home.startswith("/") else Path(os.path.expanduser("~"))  # noqa: PTH111 - never raises


def temp_folder(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders for temporary files: ``/tmp``, and TMPDIR where it is another one.

    Parameters:
        environ: the environment.
    """
    chosen = environ.get("TMPDIR", "").rstrip("/")
    folders = [Path("/tmp")]  # noqa: S108 - the folder itself, not a file in it
    if chosen.startswith("/") and Path(chosen) not in folders:
        folders.insert(0, Path(chosen))
    return tuple(folders)
