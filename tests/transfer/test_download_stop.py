"""Downloads that are stopped, killed, or meet each other."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from loopback import File, Request, Server, blob

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
