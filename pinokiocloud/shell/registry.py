"""All shells of an engine: by id and by run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pinokiocloud.shell.session import ShellSession, ShellSpec

__all__ = ["ShellRegistry"]


class ShellRegistry:
    """The shells that live, and their end.

    Parameters:
        call: calls the script host.
    """

    def __init__(self, call: Callable[..., Awaitable[Any]]) -> None:
        self._call = call
        self._shells: dict[str, ShellSession] = {}

    def new(
        self, spec: ShellSpec, on_output: Callable[[str], None], on_fired: Callable[[dict[str, Any]], None]
    ) -> ShellSession:
        """Make a shell; the caller starts it."""
        shell = ShellSession(spec, call=self._call, on_output=on_output, on_fired=on_fired)
        self._shells[spec.id] = shell
        return shell

    def get(self, name: str) -> ShellSession | None:
        """Return the shell of this id, if it was not ended."""
        return self._shells.get(name)

    def of(self, group: str) -> list[ShellSession]:
        """Return the shells of a run."""
        return [shell for shell in self._shells.values() if shell.spec.group == group]

    @property
    def all(self) -> list[ShellSession]:
        """Every shell."""
        return list(self._shells.values())

    async def end(self, shell: ShellSession) -> list[int]:
        """End a shell and everything that it started; return the pids that could not be ended."""
        left = await shell.kill()
        if self._shells.get(shell.id) is shell:
            del self._shells[shell.id]
        return left

    async def end_of(self, group: str) -> list[int]:
        """End the shells of a run."""
        return [pid for left in await asyncio.gather(*(self.end(shell) for shell in self.of(group))) for pid in left]

    async def end_all(self) -> list[int]:
        """End every shell."""
        return [pid for left in await asyncio.gather(*(self.end(shell) for shell in self.all)) for pid in left]
