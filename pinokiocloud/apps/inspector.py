"""A script host that only looks: Node with read-only permission, in a process of its own.

Loading a script or a menu runs the app's JavaScript. Here it can read the home folder, the app and the folders of the
search path; it can write nothing and start nothing. What only a run may do is noted and answered as if it had done
nothing (``script/host/inspect*.js``).
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from pinokiocloud.errors import HostError
from pinokiocloud.home import Environment, Home
from pinokiocloud.home.environment import SYSTEM_DEFAULTS
from pinokiocloud.home.uri import remotes
from pinokiocloud.platforms.machine import detect_machine
from pinokiocloud.script.host import HostProcess, HostSettings
from pinokiocloud.shell.environment import engine_environment, login_path, managed_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pinokiocloud.platforms.machine import Machine

__all__ = ["Inspector", "app_folder", "home_at"]

_MEMORY = 1024  # MiB
_WATCHDOG = 10.0  # s


def home_at(path: str | os.PathLike[str] | None = None) -> Home:
    """Return the home folder without making it (``Home.open`` makes it).

    Parameters:
        path: the folder; by default ``PINOKIO_HOME``, else ``~/pinokio``.
    """
    chosen = os.fspath(path) if path is not None else os.environ.get("PINOKIO_HOME", "").strip() or "~/pinokio"
    return Home(Path(os.path.abspath(os.path.expanduser(chosen))))  # noqa: PTH100, PTH111 - as Home.open does


def app_folder(path: Path, home: Home) -> Path:
    """Return the app that a script or folder belongs to (spec §5.2).

    Parameters:
        path: an absolute path.
        home: the home folder; what lies in ``HOME/api/<app>`` belongs to that app.

    Returns:
        The app's folder: below ``HOME/api``, else the nearest folder with a launcher or a repository, else the
        script's own.
    """
    folder = path if path.is_dir() else path.parent
    if home.api in folder.parents:
        return home.api / folder.relative_to(home.api).parts[0]
    for above in (folder, *folder.parents):
        if (above / "pinokio.js").is_file():
            # <app>/pinokio/pinokio.js belongs to <app>
            return above.parent if above.name == "pinokio" and above != folder else above
        if (above / "pinokio" / "pinokio.js").is_file() or (above / ".git").exists():
            return above
    return folder


@final
class Inspector:
    """Looks at the scripts and menus of one app.

    Use it as ``async with Inspector(app) as look: …``.

    Parameters:
        folder: the app's folder, or any folder whose files may be read.
        home: the home folder; it need not exist.
        machine: what ``platform``, ``gpu`` … are; by default what this machine has.
        read: further folders that may be read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        home: str | os.PathLike[str] | Home | None = None,
        machine: Machine | None = None,
        read: Iterable[Path] = (),
    ) -> None:
        self.folder = folder
        self.home = home if isinstance(home, Home) else home_at(home)
        self.search_path = [*managed_path(self.home.root), *login_path().split(":"), str(self.home.bin)]
        self._machine = machine
        self._read = [folder, *read]
        self._process: HostProcess | None = None
        self._turn = asyncio.Lock()  # the process is in one state of one app at a time
        self._prepared: dict[str, dict[str, Any]] = {}

    async def __aenter__(self) -> Inspector:
        """Start the process.

        Raises:
            HostStartError: Node or its packages are missing.
        """
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def machine(self) -> Machine:
        """What scripts are told about the machine."""
        if self._machine is None:
            self._machine = detect_machine()
        return self._machine

    def environment(self, app: Path | None = None) -> dict[str, str]:
        """Return the variables of an app: engine < system < app (spec §5.5).

        Parameters:
            app: the app's folder; by default the inspector's own.

        Raises:
            HomeError: an ENVIRONMENT file cannot be read.
        """
        base = engine_environment()
        if not self.home.environment_file.is_file():  # as it will be when the home is made
            root = str(self.home.root)
            base |= {key: value.replace(".", root, 1) for key, value in SYSTEM_DEFAULTS.items() if value[:2] == "./"}
            base |= {key: value for key, value in SYSTEM_DEFAULTS.items() if value.strip() and value[:2] != "./"}
        merged = Environment(self.home).merged(app or self.folder, base)
        return {**merged, "PINOKIO_HOME": str(self.home.root)}

    async def _start(self) -> HostProcess:
        # The permission model compares real paths; what a link leads to may be read as well.
        folders = [self.home.root, *self._read, *(Path(folder) for folder in self.search_path)]
        allowed = {folder for given in folders for folder in (given, Path(os.path.realpath(given)))}
        settings = HostSettings(memory=_MEMORY, watchdog=_WATCHDOG, read_only=sorted(allowed))
        process = HostProcess(settings, _ignore, _refuse)
        try:
            await process.start()
            await process.call(
                "init",
                home=str(self.home.root),
                machine=self.machine.variables(),
                env=self.environment(),
                searchPath=self.search_path,
                python=[],
                cloudPlatform=os.environ.get("PINOKIOCLOUD_PLATFORM", "local"),
                remotes=remotes(self.home.api),
            )
            await process.call("inspect.open")
            for op, body in self._prepared.items():
                await process.call(op, **body)
        except BaseException:
            await process.close()
            raise
        self._process = process
        return process

    async def close(self) -> None:
        """End the process."""
        if self._process is not None:
            await self._process.close()
            self._process = None

    async def prepare(self, op: str, **body: Any) -> None:
        """Call an operation now, and again whenever the process is started again."""
        self._prepared[op] = body
        await self.call(op, **body)

    async def call(self, op: str, **body: Any) -> Any:
        """Call an operation of ``inspect.js``; a process that an earlier script ended is started again.

        Raises:
            HostError: the app's code ended the process, or never gave back control.
        """
        async with self._turn:
            process = self._process
            if process is None or not process.alive:
                await self.close()
                process = await self._start()
            try:
                return await process.call(op, **body)
            except HostError:
                if not process.alive:
                    await self.close()
                raise


def _ignore(_message: dict[str, Any]) -> None:
    """Let go of what scripts print or throw beside their answer."""


async def _refuse(what: str, _body: Any, _data: Callable[[Any], None]) -> Any:
    raise HostError(f"'{what}' is not done while looking at a script")
