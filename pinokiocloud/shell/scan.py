"""Looking for events in a shell's output (spec §4.2.7).

The regular expressions are JavaScript's and are matched by the script host. So that a flood of output costs nothing,
only text in which something can match is sent there: each expression tells a text that every match of it holds, and
the two built-in error patterns are known.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pinokiocloud.errors import HostError, ShellError
from pinokiocloud.script import wire

__all__ = ["End", "OutputScanner"]

_WINDOW = 1 << 16  # characters of earlier output that a match may reach back into
_ERRORS = ("error:", "errno ")

Call = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class End:
    """What ended a step by its output.

    Attributes:
        kind: ``done``, ``kill`` or ``break`` (an error).
        handler: index of the ``on`` item; -1 for a built-in error.
    """

    kind: str
    handler: int


class OutputScanner:
    """Scans the plain text of one shell.

    Parameters:
        call: calls the script host.
        number: a number that no other scanner of that host has.
        on: the step's ``on`` list.
        live: whether errors end the step at once (not with ``input: true``).
        on_fired: gets what else fired: a ``trigger`` or a ``notify``.
    """

    def __init__(
        self, call: Call, number: int, on: Any, *, live: bool, on_fired: Callable[[dict[str, Any]], None]
    ) -> None:
        self._call = call
        self._number = number
        self._on = on if isinstance(on, list) else []
        self._live = live
        self._on_fired = on_fired
        self._tail = ""  # the last _WINDOW characters
        self._fresh: list[str] = []
        self._length = 0  # of all output
        self._patterns: re.Pattern[str] | None = None
        self._always = False
        self._open = False
        self.words: list[str] = []
        self.event: Any = wire.UNDEFINED
        self.captured = False

    @property
    def idle(self) -> bool:
        """Whether there is nothing that could match at all."""
        return not self._live and not self._on

    async def open(self) -> None:
        """Hand the patterns to the host.

        Raises:
            ShellError: an ``event`` that is not in /…/ form.
        """
        answer = await self._call("scan.open", scan=self._number, on=wire.encode(self._on), live=self._live)
        self._open = True
        if "bad" in answer:
            raise ShellError(
                f"the event {answer['bad']!r} is no regular expression", hint='write it as "/…/"', event=answer["bad"]
            )
        self.words = list(answer["words"])
        literals = list(answer["literals"])
        self._always = any(item is None for item in literals)
        texts = [item for item in literals if item is not None] + (list(_ERRORS) if self._live else [])
        self._patterns = re.compile("|".join(re.escape(text) for text in texts)) if texts else None

    async def _ask(self, op: str, **body: Any) -> Any:
        """Ask the host; a host that was started anew gets the patterns first."""
        try:
            return await self._call(op, scan=self._number, **body)
        except HostError:
            await self.open()
            return await self._call(op, scan=self._number, **body)

    async def close(self) -> None:
        """Forget the patterns in the host."""
        if self._open:
            self._open = False
            await self._call("scan.close", scan=self._number)

    def feed(self, text: str) -> None:
        """Take new output; ``scan`` looks at it."""
        self._fresh.append(text)

    def _candidate(self, window: str) -> bool:
        if self._always:
            return True
        return self._patterns is not None and self._patterns.search(window.lower()) is not None

    async def scan(self) -> End | None:
        """Look at what is new; return what ends the step, if anything does."""
        if not self._fresh:
            return None
        text = "".join(self._fresh)
        self._fresh.clear()
        fresh = self._length
        window = self._tail + text
        start = fresh - len(self._tail)
        self._length += len(text)
        self._tail = window[-_WINDOW:]
        if not self._candidate(window):
            return None
        answer = await self._ask("scan.feed", text=window, start=start, fresh=fresh)
        event = answer.get("event")
        if event is not None:
            self.event = wire.decode(event)
            self.captured = True
        for fired in answer["fired"]:
            self._on_fired(fired)
        end = answer["end"]
        return End(end["kind"], end["handler"]) if end else None

    async def final(self, text: str) -> list[str] | None:
        """Return the errors in the whole text that is handed on, None when there are none (spec §4.2.7, Final)."""
        # without any of the built-in words and without break:true handlers there is nothing to ask
        lowered = text.lower()
        own = any(isinstance(item, dict) and item.get("break") is True for item in self._on)
        if not own and not any(word in lowered.replace("\r\n", "").replace("\n", "") for word in _ERRORS):
            return None
        answer = await self._ask("scan.final", text=text)
        return answer["errors"]  # type: ignore[no-any-return]
