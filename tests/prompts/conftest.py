from __future__ import annotations

import os
import pty
import select
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LIMIT = 15.0


class OnTerminal:
    """The command line on a terminal of its own, with a person before it."""

    def __init__(self, *argv: str, home: Path) -> None:
        pid, self.master = pty.fork()
        if pid == 0:
            os.environ.update(PINOKIO_HOME=str(home), TERM="xterm")
            os.execv(sys.executable, [sys.executable, "-m", "pinokiocloud", *argv])
        self.pid = pid
        self.shown = b""
        self.code: int | None = None

    def _read(self) -> bytes | None:
        """Give what is shown now, nothing after a moment without anything, None at the end."""
        if not select.select([self.master], [], [], 0.5)[0]:
            return b""
        try:
            return os.read(self.master, 65536) or None
        except OSError:
            return None

    def until(self, text: str) -> str:
        """Read until a text is shown, after what was waited for before; give what was shown."""
        deadline = time.monotonic() + LIMIT
        found = b""
        while text.encode() not in found:
            assert time.monotonic() < deadline, f"{text!r} was not shown: {self.shown!r}"
            data = self._read()
            assert data is not None, f"{text!r} was not shown before the end: {self.shown!r}"
            found += data
            self.shown += data
        return found.decode("utf-8", "replace")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Read to the end; give the exit code."""
        if self.code is None:
            deadline = time.monotonic() + LIMIT
            while (data := self._read()) is not None:
                assert time.monotonic() < deadline, f"it did not end: {self.shown!r}"
                self.shown += data
            _, status = os.waitpid(self.pid, 0)
            self.code = os.waitstatus_to_exitcode(status)
        return self.code

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def close(self) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)


@pytest.fixture
def terminal(home: Path) -> Iterator[Callable[..., OnTerminal]]:
    opened: list[OnTerminal] = []

    def go(*argv: str) -> OnTerminal:
        opened.append(OnTerminal(*argv, home=home))
        return opened[-1]

    yield go
    for item in opened:
        item.close()
