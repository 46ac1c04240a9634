"""Values between Python and the Node host: JSON, with the tag key ``$`` for what JSON lacks.

The host's half is ``script/host/wire.js``; both must change together.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from typing import Any, Final, final

__all__ = [
    "UNDEFINED",
    "JSError",
    "JSValue",
    "Match",
    "RegExp",
    "Undefined",
    "decode",
    "dumps",
    "encode",
    "loads",
    "plain",
]


@final
class Undefined:
    """JavaScript's ``undefined``: unlike ``None`` it stands for "there is no value"."""

    _instance: Undefined | None = None

    def __new__(cls) -> Undefined:
        """Return the only instance."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "UNDEFINED"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined()


@dataclass(frozen=True)
class RegExp:
    """A JavaScript regular expression: only the host can match with it."""

    source: str
    flags: str = ""


@dataclass(frozen=True)
class JSValue:
    """A value that exists only in JavaScript (a function, a class instance, a Promise …).

    Parameters:
        kind: ``fn``, ``sym``, ``circular``, ``date``, ``set``, ``map``, ``big``, or a class name.
        value: its name, or its own enumerable properties.
    """

    kind: str
    value: Any = None


@dataclass(frozen=True)
class JSError:
    """A JavaScript error as a value (the ``error`` of an ``exec`` result, for example)."""

    name: str
    message: str
    code: str | int | None = None


class Match(list[Any]):
    """A regular-expression match: the array of the whole match and its groups, with ``index`` and ``groups``."""

    def __init__(self, items: list[Any], index: int = 0, groups: dict[str, Any] | None = None) -> None:
        super().__init__(items)
        self.index = index  # type: ignore[method-assign,assignment]  # the name is JavaScript's
        self.groups = groups


_DEEPEST = 200  # levels; the host's bound is the same
_KEPT = frozenset({"big", "date"})  # kinds whose value is a text


class _Codec:
    """Encodes; what contains itself, or is nested without end, is cut off with a mark as in the host."""

    def __init__(self) -> None:
        self.inside: set[int] = set()

    def encode(self, value: Any) -> Any:
        if value is None or value is True or value is False or isinstance(value, str):
            return value
        if isinstance(value, (int, float)):
            if isinstance(value, float) and not math.isfinite(value):
                return {"$": "num", "v": "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")}
            return value
        if value is UNDEFINED:
            return {"$": "undef"}
        if isinstance(value, (bytes, bytearray, memoryview)):
            return {"$": "buf", "v": base64.b64encode(bytes(value)).decode("ascii")}
        if isinstance(value, RegExp):
            return {"$": "regexp", "s": value.source, "f": value.flags}
        if isinstance(value, JSError):
            return {"$": "error", "n": value.name, "m": value.message, "c": value.code}
        if isinstance(value, JSValue) and value.kind in _KEPT:
            return {"$": value.kind, "v": value.value}
        if not isinstance(value, (dict, list, tuple, set, frozenset, JSValue)):
            return str(value)
        if id(value) in self.inside:
            return {"$": "circular"}
        if len(self.inside) > _DEEPEST:
            return {"$": "deep"}
        self.inside.add(id(value))
        try:
            return self._container(value)
        finally:
            self.inside.discard(id(value))

    def _container(self, value: Any) -> Any:
        if isinstance(value, Match):
            return {
                "$": "match",
                "v": [self.encode(item) for item in value],
                "i": value.index,
                "g": None if value.groups is None else self.encode(value.groups),
            }
        if isinstance(value, dict):
            out = {str(key): self.encode(item) for key, item in value.items()}
            return {"$": "obj", "c": "Object", "v": out} if "$" in out else out
        if isinstance(value, JSValue):
            inner = self.encode(value.value)
            return {"$": value.kind, "v": inner} if value.kind in ("set", "map") else inner
        return [self.encode(item) for item in value]


def encode(value: Any) -> Any:
    """Return ``value`` as plain JSON with tags; anything unknown becomes its text."""
    return _Codec().encode(value)


def _tagged(item: dict[str, Any]) -> Any:
    """Turn one tagged object into its value (json's ``object_hook``: inner values come first)."""
    tag = item.get("$")
    if tag is None:
        return item
    if tag == "undef":
        return UNDEFINED
    if tag == "num":
        return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(item["v"], -0.0)
    if tag == "buf":
        return base64.b64decode(item["v"])
    if tag == "regexp":
        return RegExp(item["s"], item["f"])
    if tag == "error":
        return JSError(item["n"], item["m"], item["c"])
    if tag == "match":
        return Match(item["v"], item["i"], item["g"])
    return JSValue(str(tag), item.get("v"))


def decode(value: Any) -> Any:
    """Return the Python value of a decoded JSON value with tags."""
    if isinstance(value, dict):
        if value.get("$") == "obj":  # its own keys may be named "$": they are no tags
            inner = {key: decode(item) for key, item in value["v"].items()}
            return inner if value["c"] == "Object" else JSValue(value["c"], inner)
        return _tagged({key: decode(item) for key, item in value.items()})
    if isinstance(value, list) and not isinstance(value, Match):
        return [decode(item) for item in value]
    return value


def loads(line: bytes) -> Any:
    """Parse one line of the host; tags are left for ``decode`` of the parts that hold values."""
    return json.loads(line)


def dumps(message: Any) -> bytes:
    """Return one line for the host."""
    try:
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate: only an escape brings it to JavaScript
        return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def plain(value: Any) -> Any:
    """Return ``value`` as JSON-like data for people: ``undefined`` as None, matches as lists, errors as text."""
    if value is UNDEFINED:
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, JSError):
        return {"name": value.name, "message": value.message, "code": value.code}
    if isinstance(value, JSValue):
        return plain(value.value) if isinstance(value.value, (dict, list)) else f"[{value.kind}]"
    if isinstance(value, RegExp):
        return f"/{value.source}/{value.flags}"
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    return value
