"""What a home folder gives to scripts: environments, paths of tools, the base environment, logs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pinokiocloud.home import Environment, Home
from pinokiocloud.shell.environment import engine_environment, login_path, managed_path, shell_environment
from pinokiocloud.tools.base import BaseEnvironment

__all__ = ["Workplace"]


class Workplace:
    """An open home folder, with all that a shell in it needs.

    Parameters:
        home: the folder; by default ``PINOKIO_HOME``, else ``~/pinokio``. What is missing in it is made.

    Raises:
        HomeError: the folder cannot be made or written.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home = Home.open(home)
        self.environment = Environment(self.home)
        self.login_path = login_path()
        #: Folders in which ``which`` and scripts find programs, the managed ones first.
        self.search_path = [*managed_path(self.home.root), *self.login_path.split(":"), str(self.home.bin)]
        self.bash = shutil.which("bash") or "/bin/bash"
        self.base = BaseEnvironment(self.home.base, self.home.bin, self.home.cache / "UV_CACHE_DIR")
        self._engine_env = engine_environment()
        self._prepared: set[Path] = set()

    def which(self, program: str) -> str | None:
        """Return the path of a program as scripts find it."""
        return shutil.which(program, path=":".join(self.search_path))

    def merged_environment(self, app: Path | None) -> dict[str, str]:
        """Return engine environment < system ENVIRONMENT < app ENVIRONMENT (spec §5.5).

        Parameters:
            app: the app's folder; None for the system's alone.
        """
        return {**self.environment.merged(app, self._engine_env), "PINOKIO_HOME": str(self.home.root)}

    def script_environment(self, script: str) -> dict[str, str]:
        """Return the ``env`` of a script's steps."""
        return self.merged_environment(self.environment.app_of(script))

    def shell_environment(
        self, script: str, params: Mapping[str, Any], activation: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the environment of a script's shell; folders that it names are made (spec §4.2.6).

        Raises:
            ShellError: ``env.PATH`` is no list.
        """
        app = self.environment.app_of(script)
        for folder in self.environment.path_values(app):
            if folder not in self._prepared:
                folder.mkdir(parents=True, exist_ok=True)
                self._prepared.add(folder)
        token = self.home.cache / "HF_AUTH" / "token"
        env = shell_environment(
            home=self.home.root,
            merged=self.merged_environment(app),
            params=params,
            activation=activation,
            login=self.login_path,
            token_path=token if token.exists() else None,
        )
        return {**env, "_PKC_BASE": str(self.base.prefix), "_PKC_CONDA": str(self.base.conda)}

    def command_environment(self, script: str, given: Any) -> dict[str, str]:
        """Return the environment of ``exec``: the engine's, with the step's own on top (spec §4.1)."""
        env = self.shell_environment(script, {"env": given} if isinstance(given, dict) else {}, {})
        return {**env, "PIP_REQUIRE_VIRTUALENV": "true"}

    async def ensure_base(self, say: Callable[[str], None]) -> None:
        """Make the base environment unless it is there.

        Parameters:
            say: gets lines of progress.

        Raises:
            ToolError: it cannot be made.
        """
        if self.base.ready():
            return
        loop = asyncio.get_running_loop()

        def tell(text: str) -> None:
            loop.call_soon_threadsafe(say, text)

        await asyncio.to_thread(self.base.ensure, tell)

    def log_of(self, script: str) -> Path:
        """Return the file that gets the raw output of a script's shells."""
        path = Path(script)
        with contextlib.suppress(ValueError):
            return self.home.logs / "shell" / path.relative_to(self.home.api).with_name(path.name + ".log")
        return self.home.logs / "shell" / "_" / (str(path).strip("/").replace("/", "_") + ".log")
