"""How traces are made comparable: volatile text out, the shell's own first and last row out, matchers in.

An expected value may hold matchers where an exact value cannot be known:
`{"$any": true}`, `{"$contains": text or list}`, `{"$pattern": regex}`, `{"$lines": [...]}` (a text with all these
lines), `{"$oneof": [...]}`.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

PROMPT = "<<PINOKIO_SHELL>>"
FIXTURE_PORT = 18431  # the port that the recorded cases were run against
ABSENT = {"$absent": True}
LIVE_ERROR = "\n████"  # a response of the reference that was cut from the raw stream when an error text appeared

_ENV_PREFIX = r"(?:\([^()\r\n\"]*\) ?)*"
_FIRST_ROW = re.compile(rf"^{_ENV_PREFIX}{PROMPT}[^\r\n]*")
_LAST_PROMPT = re.compile(rf"{_ENV_PREFIX}{PROMPT} ?$")
_JSON_FIRST_ROW = re.compile(rf'(?<=")(?<!\\"){_ENV_PREFIX}{PROMPT}(?:\\.|[^"\\])*?(?=\\r\\n|")')
_JSON_LAST_PROMPT = re.compile(rf'{_ENV_PREFIX}{PROMPT} ?(?=")')
_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_PORTS = range(42003, 43000)  # "first free port from 42003": which one it is depends on the machine

_VOLATILE: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"20\d\d-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d[.-]\d+Z(-[0-9a-f]{6})?"), "<ts>"),
    (re.compile(r"\bd1\d{12}\b"), "d<ms>"),
    (re.compile(r"\[(\d+)\] \d{3,7}\b"), r"[\1] <pid>"),
    (re.compile(r"/proc/\d+/"), "/proc/<pid>/"),
    (re.compile(r"(127\.0\.0\.1|localhost):(3\d{4}|4[3-9]\d{3}|5\d{4}|6\d{4})"), r"\1:<port>"),
]


class Difference(NamedTuple):
    """One value that is not as expected."""

    where: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return f"{self.where}: expected {shorten(self.expected)}, got {shorten(self.got)}"


def shorten(value: Any, limit: int = 240) -> str:
    """Give a value as one line of JSON, cut in the middle."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} … {text[-half:]}"


def normalise(text: str, home: str = "", port: int = 0) -> str:
    """Replace what differs from run to run (text may be JSON)."""
    if home:
        text = text.replace(json.dumps(home)[1:-1], "$HOME").replace(home, "$HOME")
    if port:
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{FIXTURE_PORT}")
    for pattern, replacement in _VOLATILE:
        text = pattern.sub(replacement, text)
    return text


def settled(text: str) -> str:
    """Give the rows that raw terminal output leaves on the screen: no control sequences, tabs, overwritten text."""
    return "\n".join(_overwrite(row) for row in re.split(r"\r*\n", _ANSI.sub("", text).replace("\t", "")))


def _overwrite(row: str) -> str:
    result = ""
    for part in row.split("\r"):
        result = part + result[len(part) :]
    return result


def canonical(value: Any) -> Any:
    """Give a trace value without what is the shell's own: the echoed command line, prompt prefixes, match offsets."""
    if isinstance(value, str):
        return _canonical_text(value)
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items() if not (key == "index" and "$match" in value)}
    if isinstance(value, int) and not isinstance(value, bool) and value in _PORTS:
        return "<port>"
    return value


def canonical_stream(text: str) -> str:
    """Canonicalise printed text: it may be a shell's text, or JSON that holds such text."""
    return _canonical_text(_JSON_LAST_PROMPT.sub(PROMPT, _JSON_FIRST_ROW.sub(f"{PROMPT}<command>", text)))


def _canonical_text(text: str) -> str:
    if PROMPT not in text:
        return text
    text = _LAST_PROMPT.sub(PROMPT, text)
    # A text that is only the prompt has no command line (`seq 1 3000` scrolls it away).
    return text if text == PROMPT else _FIRST_ROW.sub(f"{PROMPT}<command>", text)


def output_rows(stdout: Any) -> list[str]:
    """Give the rows that a command printed: without the command line before them and the prompt behind them."""
    if not isinstance(stdout, str):
        return []
    rows = stdout.split("\r\n")
    if _FIRST_ROW.match(rows[0]):
        rows = rows[1:]
    if rows:
        rows[-1] = _LAST_PROMPT.sub("", rows[-1])
        if not rows[-1]:
            rows.pop()
    return rows


def find_difference(expected: Any, got: Any, where: str) -> Difference | None:
    """Compare two canonical values and give the innermost difference."""
    if isinstance(expected, dict) and len(expected) == 1 and (verdict := _matcher(expected, got)) is not None:
        return None if verdict else Difference(where, expected, got)
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in [*expected, *(key for key in got if key not in expected)]:
            inner = find_difference(expected.get(key, ABSENT), got.get(key, ABSENT), f"{where}.{key}")
            if inner:
                return inner
        return None
    if isinstance(expected, list) and isinstance(got, list):
        for number, (left, right) in enumerate(zip(expected, got, strict=False)):
            inner = find_difference(left, right, f"{where}[{number}]")
            if inner:
                return inner
        return None if len(expected) == len(got) else Difference(where, expected, got)
    # JSON knows no integers: 1 and 1.0 are the same number, but true is not 1.
    same = expected == got and isinstance(expected, bool) == isinstance(got, bool)
    return None if same else Difference(where, expected, got)


def _matcher(expected: dict[str, Any], got: Any) -> bool | None:
    (name, wanted), text = next(iter(expected.items())), as_text(got)
    if name == "$any":
        return True
    if name == "$contains":
        return all(part in text for part in ([wanted] if isinstance(wanted, str) else wanted))
    if name == "$pattern":
        return isinstance(got, str) and re.search(wanted, got) is not None
    if name == "$lines":
        return set(wanted) <= set(text.splitlines())
    if name == "$oneof":
        return any(find_difference(item, got, "") is None for item in wanted)
    return None


def as_text(value: Any) -> str:
    """Give an error, or any value, as the text that a person sees."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        return str(value["message"])
    return "" if value is None or value == {"$undef": True} else json.dumps(value, ensure_ascii=False)


def message_of(error: Any) -> str:
    """Give an error's message without the class name that JavaScript prints before it."""
    text = as_text(error).removeprefix("api.process rejected: ")
    return re.sub(r"^\w*Error(?: \[\w+\])?: ", "", text)
