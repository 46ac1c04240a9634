"""Questions that scripts ask: forms, modals, file choices; and who answers them (spec §4.7)."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections import deque
from collections.abc import Iterable
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
            f"{where} asks {prompt.title!r}"
            + (f" ({keys})" if keys else "")
            + ", and nobody is there to answer",
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


class TerminalPrompter:
    """Asks on the terminal, field by field."""

    async def ask(self, prompt: Prompt) -> Any:
        """Ask the person at the terminal.

        Raises:
            PromptError: there is no terminal.
        """
        if not sys.stdin.isatty():
            return await UnattendedPrompter().ask(prompt)
        return await asyncio.to_thread(self._ask, prompt)

    def _ask(self, prompt: Prompt) -> Any:
        out = sys.stderr
        out.write(f"\n── {prompt.title}\n")
        description = prompt.params.get("description") or prompt.params.get("html")
        if description:
            out.write(f"{description}\n")
        if prompt.kind == "filepicker":
            many = bool(prompt.params.get("multiple"))
            line = self._line("path(s), separated by commas" if many else "path")
            return {"paths": [part.strip() for part in line.split(",") if part.strip()]}
        if not prompt.fields:
            self._line("press Enter to go on")
            return {}
        return {str(item["key"]): self._field(item) for item in prompt.fields if item.get("key")}

    def _field(self, item: dict[str, Any]) -> Any:
        kind = str(item.get("type") or "text")
        label = str(item.get("title") or item["key"])
        if item.get("description"):
            sys.stderr.write(f"{item['description']}\n")
        if kind == "checkbox":
            return self._line(f"{label} (y/n)").strip().lower() in ("y", "yes", "1", "true")
        if kind == "select":
            choices = _choices(item)
            for number, (_, text) in enumerate(choices, 1):
                sys.stderr.write(f"  {number}. {text}\n")
            while True:
                answer = self._line(label, item.get("default")).strip()
                if answer.isdigit() and 1 <= int(answer) <= len(choices):
                    return choices[int(answer) - 1][0]
                if answer in [value for value, _ in choices]:
                    return answer
                sys.stderr.write("please give one of the numbers\n")
        while True:
            answer = (
                getpass.getpass(f"{label}: ", stream=sys.stderr)
                if kind == "password"
                else self._line(label, item.get("default"))
            )
            if answer or not item.get("required"):
                break
            sys.stderr.write("please answer this one\n")
        if kind == "file" and answer:
            with open(answer, "rb") as file:  # noqa: PTH123 - a name as the person typed it
                return file.read()
        return answer

    @staticmethod
    def _line(label: str, default: Any = None) -> str:
        sys.stderr.write(f"{label}{f' [{default}]' if default else ''}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise PromptError("the terminal was closed before the question was answered")
        return line.rstrip("\n") or (str(default) if default else "")
