"""Questions that scripts ask: forms, modals, file choices; and who answers them (spec §4.7)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from pinokiocloud.errors import PromptError

__all__ = ["PresetPrompter", "Prompt", "Prompter", "TerminalPrompter", "UnattendedPrompter"]


@dataclass(frozen=True)
class Prompt:
    """A question.

    Attributes:
        kind: ``input``, ``modal``, ``htmlmodal`` or ``filepicker``.
        params: the step's params.
        script: path of the asking script.
        index: index of the step.
    """

    kind: str
    params: dict[str, Any]
    script: str
    index: int | str
    fields: list[dict[str, Any]] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What to show above the question."""
        return str(
            self.params.get("title")
            or self.params.get("message")
            or {"input": "Input", "filepicker": "Choose a file"}.get(self.kind, "Question")
        )


class Prompter(Protocol):
    """Whoever answers questions."""

    async def ask(self, prompt: Prompt) -> Any:
        """Return the answer.

        Raises:
            PromptError: nobody is there to answer.
        """


class UnattendedPrompter:
    """Answers nothing: a question is an error that says how to answer it beforehand."""

    async def ask(self, prompt: Prompt) -> Any:
        """Raise: nobody is there.

        Raises:
            PromptError: always.
        """
        keys = ", ".join(str(item.get("key")) for item in prompt.fields)
        where = f"{prompt.script}, step {prompt.index}," if prompt.index != "" else prompt.script
        raise PromptError(
            f"{where} asks {prompt.title!r}" + (f" ({keys})" if keys else "") + ", and nobody is there to answer",
            hint='give the answer beforehand: --answer \'{"key": "value"}\', or answers=[…] in Python',
            script=prompt.script,
            step=prompt.index,
        )


class PresetPrompter:
    """Answers from a list, in order; then asks another prompter.

    Parameters:
        answers: the answers.
        then: who answers when the list is used up.
    """

    def __init__(self, answers: Iterable[Any], then: Prompter | None = None) -> None:
        self._answers = deque(answers)
        self._then = then or UnattendedPrompter()

    async def ask(self, prompt: Prompt) -> Any:
        """Return the next answer.

        Raises:
            PromptError: the list is used up and nobody else is there.
        """
        if self._answers:
            return self._answers.popleft()
        return await self._then.ask(prompt)


def _choices(item: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (value, text) of a select's items."""
    out = []
    for choice in item.get("items") or []:
        if isinstance(choice, dict):
            value = str(choice.get("value", choice.get("text", "")))
            out.append((value, str(choice.get("text", value))))
        else:
            out.append((str(choice), str(choice)))
    return out


@contextlib.contextmanager
def _silent(terminal: int) -> Iterator[None]:
    """Do not show what is typed."""
    import termios  # noqa: PLC0415 - only at a terminal

    before = termios.tcgetattr(terminal)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


async def _typed_line(terminal: int) -> str:
    """Return the line that is typed next. It is waited for without a thread: that could not be interrupted.

    Raises:
        PromptError: the terminal was closed.
    """
    loop = asyncio.get_running_loop()
    line = bytearray()
    while not line.endswith(b"\n"):
        readable = asyncio.Event()
        loop.add_reader(terminal, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(terminal)
        data = b""
        with contextlib.suppress(OSError):  # hung up
            data = os.read(terminal, 4096)
        if not data:
            raise PromptError("the terminal was closed before the question was answered")
        line += data
    return line[:-1].decode("utf-8", "replace")


class TerminalPrompter:
    """Asks on the terminal, field by field."""

    async def ask(self, prompt: Prompt) -> Any:
        """Ask the person at the terminal.

        Raises:
            PromptError: there is no terminal, or it was closed.
        """
        if not sys.stdin.isatty():
            return await UnattendedPrompter().ask(prompt)
        out = sys.stderr
        out.write(f"\n── {prompt.title}\n")
        description = prompt.params.get("description") or prompt.params.get("html")
        if description:
            out.write(f"{description}\n")
        if prompt.kind == "filepicker":
            many = bool(prompt.params.get("multiple"))
            line = await self._line("path(s), separated by commas" if many else "path")
            paths = line.split(",") if many else [line]
            return {"paths": [part.strip() for part in paths if part.strip()]}
        if not prompt.fields:
            await self._line("press Enter to go on")
            return {}
        return {str(item["key"]): await self._field(item) for item in prompt.fields if item.get("key")}

    async def _field(self, item: dict[str, Any]) -> Any:
        kind = str(item.get("type") or "text")
        label = str(item.get("title") or item["key"])
        if item.get("description"):
            sys.stderr.write(f"{item['description']}\n")
        if kind == "checkbox":
            return (await self._line(f"{label} (y/n)")).strip().lower() in ("y", "yes", "1", "true")
        if kind == "select" and item.get("items"):
            return await self._choice(label, _choices(item), item.get("default"))
        while True:
            answer = await self._line(label, item.get("default"), hidden=kind == "password")
            if not answer and item.get("required"):
                sys.stderr.write("please answer this one\n")
            elif kind == "file" and answer:
                try:
                    with open(answer, "rb") as file:  # noqa: PTH123 - a name as the person typed it
                        return file.read()
                except OSError as error:
                    sys.stderr.write(f"{answer} cannot be read: {error.strerror}\n")
            else:
                return answer

    async def _choice(self, label: str, choices: list[tuple[str, str]], default: Any) -> str:
        for number, (_, text) in enumerate(choices, 1):
            sys.stderr.write(f"  {number}. {text}\n")
        while True:
            answer = (await self._line(label, default)).strip()
            if answer.isdecimal() and 1 <= int(answer) <= len(choices):
                return choices[int(answer) - 1][0]
            if answer in [value for value, _ in choices]:
                return answer
            sys.stderr.write("please give one of the numbers\n")

    @staticmethod
    async def _line(label: str, default: Any = None, *, hidden: bool = False) -> str:
        terminal = sys.stdin.fileno()
        shown = f" [{default}]" if default and not hidden else ""
        with _silent(terminal) if hidden else contextlib.nullcontext():
            sys.stderr.write(f"{label}{shown}: ")
            sys.stderr.flush()
            line = await _typed_line(terminal)
        if hidden:
            sys.stderr.write("\n")
        return line or (str(default) if default else "")
