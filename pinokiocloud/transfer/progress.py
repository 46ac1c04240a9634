"""What a download reports while it runs, and the texts the reference prints for it (spec §4.4)."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DownloadEvent", "Meter", "format_bytes", "render_event", "render_parts"]

INTERVAL = 0.1
"""The least time between two progress events, in seconds."""
WINDOW = 1.0
"""The time over which the rate is measured, in seconds."""
UNITS = ("B", "KB", "MB", "GB", "TB")


@dataclass(frozen=True)
class DownloadEvent:
    """One thing that happened to a download.

    Parameters:
        kind: ``attempt`` a request begins; ``started`` its bytes begin to come; ``progress``; ``skipped`` the file is
            already there; ``retry`` the attempt failed and another follows; ``failed`` it failed for good; ``end``.
        url: the address as asked for, without a password.
        directory: the folder of the file.
        attempt: the number of the attempt, from 1.
        path: the file; unknown until the server has named it.
        done: bytes so far, as sent by the server, those of an earlier attempt included.
        total: bytes the server announced; none when it did not.
        size: bytes on disk (differs from ``done`` when the server compressed the file).
        rate: bytes a second.
        delay: seconds until the next attempt (``retry``).
        error: what failed (``retry``, ``failed``).
        status: the HTTP status that failed, if that was it.
        stalled: seconds without a byte, if that was the failure.
    """

    kind: Literal["attempt", "started", "progress", "skipped", "retry", "failed", "end"]
    url: str
    directory: Path
    attempt: int = 1
    path: Path | None = None
    done: int = 0
    total: int | None = None
    size: int = 0
    rate: float = 0.0
    delay: float = 0.0
    error: str | None = None
    status: int | None = None
    stalled: float | None = None


class Meter:
    """Says when progress is due, and at what rate bytes come.

    Parameters:
        done: bytes there before the first one is counted.
        now: the time, in seconds of a monotonic clock.
    """

    def __init__(self, done: int, now: float) -> None:
        self._samples: deque[tuple[float, int]] = deque([(now, done)])
        self._due = now + INTERVAL

    def due(self, now: float) -> bool:
        """Return whether a progress event may be sent at this time (at most one in 0.1 s)."""
        if now < self._due:
            return False
        self._due = now + INTERVAL
        return True

    def rate(self, done: int, now: float) -> float:
        """Return the bytes a second over the last second; in the first second, the bytes that came so far.

        The reference shows it like that: 10 bytes that came in 2 ms are "10.0 B/s".
        """
        samples = self._samples
        samples.append((now, done))
        while len(samples) > 2 and samples[1][0] <= now - WINDOW:
            samples.popleft()
        since, before = samples[0]
        return (done - before) / max(now - since, WINDOW)


def format_bytes(value: float | None) -> str:
    """Return a size as the reference prints it: three significant digits, "293 KB", "10.0 B", "?" when unknown."""
    if value is None or value < 0 or not math.isfinite(value):
        return "?"
    if value < 1:
        return "0 B"
    power = min(int(math.log(value) / math.log(1024)), len(UNITS) - 1)
    scaled = value / 1024**power
    digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
    return f"{_fixed(scaled, digits)} {UNITS[power]}"


def render_parts(event: DownloadEvent) -> list[str]:
    """Return the pieces of text that the reference prints for an event, each as it sends them (spec §4.4)."""
    if event.kind == "attempt":
        return [f"\r\n[Attempt {event.attempt}]", f"\r\nDownloading {event.url} to {event.directory}...\r\n"]
    if event.kind == "started":
        return [f"\r\n[Download Started] {_name(event)}\r\n"]
    if event.kind == "progress":
        return [f"\r\x1b[2K{_progress_line(event)}"]
    if event.kind == "skipped":
        info = {
            "totalSize": event.total or None,
            "fileName": _name(event),
            "filePath": str(event.path),
            "downloadedSize": event.size,
        }
        return [f"\r\n[Download Skipped] File already exists: {_stringify(info)}\r\n", "\r\nDone\r\n"]
    if event.kind == "end":
        info = {
            "fileName": _name(event),
            "filePath": str(event.path),
            "totalSize": event.total or None,
            "incomplete": False,
            "onDiskSize": event.size,
            "downloadedSize": event.done,
        }
        return [f"\r\n[Download End] {_stringify(info)}\r\n", "\r\nDownload Complete!\r\n", "\r\nDone\r\n"]
    if event.stalled is not None:
        parts = [f"\r\n[Download Watchdog] No progress for {_fixed(event.stalled, 1)}s (url: {event.url})\r\n"]
        return parts if event.kind == "retry" else [*parts, f"\r\n[Download Error] Error: {event.error}\r\n"]
    text = event.error if event.status is None else f"Response status was {event.status}"
    return [f"\r\n[Download Error] Error: {text}\r\n"]


def render_event(event: DownloadEvent) -> str:
    """Return the text that the reference prints for an event (spec §4.4)."""
    return "".join(render_parts(event))


def _name(event: DownloadEvent) -> str:
    return event.path.name if event.path else ""


def _progress_line(event: DownloadEvent) -> str:
    done, rate = format_bytes(event.done), format_bytes(event.rate)
    if not event.total:
        return f"[Download] {done} ({rate}/s)"
    percent = max(0.0, min(100.0, 100 * event.done / event.total))
    return f"[{_fixed(percent, 1)}%] {done}/{format_bytes(event.total)} ({rate}/s)"


def _fixed(value: float, digits: int) -> str:
    """Return what JavaScript's ``toFixed`` gives: Python's own formatting rounds ties to even."""
    return str(Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP))


def _stringify(value: dict[str, Any]) -> str:
    """Return what JavaScript's ``JSON.stringify`` gives, lone surrogates (odd file names) escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)
