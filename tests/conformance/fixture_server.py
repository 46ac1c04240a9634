"""A loopback web server for the cases that talk HTTP: fixed answers, byte ranges, failures on demand.

/json /text /small.txt /file.bin /a.bin /b.bin     fixed bodies (files with ranges)
/cd                                                 a file named by its content-disposition header
/redirect                                           302 to /file.bin
/status/<code>                                      that status
/flaky3                                             503 twice, then 200 (counted per `x-k` header)
/echo                                               what was asked, as JSON
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def deterministic_bytes(size: int) -> bytes:
    """Give the body that the recorded hashes belong to."""
    return bytes((number * 31 + (number >> 8)) & 255 for number in range(size))


FILE = deterministic_bytes(300_000)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hits: Counter[str] = Counter()
        self.lock = threading.Lock()

    def hit(self, key: str) -> int:
        with self.lock:
            self.hits[key] += 1
            return self.hits[key]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that hang up, as a stopped download does."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path).path
        if path == "/json":
            self._send(200, b'{"a":1,"b":[true,null]}', {"content-type": "application/json"})
        elif path == "/text":
            self._send(200, b"plain text", {"content-type": "text/plain"})
        elif path == "/small.txt":
            self._send_file(b"0123456789", {"content-type": "text/plain"})
        elif path == "/cd":
            self._send_file(b"cd-body", {"content-disposition": 'attachment; filename="from header.txt"'})
        elif path == "/redirect":
            self._send(302, b"", {"location": "/file.bin"})
        elif path.startswith("/status/"):
            self._send(int(path.removeprefix("/status/")), b"status body")
        elif path == "/flaky3":
            ready = self.server.hit(self.headers.get("x-k") or "k") % 3 == 0
            self._send(200 if ready else 503, b"ok" if ready else b"")
        elif path == "/echo":
            self._send(200, self._echo(body), {"content-type": "application/json"})
        elif path in ("/file.bin", "/a.bin", "/b.bin"):
            self._send_file(FILE)
        else:
            self._send(404, b"nf")

    def _echo(self, body: bytes) -> bytes:
        said: dict[str, Any] = {"method": self.command, "url": self.path, "body": body.decode(errors="replace")}
        for key, header in (("ct", "content-type"), ("xa", "x-a"), ("accept", "accept")):
            if header in self.headers:
                said[key] = self.headers[header]
        said["ua_type"] = "string" if "user-agent" in self.headers else "undefined"
        return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()

    def _send_file(self, content: bytes, headers: dict[str, str] | None = None) -> None:
        headers = {"content-type": "application/octet-stream", "accept-ranges": "bytes", **(headers or {})}
        wanted = _RANGE.search(self.headers.get("range") or "")
        if not wanted:
            self._send(200, content, headers)
            return
        first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
        if first >= len(content):
            self._send(416, b"", {"content-range": f"bytes */{len(content)}"})
            return
        part = content[first : last + 1]
        span = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        self._send(206, part, {**headers, "content-range": span})

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def fixture_server() -> Iterator[int]:
    """Serve on a free loopback port and give the port; counters start at nought each time."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
