"""All shells and commands of an engine: by id and by run."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pinokiocloud.shell.session import ShellSession, ShellSpec
from pinokiocloud.shell.tree import SHELL_VARIABLE, end_tree

__all__ = ["ShellRegistry"]


class ShellRegistry:
    """The shells that live, and their end.

    Parameters:
        call: calls the script host.
    """

    def __init__(self, call: Callable[..., Awaitable[Any]]) -> None:
        self._call = call
        self._shells: list[ShellSession] = []  # two may have one id: a script is free to give it twice
        self._commands: dict[str, set[tuple[int, str]]] = {}

    def new(
        self, spec: ShellSpec, on_output: Callable[[str], None], on_fired: Callable[[dict[str, Any]], None]
    ) -> ShellSession:
        """Make a shell; the caller starts it."""
        shell = ShellSession(spec, call=self._call, on_output=on_output, on_fired=on_fired)
        self._shells.append(shell)
        return shell

    def get(self, name: str) -> ShellSession | None:
        """Return the latest shell of this id that was not ended."""
        return next((shell for shell in reversed(self._shells) if shell.id == name), None)

    def of(self, group: str) -> list[ShellSession]:
        """Return the shells of a run."""
        return [shell for shell in self._shells if shell.spec.group == group]

    @property
    def all(self) -> list[ShellSession]:
        """Every shell."""
        return list(self._shells)

    async def end(self, shell: ShellSession) -> list[int]:
        """End a shell and everything that it started; return the pids that could not be ended."""
        left = await shell.kill()
        if shell in self._shells:
            self._shells.remove(shell)
        return left

    async def end_of(self, group: str) -> list[int]:
        """End the shells and commands of a run."""
        for pid, name in list(self._commands.pop(group, ())):
            await end_tree(pid, name)
        return [pid for left in await asyncio.gather(*(self.end(shell) for shell in self.of(group))) for pid in left]

    async def end_all(self) -> list[int]:
        """End every shell."""
        return [pid for left in await asyncio.gather(*(self.end(shell) for shell in self.all)) for pid in left]

    async def command(
        self, group: str, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> tuple[int, str, str]:
        """Run a program without a terminal, to its end.

        Parameters:
            group: the run that it belongs to.
            argv: the program and its arguments.
            cwd: its folder.
            env: its whole environment.

        Returns:
            Exit code, output, error output.
        """
        name = os.urandom(8).hex()
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env={**env, SHELL_VARIABLE: name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        entry = (process.pid, name)
        self._commands.setdefault(group, set()).add(entry)
        try:
            out, err = await process.communicate()
        except BaseException:
            await end_tree(process.pid, name)
            await process.wait()
            raise
        finally:
            self._commands.get(group, set()).discard(entry)
        return process.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
