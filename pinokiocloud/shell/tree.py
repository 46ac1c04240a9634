"""Process trees: everything that a shell started, also what detached itself from it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["SHELL_VARIABLE", "ProcessIdentity", "end_tree", "identity", "tree"]

#: Carried by every process of a shell: finds those that left its session (``nohup``, ``setsid``, daemons).
SHELL_VARIABLE = "_PKC_SHELL"


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: float


@dataclass(frozen=True)
class _Entry:
    pid: int
    parent: int
    session: int
    ended: bool
    started: float  # on a clock of its own


def identity(pid: int) -> ProcessIdentity | None:
    """Return the identity of a living process, None when there is none."""
    try:
        return ProcessIdentity(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _table() -> list[_Entry]:
    """Return every process that can be seen: pid, parent, session."""
    entries = []
    if sys.platform == "linux":
        for name in os.listdir("/proc"):  # noqa: PTH208 - a hot path: once a shell step
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                    text = file.read()
            except OSError:
                continue
            fields = text[text.rindex(b")") + 2 :].split()
            # A process whose main thread is gone is a zombie already while its other threads still hold its ports.
            ended = fields[0] == b"Z" and int(fields[17]) <= 1
            entries.append(_Entry(int(name), int(fields[1]), int(fields[3]), ended, float(fields[19])))
        return entries
    for process in psutil.process_iter(["pid", "ppid", "create_time"]):
        with contextlib.suppress(OSError, psutil.Error):
            info = process.info
            session, started = os.getsid(process.pid), info["create_time"] or 0.0
            entries.append(_Entry(process.pid, info["ppid"] or 0, session, ended=False, started=started))
    return entries


def _variables(pid: int) -> list[bytes]:
    """Return the variables that a process was started with; nothing where they cannot be seen."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def tree(root: int, shell_id: str) -> list[int]:
    """Return the living processes of a shell, its own first.

    Parameters:
        root: pid of the shell, which leads its session.
        shell_id: the shell's id, as its processes carry it in ``_PKC_SHELL``.
    """
    table = _table()
    marker = f"{SHELL_VARIABLE}={shell_id}".encode()
    own = os.getpid()
    # Pids come round: a process with the root's pid but not its mark is a stranger, and so is its session.
    variables = _variables(root)
    ours = not variables or marker in variables
    found = {entry.pid for entry in table if root in (entry.pid, entry.session)} if ours else set()
    grew = True
    while grew:
        grew = False
        for entry in table:
            if entry.parent in found and entry.pid not in found:
                found.add(entry.pid)
                grew = True
    since = next((entry.started for entry in table if entry.pid == root and ours), 0.0)
    for entry in table:
        # What was reparented carries only the variable; a lower pid may be a later process.
        if entry.pid not in found and entry.started >= since and not entry.ended and marker in _variables(entry.pid):
            found.add(entry.pid)
    found.discard(own)
    alive = [entry.pid for entry in table if entry.pid in found and not entry.ended]
    return sorted(alive, key=lambda pid: (pid != root, pid))


async def end_tree(root: int, shell_id: str, *, grace: float = 0.0, limit: float = 5.0) -> list[int]:
    """End every process of a shell.

    Parameters:
        root: pid of the shell.
        shell_id: its id.
        grace: seconds between SIGTERM and SIGKILL; 0 kills at once, as the reference does (spec §2.8).
        limit: seconds after which this gives up.

    Returns:
        The pids that were still alive at the end: empty but for processes that cannot be killed.
    """
    deadline = time.monotonic() + limit
    if grace > 0:
        for pid in tree(root, shell_id):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM)
        soft = time.monotonic() + grace
        while time.monotonic() < soft and tree(root, shell_id):
            await asyncio.sleep(0.02)
    pause = 0.001
    while True:
        alive = tree(root, shell_id)
        if not alive or time.monotonic() > deadline:
            return alive
        for pid in alive:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.05)
