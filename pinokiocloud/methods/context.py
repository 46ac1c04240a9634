"""What a method gets: the step, its run, and the engine's services."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.errors import StepError
from pinokiocloud.home.uri import resolve
from pinokiocloud.script import wire

if TYPE_CHECKING:
    from pinokiocloud.engine import Engine
    from pinokiocloud.script.run import Call, Run

__all__ = ["StepContext", "node_error"]

# libuv's words for errors: scripts and people know them from the reference
_WORDS = {
    "ENOENT": "no such file or directory",
    "EACCES": "permission denied",
    "EPERM": "operation not permitted",
    "EEXIST": "file already exists",
    "EISDIR": "illegal operation on a directory",
    "ENOTDIR": "not a directory",
    "ENOTEMPTY": "directory not empty",
    "ENOSPC": "no space left on device",
    "EROFS": "read-only file system",
}


def node_error(error: OSError, call: str) -> OSError:
    """Give an ``OSError`` the text that Node gives: ``ENOENT: no such file or directory, open '…'``."""
    import errno  # noqa: PLC0415 - only where something failed

    code = errno.errorcode.get(error.errno or 0, "EIO")
    words = _WORDS.get(code, (error.strerror or "input/output error").lower())
    error.js_message = f"{code}: {words}, {call} '{error.filename}'"  # type: ignore[attr-defined]
    error.code = code  # type: ignore[attr-defined]
    return error


class StepContext:
    """One step that Python executes.

    Parameters:
        engine: the engine.
        run: the run.
        call: the rendered step.
    """

    def __init__(self, engine: Engine, run: Run, call: Call) -> None:
        self.engine = engine
        self.run = run
        self.call = call
        self.index = call.index
        self.cwd = call.cwd
        self.step: Mapping[str, Any] = call.step

    @property
    def params(self) -> dict[str, Any]:
        """The step's params as an object; an empty one when there are none."""
        value = self.call.params
        return value if isinstance(value, dict) else {}

    @property
    def raw_params(self) -> Any:
        """The step's params as they are; UNDEFINED when there are none."""
        return self.call.params if self.call.has_params else wire.UNDEFINED

    @property
    def stopping(self) -> asyncio.Event:
        """Set when the run is to stop."""
        return self.run.stopping

    def require(self, key: str, *, what: str = "text") -> Any:
        """Return a parameter that must be there.

        Raises:
            StepError: it is missing.
        """
        value = self.params.get(key, wire.UNDEFINED)
        if value is wire.UNDEFINED or value is None or value == "":
            raise StepError(
                f"step {self.index}: {self.call.method} needs '{key}' ({what})",
                script=self.run.path,
                index=self.index,
                method=self.call.method,
            )
        return value

    def resolve(self, uri: Any) -> Path:
        """Return the path of a URI, relative to the run's folder (spec §2.11)."""
        if not isinstance(uri, str):
            error = TypeError(
                f"Cannot read properties of {'undefined' if uri is wire.UNDEFINED else uri} (reading 'startsWith')"
            )
            error.js_name = "TypeError"  # type: ignore[attr-defined]
            raise error
        return Path(os.path.normpath(resolve(uri, self.cwd, self.engine.home)))

    def stream(self, raw: str) -> None:
        """Print text."""
        self.engine.emit(self.run, "stream", {"raw": raw}, self.index)

    def emit(self, kind: str, data: Any) -> None:
        """Tell an event."""
        self.engine.emit(self.run, kind, data, self.index)

    async def sleep(self, seconds: float) -> bool:
        """Wait; False when the run is to stop."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except (asyncio.TimeoutError, TimeoutError):
            return True
        return False
