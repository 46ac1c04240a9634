"""The command line of a shell step: from ``message`` and activation to the text that is typed (spec §4.2.2)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pinokiocloud.script import wire

__all__ = ["argv_line", "javascript_text", "joiner", "lines_of", "with_activation"]

_PURE = re.compile(r"\A\{\{.+\}\}\Z")
_ENV_ARGUMENT = re.compile(r"\A__PINOKIO_ENVARG_(\d+)__\Z")


def javascript_text(value: Any) -> str:
    """Return the text that JavaScript's ``String(value)`` gives for a simple value."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return "null"
    if isinstance(value, float):
        return _number_text(value)
    if value is wire.UNDEFINED:
        return "undefined"
    if isinstance(value, (list, tuple)):
        return ",".join("" if item is None else javascript_text(item) for item in value)
    if isinstance(value, dict):
        return "[object Object]"
    return str(value)


def _number_text(value: float) -> str:
    """Return a number as ECMAScript writes it: 1e-05 is 0.00001."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    negative, figures, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, figures))
    point = len(digits) + exponent  # where the decimal point is, counted from the first digit
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        text = f"{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e{point - 1:+d}"
    return f"-{text}" if negative else text


def _quote(text: str) -> str:
    variable = _ENV_ARGUMENT.match(text)
    if variable:
        return f'"$PINOKIO_ARG_{variable.group(1)}"'
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _flag(key: str) -> str:
    return f"-{key}" if len(key) == 1 else f"--{key}"


def _unresolved(value: Any) -> bool:
    return isinstance(value, str) and bool(_PURE.match(value))


def argv_line(message: Mapping[str, Any]) -> str:
    """Return the command line of an argv object (spec §4.2.2, object).

    ``_`` holds the positionals; ``true`` is ``--key``, ``false`` is ``--no-key``, a list repeats its key, one-letter
    keys get one dash; unresolved templates are dropped; every argument is quoted for a POSIX shell.
    """
    argv: list[str] = []
    positionals = message.get("_", [])
    if isinstance(positionals, str) or not isinstance(positionals, Sequence):
        positionals = [positionals]
    argv += [javascript_text(item) for item in positionals if item is not None and not _unresolved(item)]
    for key, value in message.items():
        if key == "_" or value is None or _unresolved(value):
            continue
        if value is True:
            argv.append(_flag(key))
        elif value is False:
            argv.append(f"--no-{key}")
        elif isinstance(value, list):
            for item in value:
                if item is not None and not _unresolved(item):
                    argv += [_flag(key), javascript_text(item)]
        elif isinstance(value, dict):
            for name, item in value.items():  # as yargs-unparse: --key.name value
                if item is not None and not _unresolved(item):
                    argv += [f"--{key}.{name}", javascript_text(item)]
        else:
            argv += [_flag(key), javascript_text(value)]
    return " ".join(_quote(item) for item in argv)


def _element(item: Any) -> str:
    return argv_line(item) if isinstance(item, Mapping) else javascript_text(item)


def joiner(chain: Any) -> str:
    """Return what stands between activation and message, and between chained messages."""
    return {"*": " ; ", "|": " || "}.get(chain if isinstance(chain, str) else "", " && ")


def lines_of(message: Any, chain: Any) -> list[str | None]:
    """Return the command lines of a ``message``: one a shell; None stands for "activate only".

    An array without ``chain`` runs each element in a shell of its own; empty elements are left out, and nothing is
    left of an array of empty ones (spec §4.2.2).
    """
    if isinstance(message, list):
        if chain:
            # falsy and blank elements are left out
            parts = [text for text in (_element(item) for item in message if item) if text.strip()]
            return [joiner(chain).join(parts) if parts else None]
        lines: list[str | None] = []
        for item in message:
            if not item or _unresolved(item):
                continue
            lines.append(_element(item))
        return lines
    if message is None or message == "" or message is False or message == 0:
        return [None]
    return [_element(message)]


def with_activation(activation: Sequence[str], line: str | None, chain: Any) -> str:
    """Return the whole line that is typed: activation joined by ``;``, then the message (spec §4.2.2)."""
    first = " ; ".join(activation)
    return joiner(chain).join(part for part in (first, line) if part)
