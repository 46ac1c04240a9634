"""The dotenv format of ENVIRONMENT files: read, parsed and edited in place.

The grammar is the one of the npm package ``dotenv`` 16, which the reference engine uses (spec §5.5): its regular
expression is repeated here with JavaScript's notions of white space and line ends, so that every odd line means the
same on both sides.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.errors import UsageError
from pinokiocloud.home.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["assignment", "edited", "parse", "read", "set_values", "switch_values"]

# What JavaScript's \s and trim() take for white space; Python's \s differs (U+001C…, U+0085, U+FEFF).
_BLANKS = "\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_TRIMMED = _BLANKS.replace("\u2000-\u200a", "".join(map(chr, range(0x2000, 0x200B))))
_S = f"[{_BLANKS}]"
_ENDS = "\n\r\u2028\u2029"
_BOL = rf"(?:\A|(?<=[{_ENDS}]))"
_EOL = rf"(?=[{_ENDS}]|\Z)"

_LINE = re.compile(
    rf"{_BOL}{_S}*(?:export{_S}+)?(?P<key>[A-Za-z0-9_.-]+)(?P<sign>{_S}*={_S}*?|:{_S}+?)"
    rf"(?P<value>{_S}*'(?:\\'|[^'])*'|{_S}*\"(?:\\\"|[^\"])*\"|{_S}*`(?:\\`|[^`])*`|[^#\r\n]+)?"
    rf"{_S}*(?:#[^{_ENDS}]*)?{_EOL}",
)
_QUOTED = re.compile(rf"{_BOL}(['\"`])([\s\S]*)\1{_EOL}")
_END = re.compile(rf"[{_ENDS}]|\Z")
_KEY = re.compile(r"[A-Za-z0-9_.-]+")


def parse(text: str) -> dict[str, str]:
    r"""Return the variables of a dotenv text, as the npm package ``dotenv`` reads it.

    Single, double and back quotes, ``export``, comments, values of several lines in quotes; ``\n`` and ``\r`` are line
    ends in double quotes only; nothing is interpolated; a later line wins; lines that are no assignment are passed
    over. Source: spec §5.5.

    Parameters:
        text: the content of the file.

    Returns:
        The values by name, blank ones included, in file order.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # White space at the end costs the expression quadratic time; one character of it is what `KEY: ` needs.
    text = text[: len(text.rstrip(_TRIMMED)) + 1]
    return {match["key"]: _plain(match["value"]) for match in _LINE.finditer(text)}


def read(path: str | os.PathLike[str], *, exact: bool = False) -> str:
    """Return the text of an ENVIRONMENT file: UTF-8, or UTF-16 with or without a byte order mark (spec §5.5).

    Parameters:
        path: the file.
        exact: keep bytes that are no UTF-8 as lone surrogates, for a text that is written again; by default they
            become U+FFFD.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        # Python 3.10 names the file by its Path, later ones by text.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path)) from None
    return _decoded(data, "surrogateescape" if exact else "replace")


def assignment(key: str, value: str, *, strict: bool = False) -> str:
    """Return the line ``key=value`` for a dotenv file.

    The value is trimmed and its line ends are stored as a backslash and an ``n`` (spec §4.6). Where the reference
    stores a value that it then reads back cut off (``a#b`` gives ``a``), quotes are put around it.

    Parameters:
        key: the name of the variable.
        value: its value.
        strict: never put quotes, as the reference.

    Raises:
        UsageError: no dotenv file can hold a variable of this name.
    """
    if not _KEY.fullmatch(key):
        raise UsageError(f"not a name of an environment variable: {key!r}", hint="use letters, digits and _", key=key)
    value = re.sub("\r\n|\r|\n", r"\\n", value.strip(_TRIMMED))
    # A value that brings its own quotes is left alone: scripts written for the reference rely on that.
    if not strict and value[:1] not in {"'", '"', "`"}:
        for quote in ("", '"', "'", "`"):
            line = f"{key}={quote}{value}{quote}"
            if parse(line) == {key: value}:
                return line
    return f"{key}={value}"


def edited(text: str, values: Mapping[str, str], *, strict: bool = False) -> str:
    """Return a dotenv text with these values: every line of the name replaced where it stands, new names at the end.

    Parameters:
        text: the content of the file; everything else in it, and its line ends, stay as they are.
        values: the new values by name.
        strict: never put quotes around a value, as the reference.

    Raises:
        UsageError: no dotenv file can hold a variable of one of the names.
    """
    lines = {key: assignment(key, value, strict=strict) for key, value in values.items()}
    parts: list[str] = []
    missing = dict(lines)
    position = 0
    for match in _LINE.finditer(text):
        key = match["key"]
        if key not in lines:
            continue
        missing.pop(key, None)
        # To the end of the line, for a comment behind the old value speaks of the old value; the match itself may
        # reach over a comment on the lines below.
        rest = _END.search(text, match.end("sign") if match["value"] is None else match.end("value"))
        parts += [text[position : match.end("sign")], lines[key].partition("=")[2]]
        position = rest.start() if rest else len(text)
    new = "".join([*parts, text[position:]])
    if missing:
        end = "\r\n" if "\r\n" in text else "\n"
        if new and not new.endswith(("\n", "\r")):
            new += end
        new += "".join(line + end for line in missing.values())
    return new


def set_values(file: Path, values: Mapping[str, str], *, strict: bool = False) -> None:
    """Write variables into an ENVIRONMENT file, as ``env.set`` does (spec §4.6).

    Parameters:
        file: the file, which must exist; it is replaced in one step, as UTF-8.
        values: the values by name; blank ones are stored and count as unset.
        strict: never put quotes around a value, as the reference.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be read or written.
        UsageError: no dotenv file can hold a variable of one of the names.
    """
    text = read(file, exact=True)
    new = edited(text, values, strict=strict)
    if new != text:
        write_atomic(file, new)


def switch_values(file: Path, choices: Mapping[str, Sequence[str]], *, strict: bool = False) -> None:
    """Turn variables of an ENVIRONMENT file to the next of their values, as ``env.switch`` does (spec §4.6).

    The value that follows the present one in the list is set, after the last the first; the first where the variable
    is absent or blank; a present value that is not in the list stays.

    Parameters:
        file: the file, which must exist.
        choices: the values by name.
        strict: never put quotes around a value, as the reference.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be read or written.
        UsageError: no dotenv file can hold a variable of one of the names.
    """
    text = read(file, exact=True)
    present = parse(text)
    values: dict[str, str] = {}
    for key, listed in choices.items():
        turn = [value.strip(_TRIMMED) for value in listed]
        now = present.get(key, "").strip(_TRIMMED)
        if turn and not now:
            values[key] = turn[0]
        elif now in turn:
            values[key] = turn[(turn.index(now) + 1) % len(turn)]
    new = edited(text, values, strict=strict)
    if new != text:
        write_atomic(file, new)


def _plain(raw: str | None) -> str:
    """Return a value without its quotes."""
    value = (raw or "").strip(_TRIMMED)
    double = value[:1] == '"'
    value = _QUOTED.sub(lambda match: match[2], value)
    if double:
        value = value.replace("\\n", "\n").replace("\\r", "\r")
    return value


def _decoded(data: bytes, errors: str) -> str:
    """Return the text of an ENVIRONMENT file's bytes."""
    if data.startswith(b"\xff\xfe"):
        return data[2:].decode("utf-16-le", "replace")
    if data.startswith(b"\xfe\xff"):
        return data[2:].decode("utf-16-be", "replace")
    # Editors on Windows also leave the mark out; a NUL is in no UTF-8 file of variables.
    if data[1:2] == b"\0":
        return data.decode("utf-16-le", "replace")
    if data[:1] == b"\0":
        return data.decode("utf-16-be", "replace")
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors)
