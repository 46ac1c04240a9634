from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import gc
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from conftest import DATE, File, Request, Server, blob
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinokiocloud.errors import DownloadError
from pinokiocloud.transfer import partial
from pinokiocloud.transfer.download import Download, DownloadEvent, download

DATA = blob(300_000, seed=1)
OTHER = blob(300_000, seed=2)


def get(url: str, path: Path | None = None, **options) -> Download:
    return asyncio.run(download(url, path=path, **options))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupted(url: str, dest: Path, **options) -> None:
    """Run a download that breaks off and may not try again."""
    with pytest.raises(DownloadError):
        get(url, dest, attempts=1, **options)


def ranges(server: Server) -> list[str | None]:
    return server.asked("range")


# Going on


@pytest.mark.parametrize("reset", [True, False])
def test_second_call_goes_on(server: Server, tmp_path: Path, reset: bool) -> None:
    url = server.file("/f", DATA, cuts=[100_000], reset=reset)
    dest = tmp_path / "x"
    interrupted(url, dest)
    assert left(tmp_path) == ["x.part", "x.part.json"]
    have = (tmp_path / "x.part").stat().st_size
    events: list[DownloadEvent] = []
    result = get(url, dest, on_event=events.append)
    assert dest.read_bytes() == DATA
    assert result.resumed_from == have
    assert (result.attempts, result.skipped) == (1, False)
    assert ranges(server) == [None, f"bytes={have}-"]
    assert next(event for event in events if event.kind == "started").done == have
    assert left(tmp_path) == ["x"]


def test_second_call_goes_on_in_a_directory(server: Server, tmp_path: Path) -> None:
    headers = {"Content-Disposition": 'attachment; filename="named.bin"'}
    url = server.file("/f", DATA, cuts=[100_000], headers=headers)
    with pytest.raises(DownloadError):
        get(url, directory=tmp_path, attempts=1)
    result = get(url, directory=tmp_path)
    assert result.path.read_bytes() == DATA
    assert result.resumed_from == 100_000
    # The name is in the first answer, so that answer is let go and the rest is asked for.
    assert ranges(server) == [None, None, "bytes=100000-"]
    assert left(tmp_path) == ["named.bin"]


def test_date_alone_is_a_validator(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000], validators=False, headers={"Last-Modified": DATE})
    interrupted(url, tmp_path / "x")
    assert get(url, tmp_path / "x").resumed_from == 100_000
    assert server.asked("if-range") == [None, DATE]
    assert (tmp_path / "x").read_bytes() == DATA


def test_weak_etag_alone_is_none(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000], validators=False, headers={"ETag": 'W/"v"'})
    interrupted(url, tmp_path / "x")
    assert left(tmp_path) == []
    assert get(url, tmp_path / "x").resumed_from == 0


def test_without_validators_only_the_same_call_goes_on(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000, 200_000], validators=False)
    assert get(url, tmp_path / "x").path.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", "bytes=200000-"]
    server.requests.clear()
    server.file("/f", DATA, cuts=[100_000], validators=False)
    interrupted(url, tmp_path / "y")
    assert left(tmp_path) == ["x"]


def test_complete_but_unnamed(server: Server, tmp_path: Path) -> None:
    """The process ended between the last byte and the final name."""
    url = server.file("/f", DATA, cuts=[100_000])
    interrupted(url, tmp_path / "x")
    (tmp_path / "x.part").write_bytes(DATA)
    assert get(url, tmp_path / "x").resumed_from == len(DATA)
    assert ranges(server) == [None, None]
    assert (tmp_path / "x").read_bytes() == DATA
    assert left(tmp_path) == ["x"]


# Starting over


@pytest.mark.parametrize("ignore_if_range", [False, True])
@pytest.mark.parametrize("size", [300_000, 100_000, 50_000, 400_000])
def test_other_version_starts_over(server: Server, tmp_path: Path, size: int, ignore_if_range: bool) -> None:
    url = server.file("/f", DATA, cuts=[100_000])
    interrupted(url, tmp_path / "x")
    changed = blob(size, seed=3)
    server.file("/f", changed, ignore_if_range=ignore_if_range)
    result = get(url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == changed
    assert result.resumed_from == 0
    assert left(tmp_path) == ["x"]


def test_other_version_within_one_call(server: Server, tmp_path: Path) -> None:
    first, second = File(DATA, cuts=[100_000]), File(OTHER, cuts=[250_000])

    def answer(request: Request) -> None:
        (first if len(server.requests) == 1 else second)(request)

    url = server.route("/f", answer)
    assert get(url, tmp_path / "x").path.read_bytes() == OTHER
    assert ranges(server) == [None, "bytes=100000-", "bytes=250000-"]


def test_server_without_range(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000], ranges=False)
    assert get(url, tmp_path / "x").path.read_bytes() == DATA
    # "Accept-Ranges: none" is believed ...
    assert ranges(server) == [None, None]
    # ... and a server that says nothing is asked, answers with everything, and that is taken.
    server.requests.clear()
    plain = File(DATA, cuts=[100_000], ranges=False, headers={})
    plain.headers["Accept-Ranges"] = "bytes"
    url = server.route("/g", plain)
    assert get(url, tmp_path / "y").path.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-"]


def test_other_address_starts_over(server: Server, tmp_path: Path) -> None:
    interrupted(server.file("/f", DATA, cuts=[100_000], etag='"v"'), tmp_path / "x")
    get(server.file("/g", OTHER, etag='"v"'), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == OTHER
    assert ranges(server) == [None, None]


@pytest.mark.parametrize("status", [416, 206])
@pytest.mark.parametrize("content_range", ["bytes 0-299999/300000", "bytes 7-9/300000", "nonsense", ""])
def test_nonsense_for_the_rest_is_asked_for_once(
    server: Server, tmp_path: Path, status: int, content_range: str
) -> None:
    interrupted(server.file("/f", DATA, cuts=[100_000]), tmp_path / "x")
    whole = File(DATA)

    def answer(request: Request) -> None:
        if "Range" in request.headers:
            request.answer(status, DATA[:1000], Content_Range=content_range)
        else:
            whole(request)

    get(server.route("/f", answer), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", None]


def test_a_part_unasked_is_no_file(server: Server, tmp_path: Path) -> None:
    url = server.route("/f", lambda r: r.answer(206, b"part", Content_Range="bytes 3-6/10"))
    with pytest.raises(DownloadError, match="unasked"):
        get(url, tmp_path / "x")
    assert left(tmp_path) == []


@pytest.mark.parametrize("token", ["?token=secret", ""])
def test_note_holds_no_secrets(server: Server, tmp_path: Path, token: str) -> None:
    url = server.file("/f", DATA, cuts=[100_000]).replace("//", "//me:secret@") + token
    interrupted(url, tmp_path / "x")
    note = json.loads((tmp_path / "x.part.json").read_text())
    assert "secret" not in str(note)
    assert note["url"] == server.url + "/f"
    assert note["size"] == 300_000


@pytest.mark.parametrize("text", ["", "{}", "[]", "not json", '{"pinokiocloud": 1}', '{"pinokiocloud": 1, "key": 3}'])
def test_damaged_or_foreign_note(server: Server, tmp_path: Path, text: str) -> None:
    url = server.file("/f", DATA)
    (tmp_path / "x.part").write_bytes(b"mine")
    (tmp_path / "x.part.json").write_text(text)
    assert get(url, tmp_path / "x").resumed_from == 0
    assert (tmp_path / "x").read_bytes() == DATA
    # An empty note is one we had just made; anything else is not ours to remove.
    assert left(tmp_path) == (["x", "x.part", "x.part.json"] if text else ["x"])


def test_foreign_part_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"mine")
    url = server.file("/f", DATA, cuts=[100_000])
    interrupted(url, tmp_path / "x")
    assert left(tmp_path) == ["x.1.part", "x.1.part.json", "x.part"]
    assert get(url, tmp_path / "x").resumed_from == 100_000
    assert left(tmp_path) == ["x", "x.part"]
    assert (tmp_path / "x.part").read_bytes() == b"mine"


def test_part_that_is_a_link_is_not_followed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "x.part").symlink_to("victim")
    (tmp_path / "y.part.json").symlink_to("victim")
    for name in ("x", "y"):
        get(server.file("/f", DATA), tmp_path / name)
        assert (tmp_path / name).read_bytes() == DATA
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_longest_names(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000])
    name = "n" * 255
    interrupted(url, tmp_path / name)
    assert get(url, tmp_path / name).resumed_from == 100_000
    assert left(tmp_path) == [name]


# Stopping


class Gate:
    """Serves a file and holds back its second half until opened."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.file = File(data)
        self.half = threading.Event()
        self.opened = threading.Event()

    def __call__(self, request: Request) -> None:
        if self.opened.is_set() or "Range" in request.headers:
            self.file(request)
            return
        middle = len(self.data) // 2
        file = File(self.data)
        file.cuts = [middle]
        file(request)
        request.wfile.flush()
        self.half.set()
        self.opened.wait(30)


def no_thread_left() -> bool:
    """A cancelled download ends by itself: far sooner than the 60 s that it may wait for bytes."""
    threads = [thread for thread in threading.enumerate() if thread.name == "download"]
    for thread in threads:
        thread.join(5)
    return not any(thread.is_alive() for thread in threads)


def progress_seen(seen: asyncio.Event):
    def on_event(event: DownloadEvent) -> None:
        if event.kind == "started":
            seen.set()

    return on_event


def test_cancelled_task_then_resume(server: Server, tmp_path: Path) -> None:
    gate = Gate(DATA)
    url = server.route("/f", gate)

    async def main() -> None:
        seen = asyncio.Event()
        task = asyncio.create_task(download(url, path=tmp_path / "x", on_event=progress_seen(seen)))
        await seen.wait()
        part = tmp_path / "x.part"
        while not part.exists() or not part.stat().st_size:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The thread has let go: nothing else writes, and the server's connection is closed.
        assert no_thread_left()

    asyncio.run(main())
    assert left(tmp_path) == ["x.part", "x.part.json"]
    assert DATA.startswith((tmp_path / "x.part").read_bytes())
    gate.opened.set()
    result = get(url, tmp_path / "x")
    assert 0 < result.resumed_from < len(DATA)
    assert (tmp_path / "x").read_bytes() == DATA
    assert left(tmp_path) == ["x"]


def test_cancel_event(server: Server, tmp_path: Path) -> None:
    gate = Gate(DATA)
    url = server.route("/f", gate)
    cancel = threading.Event()

    def on_event(event: DownloadEvent) -> None:
        if event.kind == "started":
            cancel.set()

    with pytest.raises(DownloadError) as caught:
        get(url, tmp_path / "x", on_event=on_event, cancel=cancel)
    assert caught.value.context["stopped"] is True
    assert caught.value.context["url"] == url
    gate.opened.set()
    assert get(url, tmp_path / "x", cancel=threading.Event()).path.read_bytes() == DATA


def test_cancelled_while_waiting_for_an_answer_or_the_next_attempt(server: Server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("pinokiocloud.transfer.download.BACKOFF_BASE", 60.0)
    over = threading.Event()
    silent = server.route("/silent", lambda _: over.wait(30))
    broken = server.route("/broken", lambda r: r.answer(503))

    async def main(url: str) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(download(url, path=tmp_path / "x"), 0.3)
        assert no_thread_left()

    asyncio.run(main(silent))
    asyncio.run(main(broken))
    over.set()
    assert left(tmp_path) == []


def test_end_of_a_stopped_connection_is_not_the_end_of_the_file(server: Server, tmp_path: Path) -> None:
    """Without a length, only the end of the connection tells the end: stopping must not look like it."""
    over, cancel = threading.Event(), threading.Event()

    def answer(request: Request) -> None:
        request.answer(200, DATA, None)
        request.wfile.flush()
        over.wait(30)

    with pytest.raises(DownloadError):
        get(server.route("/f", answer), tmp_path / "x", cancel=cancel, on_event=lambda _: cancel.set())
    over.set()
    assert left(tmp_path) == []


@pytest.fixture
def secure(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Put the server behind TLS; return its certificate."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl is needed to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    options += ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([openssl, "req", "-x509", *options], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = f"https://localhost:{server.server_address[1]}"
    return certificate


def test_tls_is_checked(server: Server, secure: Path, tmp_path: Path, monkeypatch) -> None:
    url = server.file("/f", DATA, cuts=[100_000])
    with pytest.raises(DownloadError, match="certificate cannot be trusted") as caught:
        get(url, tmp_path / "x")
    assert caught.value.context["attempts"] == 1
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure))
    assert get(url, tmp_path / "x").path.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-"]


def test_tls_transfer_is_cut_off_at_once(server: Server, secure: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure))
    gate = Gate(DATA)
    url = server.route("/f", gate)

    async def main() -> None:
        task = asyncio.create_task(download(url, path=tmp_path / "x"))
        part = tmp_path / "x.part"
        while not part.exists() or not part.stat().st_size:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert no_thread_left()

    asyncio.run(main())
    gate.opened.set()
    assert get(url, tmp_path / "x").resumed_from > 0
    assert (tmp_path / "x").read_bytes() == DATA


def test_killed_process_then_resume(server: Server, tmp_path: Path) -> None:
    gate = Gate(DATA)
    url = server.route("/f", gate)
    code = (
        "import asyncio, sys; from pathlib import Path; from pinokiocloud.transfer.download import download\n"
        "asyncio.run(download(sys.argv[1], path=Path(sys.argv[2]), on_event=lambda e: print(e.kind, flush=True)))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, url, str(tmp_path / "x")], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as child:
        assert child.stdout
        while child.stdout.readline().strip() != "started":
            assert child.poll() is None
        while not (tmp_path / "x.part").stat().st_size:
            assert child.poll() is None
        os.kill(child.pid, signal.SIGKILL)
    gate.opened.set()
    result = get(url, tmp_path / "x")
    assert result.resumed_from > 0
    assert (tmp_path / "x").read_bytes() == DATA
    assert left(tmp_path) == ["x"]


# Two at once


@pytest.mark.parametrize("by_directory", [False, True])
def test_two_downloads_of_one_destination(server: Server, tmp_path: Path, by_directory: bool) -> None:
    url = server.file("/x", DATA)
    options = {"directory": tmp_path} if by_directory else {"path": tmp_path / "x"}

    async def main() -> list[Download]:
        return await asyncio.gather(*(download(url, **options) for _ in range(8)))

    results = asyncio.run(main())
    assert (tmp_path / "x").read_bytes() == DATA
    assert sum(not result.skipped for result in results) == 1
    assert left(tmp_path) == ["x"]
    assert no_thread_left()
    gc.collect()
    assert str(tmp_path / "x") not in partial._locks


def test_two_addresses_for_one_destination(server: Server, tmp_path: Path) -> None:
    urls = [server.file(f"/{number}", blob(200_000 + number, seed=number)) for number in range(6)]

    async def main() -> None:
        await asyncio.gather(*(download(url, path=tmp_path / "x") for url in urls))

    asyncio.run(main())
    assert (tmp_path / "x").read_bytes() in [blob(200_000 + number, seed=number) for number in range(6)]
    assert left(tmp_path) == ["x"]


def test_waiting_for_another_download_can_be_stopped(server: Server, tmp_path: Path) -> None:
    gate = Gate(DATA)
    url = server.route("/f", gate)

    async def main() -> None:
        first = asyncio.create_task(download(url, path=tmp_path / "x"))
        while not gate.half.is_set():
            await asyncio.sleep(0.01)
        second = asyncio.create_task(download(url, path=tmp_path / "x"))
        await asyncio.sleep(0.05)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        third = asyncio.create_task(download(url, path=tmp_path / "x"))
        gate.opened.set()
        assert not (await first).skipped
        assert (await third).skipped

    asyncio.run(main())
    assert (tmp_path / "x").read_bytes() == DATA


def test_two_processes(server: Server, tmp_path: Path) -> None:
    gate = Gate(DATA)
    url = server.route("/f", gate)
    code = (
        "import asyncio, sys; from pathlib import Path; from pinokiocloud.transfer.download import download\n"
        "print(asyncio.run(download(sys.argv[1], path=Path(sys.argv[2]))).skipped)"
    )
    command = [sys.executable, "-c", code, url, str(tmp_path / "x")]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) for _ in range(3)]
    gate.half.wait(30)
    gate.opened.set()
    answers = sorted(child.communicate(timeout=60)[0].strip() for child in children)
    assert answers == ["False", "True", "True"]
    assert (tmp_path / "x").read_bytes() == DATA
    assert left(tmp_path) == ["x"]


def test_waiting_for_another_process(server: Server, tmp_path: Path) -> None:
    """The other one ends and removes its note: the lock on the old note is worth nothing."""
    url = server.file("/f", DATA)
    note = tmp_path / "x.part.json"
    other = os.open(note, os.O_RDWR | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_EX)

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(download(url, path=tmp_path / "x"), 0.15)
        waiting = asyncio.create_task(download(url, path=tmp_path / "x"))
        await asyncio.sleep(0.05)
        note.unlink()
        os.close(other)
        await waiting

    asyncio.run(main())
    assert (tmp_path / "x").read_bytes() == DATA
    assert left(tmp_path) == ["x"]


def test_disk_that_cannot_lock(server: Server, tmp_path: Path, monkeypatch) -> None:
    def cannot(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", cannot)
    assert get(server.file("/f", DATA), tmp_path / "x").path.read_bytes() == DATA
    assert left(tmp_path) == ["x"]


def test_killed_while_starting_over(server: Server, tmp_path: Path, monkeypatch) -> None:
    """Whatever of starting over is done, the bytes of the old version are never taken for the new one."""
    calls = ["ftruncate", "lseek", "pwrite"]
    for name in calls:
        interrupted(server.file("/f", DATA, cuts=[100_000]), tmp_path / name)
        url = server.file("/f", OTHER)

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(f"pinokiocloud.transfer.partial.os.{name}", killed)
            patch.setattr(partial.Partial, "close", lambda self: (os.close(self._note_fd), self._lock.release()))
            with pytest.raises(KeyboardInterrupt):
                get(url, tmp_path / name)
        assert get(url, tmp_path / name).resumed_from == 0
        assert (tmp_path / name).read_bytes() == OTHER
    assert left(tmp_path) == sorted(calls)


def test_disk_that_cannot_sync(server: Server, tmp_path: Path, monkeypatch) -> None:
    def cannot(*_: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr("pinokiocloud.transfer.partial.os.fsync", cannot)
    assert get(server.file("/f", DATA), tmp_path / "x").path.read_bytes() == DATA


def test_part_longer_than_the_file_starts_over(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000])
    interrupted(url, tmp_path / "x")
    with (tmp_path / "x.part").open("ab") as file:
        file.write(b"x" * len(DATA))
    assert get(url, tmp_path / "x").resumed_from == 0
    assert (tmp_path / "x").read_bytes() == DATA


# Any cut at any byte


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(0, 70_000),
    cuts=st.lists(st.integers(0, 70_000), max_size=8),
    reset=st.booleans(),
    ranges=st.booleans(),
    validators=st.booleans(),
    new_call=st.booleans(),
)
def test_any_cuts_give_the_same_bytes(
    server: Server, *, size: int, cuts: list[int], reset: bool, ranges: bool, validators: bool, new_call: bool
) -> None:
    data = blob(size, seed=size)
    url = server.file("/f", data, cuts=list(cuts), reset=reset, ranges=ranges, validators=validators)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(len(cuts) + 1):
            with contextlib.suppress(DownloadError):
                assert not get(url, folder / "x", attempts=1 if new_call else 20).skipped
                break
            assert not (folder / "x").exists()
        assert (folder / "x").read_bytes() == data
        assert left(folder) == ["x"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=3000), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=30), cut=st.booleans())
def test_any_chunks_give_the_same_bytes(server: Server, data: bytes, sizes: list[int], cut: bool) -> None:
    begun: list[bool] = []

    def chunked(request: Request) -> None:
        begun.append(True)
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        rest, number = data, 0
        while rest:
            piece, rest = rest[: sizes[number % len(sizes)]], rest[sizes[number % len(sizes)] :]
            request.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            number += 1
            if cut and len(begun) == 1 and number == len(sizes):
                request.close_connection = True
                return
        request.wfile.write(b"0\r\n\r\n")

    with tempfile.TemporaryDirectory() as name:
        result = get(server.route("/f", chunked), Path(name) / "x")
        assert result.path.read_bytes() == data
