"""The short way from Python: run a script, evaluate a menu, load a script; with an event loop and without.

Runs belong to an engine that lives in a thread of this process, one for each home folder: what a script leaves running
(a daemon) goes on when the call returns, until ``stop`` or the end of the process.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from pinokiocloud.apps import launcher
from pinokiocloud.apps import menu as menus
from pinokiocloud.engine import Engine
from pinokiocloud.events import Event
from pinokiocloud.prompts import PresetPrompter, TerminalPrompter
from pinokiocloud.script import wire
from pinokiocloud.script.run import Run, RunResult

__all__ = [
    "evaluate_menu",
    "evaluate_menu_sync",
    "load_script",
    "load_script_sync",
    "run",
    "run_sync",
    "runs",
    "stop",
    "stop_sync",
]

_T = TypeVar("_T")
_CLOSING = 15.0  # s that the engines have at the end of the process

evaluate_menu = menus.evaluate_menu
load_script = launcher.load_script


class _Runtime:
    """A thread with an event loop, and the engines in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engines: dict[tuple[str, bool], asyncio.Task[Engine]] = {}
        self._pid = 0
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop; its thread is started on first use, and again in a forked process."""
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._engines = {}
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="pinokiocloud", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            return self._loop

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Do something in the loop's thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop())

    async def engine(self, home: str | os.PathLike[str] | None, *, strict: bool) -> Engine:
        """Return the engine of a home folder; called in the loop's thread."""
        key = (os.fspath(home) if home is not None else os.environ.get("PINOKIO_HOME", ""), strict)
        if key not in self._engines:
            self._engines[key] = asyncio.ensure_future(Engine(home, strict=strict).open())
        try:
            return await asyncio.shield(self._engines[key])
        except BaseException:
            opening = self._engines.get(key)  # several may have waited for it
            if opening is not None and opening.done():
                del self._engines[key]
            raise

    async def engines(self) -> list[Engine]:
        """Return the engines that are open."""
        return [task.result() for task in self._engines.values() if task.done() and not task.exception()]

    async def _close(self) -> None:
        await asyncio.gather(*(engine.close() for engine in await self.engines()), return_exceptions=True)
        self._engines.clear()

    def close(self) -> None:
        """Stop everything; called at the end of the process."""
        if self._loop is None or self._pid != os.getpid():
            return
        loop, self._loop = self._loop, None
        with contextlib.suppress(Exception):  # the process ends: there is nobody to tell
            asyncio.run_coroutine_threadsafe(self._close(), loop).result(_CLOSING)
        loop.call_soon_threadsafe(loop.stop)
        if self._thread is not None:
            self._thread.join(_CLOSING)
        if not loop.is_running():
            loop.close()


_RUNTIME = _Runtime()


def _absolute(script: str | os.PathLike[str]) -> str:
    """A relative path counts from the caller's folder now, whatever it is later."""
    text = os.fspath(script)
    here = Path.cwd() / text
    return str(here) if not text.startswith(("http://", "https://", "~/", "/")) and here.exists() else text


async def _start(
    script: str, home: str | os.PathLike[str] | None, args: Any, answers: Iterable[Any],
    on_event: Callable[[Event], None] | None, action: str, strict: bool,
) -> Run:  # fmt: skip
    engine = await _RUNTIME.engine(home, strict=strict)
    prompter = PresetPrompter(answers, TerminalPrompter())
    return await engine.start(script, args=args, action=action, on_event=on_event, prompter=prompter)


async def _run(
    script: str, home: str | os.PathLike[str] | None, args: Any, answers: Iterable[Any],
    on_event: Callable[[Event], None] | None, action: str, timeout: float | None, strict: bool,
) -> RunResult:  # fmt: skip
    started = await _start(script, home, args, answers, on_event, action, strict)
    try:
        return await asyncio.wait_for(asyncio.shield(started.wait()), timeout)
    except (asyncio.TimeoutError, TimeoutError):
        return await started.stop("timeout")
    except asyncio.CancelledError:
        await started.stop()
        raise


async def run(
    script: str | os.PathLike[str],
    *,
    args: Any = wire.UNDEFINED,
    answers: Iterable[Any] = (),
    on_event: Callable[[Event], None] | None = None,
    home: str | os.PathLike[str] | None = None,
    action: str = "run",
    timeout: float | None = None,
    strict: bool = False,
) -> RunResult:
    """Run a script and return when its steps are done; what a daemon started stays up.

    Parameters:
        script: a path, ``~/…`` (below the home folder), or the git address of an installed app.
        args: its arguments; JSON-like.
        answers: the answers to its questions, in order.
        on_event: gets what it tells while it goes on; called in another thread.
        home: the home folder; by default ``PINOKIO_HOME``, else ``~/pinokio``.
        action: the list of steps.
        timeout: seconds after which it is stopped.
        strict: follow the reference also where it is wrong (architecture §4).

    Returns:
        How it ended; true when it did what it should. A failing script is no exception.

    Raises:
        PinokioError: the engine could not be started, or the script is running already.
    """
    work = _run(_absolute(script), home, args, answers, on_event, action, timeout, strict)
    return await asyncio.wrap_future(_RUNTIME.submit(work))


def run_sync(script: str | os.PathLike[str], **options: Any) -> RunResult:
    """Run a script, for code without an event loop; the options are those of ``run``.

    Ctrl-C (an interrupted notebook cell) stops the script.
    """
    options = {
        "args": wire.UNDEFINED, "answers": (), "on_event": None, "home": None, "action": "run", "timeout": None,
        "strict": False, **options,
    }  # fmt: skip
    future = _RUNTIME.submit(_run(_absolute(script), **options))
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


async def _stop(script: str) -> RunResult | None:
    for engine in await _RUNTIME.engines():
        result = await engine.stop(script)
        if result is not None:
            return result
    return None


async def stop(script: str | os.PathLike[str]) -> RunResult | None:
    """Stop a script that is running or stays up; None when it does not run."""
    return await asyncio.wrap_future(_RUNTIME.submit(_stop(_absolute(script))))


def stop_sync(script: str | os.PathLike[str]) -> RunResult | None:
    """Stop a script, for code without an event loop."""
    return _RUNTIME.submit(_stop(_absolute(script))).result()


def runs() -> list[Run]:
    """Return the runs that go on, daemons included."""

    async def collect() -> list[Run]:
        return [item for engine in await _RUNTIME.engines() for item in engine.runs.values()]

    return _RUNTIME.submit(collect()).result()


def evaluate_menu_sync(app: str | os.PathLike[str], **options: Any) -> menus.Menu:
    """Evaluate an app's menu, for code without an event loop; the options are those of ``evaluate_menu``."""
    return _RUNTIME.submit(evaluate_menu(app, **options)).result()


def load_script_sync(path: str | os.PathLike[str], **options: Any) -> launcher.Script:
    """Load a script, for code without an event loop; the options are those of ``load_script``."""
    return _RUNTIME.submit(load_script(path, **options)).result()
