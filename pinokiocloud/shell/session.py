"""One shell: bash on a terminal, its output, its events and its end (spec §4.2.4)."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import re
import secrets
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pinokiocloud.errors import PinokioError, ShellError
from pinokiocloud.shell.marks import Marks
from pinokiocloud.shell.scan import End, OutputScanner
from pinokiocloud.shell.terminal import PtyTerminal
from pinokiocloud.shell.text import PlainText
from pinokiocloud.shell.tree import SHELL_VARIABLE, ProcessIdentity, end_tree, identity

__all__ = ["PROMPT", "Outcome", "ShellSession", "ShellSpec"]

PROMPT = "<<PINOKIO_SHELL>>"
_BASHRC = Path(__file__).parent / "bashrc"
_TAIL = 1 << 20  # bytes of raw output kept for the screen text
_COALESCE = 0.004  # s: output that belongs together arrives together
_BATCH = 0.05  # s between two notes to viewers
_EDITING = b"\x1b[?2004h"  # readline has the terminal
_TYPED = b"\x1b[?2004l\r"  # readline gives it back: a line was entered
_PROMPT_LIMIT = 0.2  # s, for a readline that does not tell
_UNMARKED = 0.05  # s that a prompt has for its mark before it counts as one without
_HIGH_WATER = 1 << 22  # bytes that wait for the scanner before reading pauses

_LINE_END = re.compile(r"\r\n|\r|\n")  # a script with Windows line ends means lines as well
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")  # keys to readline; a tab is switched off as one

Call = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class ShellSpec:
    """What a shell is to do.

    Parameters:
        line: the text that is typed, None for nothing.
        cwd: its folder.
        env: its whole environment.
        on: the step's event handlers.
        program: the shell's program; bash is driven with marks, others by their end.
        persistent: whether the shell stays when its command is done.
        live: whether an error in the output ends the step at once.
        id: the shell's id.
        group: the run that it belongs to.
        cols, rows: the terminal's size, characters.
        log: file that gets every byte of output.
        echo: whether events also see the line that is typed, as in the reference (``strict``).
        once: run ``line`` as ``program -c``, without marks and prompt (``sudo``).
    """

    line: str | None
    cwd: Path
    env: Mapping[str, str]
    on: Any = None
    program: str = "bash"
    persistent: bool = False
    live: bool = True
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    group: str = ""
    cols: int = 100
    rows: int = 30
    log: Path | None = None
    echo: bool = False
    once: bool = False


@dataclass(frozen=True)
class Outcome:
    """How the command of a shell ended.

    Attributes:
        kind: ``prompt`` (the command is done), ``exit`` (the shell ended), ``done``, ``kill``, ``break``, ``stopped``,
            ``incomplete`` (an unclosed quote or block: bash waits for more).
        code: exit code of the command or the shell; None when it goes on.
    """

    kind: str
    code: int | None = None
    handler: int = -1


class ShellSession:
    """A shell and what goes on in it.

    Parameters:
        spec: what it is to do.
        call: calls the script host, for events and the screen's text.
        on_output: gets the raw text for viewers, in batches.
        on_fired: gets ``trigger`` and ``notify`` handlers that matched.
    """

    _numbers = iter(range(1, 1 << 62))

    def __init__(
        self,
        spec: ShellSpec,
        *,
        call: Call,
        on_output: Callable[[str], None],
        on_fired: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self.spec = spec
        self.id = spec.id
        self._call = call
        self._on_output = on_output
        self._token = secrets.token_hex(8)
        self._family = secrets.token_hex(8)  # marks its processes; the id is the script's, and may not be unique
        self._marks = Marks(self._token)
        self._plain = PlainText()
        self._viewer = codecs.getincrementaldecoder("utf-8")("replace")
        self.scanner = OutputScanner(call, next(self._numbers), spec.on, live=spec.live, on_fired=on_fired)
        self._terminal: PtyTerminal | None = None
        self._log: IO[bytes] | None = None
        self._raw = bytearray()  # the tail of everything, for the screen
        self._said = bytearray()  # the tail of what commands printed, for the final check
        self._batch: list[bytes] = []
        self._batch_timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._waiting_bytes = 0
        self._in_command = spec.once
        self._lines: list[str] = []
        self._code: int | None = None
        self._prompts = 0
        self._idle = False
        self._awaiting: bytearray | None = None
        self._in_continuation = False
        self._incomplete = False
        self._marked = os.path.basename(spec.program) == "bash" and not spec.once  # noqa: PTH119 - a program's name
        self._marks_lost = False
        self._unmarked_timer: asyncio.TimerHandle | None = None
        self._total = 0  # bytes of all output
        self._prompted = 0  # where in it the last prompt began
        self._prompt_timer: asyncio.TimerHandle | None = None
        self._exit: int | None = None
        self._stopped = False
        self._echo = bytearray()
        self._program: ProcessIdentity | None = None
        self._detached: asyncio.Task[None] | None = None
        self.started = time.time()
        self.ended = False

    # ---- life -----------------------------------------------------------------------------------------------------
    @property
    def pid(self) -> int | None:
        """The shell's process id."""
        return self._terminal.pid if self._terminal else None

    @property
    def process(self) -> ProcessIdentity | None:
        """The shell's process: pid and start time."""
        return self._program

    @property
    def alive(self) -> bool:
        """Whether the shell's program is still there."""
        return self._terminal is not None and not self.ended and self._exit is None

    def _argv(self) -> list[str]:
        program = self.spec.program
        if self.spec.once:
            return [program, "-c", self.spec.line or "true"]
        if os.path.basename(program) == "bash":  # noqa: PTH119 - a program's name, not a file
            # --rcfile would let the machine's own bashrc run first: ours is typed instead, see start()
            return [program, "--noprofile", "--norc", "-i"]
        return [program, "-c", self.spec.line] if self.spec.line else [program]

    async def start(self) -> None:
        """Start the shell.

        Raises:
            ShellError: the program or the folder cannot be used, or an event is no regular expression.
        """
        spec = self.spec
        await self.scanner.open()
        if self.ended:
            raise ShellError(f"the shell {self.id} was ended before it was started", id=self.id)
        self._check_program()
        try:
            spec.cwd.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise ShellError(f"the folder {spec.cwd} cannot be used: it is a file", path=str(spec.cwd)) from None
        except OSError as error:
            raise ShellError(f"the folder {spec.cwd} cannot be made: {error.strerror}", path=str(spec.cwd)) from error
        if spec.log is not None:
            spec.log.parent.mkdir(parents=True, exist_ok=True)
            self._log = spec.log.open("ab", buffering=1 << 16)
        self._in_command = not self._marked
        if self._marked and spec.line is not None:
            self._lines = _LINE_END.split(spec.line)
        env = {**spec.env, SHELL_VARIABLE: self._family, "_PKC_MARK": self._token}
        self._terminal = PtyTerminal(
            self._argv(),
            env=env,
            cwd=str(spec.cwd),
            cols=spec.cols,
            rows=spec.rows,
            on_data=self._data,
            on_exit=self._exited,
        )
        self._program = identity(self._terminal.pid)
        if self._marked:
            self._terminal.write(f" . '{_BASHRC}'\n".encode())

    def _check_program(self) -> None:
        """See that there is such a program: on the terminal a missing one would only print a line."""
        program = self.spec.program
        if shutil.which(program, path=self.spec.env.get("PATH")) is None:
            raise ShellError(f"there is no program {program} to be the shell", hint="check 'shell'", program=program)

    def _data(self, data: bytes) -> None:
        """Take raw output: for the log, the viewers, the screen and the scanner."""
        for kind, value in self._marks.feed(data):
            if kind == "data":
                self._output(value)
            elif kind == "start":
                self._in_command = True
                self._echo.clear()
            elif kind == "more":
                self._continued()
            else:
                self._prompt(value)
        if self._waiting_bytes > _HIGH_WATER and self._terminal is not None:
            self._terminal.pause()
        self._changed.set()

    def _output(self, data: bytes) -> None:
        if self._prompts == 0 and not self._in_command:
            return  # before bashrc was read: nobody's output
        if self._log is not None:
            self._log.write(data)
        self._raw += data
        self._total += len(data)
        if len(self._raw) > 2 * _TAIL:
            del self._raw[:-_TAIL]
        self._batch.append(data)
        if self._batch_timer is None:
            self._batch_timer = asyncio.get_running_loop().call_later(_BATCH, self._flush_batch)
        if self._awaiting is not None:
            self._awaiting += data
            at = self._awaiting.find(_EDITING)
            if at >= 0 and len(self._awaiting) > at + len(_EDITING):
                self._at_prompt()
        if self._in_command:
            self._waiting_bytes += len(data)
            self._said += data
            if len(self._said) > 2 * _TAIL:
                del self._said[:-_TAIL]
            if not self.scanner.idle:
                self.scanner.feed(self._plain.feed(data))
            if self._marked and self._raw.find(_EDITING, -len(data) - len(_EDITING)) >= 0:
                self._look_for_unmarked_prompt()
        else:
            self._echo += data
            if self.spec.echo and not self.scanner.idle:
                self.scanner.feed(self._plain.feed(data))
            self._look_for_refusal()

    def _look_for_refusal(self) -> None:
        """A line that bash does not even read (a failed history expansion) brings the prompt back without a mark."""
        if self._awaiting is not None or self._idle or not self._prompts:
            return
        typed = self._echo.find(_TYPED)
        again = self._echo.find(_EDITING, typed + 1) if typed >= 0 else -1
        if again < 0 or len(self._echo) <= again + len(_EDITING) or self._in_continuation:
            return
        self._said += self._echo[typed + len(_TYPED) : again]
        self.scanner.feed(self._plain.feed(bytes(self._echo[typed + len(_TYPED) : again])))
        self._echo.clear()
        self._code = None if self._marks_lost else 1
        self._awaiting = bytearray()
        self._at_prompt()

    def _look_for_unmarked_prompt(self) -> None:
        """A command that took PROMPT_COMMAND away (a sourced .bashrc) brings the prompt back without a mark."""
        if self._unmarked_timer is None:
            before = self._total
            loop = asyncio.get_running_loop()
            self._unmarked_timer = loop.call_later(_UNMARKED, self._take_unmarked_prompt, before)

    def _take_unmarked_prompt(self, before: int) -> None:
        self._unmarked_timer = None
        if self._in_command and self._terminal is not None and self._exit is None and self._terminal.edits_line():
            self._marks_lost = True
            self._prompt(None)
            self._prompted = before
            self._at_prompt()

    def _continued(self) -> None:
        """The command goes on in the next line; without one it is incomplete."""
        self._echo.clear()
        self._in_continuation = True
        if self._lines:
            self._type_line()
        elif not self.spec.persistent:
            self._incomplete = True
            self._changed.set()

    def _prompt(self, code: int | None) -> None:
        if not self._in_command and self._prompts > 0:
            # The line never ran: what bash said about it (a syntax error, a failed history expansion) is its output.
            said = bytes(self._echo).rpartition(_TYPED)[2]
            self._said += said
            self.scanner.feed(self._plain.feed(said))
        if self._in_command and not self.scanner.idle:
            self.scanner.feed(self._plain.feed(b"", final=True))
        self._in_command = False
        self._in_continuation = False
        self._echo.clear()
        self._prompted = self._total
        self._prompts += 1
        self._code = code
        # what is typed before readline has the terminal would be echoed twice
        self._awaiting = bytearray()
        self._prompt_timer = asyncio.get_running_loop().call_later(_PROMPT_LIMIT, self._at_prompt)

    def _at_prompt(self) -> None:
        """The prompt is there: type the next line, or say that there is nothing more to do."""
        if self._awaiting is None:
            return
        self._awaiting = None
        if self._prompt_timer is not None:
            self._prompt_timer.cancel()
            self._prompt_timer = None
        if self._lines:
            self._type_line()
        else:
            self._idle = True
        self._changed.set()

    def _type_line(self) -> None:
        # To readline a control character is a key: Ctrl-V before it makes it text (Ctrl-C and the like stay keys: the
        # terminal takes them before readline does).
        self._type(_CONTROL.sub("\x16\\g<0>", self._lines.pop(0)) + "\n")

    def _type(self, text: str) -> None:
        self._idle = False
        if self._terminal is not None:
            # a tab asks readline for completions: it is switched off, so the tab is text
            self._terminal.write(text.encode("utf-8", "replace"))  # JavaScript texts may hold lone surrogates

    def _exited(self, code: int) -> None:
        self._exit = code
        self._output(self._marks.rest())
        self.scanner.feed(self._plain.feed(b"", final=True))
        self._changed.set()

    def _flush_batch(self) -> None:
        self._batch_timer = None
        if self._batch:
            text = self._viewer.decode(b"".join(self._batch))
            self._batch.clear()
            if text:
                self._on_output(text)

    def flush(self) -> None:
        """Hand everything that has arrived to the viewers now."""
        if self._batch_timer is not None:
            self._batch_timer.cancel()
        self._flush_batch()
        if self._log is not None:
            self._log.flush()

    # ---- waiting --------------------------------------------------------------------------------------------------
    async def wait(self) -> Outcome:
        """Wait until the command is done, an event ends it, or the shell is gone."""
        while True:
            await self._changed.wait()
            if not (self._finished() or self._stopped or self._incomplete):
                await asyncio.sleep(_COALESCE)
            self._changed.clear()
            finished = self._finished()
            end = await self._scan()
            if end is not None:
                return Outcome(end.kind, None, end.handler)
            if self._stopped:
                return Outcome("stopped", self._code)
            if self._incomplete:
                return Outcome("incomplete")
            if self._exit is not None:
                return Outcome("exit", self._exit)
            if finished and not self.spec.persistent:
                return Outcome("prompt", self._code)

    def _finished(self) -> bool:
        return self._exit is not None or (self._idle and not self._in_command)

    async def _scan(self) -> End | None:
        try:
            return await self.scanner.scan()
        finally:  # also after a failed scan: the program must not wait for a terminal that nobody reads
            self._waiting_bytes = 0
            if self._terminal is not None:
                self._terminal.resume()

    async def wait_idle(self) -> bool:
        """Wait until the prompt is back; False when the shell ended instead."""
        while not (self._idle and not self._in_command):
            if self._exit is not None or self._stopped:
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    @property
    def printed(self) -> int:
        """How many bytes the terminal has shown so far."""
        return self._total

    async def wait_change(self, since: int) -> None:
        """Wait until more than ``since`` bytes were shown, or the shell is over."""
        while self._total == since and self._exit is None and not self._stopped:
            self._changed.clear()
            await self._changed.wait()

    def detach(self) -> None:
        """Let the shell go on without anybody waiting for it: its output still goes to log and viewers."""
        if self._detached is None:
            self._detached = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        """Goes on watching a detached shell: triggers still fire, memory stays bounded."""
        while self._exit is None and not self._stopped:
            await self._changed.wait()
            await asyncio.sleep(_BATCH)
            self._changed.clear()
            with contextlib.suppress(PinokioError):
                await self._scan()

    # ---- typing ---------------------------------------------------------------------------------------------------
    def write(self, text: str) -> None:
        """Type text.

        Raises:
            ShellError: the shell has ended.
        """
        if not self.alive:
            raise ShellError(f"the shell {self.id} has ended", id=self.id)
        self._type(text)

    def resize(self, cols: int, rows: int) -> None:
        """Change the terminal's size, characters."""
        if self._terminal is not None:
            self._terminal.resize(cols, rows)

    # ---- the text ---------------------------------------------------------------------------------------------------
    async def screen(self, *, prompt: bool = True) -> str:
        """Return what the terminal shows: the text of a result (spec §4.2.8).

        Parameters:
            prompt: whether a prompt that came back counts; it does not where an event ended the step before.
        """
        raw = bytes(self._raw)
        if not prompt and self._prompts > 1:
            raw = raw[: len(raw) - (self._total - self._prompted)]
        if len(raw) > _TAIL:
            raw = raw[-_TAIL:]
            raw = raw[raw.find(b"\n") + 1 :]
        answer = await self._call(
            "screen", text=raw.decode("utf-8", "replace"), cols=self.spec.cols, rows=self.spec.rows
        )
        return answer["text"]  # type: ignore[no-any-return]

    async def output_text(self) -> str:
        """Return what the commands printed, as far as the screen keeps it, without the lines that were typed."""
        if not self.may_fail(bytes(self._said)):
            return ""
        raw = bytes(self._said[-_TAIL:])
        answer = await self._call(
            "screen", text=raw.decode("utf-8", "replace"), cols=self.spec.cols, rows=self.spec.rows
        )
        return answer["text"]  # type: ignore[no-any-return]

    def may_fail(self, said: bytes) -> bool:
        """Whether the final check could find anything at all in this output."""
        if any(isinstance(item, dict) and item.get("break") is True for item in self.spec.on or []):
            return True
        low = said.replace(b"\r", b"").replace(b"\n", b"").lower()
        return b"err" in low  # "error:" and "errno ", also across lines or coloured

    def last_lines(self, count: int = 30) -> list[str]:
        """Return the last lines that commands printed, for error messages."""
        text = PlainText().feed(bytes(self._said[-65536:]), final=True)
        return [line for line in text.split("\n") if line.strip()][-count:]

    @property
    def code(self) -> int | None:
        """Exit code of the last command, None before the first ended."""
        return self._exit if self._exit is not None else self._code

    # ---- the end ----------------------------------------------------------------------------------------------------
    def stop(self) -> None:
        """Make ``wait`` return ``stopped``."""
        self._stopped = True
        self._changed.set()

    async def kill(self, *, grace: float = 0.0) -> list[int]:
        """End the shell and everything that it started; return the pids that could not be ended."""
        if self.ended:
            return []
        self.ended = True
        left: list[int] = []
        terminal = self._terminal
        if terminal is not None:
            self._stopped = True
            self._changed.set()
            for timer in (self._prompt_timer, self._unmarked_timer):
                if timer is not None:
                    timer.cancel()
            left = await end_tree(terminal.pid, self._family, grace=grace)
            await terminal.reap()
            if self._exit is None:
                terminal.poll()
                terminal.close()
        if self._detached is not None:
            self._detached.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._detached
        self.flush()
        if self._log is not None:
            self._log.close()
            self._log = None
        with contextlib.suppress(PinokioError):
            await self.scanner.close()
        return left
