"""Taking secrets out of texts: logs, events, errors, streams."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import logging
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus

from pinokiocloud.errors import PinokioError

__all__ = ["MARK", "SHORTEST", "RedactingFilter", "RedactingStream", "Redactor", "Sealed"]

#: What stands for a secret.
MARK = "••••••"
#: Shorter values are left alone: they are words that stand everywhere.
SHORTEST = 6
# Of a secret of several lines, a line this long gives it away.
_LINE = 16


class Sealed:
    """The base of classes that hold secrets: they show their class only, and are neither copied nor pickled."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds secrets: it cannot be copied or pickled")


class Redactor(Sealed):
    """Replaces registered values wherever they stand, also in URL, base64, JSON and HTML spelling.

    It can be used from any thread.

    Parameters:
        values: secrets to begin with.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._forms: tuple[str, ...] = ()
        self._longest = 0
        self._lock = threading.Lock()
        for value in values:
            self.register(value)

    def __len__(self) -> int:
        return len(self._values)

    def register(self, value: str) -> bool:
        """Take a value out of everything from now on.

        Parameters:
            value: the secret.

        Returns:
            Whether it will be; a value of less than six characters is not.
        """
        value = value.strip()
        if len(value) < SHORTEST:
            return False
        with self._lock:
            if value not in self._values:
                self._values.add(value)
                forms = {*self._forms, *_forms(value)}
                self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))
                self._longest = len(self._forms[0])
        return True

    def redact(self, thing: Any) -> Any:
        """Return a thing without secrets: texts, bytes, containers of them, dataclasses, errors.

        Parameters:
            thing: the thing; an error is changed in place, all else is left as it is.

        Returns:
            The same kind of thing; what has no text in it is the thing itself.
        """
        if isinstance(thing, str):
            return self.text(thing)
        if isinstance(thing, (bytes, bytearray)):
            clean = self.text(bytes(thing).decode("utf-8", "surrogateescape"))
            return type(thing)(clean.encode("utf-8", "surrogateescape"))
        if isinstance(thing, Mapping):
            return {self.redact(key): self.redact(value) for key, value in thing.items()}
        if isinstance(thing, tuple) and hasattr(thing, "_fields"):
            return type(thing)(*map(self.redact, thing))
        if isinstance(thing, (list, tuple, set, frozenset)):
            return type(thing)(self.redact(item) for item in thing)
        if isinstance(thing, BaseException):
            self.error(thing)
            return thing
        if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
            return self._dataclass(thing)
        return thing

    def text(self, text: str) -> str:
        """Return a text with every secret replaced; secrets that overlap become one mark.

        Parameters:
            text: the text.
        """
        parts, end = [], 0
        for start, stop in _merged(_found(text, self._forms)):
            parts += [text[end:start], MARK]
            end = stop
        return "".join([*parts, text[end:]]) if parts else text

    def error(self, error: BaseException) -> None:
        """Take secrets out of an error, its notes and the errors that led to it.

        Parameters:
            error: the error; it is changed.
        """
        seen: set[int] = set()
        waiting: list[BaseException | None] = [error]
        while waiting:
            one = waiting.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
            one.args = tuple(arg if isinstance(arg, BaseException) else self.redact(arg) for arg in one.args)
            waiting += [arg for arg in one.args if isinstance(arg, BaseException)]
            if isinstance(one, PinokioError):
                one.message, one.hint, one.context = map(self.redact, (one.message, one.hint, one.context))
            if isinstance(one, OSError):
                one.filename, one.filename2 = map(self.redact, (one.filename, one.filename2))
                one.strerror = self.redact(one.strerror)
            if getattr(one, "__notes__", None):
                one.__notes__ = self.redact(one.__notes__)  # type: ignore[attr-defined,unused-ignore]

    def stream(self) -> RedactingStream:
        """Return a stream of this redactor, for a text that comes in pieces."""
        return RedactingStream(self)

    def _dataclass(self, thing: Any) -> Any:
        """Return a copy of a dataclass's object with its fields redacted."""
        values = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing) if field.init}
        clean = {name: self.redact(value) for name, value in values.items()}
        changed = {name: clean[name] for name, value in values.items() if clean[name] != value}
        return dataclasses.replace(thing, **changed) if changed else thing


class RedactingStream(Sealed):
    """Redacts a text that comes in pieces: a secret that is cut in two is found too.

    What could be the beginning of a secret is held back until more comes, at most as much as the longest secret is
    long; all pieces together are exactly what ``Redactor.text`` makes of the whole text.

    Parameters:
        redactor: whose secrets; those registered later count from then on.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._covered = 0  # so much of what is held belongs to a secret whose mark was given already

    def feed(self, piece: str) -> str:
        """Take a piece and return what is certain by now.

        Parameters:
            piece: the next piece.
        """
        forms, longest = self._redactor._forms, self._redactor._longest  # noqa: SLF001 - one unit
        text = self._held + piece
        return self._advance(text, forms, _hold(text, forms, longest))

    def flush(self) -> str:
        """Return what was held back: the text is over, or pauses."""
        return self._advance(self._held, self._redactor._forms, len(self._held))  # noqa: SLF001 - one unit

    def _advance(self, text: str, forms: tuple[str, ...], hold: int) -> str:
        """Give the text up to a place, and keep the rest."""
        parts, end = [], 0
        given = self._covered
        spans = [(0, given), *_found(text, forms)] if given else _found(text, forms)
        for start, stop in _merged(span for span in spans if span[0] < hold or span == (0, given)):
            parts.append(text[end:start])
            if not (given and start == 0):
                parts.append(MARK)
            end = stop
        parts.append(text[end:hold])
        self._held, self._covered = text[hold:], max(0, end - hold)
        return "".join(parts)


class RedactingFilter(logging.Filter):
    """A filter for log handlers that redacts messages and tracebacks.

    Parameters:
        redactor: whose secrets.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record; it always passes.

        Parameters:
            record: the record; it is changed.
        """
        record.msg, record.args = self._redactor.text(record.getMessage()), None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = self._redactor.text("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
            record.exc_info = None
        if record.stack_info:
            record.stack_info = self._redactor.text(record.stack_info)
        return True

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a filter that knows secrets cannot be copied or pickled")


def _forms(value: str) -> Iterator[str]:
    """Give the spellings of a value."""
    texts = [value]
    if "\n" in value:
        lines = [line.strip() for line in value.splitlines()]
        texts += ["\n".join(lines), "\r\n".join(lines)]
        texts += [line for line in lines if len(line) >= _LINE and not line.startswith("-----")]
    for text in dict.fromkeys(texts):
        spellings = [text, quote(text, safe=""), quote(text), quote_plus(text), html.escape(text), repr(text)[1:-1]]
        spellings += [json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]]
        spellings += [_lower(spelling) for spelling in spellings[1:4]]
        data = text.encode("utf-8", "surrogatepass")
        for before in range(3):
            # In a longer text, the first and last characters of the code also depend on the neighbours.
            code = base64.b64encode(b"\0" * before + data).decode()
            core = code[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
            spellings += [core, core.replace("+", "-").replace("/", "_")]
        yield from (spelling for spelling in dict.fromkeys(spellings) if len(spelling) >= SHORTEST)
    for code in (base64.b64encode(value.encode("utf-8", "surrogatepass")).decode(),):
        yield from dict.fromkeys((code, code.replace("+", "-").replace("/", "_")))


def _lower(text: str) -> str:
    """Return an URL-encoded text with the digits of its escapes in lower case."""
    parts = text.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


def _found(text: str, forms: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return where secrets stand, also where they overlap."""
    spans = []
    for form in forms:
        start = text.find(form)
        while start >= 0:
            spans.append((start, start + len(form)))
            start = text.find(form, start + 1)
    return spans


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that overlap made one."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _hold(text: str, forms: tuple[str, ...], longest: int) -> int:
    """Return from where on a text could be the beginning of a secret."""
    hold = len(text)
    begin = max(0, len(text) - longest + 1)
    for form in forms:
        place = text.find(form[0], max(begin, len(text) - len(form) + 1))
        while 0 <= place < hold:
            if form.startswith(text[place:]):
                hold = place
                break
            place = text.find(form[0], place + 1)
    return hold
