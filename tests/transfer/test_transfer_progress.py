from __future__ import annotations

from pathlib import Path

import pytest

from pinokiocloud.transfer.progress import DownloadEvent, Meter, format_bytes, render_event, render_parts


def event(kind, **facts) -> DownloadEvent:
    return DownloadEvent(kind, "http://h/f", Path("/d"), **facts)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"), (0.4, "0 B"), (1, "1.00 B"), (10, "10.0 B"), (999, "999 B"), (1023, "1023 B"), (1024, "1.00 KB"),
        (10.25 * 1024, "10.3 KB"), (100.5 * 1024, "101 KB"), (300_000, "293 KB"), (1.125 * 2**20, "1.13 MB"),
        (1024**2, "1.00 MB"), (1024**3, "1.00 GB"), (2 * 1024**4, "2.00 TB"), (5000 * 1024**4, "5000 TB"),
        (None, "?"), (-1, "?"), (float("nan"), "?"), (float("inf"), "?"),
    ],
)  # fmt: skip
def test_sizes(value: float | None, text: str) -> None:
    assert format_bytes(value) == text


@pytest.mark.parametrize(
    ("done", "total", "rate", "line"),
    [
        (300_000, 300_000, 300_000, "[100.0%] 293 KB/293 KB (293 KB/s)"),
        (10, 10, 10, "[100.0%] 10.0 B/10.0 B (10.0 B/s)"),
        (1, 3, 0, "[33.3%] 1.00 B/3.00 B (0 B/s)"),
        (500, None, 20.0, "[Download] 500 B (20.0 B/s)"),
        (500, 0, 20.0, "[Download] 500 B (20.0 B/s)"),
        (20, 10, 0, "[100.0%] 20.0 B/10.0 B (0 B/s)"),
        (1, 2000, 0, "[0.1%] 1.00 B/1.95 KB (0 B/s)"),
    ],
)
def test_progress_lines(done: int, total: int | None, rate: float, line: str) -> None:
    assert render_event(event("progress", done=done, total=total, rate=rate)) == "\r\x1b[2K" + line


def test_failures() -> None:
    assert render_event(event("retry", error="reset")) == "\r\n[Download Error] Error: reset\r\n"
    assert render_event(event("failed", error="x", status=404)).endswith("Error: Response status was 404\r\n")
    stalled = event("failed", error="no byte came for 60 seconds", stalled=60.0)
    assert render_parts(stalled) == [
        "\r\n[Download Watchdog] No progress for 60.0s (url: http://h/f)\r\n",
        "\r\n[Download Error] Error: no byte came for 60 seconds\r\n",
    ]


def test_names_as_javascript_writes_them() -> None:
    odd = Path('/d/ü \udc80"\\\n\u2028')
    text = render_event(event("end", path=odd, total=1, done=1, size=1))
    assert '"fileName":"ü \\udc80\\"\\\\\\n\u2028"' in text
    text.encode()


def test_started_without_a_name() -> None:
    assert render_event(event("started")) == "\r\n[Download Started] \r\n"


def test_meter() -> None:
    meter = Meter(1000, 50.0)
    assert not meter.due(50.05)
    assert meter.due(50.1)
    assert not meter.due(50.19)
    # The first second shows what came so far; bytes of an earlier attempt do not count.
    assert meter.rate(1010, 50.1) == 10
    for tenth in range(2, 101):
        now = 50 + tenth / 10
        rate = meter.rate(1000 + tenth * 50, now)
        assert tenth < 10 or rate == pytest.approx(500, rel=0.1)
    assert meter.rate(6000 + 50, 60.1) == pytest.approx(500, rel=0.01)
    # Only the last second counts.
    assert meter.rate(6050, 70.0) < 10
