"""``pinokiocloud run``: one script, with its output on the terminal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from pinokiocloud.engine import Engine
from pinokiocloud.events import Event
from pinokiocloud.prompts import PresetPrompter, Prompter, TerminalPrompter, UnattendedPrompter
from pinokiocloud.script import wire
from pinokiocloud.script.run import Run, RunResult
from pinokiocloud.shell.text import strip_ansi

__all__ = ["EXIT_CODES", "RunOptions", "run_script"]

#: The exit code of each status (``--help`` and docs/cli.md).
EXIT_CODES = {"done": 0, "daemon": 0, "error": 1, "rejected": 3, "stopped": 0, "timeout": 124}
_SIGNALLED = 128
_BUILT_IN = {"error:", "errno "}


@dataclass(frozen=True)
class RunOptions:
    """The options of ``pinokiocloud run``."""

    script: str
    args: Any
    has_args: bool
    answers: list[Any]
    home: Path | None
    timeout: float | None
    strict: bool
    trace: Path | None
    as_json: bool
    action: str
    stop_after: float | None
    detach_after: float | None
    fail_on_exit_code: bool
    unattended: bool


class _Screen:
    """Shows events to a person."""

    def __init__(self, out: TextIO, *, quiet: bool, on_lost: Callable[[], None]) -> None:
        self._out = out
        self._on_lost = on_lost
        #: Why nothing more can be shown: the reader went away, the disk is full.
        self.lost: OSError | None = None
        self._quiet = quiet
        self._colour = out.isatty()

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def show(self, event: Event) -> None:
        """Show one event."""
        if self._quiet:
            return
        try:
            self._show(event)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Nobody sees what is written any more: say so once, by an end."""
        self.lost = error
        self._quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered must not fail again at exit
        self._on_lost()

    def _show(self, event: Event) -> None:
        data = event.data
        if event.kind == "stream":
            raw = data.get("raw", "") if isinstance(data, dict) else str(data)
            self._out.write(str(raw) if self._colour else plain(str(raw)))
        elif event.kind == "step":
            number = event.index + 1 if isinstance(event.index, int) else event.index
            self._line(f"── step {number} of {data['total']} · {data['method']}", "1")
        elif event.kind == "notify":
            self._line(f"notice: {_text(data)}", "36")
        elif event.kind == "web.open":
            self._line(f"open: {data.get('uri')}", "36")
        elif event.kind == "warning":
            self._line(f"warning: step {event.index}: {data['message']}", "33")
        elif event.kind == "exit":
            self._line(f"step {event.index}: exit code {data['code']}", "33")
        elif event.kind == "local" and "url" in data["keys"]:
            self._line(f"address: {data['local'].get('url')}", "32")
        self._out.flush()

    def _line(self, text: str, code: str) -> None:
        self._out.write(f"{self._paint(text, code)}\n")

    def end(self, result: RunResult) -> None:
        """Show how it ended."""
        if self._quiet or result.ok:
            return
        try:
            self._end(result)
        except OSError as error:
            self._give_up(error)

    def _end(self, result: RunResult) -> None:
        colour = "33" if result.status == "stopped" else "31"
        index = result.detail.get("index")
        where = result.script + (f", step index {index}" if index is not None else "")
        self._line(f"\n{result.status}: {where}", colour)
        if result.message:
            self._line(result.message, colour)
        self._failure(result.detail, colour)

    def _failure(self, detail: dict[str, Any], colour: str) -> None:
        """Show why a shell step failed: the lines that did it, and what to do where the text alone did."""
        lines = [str(line) for line in detail.get("lines") or []]
        words = [str(word) for word in detail.get("errors") or []]
        guilty = [line for line in lines if any(word in line for word in words)] or lines[-5:]
        for line in guilty[-5:]:
            self._line(f"  {line}", colour)
        if detail.get("exit_code"):
            self._line(f"  exit code {detail['exit_code']}", colour)
        if words and all(word.lower() in _BUILT_IN for word in words):
            self._line(
                '  The original ends a step at "error:" in its output, too. If it is harmless, the script can', "33"
            )
            self._line('  let it pass: "on": [{"event": "/error:/i", "break": false}]', "33")


def plain(text: str) -> str:
    """Return terminal text for a pipe or file: no colours, one line an update."""
    return strip_ansi(text).replace("\r\n", "\n").replace("\r", "\n")


def _text(data: Any) -> str:
    return str(data.get("html") or data.get("message") or data) if isinstance(data, dict) else str(data)


def _prompter(options: RunOptions) -> Prompter:
    last: Prompter = UnattendedPrompter() if options.unattended or options.as_json else TerminalPrompter()
    return PresetPrompter(options.answers, last)


class _Keyboard:
    """Hands the lines that a person types to the shell that asked for input (``input: true``)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shell: str | None = None
        self._reading = False

    def see(self, event: Event) -> None:
        """Notice a shell that takes input."""
        if event.kind != "shell" or not event.data["input"] or not sys.stdin.isatty():
            return
        self._shell = event.data["id"]
        if not self._reading:
            self._reading = True
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._typed)

    def _typed(self) -> None:
        line = sys.stdin.readline()
        shell = self._engine.shell(self._shell or "")
        if not line or shell is None or not shell.alive:
            self.close()
            return
        shell.write(line)

    def close(self) -> None:
        """Let go of the keyboard."""
        if self._reading:
            self._reading = False
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


async def _later(seconds: float, run: Run, reason: str) -> None:
    await asyncio.sleep(seconds)
    await run.stop(reason)


async def _run(options: RunOptions) -> int:
    interrupted = asyncio.Event()
    screen = _Screen(sys.stdout, quiet=options.as_json, on_lost=interrupted.set)
    signals: list[int] = []

    def interrupt(number: int) -> None:
        signals.append(number)
        interrupted.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupt, number)
    engine = Engine(
        options.home,
        prompter=_prompter(options),
        strict=options.strict,
        trace=options.trace,
        fail_on_exit_code=options.fail_on_exit_code,
    )
    async with engine:
        engine.callbacks.append(screen.show)
        keyboard = _Keyboard(engine)
        engine.callbacks.append(keyboard.see)
        run = await engine.start(
            options.script, args=options.args if options.has_args else wire.UNDEFINED, action=options.action
        )
        try:
            result = await _watch(options, engine, run, interrupted, screen)
        finally:
            keyboard.close()
        engine.write_end(result)
    if options.as_json:
        sys.stdout.write(json.dumps(result.to_dict(), ensure_ascii=False) + "\n")
    if signals:
        return _SIGNALLED + signals[0]
    if screen.lost is not None:
        if isinstance(screen.lost, BrokenPipeError):
            return _SIGNALLED + signal.SIGPIPE
        sys.stderr.write(f"pinokiocloud: the output cannot be written: {screen.lost.strerror}\n")
        return 1
    return EXIT_CODES[result.status]


async def _watch(
    options: RunOptions, engine: Engine, run: Run, interrupted: asyncio.Event, screen: _Screen
) -> RunResult:
    """Wait for the end, a limit, or Ctrl-C."""
    timers = []
    if options.timeout is not None:
        timers.append(asyncio.ensure_future(_later(options.timeout, run, "timeout")))
    if options.stop_after is not None:
        timers.append(asyncio.ensure_future(_later(options.stop_after, run, "stopped")))
    steps = asyncio.ensure_future(run.wait())
    stop = asyncio.ensure_future(interrupted.wait())
    try:
        await asyncio.wait({steps, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not steps.done():
            await run.stop()
        result = await steps
        if result.status == "daemon":
            engine.write_end(result)  # its steps are done: who reads the trace need not wait for its stop
            result = await _stay(options, run, stop, result)
    finally:
        stop.cancel()
        for timer in timers:
            timer.cancel()
    screen.end(result)
    return result


async def _stay(options: RunOptions, run: Run, stop: asyncio.Future[Any], result: RunResult) -> RunResult:
    """Keep a daemon up until Ctrl-C, its stop, or a time limit; its end is not a failure."""
    over = asyncio.ensure_future(run.wait_finished())
    await asyncio.wait({over, stop}, timeout=options.detach_after, return_when=asyncio.FIRST_COMPLETED)
    if run.result is not None and isinstance(run.local, dict):
        result = replace(result, local=run.local)
    await run.stop()
    await over
    return result


def run_script(options: RunOptions) -> int:
    """Run a script to its end; return the exit code."""
    return asyncio.run(_run(options))
