"""Pseudo terminals: starting a program on one, reading and writing it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pinokiocloud.errors import ShellError

__all__ = ["PtyTerminal", "Terminal"]

_READ = 65536
_BURST = 1 << 18  # bytes taken before other work gets a turn
_POLL = 0.1  # s, where the system has no pidfd


class Terminal(Protocol):
    """A program on a terminal, whoever holds it."""

    pid: int

    def write(self, data: bytes) -> None:
        """Type bytes."""

    def resize(self, cols: int, rows: int) -> None:
        """Change the window's size."""

    def close(self) -> None:
        """Let go of the terminal; the program is not ended."""


class PtyTerminal:
    """A program on a pty that this process holds.

    Parameters:
        argv: the program and its arguments.
        env: its whole environment.
        cwd: its folder.
        cols, rows: the window's size, characters.
        on_data: gets every chunk of output.
        on_exit: gets the exit code (negative: the signal) when the program has ended and all output was read.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        cols: int = 100,
        rows: int = 30,
        on_data: Callable[[bytes], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_data = on_data
        self._on_exit = on_exit
        self._pending = bytearray()
        self._writing = False
        self._ended = False
        self._reading = True
        self._master, slave = os.openpty()
        try:
            self._resize(cols, rows)
            os.set_blocking(self._master, False)
            name = os.ttyname(slave)
            # A session leader gets the terminal that it opens as its controlling one: sh opens it, then is replaced.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", 'exec "$@" 0<>"$0" 1>&0 2>&0', name, *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._master)
            os.close(slave)
            raise ShellError(f"a shell could not be started: {error}", path=cwd, argv=list(argv)) from error
        self.pid = self._process.pid
        self._slave = slave  # kept until the program ends: without anybody on that side a read fails with EIO
        self._pidfd = -1
        self._poller: asyncio.TimerHandle | None = None
        self._watch_exit()
        self._loop.add_reader(self._master, self._ready)

    def _watch_exit(self) -> None:
        """Learn of the program's end also when something that it started keeps the terminal open."""
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(self.pid)
                self._loop.add_reader(self._pidfd, self._gone)
                return
        self._poller = self._loop.call_later(_POLL, self._look)

    def _look(self) -> None:
        if self.poll() is None and self._master >= 0:
            self._poller = self._loop.call_later(_POLL, self._look)

    def _gone(self) -> None:
        self._unwatch()
        if self._process.poll() is None:  # not to be collected yet: look again
            self._poller = self._loop.call_later(0.002, self._look)
        else:
            self.poll()

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._poller is not None:
            self._poller.cancel()
            self._poller = None

    # ---- reading ------------------------------------------------------------------------------------------------
    def _ready(self) -> None:
        if self._master < 0:
            return  # closed since this was scheduled
        taken = 0
        parts = []
        end = drained = False
        while taken < _BURST:
            try:
                data = os.read(self._master, _READ)
            except BlockingIOError:
                drained = True
                break
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                end = True
                break
            if not data:
                end = True
                break
            parts.append(data)
            taken += len(data)
        if parts:
            self._on_data(b"".join(parts))
        # what it left running may keep the terminal open for ever: then there is no end to be read
        if end or (self._ended and drained):
            self._finish()

    def _drop_slave(self) -> None:
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1

    def pause(self) -> None:
        """Stop reading: the program waits when its terminal is full."""
        if self._reading and self._master >= 0:
            self._reading = False
            self._loop.remove_reader(self._master)

    def resume(self) -> None:
        """Go on reading."""
        if not self._reading and self._master >= 0:
            self._reading = True
            self._loop.add_reader(self._master, self._ready)

    def poll(self) -> int | None:
        """Return the exit code when the program has ended, and see to it that the rest of the output is read."""
        code = self._process.poll()
        if code is not None and not self._ended:
            self._ended = True
            self._drop_slave()
            if self._master >= 0:
                self._loop.call_soon(self._ready)
        return code

    def _finish(self) -> None:
        if self._master < 0:
            return
        self.close()
        self._await_exit(time.monotonic() + 5.0)

    def _await_exit(self, deadline: float) -> None:
        code = self._process.poll()
        if code is None and time.monotonic() < deadline:
            self._loop.call_later(0.002, self._await_exit, deadline)
            return
        self._on_exit(-9 if code is None else code)

    # ---- writing ------------------------------------------------------------------------------------------------
    def write(self, data: bytes) -> None:
        """Type bytes; what the terminal cannot take yet follows later."""
        if self._master < 0:
            raise ShellError("the shell has ended")
        self._pending += data
        self._flush()

    def _flush(self) -> None:
        while self._pending and self._master >= 0:
            try:
                sent = os.write(self._master, self._pending[:4096])
            except BlockingIOError:
                if not self._writing:
                    self._writing = True
                    self._loop.add_writer(self._master, self._flush)
                return
            except OSError:
                self._pending.clear()  # the program is gone; on_exit tells
                break
            del self._pending[:sent]
        if self._writing and self._master >= 0:
            self._writing = False
            self._loop.remove_writer(self._master)

    def _resize(self, cols: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def resize(self, cols: int, rows: int) -> None:
        """Change the window's size."""
        if self._master >= 0:
            self._resize(cols, rows)

    def edits_line(self) -> bool:
        """Whether the program itself, and nothing that it started, reads keys one by one: a shell at its prompt."""
        if self._master < 0:
            return False
        try:
            return os.tcgetpgrp(self._master) == self.pid and not termios.tcgetattr(self._master)[3] & termios.ICANON
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the terminal; the program gets a hang-up, and is not waited for."""
        if self._master < 0:
            return
        if self._reading:
            self._loop.remove_reader(self._master)
        if self._writing:
            self._loop.remove_writer(self._master)
        self._drop_slave()
        self._unwatch()
        with contextlib.suppress(OSError):
            os.close(self._master)
        self._master = -1

    async def reap(self, limit: float = 2.0) -> int | None:
        """Wait until the program has been collected; return its exit code, None when it is still there."""
        deadline = time.monotonic() + limit
        while self._process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
        return self._process.poll()
