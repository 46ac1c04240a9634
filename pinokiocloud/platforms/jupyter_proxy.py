"""jupyter-server-proxy: the way to a port through the Jupyter server that serves the notebook (platforms §1.3).

Whether the server has it is tried for real: a page of our own is asked for through it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from pinokiocloud.platforms.exposure import BaseExposer, Endpoint, ExposeError, Health, fetched, listens
from pinokiocloud.platforms.platform import user_home

__all__ = ["JupyterProxyExposer", "JupyterServer", "running_servers"]

_ANY = {"", "*", "0.0.0.0", "::", "localhost"}  # noqa: S104 - read, not bound
_LOGIN = {301, 302, 303, 307, 401, 403}


@dataclass(frozen=True)
class JupyterServer:
    """A running Jupyter server of this machine.

    Parameters:
        url: its address on this machine, ending in the base URL.
        base_url: its path, with slashes at both ends.
        token: what it asks for; never shown.
        pid: its process, 0 if it is not known.
    """

    url: str
    base_url: str
    token: str = field(default="", repr=False)
    pid: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """What a request has to carry."""
        return {"Authorization": f"token {self.token}"} if self.token else {}


def running_servers(environ: Mapping[str, str], folder: Path | None = None) -> list[JupyterServer]:
    """Return the running Jupyter servers, the one that serves this process's notebook first.

    Read are the files that servers write (``jpserver-*.json``, ``nbserver-*.json``), as
    ``jupyter_server.serverapp.list_running_servers`` does, but nothing is deleted and nothing imported; after them
    comes what a hub says about its server. Servers on Unix sockets are left out.

    Parameters:
        environ: the environment.
        folder: Jupyter's runtime folder, by default the one that the environment leads to.
    """
    parent, prefix = environ.get("JPY_PARENT_PID", ""), environ.get("JUPYTERHUB_SERVICE_PREFIX", "")
    found = []
    for file in _newest(folder or _runtime(environ)):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            told = json.loads(file.read_text(encoding="utf-8"))
            server = _server(told, environ)
            if server is not None and _alive(server.pid):
                found.append(server)
    # The sort is stable: among equals the newest stays first.
    found.sort(key=lambda server: (str(server.pid) != parent, server.base_url != prefix))
    service = environ.get("JUPYTERHUB_SERVICE_URL", "")
    if prefix and service and all(server.base_url != prefix for server in found):
        parts = urlsplit(service)
        with contextlib.suppress(ValueError):
            address = _address(parts.scheme or "http", parts.hostname or "", parts.port or 8888)
            found.append(JupyterServer(f"{address}{prefix}", prefix, environ.get("JUPYTERHUB_API_TOKEN", "")))
    return found


class JupyterProxyExposer(BaseExposer):
    """The path ``<base URL>proxy/<port>/`` of the Jupyter server.

    It is behind the server's own login. The app sees requests without the path (with ``absolute`` with it), so apps
    that make absolute links need to be told: Gradio by ``--root-path``.

    Parameters:
        environ: the environment.
        base_url: the path of the server where the platform fixes it; among several servers it is preferred.
        public_url: scheme and host for browsers where they are known; without, the endpoint's URL is a path.
        absolute: pass the whole path on to the app.
        folder: Jupyter's runtime folder, by default the one that the environment leads to.
    """

    name = "jupyter-server-proxy"

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        base_url: str = "",
        public_url: str = "",
        absolute: bool = False,
        folder: Path | None = None,
    ) -> None:
        super().__init__()
        self._environ = environ
        self._base_url = base_url
        self._public_url = public_url.rstrip("/")
        self._way = "proxy/absolute/" if absolute else "proxy/"
        self._folder = folder
        self._server: JupyterServer | None = None
        self._proven = False

    def available(self) -> bool:
        """Tell whether a server of this machine has jupyter-server-proxy, by asking it for a page of our own."""
        return self._find() is not None

    def _open(self, port: int) -> Endpoint:
        """Name the path."""
        server = self._find()
        if server is None:
            raise ExposeError(
                "no Jupyter server with jupyter-server-proxy was found on this machine",
                hint="pip install jupyter-server-proxy where the server runs, then restart the server",
                port=port,
            )
        hub = self._environ.get("JUPYTERHUB_PUBLIC_URL", "")
        if hub and server.base_url == self._environ.get("JUPYTERHUB_SERVICE_PREFIX"):
            url = f"{hub.rstrip('/')}/{self._way}{port}/"
        else:
            url = f"{self._public_url}{server.base_url}{self._way}{port}/"
        note = "open it from the notebook's page; an app that makes absolute links needs its root path set to it"
        if not self._proven:
            note += "; not tried, since the server wants a login"
        return Endpoint(
            url, "jupyter-proxy", auth="account", public=False, expires="when the Jupyter server ends", note=note,
            port=port,
        )  # fmt: skip

    def _health(self, endpoint: Endpoint) -> Health:
        """Ask the app through the server."""
        server = self._find()
        if server is None:
            return Health(ok=False, detail="the Jupyter server is gone")
        status, _ = fetched(f"{server.url}{self._way}{endpoint.port}/", server.headers)
        if not listens(endpoint.port):
            return Health(ok=False, detail=f"nothing listens on port {endpoint.port}")
        if status in _LOGIN and not self._proven:
            return Health(ok=True, detail="the app listens; the server wants a login, so the way was not tried")
        return Health(0 < status < 500, f"HTTP {status}" if status else "the Jupyter server does not answer")

    def _find(self) -> JupyterServer | None:
        """Return the server that has the proxy, None if none has."""
        with self._guard:
            if self._server is not None and self._proven and (not self._server.pid or _alive(self._server.pid)):
                return self._server
            self._server, self._proven = None, False
            servers = running_servers(self._environ, self._folder)
            servers.sort(key=lambda server: server.base_url != self._base_url if self._base_url else False)
            if servers:
                with _page() as (port, text):
                    for server in servers:
                        # Without a slash at the end: those that lead nowhere are redirected, not answered with 404.
                        status, body = fetched(f"{server.url}proxy/{port}/check", server.headers)
                        if status == 200 and body == text:
                            self._server, self._proven = server, True
                            break
                        if status in _LOGIN and self._server is None:
                            self._server = server
            return self._server


@contextlib.contextmanager
def _page() -> Iterator[tuple[int, bytes]]:
    """Serve a page that nobody else has, and give its port and text."""
    text = secrets.token_hex(16).encode()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True, name="proxy check")
        thread.start()
        try:
            yield server.server_address[1], text
        finally:
            server.shutdown()
            thread.join()


def _server(told: Mapping[str, object], environ: Mapping[str, str]) -> JupyterServer | None:
    """Return the server of a file, None if it has no port."""
    if told.get("sock") or not told.get("port"):
        return None
    base = f"/{str(told.get('base_url') or '/').strip('/')}/".replace("//", "/")
    token = str(told.get("token") or "")
    if not token and base == environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        token = environ.get("JUPYTERHUB_API_TOKEN", "")
    scheme = "https" if told.get("secure") else "http"
    address = _address(scheme, str(told.get("hostname") or ""), int(str(told["port"])))
    return JupyterServer(f"{address}{base}", base, token, int(str(told.get("pid") or 0)))


def _address(scheme: str, host: str, port: int) -> str:
    """Return an address; what listens everywhere is asked on the loopback interface."""
    host = "127.0.0.1" if host in _ANY else host
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _newest(folder: Path) -> list[Path]:
    """Return the servers' files, the newest first."""
    found = []
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            if re.fullmatch(r"(jp|nb)server-.+\.json", file.name):
                with contextlib.suppress(OSError):
                    found.append((file.stat().st_mtime, file))
    return [file for _, file in sorted(found, reverse=True)]


def _runtime(environ: Mapping[str, str]) -> Path:
    """Return Jupyter's runtime folder, as ``jupyter_core`` finds it on Linux."""
    if environ.get("JUPYTER_RUNTIME_DIR"):
        return Path(environ["JUPYTER_RUNTIME_DIR"])
    if environ.get("JUPYTER_DATA_DIR"):
        return Path(environ["JUPYTER_DATA_DIR"]) / "runtime"
    data = environ.get("XDG_DATA_HOME") or user_home(environ) / ".local" / "share"
    return Path(data) / "jupyter" / "runtime"


def _alive(pid: int) -> bool:
    """Tell whether a process is there."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return pid > 0
