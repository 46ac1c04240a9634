"""Processes that are measured: spoken to by lines of JSON, watched for memory, ended by pid."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Child", "ChildError", "MemoryWatch", "cpu_seconds", "end_process", "memory"]

MB = 1e6


class ChildError(Exception):
    """A measured process ended, failed or took too long."""


def end_process(pid: int) -> None:
    """End a process that this one started, and what it started."""
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        tree = [*top.children(recursive=True), top]
        for process in tree:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(tree, timeout=5)


def memory(pids: Sequence[int]) -> dict[str, float]:
    """Return resident and proportional memory of processes, MB, each and together."""
    out = {"rss": 0.0, "pss": 0.0}
    for pid in pids:
        info = psutil.Process(pid).memory_full_info()
        out["rss"] += info.rss / MB
        out["pss"] += info.pss / MB
    for number, pid in enumerate(pids):
        out[f"rss_{number}"] = psutil.Process(pid).memory_info().rss / MB
    return {key: round(value, 1) for key, value in out.items()}


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the processor time that processes have used, s."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(item.user + item.system for item in times)


class MemoryWatch:
    """Samples the resident memory of processes, their children excluded, until it is left."""

    def __init__(self, pids: Sequence[int], every: float = 0.02) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = 0.0
        self.peaks = [0.0] * len(self._processes)

    def _watch(self) -> None:
        while not self._over.wait(self._every):
            self._sample()

    def _sample(self) -> None:
        with contextlib.suppress(psutil.Error):
            each = [process.memory_info().rss / MB for process in self._processes]
            self.peak = max(self.peak, sum(each))
            self.peaks = [max(pair) for pair in zip(self.peaks, each, strict=True)]

    def __enter__(self) -> MemoryWatch:  # noqa: PYI034 - Python 3.10 has no Self
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._sample()


class Child:
    """A process that answers every line of JSON with one."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._begun = time.perf_counter()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=dict(env), cwd=cwd
        )
        self._rest = b""
        self.hello: dict[str, Any] = {}
        self.pids: list[int] = [self._process.pid]

    def greeted(self, timeout: float = 120.0) -> Child:
        """Wait for the first line."""
        self.hello = self._line(timeout)
        if self.hello.get("error"):
            raise ChildError(self.hello["error"])
        self.pids = list(self.hello["pids"])
        return self

    def ask(self, timeout: float = 900.0, **message: Any) -> dict[str, Any]:
        """Send a message, and return the answer.

        Raises:
            ChildError: it ended, or took longer.
        """
        assert self._process.stdin is not None
        self._begun = time.perf_counter()
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None
        return self._line(timeout)

    def run(self, script: Path, timeout: float = 900.0) -> dict[str, Any]:
        """Run a script; fail unless it is done."""
        cpu = cpu_seconds(self.pids)
        answer = self.ask(timeout, op="run", script=str(script))
        if answer.get("status") != "done":
            raise ChildError(f"{script.name}: {answer.get('status')}: {answer.get('error')}")
        return {**answer, "cpu_s": round(cpu_seconds(self.pids) - cpu, 3)}

    def _line(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        deadline = self._begun + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                left = deadline - time.perf_counter()
                if left <= 0 or not selector.select(left):
                    raise ChildError(f"not done after {timeout:.0f} s")
                data = os.read(self._process.stdout.fileno(), 1 << 16)
                if not data:
                    raise self._gone()
                self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _gone(self) -> ChildError:
        code = self._process.wait()
        seconds = time.perf_counter() - self._begun
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip()
        if "heap out of memory" in said:
            return ChildError(f"out of memory after {seconds:.0f} s")
        return ChildError(f"ended with {code} after {seconds:.0f} s: {' '.join(said.splitlines()[-3:])}")

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            if self._process.poll() is None:
                self._process.stdin.write(b'{"op": "quit"}\n')
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            end_process(self._process.pid)
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


@contextlib.contextmanager
def running(child: Child) -> Iterator[Child]:
    """Wait for the child's first line; end it when it is left."""
    try:
        yield child.greeted()
    finally:
        child.close()
