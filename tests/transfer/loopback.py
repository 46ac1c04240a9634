"""A loopback server whose answers each test writes itself."""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import socket
import struct
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DATE = "Wed, 01 Jan 2025 00:00:00 GMT"


def blob(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class Request(BaseHTTPRequestHandler):
    """One request; routes answer it with the helpers below."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            self.answer(404, b"nothing here")
        else:
            route(self)

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", length: int | None = -1, **headers: str) -> None:
        """Send a whole answer; ``length`` None: none announced, the end of the connection ends it."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length == -1 else length))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)
        if length is None or length > len(body):
            self.close_connection = True

    def reset(self) -> None:
        """End the connection as a crash does: RST instead of FIN."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.routes: dict[str, Callable[[Request], None]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass

    def asked(self, header: str) -> list[str | None]:
        return [headers.get(header) for _, headers in self.requests]

    def route(self, path: str, answer: Callable[[Request], None]) -> str:
        self.routes[path] = answer
        return self.url + path

    def file(self, path: str, body: bytes, **options: object) -> str:
        """Serve a file as a good server does, or with the faults that ``File`` knows."""
        self.routes[path] = File(body, **options)  # type: ignore[arg-type]
        return self.url + path


@dataclass
class File:
    """A file on a server.

    Parameters:
        cuts: after how many bytes of the file each following answer breaks; then answers are whole.
        reset: breaks are connection resets, not early ends.
        ranges, validators: whether it can give parts, and names its version.
        ignore_if_range: gives the part of whatever the file is now.
    """

    body: bytes
    cuts: list[int] = field(default_factory=list)
    reset: bool = False
    ranges: bool = True
    validators: bool = True
    etag: str | None = None
    ignore_if_range: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, request: Request) -> None:
        etag = self.etag or '"' + hashlib.sha256(self.body).hexdigest()[:16] + '"'
        headers = {"Accept-Ranges": "bytes" if self.ranges else "none", **self.headers}
        if self.validators:
            headers |= {"ETag": etag, "Last-Modified": DATE}
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "")) if self.ranges else None
        current = request.headers.get("If-Range") in {None, etag, DATE} or self.ignore_if_range
        status = 200
        if match and current:
            start, status = int(match[1]), 206
            if start >= len(self.body):
                request.answer(416, **{"Content-Range": f"bytes */{len(self.body)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        rest = self.body[start:]
        if self.cuts:
            cut = max(self.cuts.pop(0) - start, 0)
            if cut < len(rest):
                request.answer(status, rest[:cut], len(rest), **headers)
                if self.reset:
                    request.reset()
                return
        request.answer(status, rest, **headers)
