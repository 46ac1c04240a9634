"""Loopback servers that speak what the platforms' own services speak."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Answers by a function of the request: ``(status, body, headers)``."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer, port=0):
        super().__init__(("127.0.0.1", port), Request)
        self.answer = answer
        self.asked = []
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        self.server.asked.append((self.path, dict(self.headers)))
        status, body, headers = self.server.answer(self)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(answer, port=0):
    with Server(answer, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def forwarded(port, path):
    """Ask an app as a proxy does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return None
    finally:
        connection.close()


def jupyter(base="/", token="", *, proxy=True, login=None):
    """Answer as jupyter_server with or without jupyter-server-proxy does: the prefix is taken away; 404, login, 500."""

    def answer(request):
        if login is not None:
            return login, b"", {"Location": f"{base}login"} if login == 302 else {}
        if token and request.headers.get("Authorization") != f"token {token}":
            return 403, b"Forbidden", {}
        match = re.fullmatch(re.escape(base) + r"proxy/(absolute/)?(\d+)(/.*)", request.path)
        if not proxy or not match:
            if request.path.endswith("/"):
                return 302, b"", {"Location": request.path.rstrip("/")}
            return 404, b"<html>Jupyter Server: 404</html>", {}
        result = forwarded(int(match[2]), request.path if match[1] else match[3])
        return (*result, {}) if result else (500, b"connect failed", {})

    return answer


def text(body, status=200):
    data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return lambda request: (status, data, {})


def free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
