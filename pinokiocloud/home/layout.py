"""The home folder: where it is, what is in it, and how it is made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.errors import HomeError
from pinokiocloud.home.dotenv import read
from pinokiocloud.home.environment import FORCED, completed_system
from pinokiocloud.home.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Home"]

_FOLDERS = ("api", "bin", "cache", "config", "drive", "history", "logs", "plugin")
_CACHES = tuple(value.removeprefix("./") for value in FORCED.values())

_PIPCONFIG = "[global]\ntimeout = 1000\n"

# The filters pass files through where git-lfs is missing (Colab): with the usual `git-lfs smudge` a clone dies there,
# and with `required = false` git prints "error:" lines, which fail a step. GIT_CONFIG_GLOBAL hides ~/.gitconfig, so
# without any filter an installed git-lfs would do nothing.
_GITCONFIG = """\
[user]
\tname = pinokio
\temail = pinokio@localhost
[safe]
\tdirectory = *
[init]
\tdefaultBranch = main
[push]
\tautoSetupRemote = true
[http]
\tpostBuffer = 524288000
[filter "lfs"]
\tclean = "sh -c 'if command -v git-lfs >/dev/null; then exec git-lfs clean -- \\"$1\\"; else cat; fi' lfs %f"
\tsmudge = "sh -c 'if command -v git-lfs >/dev/null; then exec git-lfs smudge -- \\"$1\\"; else cat; fi' lfs %f"
\trequired = true
"""

_CONDARC = """\
channels:
  - conda-forge
channel_priority: flexible
create_default_packages:
  - python=3.10.20
envs_dirs:
  - {base}/envs
pkgs_dirs:
  - {base}/pkgs
remote_connect_timeout_secs: 20.0
remote_read_timeout_secs: 300.0
remote_max_retries: 6
report_errors: false
"""


@dataclass(frozen=True)
class Home:
    """A home folder (spec §5.1). The object only names paths; ``Home.open`` makes the folder.

    Parameters:
        root: the folder, absolute.

    Raises:
        HomeError: the path is not absolute.
    """

    root: Path

    def __post_init__(self) -> None:
        if not self.root.is_absolute():
            raise HomeError(f"the home folder must be an absolute path: {self.root}", path=str(self.root))

    @property
    def api(self) -> Path:
        """The folder of apps."""
        return self.root / "api"

    @property
    def bin(self) -> Path:
        """The folder of managed tools."""
        return self.root / "bin"

    @property
    def base(self) -> Path:
        """The conda prefix of the base environment."""
        return self.root / "bin" / "miniforge"

    @property
    def cache(self) -> Path:
        """The folder of caches and temporary files."""
        return self.root / "cache"

    @property
    def drive(self) -> Path:
        """The virtual drive, unless ``PINOKIO_DRIVE`` says otherwise."""
        return self.root / "drive"

    @property
    def history(self) -> Path:
        """The folder of shell histories."""
        return self.root / "history"

    @property
    def logs(self) -> Path:
        """The folder of the engine's logs."""
        return self.root / "logs"

    @property
    def plugin(self) -> Path:
        """The folder of plugins."""
        return self.root / "plugin"

    @property
    def environment_file(self) -> Path:
        """The file of system variables."""
        return self.root / "ENVIRONMENT"

    @property
    def condarc(self) -> Path:
        """The settings of conda."""
        return self.root / "condarc"

    @property
    def pipconfig(self) -> Path:
        """The settings of pip."""
        return self.root / "pipconfig"

    @property
    def gitconfig(self) -> Path:
        """The settings of git."""
        return self.root / "gitconfig"

    @property
    def key_file(self) -> Path:
        """The key store."""
        return self.root / "key.json"

    def path(self, *parts: str | os.PathLike[str]) -> Path:
        """Return a path below the home folder; absolute parts win, as in ``kernel.path`` (spec §3.8).

        Parameters:
            parts: what follows the home folder, none for the folder itself.
        """
        return Path(os.path.normpath(self.root.joinpath(*parts)))

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None) -> Home:
        """Open the home folder, and make what is missing in it (spec §5.1, §5.5).

        Made are the folders; ENVIRONMENT with the system defaults, an existing one completed with what it lacks and
        with its temporary and cache folders put back; ``pipconfig`` and ``gitconfig`` unless they exist; ``condarc``
        for where the home is now. A home that is complete costs a few ``stat`` calls and nothing is written.

        Parameters:
            path: the folder; by default ``PINOKIO_HOME``, else ``~/pinokio``.
            environ: the environment to look in, by default the process's own.

        Raises:
            HomeError: the folder cannot be made or written.
        """
        environ = os.environ if environ is None else environ
        chosen = os.fspath(path) if path is not None else environ.get("PINOKIO_HOME", "").strip() or "~/pinokio"
        expanded = os.path.expanduser(chosen)  # noqa: PTH111 - leaves an unknown ~user alone instead of raising
        if not expanded or "\0" in expanded:
            raise HomeError(f"not a folder: {chosen!r}", hint="give the path of the home folder, or set PINOKIO_HOME")
        home = cls(Path(os.path.abspath(expanded)))  # noqa: PTH100
        try:
            home._complete()
        except OSError as error:
            message = f"the home folder {home.root} cannot be used: {error.strerror or error}"
            if error.filename is not None and os.fspath(error.filename) != str(home.root):
                message += f": {os.fsdecode(error.filename)}"
            hint = "choose a folder that you may write, by argument or PINOKIO_HOME"
            raise HomeError(message, hint=hint, path=str(home.root)) from error
        return home

    def _complete(self) -> None:
        """Make what is missing."""
        root = str(self.root)
        for name in ("", *_FOLDERS, *_CACHES):
            folder = f"{root}/{name}" if name else root
            if not os.path.isdir(folder):  # noqa: PTH112 - the second open has to be quick
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        # The only sign of a read-only disk when everything is there already.
        for folder in (root, *(f"{root}/{name}" for name in _CACHES)):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "it is not writable", folder)
        try:
            text = read(self.environment_file, exact=True)
        except FileNotFoundError:
            text = ""
        complete = completed_system(text)
        if complete != text:
            write_atomic(self.environment_file, complete)
        for file, content in ((self.pipconfig, _PIPCONFIG), (self.gitconfig, _GITCONFIG)):
            if not file.exists():
                write_atomic(file, content)
        condarc = _CONDARC.format(base=self.base)
        try:
            current = self.condarc.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            current = ""
        if current != condarc:
            write_atomic(self.condarc, condarc)
