from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest
from loopback import File, Request, Server, blob

from pinokiocloud.errors import DownloadError, UsageError
from pinokiocloud.transfer import wire
from pinokiocloud.transfer.download import Download, DownloadEvent, download
from pinokiocloud.transfer.progress import render_event, render_parts


def get(url: str, path: Path | None = None, **options) -> Download:
    return asyncio.run(download(url, path=path, **options))


def failing(url: str, path: Path | None = None, **options) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        get(url, path, **options)
    return caught.value


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# What the reference shows (cases fs-download-path, fs-download-exists)


def test_recorded_path_case(server: Server, tmp_path: Path) -> None:
    url = server.file("/file.bin", blob(300_000), validators=False)
    dest = tmp_path / "dl" / "out.bin"
    events: list[DownloadEvent] = []
    result = get(url, dest, on_event=events.append)
    assert dest.read_bytes() == blob(300_000)
    assert result == Download(url, dest, 300_000, 0, skipped=False, attempts=1)
    texts = [part for event in events for part in render_parts(event)]
    final = "\r\x1b[2K[100.0%] 293 KB/293 KB (293 KB/s)"
    end = f'{{"fileName":"out.bin","filePath":"{dest}","totalSize":300000,"incomplete":false,'
    assert [text for text in texts if not text.startswith("\r\x1b") or text == final] == [
        "\r\n[Attempt 1]",
        f"\r\nDownloading {url} to {dest.parent}...\r\n",
        "\r\n[Download Started] out.bin\r\n",
        final,
        f'\r\n[Download End] {end}"onDiskSize":300000,"downloadedSize":300000}}\r\n',
        "\r\nDownload Complete!\r\n",
        "\r\nDone\r\n",
    ]
    assert left(tmp_path) == ["dl", "dl/out.bin"]


def test_recorded_exists_case(server: Server, tmp_path: Path) -> None:
    url = server.file("/small.txt", b"0123456789", validators=False)
    (tmp_path / "same.txt").write_text("XXXXXXXXXX")
    (tmp_path / "diff.txt").write_text("abc")
    (tmp_path / "longer.txt").write_text("this is longer than ten")
    texts: list[str] = []
    same = get(url, tmp_path / "same.txt", on_event=lambda event: texts.extend(render_parts(event)))
    assert same.skipped
    assert (tmp_path / "same.txt").read_text() == "XXXXXXXXXX"
    info = f'{{"totalSize":10,"fileName":"same.txt","filePath":"{tmp_path}/same.txt","downloadedSize":10}}'
    assert texts[2:] == [f"\r\n[Download Skipped] File already exists: {info}\r\n", "\r\nDone\r\n"]
    for name in ("diff.txt", "longer.txt"):
        assert not get(url, tmp_path / name).skipped
        assert (tmp_path / name).read_text() == "0123456789"
    assert left(tmp_path) == ["diff.txt", "longer.txt", "same.txt"]


def test_404_fails_at_once(server: Server, tmp_path: Path) -> None:
    texts: list[str] = []
    error = failing(server.url + "/no", tmp_path / "x", on_event=lambda event: texts.append(render_event(event)))
    assert error.code == "download"
    assert error.context["status"] == 404
    assert error.context["url"] == server.url + "/no"
    assert "address" in (error.hint or "")
    assert texts[1:] == ["\r\n[Download Error] Error: Response status was 404\r\n"]
    assert len(server.requests) == 1
    assert left(tmp_path) == []


# Names and places


def test_directory_takes_the_servers_name(server: Server, tmp_path: Path) -> None:
    header = 'attachment; filename="from header.txt"'
    url = server.route("/cd", lambda r: r.answer(200, b"x", Content_Disposition=header))
    assert get(url, directory=tmp_path / "new").path == tmp_path / "new" / "from header.txt"
    url = server.file("/a%20b.bin", b"xy")
    assert get(url + "?download=true", directory=tmp_path).path == tmp_path / "a b.bin"
    url = server.file("/", b"xyz")
    assert get(url, directory=tmp_path).path == tmp_path / "download"


def test_evil_name_stays_in_the_folder(server: Server, tmp_path: Path) -> None:
    header = "attachment; filename*=UTF-8''..%2F..%2Fescaped"
    url = server.route("/f", lambda r: r.answer(200, b"x", Content_Disposition=header))
    assert get(url, directory=tmp_path / "d").path == tmp_path / "d" / "escaped"
    assert left(tmp_path) == ["d", "d/escaped"]


def test_redirects_are_followed_and_name_the_file(server: Server, tmp_path: Path) -> None:
    server.file("/there/real.bin", b"abc")
    url = server.route("/go", lambda r: r.answer(302, Location="/there/real.bin"))
    result = get(url, directory=tmp_path)
    assert (result.url, result.path.name, result.path.read_bytes()) == (url, "real.bin", b"abc")


def test_redirect_loop(server: Server, tmp_path: Path) -> None:
    url = server.route("/loop", lambda r: r.answer(302, Location="/loop"))
    error = failing(url, tmp_path / "x")
    assert "redirects more than 20 times" in error.message
    assert len(server.requests) == 21


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirect_to_something_else(server: Server, tmp_path: Path, location: str) -> None:
    url = server.route("/out", lambda r: r.answer(302, Location=location))
    assert "not http" in failing(url, tmp_path / "x").message
    assert left(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "nonsense", "", "http://[::1", "http://"])
def test_not_an_address(tmp_path: Path, url: str) -> None:
    failing(url, tmp_path / "x")
    assert left(tmp_path) == []


def test_arguments(tmp_path: Path) -> None:
    for options in ({}, {"path": tmp_path / "a", "directory": tmp_path}, {"path": tmp_path / "a", "attempts": 0}):
        with pytest.raises(UsageError):
            asyncio.run(download("http://127.0.0.1/x", **options))


def test_bad_header_is_no_network_error(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", b"x")
    error = failing(url, tmp_path / "x", headers={"X-Token": "a\r\nb"})
    assert "header" in error.message
    assert server.requests == []


def test_request_looks_like_a_browser_and_takes_headers(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", b"x")
    get(url, tmp_path / "x", headers={"Authorization": "Bearer t"})
    headers = server.requests[0][1]
    assert "Chrome/" in headers["user-agent"]
    assert headers["authorization"] == "Bearer t"
    assert headers["accept-encoding"] == "identity"


def test_password_is_not_shown(server: Server, tmp_path: Path) -> None:
    url = server.url.replace("//", "//me:se@cret@") + "/no"
    events: list[DownloadEvent] = []
    error = failing(url, tmp_path / "x", on_event=events.append)
    assert "cret" not in f"{error} {error.context} {events}"
    assert server.asked("authorization")[0]


def test_proxy_of_the_environment_is_asked_for(server: Server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    server.routes["http://example.invalid/f"] = File(b"through")
    result = get("http://example.invalid/f", tmp_path / "x", proxies_from_environment=True)
    assert result.path.read_bytes() == b"through"
    assert failing("http://example.invalid/f", tmp_path / "y", attempts=1)


def test_link_is_followed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to("store/real")
    result = get(server.file("/f", b"abc"), tmp_path / "link")
    assert result.path == tmp_path / "link"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "store" / "real").read_bytes() == b"abc"


def test_mode_of_a_replaced_file_is_kept(server: Server, tmp_path: Path) -> None:
    dest = tmp_path / "tool"
    dest.write_text("old")
    dest.chmod(0o751)
    get(server.file("/f", b"newer"), dest)
    assert dest.stat().st_mode & 0o777 == 0o751


@pytest.mark.parametrize("size", [0, 1])
def test_tiny_files(server: Server, tmp_path: Path, size: int) -> None:
    url = server.file("/f", b"x" * size)
    texts: list[str] = []
    assert get(url, tmp_path / "x", on_event=lambda event: texts.append(render_event(event))).size == size
    assert (tmp_path / "x").read_bytes() == b"x" * size
    assert '"totalSize":' + (str(size) if size else "null") in texts[-1]
    assert get(url, tmp_path / "x").skipped


# Failures that pass


def test_503_then_ok(server: Server, tmp_path: Path) -> None:
    answers = [503, 500, 200]
    url = server.route("/f", lambda r: r.answer(answers.pop(0), b"body"))
    events: list[DownloadEvent] = []
    result = get(url, tmp_path / "x", on_event=events.append)
    assert result.attempts == 3
    assert result.path.read_bytes() == b"body"
    assert [event.kind for event in events if event.kind != "progress"] == [
        "attempt", "retry", "attempt", "retry", "attempt", "started", "end",
    ]  # fmt: skip
    assert "Response status was 503" in render_event(events[1])
    assert events[1].delay > 0


@pytest.mark.parametrize("when", ["7", format_datetime(datetime.now(timezone.utc) + timedelta(hours=1)), "soon", "-1"])
def test_429_with_retry_after(server: Server, tmp_path: Path, when: str) -> None:
    answers = [429, 200]
    url = server.route("/f", lambda r: r.answer(answers.pop(0), b"body", Retry_After=when))
    events: list[DownloadEvent] = []
    assert get(url, tmp_path / "x", on_event=events.append).attempts == 2
    asked = wire.RETRY_AFTER_CAP if when not in {"soon", "-1"} else 0
    assert events[1].delay >= asked


def test_attempts_are_bounded(server: Server, tmp_path: Path) -> None:
    url = server.route("/f", lambda r: r.answer(503))
    error = failing(url, tmp_path / "x", attempts=3)
    assert len(server.requests) == 3
    assert error.context["status"] == 503
    assert error.context["attempts"] == 3
    assert left(tmp_path) == []


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    error = failing(f"http://127.0.0.1:{port}/x", tmp_path / "x", attempts=2)
    assert "refused" in error.message


def test_stalled_server(server: Server, tmp_path: Path) -> None:
    over = threading.Event()
    calls: list[int] = []

    def stall(request: Request) -> None:
        calls.append(1)
        if len(calls) == 1:
            request.answer(200, b"half", 8, ETag='"v"', Accept_Ranges="bytes")
            request.wfile.flush()
            over.wait(10)
        else:
            File(b"halfwhol", etag='"v"')(request)

    events: list[DownloadEvent] = []
    result = get(server.route("/f", stall), tmp_path / "x", timeout=0.2, on_event=events.append)
    over.set()
    assert result.path.read_bytes() == b"halfwhol"
    retry = next(event for event in events if event.kind == "retry")
    assert render_event(retry) == f"\r\n[Download Watchdog] No progress for 0.2s (url: {server.url}/f)\r\n"


def test_server_that_never_answers(server: Server, tmp_path: Path) -> None:
    over = threading.Event()
    url = server.route("/f", lambda _: over.wait(10))
    error = failing(url, tmp_path / "x", timeout=0.1, attempts=2)
    over.set()
    assert "0.1 seconds" in error.message


def test_connection_reset_and_early_end(server: Server, tmp_path: Path) -> None:
    data = blob(200_000)
    for number, reset in enumerate((True, False)):
        url = server.file("/f", data, cuts=[60_000, 120_000], reset=reset)
        result = get(url, tmp_path / str(number))
        assert result.path.read_bytes() == data
        assert result.attempts == 3
        assert result.resumed_from == 0
    # What arrived was not asked for again.
    assert [asked for asked in server.asked("range") if asked]


def test_progress_resets_the_attempts(server: Server, tmp_path: Path) -> None:
    data = blob(5000)
    url = server.file("/f", data, cuts=list(range(100, 5000, 100)))
    result = get(url, tmp_path / "x", attempts=2)
    assert result.attempts == 50
    assert result.path.read_bytes() == data


def test_the_same_half_for_ever_is_no_progress(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", blob(5000), cuts=[100] * 50, ranges=False)
    failing(url, tmp_path / "x", attempts=3)
    assert len(server.requests) == 3
    assert left(tmp_path) == []


def test_chunked(server: Server, tmp_path: Path) -> None:
    data = blob(300_000)
    calls: list[int] = []

    def chunked(request: Request) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for at in range(0, len(data), 7777):
            piece = data[at : at + 7777]
            request.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if not calls and at > 100_000:
                calls.append(1)
                request.reset()
                return
        request.wfile.write(b"0\r\n\r\n")

    url = server.route("/f", chunked)
    (tmp_path / "x").write_bytes(b"an older file of another size")
    texts: list[str] = []
    result = get(url, tmp_path / "x", on_event=lambda event: texts.append(render_event(event)))
    assert result.path.read_bytes() == data
    assert result.attempts == 2
    assert "[Download] 293 KB (" in texts[-2]
    assert '"totalSize":null' in texts[-1]


def test_end_of_the_connection_is_the_end_of_the_file(server: Server, tmp_path: Path) -> None:
    url = server.route("/f", lambda r: r.answer(200, b"all of it", None))
    assert get(url, tmp_path / "x").path.read_bytes() == b"all of it"


# The disk


def test_destination_is_a_folder(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", b"x")
    (tmp_path / "f").mkdir()
    for options in ({"path": tmp_path / "f"}, {"directory": tmp_path}):
        with pytest.raises(DownloadError) as caught:
            asyncio.run(download(url, **options))
        assert "'dir'" in (caught.value.hint or "")
    assert left(tmp_path) == ["f"]


def test_destination_is_no_file(server: Server, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "regular" in failing(server.file("/f", b"x"), tmp_path / "pipe").message
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_where_a_folder_is_needed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine")
    error = failing(server.file("/x", b"x"), tmp_path / "f" / "g" / "x")
    assert "not a folder" in (error.hint or "")
    error = failing(server.file("/x", b"x"), directory=tmp_path / "f")
    assert "not a folder" in (error.hint or "")
    assert (tmp_path / "f").read_text() == "mine"


def test_no_permission(server: Server, tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    error = failing(server.file("/x", b"x"), tmp_path / "d" / "x")
    assert "may not write" in (error.hint or "")
    assert error.context["errno"] == "EACCES"


def test_file_that_can_never_fit(server: Server, tmp_path: Path) -> None:
    url = server.route("/f", lambda r: r.answer(200, b"x", 1 << 60, ETag='"v"'))
    error = failing(url, tmp_path / "x")
    assert error.context["errno"] == "ENOSPC"
    assert "free some space" in (error.hint or "")
    assert len(server.requests) == 1
    assert left(tmp_path) == []


def test_disk_full_in_the_middle(server: Server, tmp_path: Path, monkeypatch) -> None:
    real = os.write
    written: list[int] = []

    def write(descriptor: int, data: bytes) -> int:
        if sum(written) > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(real(descriptor, data[:30_000]))  # a disk may take less than offered
        return written[-1]

    (tmp_path / "x").write_text("older")
    url = server.file("/f", blob(1_000_000))
    with monkeypatch.context() as patch:
        patch.setattr("pinokiocloud.transfer.partial.os.write", write)
        error = failing(url, tmp_path / "x")
    assert error.context["errno"] == "ENOSPC"
    assert error.context["url"] == url
    assert left(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "older"


def test_short_writes(server: Server, tmp_path: Path, monkeypatch) -> None:
    real = os.write
    monkeypatch.setattr("pinokiocloud.transfer.partial.os.write", lambda fd, data: real(fd, data[:999]))
    assert get(server.file("/f", blob(50_000)), tmp_path / "x").path.read_bytes() == blob(50_000)


# The caller


def test_events_come_in_order_in_the_loops_thread(server: Server, tmp_path: Path) -> None:
    threads: set[int] = set()
    kinds: list[str] = []

    def on_event(event: DownloadEvent) -> None:
        threads.add(threading.get_ident())
        kinds.append(event.kind)

    get(server.file("/f", blob(10)), tmp_path / "x", on_event=on_event)
    assert threads == {threading.get_ident()}
    assert kinds == ["attempt", "started", "progress", "end"]


def test_on_event_that_raises(server: Server, tmp_path: Path) -> None:
    def on_event(event: DownloadEvent) -> None:
        if event.kind == "started":
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        get(server.file("/f", blob(10)), tmp_path / "x", on_event=on_event)


def test_many_at_once_leave_the_loops_threads_free(server: Server, tmp_path: Path) -> None:
    over = threading.Event()
    url = server.route("/f", lambda r: (over.wait(20), r.answer(200, b"x")))

    async def main() -> None:
        tasks = [asyncio.create_task(download(url, path=tmp_path / str(number))) for number in range(40)]
        await asyncio.to_thread(time.sleep, 0)
        over.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert len(left(tmp_path)) == 40
