from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


class Web:
    """A loopback web server.

    /text /json /bad-json /status/<code> /loop /slow /echo (what was asked, as JSON) /file.bin /ready (503 until `ready`)
    """

    def __init__(self) -> None:
        self.ready = False
        self.asked: list[tuple[str, str, bytes]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                web.asked.append((self.command, self.path, body))
                kind, answer, status, more = "text/plain", b"hello", 200, {}
                if self.path == "/json":
                    kind, answer = "application/json", b'{"a": [1, {"b": null}]}'
                elif self.path == "/bad-json":
                    kind, answer = "application/json", b'{"a": '
                elif self.path.startswith("/status/"):
                    status = int(self.path.rpartition("/")[2])
                elif self.path == "/loop":
                    status, more = 302, {"Location": "/loop"}
                elif self.path == "/ready":
                    status = 200 if web.ready else 503
                elif self.path == "/slow":
                    time.sleep(1)
                elif self.path.startswith("/file"):
                    kind, answer = "application/octet-stream", bytes(range(256)) * 64
                elif self.path.startswith("/echo"):
                    kind = "application/json"
                    seen = {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body.decode("utf-8", "replace")}
                    answer = json.dumps(seen).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def web() -> Iterator[Web]:
    served = Web()
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture
def call(app: Any, play: Any) -> Callable[..., Any]:
    """Give a function that runs one method, and has its result as ``result.local["r"]``."""

    def go(method: str, params: Any = None, *, before: list[Any] | None = None, **options: Any) -> Any:
        step = {"method": method} if params is None else {"method": method, "params": params}
        keep = {"method": "local.set", "params": {"r": "{{typeof input === 'undefined' ? 'undefined' : input}}"}}
        return play(app.script(*(before or []), step, keep), **options)

    return go


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test of this folder may leave a process of a shell behind."""
    if "app" not in request.fixturenames:
        yield
        return
    home: Path = request.getfixturevalue("home")
    left_over: Callable[[str], list[int]] = request.getfixturevalue("left_over")
    yield
    deadline = time.monotonic() + 5
    while (left := left_over(f"PINOKIO_HOME={home}")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []
