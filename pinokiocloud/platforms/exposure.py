"""Showing a port: what an exposer is, what it gives, and a double of it for tests (platforms §1.3)."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from pinokiocloud.errors import PinokioError, UsageError

__all__ = [
    "BaseExposer",
    "Endpoint",
    "ExposeError",
    "Exposer",
    "Health",
    "MemoryExposer",
    "answers",
    "fetched",
    "listens",
]

# s: a proxy on the same machine, or one hop away
TIMEOUT = 10.0
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class ExposeError(PinokioError):
    """A port cannot be shown this way."""

    code = "expose"


@dataclass(frozen=True)
class Endpoint:
    """Where a port can be reached.

    Parameters:
        url: the address for a browser; one that starts with ``/`` is relative to the address of the notebook page.
        kind: the way, ``colab-proxy``, ``jupyter-proxy``, ``vast-portal`` …
        auth: who may open it: ``none`` everybody who knows the address, ``account`` the signed-in user of the
            platform, ``token`` the owner of a token, ``unknown``.
        public: whether it can be reached from the internet without the platform's page.
        expires: when it ends, in words; None if not before the machine.
        note: what the user should know.
        port: the port behind it.
        token: the name of the variable or secret that holds the token, never the token itself.
    """

    url: str
    kind: str
    auth: str
    public: bool
    expires: str | None = None
    note: str = ""
    port: int = 0
    token: str = ""


@dataclass(frozen=True)
class Health:
    """Whether an endpoint works.

    Parameters:
        ok: whether it does.
        detail: what was found, in words.
    """

    ok: bool
    detail: str = ""


@runtime_checkable
class Exposer(Protocol):
    """A way to show ports. Methods block; call them from a thread where that matters."""

    name: str

    def available(self) -> bool:
        """Tell whether this way exists here; quick, and never raises."""
        ...

    def open(self, port: int) -> Endpoint:
        """Show a port and return where; a port that is shown already gives the same answer.

        Raises:
            ExposeError: the port cannot be shown this way.
            UsageError: it is no port.
        """
        ...

    def health(self) -> dict[int, Health]:
        """Return how the open endpoints are, by port."""
        ...

    def close(self, port: int | None = None) -> None:
        """End one endpoint, or all; one that is not open is no error."""
        ...


class BaseExposer:
    """What exposers have in common: the list of open endpoints, from any thread.

    A subclass gives ``available`` and ``_open``, and where it matters ``_health`` and ``_close``.
    """

    name = "base"

    def __init__(self) -> None:
        self._endpoints: dict[int, Endpoint] = {}
        self._guard = threading.RLock()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The open endpoints."""
        with self._guard:
            return tuple(self._endpoints.values())

    def open(self, port: int) -> Endpoint:
        """Show a port and return where; a port that is shown already gives the same answer.

        Parameters:
            port: the port.

        Raises:
            ExposeError: the port cannot be shown this way.
            UsageError: it is no port.
        """
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
            raise UsageError(f"not a TCP port: {port!r}", port=port)
        with self._guard:
            if port not in self._endpoints:
                self._endpoints[port] = self._open(port)
            return self._endpoints[port]

    def health(self) -> dict[int, Health]:
        """Return how the open endpoints are, by port."""
        return {endpoint.port: self._health(endpoint) for endpoint in self.endpoints}

    def close(self, port: int | None = None) -> None:
        """End one endpoint, or all; one that is not open is no error.

        Parameters:
            port: the port, None for all.

        Raises:
            ExposeError: the platform does not end it; it then still counts as open.
        """
        with self._guard:
            chosen = tuple(self._endpoints) if port is None else (port,)
            gone = [self._endpoints[number] for number in chosen if number in self._endpoints]
            if gone:
                self._close(gone)
            for endpoint in gone:
                del self._endpoints[endpoint.port]

    def _open(self, port: int) -> Endpoint:
        """Show a port."""
        raise NotImplementedError

    def _health(self, endpoint: Endpoint) -> Health:
        """Look at an endpoint; here, whether anything listens on the port."""
        if listens(endpoint.port):
            return Health(ok=True, detail="the app listens; the address itself can only be tried in your browser")
        return Health(ok=False, detail=f"nothing listens on port {endpoint.port}")

    def _close(self, endpoints: list[Endpoint]) -> None:
        """End endpoints; here there is nothing to end."""


class MemoryExposer(BaseExposer):
    """An exposer that shows nothing and remembers everything: for tests and demonstrations.

    Parameters:
        template: the address, with ``{port}``.
        usable: what ``available`` says.
        refuse: ports that cannot be shown.
    """

    name = "memory"

    def __init__(
        self, template: str = "https://{port}.example.invalid/", *, usable: bool = True, refuse: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.template = template
        self.usable = usable
        self.refuse = refuse
        self.sick: set[int] = set()
        self.calls: list[tuple[str, int]] = []

    def available(self) -> bool:
        """Tell what the parameter said."""
        return self.usable

    def _open(self, port: int) -> Endpoint:
        self.calls.append(("open", port))
        if not self.usable or port in self.refuse:
            raise ExposeError(f"port {port} is refused", port=port)
        return Endpoint(self.template.format(port=port), "memory", auth="none", public=False, port=port)

    def _health(self, endpoint: Endpoint) -> Health:
        return Health(endpoint.port not in self.sick)

    def _close(self, endpoints: list[Endpoint]) -> None:
        self.calls += [("close", endpoint.port) for endpoint in endpoints]


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether something accepts connections on a port.

    Parameters:
        port: the port.
        host: the address; by default this machine's own.
    """
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def answers(url: str, headers: dict[str, str] | None = None) -> Health:
    """Look at an address over HTTP. A redirection is an answer and is not followed.

    Parameters:
        url: the address.
        headers: what to send along; never part of the result.

    Returns:
        Not ok if there is no answer, for 404 (the proxy or the app knows no such page) and from 500 on.
    """
    import requests  # noqa: PLC0415 - costs a tenth of a second, which detection must not

    try:
        with requests.Session() as session:
            # Proxies and passwords of the environment are not for this machine itself.
            session.trust_env = urlsplit(url).hostname not in _LOOPBACK
            with session.get(url, headers=headers, timeout=TIMEOUT, allow_redirects=False, stream=True) as answer:
                status = answer.status_code
    except requests.RequestException as error:
        # The text of the error holds the address, which may hold a token.
        return Health(ok=False, detail=f"no answer: {type(error).__name__}")
    return Health(status != 404 and status < 500, f"HTTP {status}")


def fetched(url: str, headers: dict[str, str] | None = None, limit: int = 1 << 20) -> tuple[int, bytes]:
    """Return status and body of an address on this machine, around all proxies; certificates are not checked.

    Parameters:
        url: the address.
        headers: what to send along.
        limit: how many bytes of the body are read.

    Returns:
        The status, 0 if there was no answer, and the body.
    """
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    try:
        if parts.scheme == "https":
            # The server's own certificate is signed by itself, and the way there does not leave the machine.
            context = ssl._create_unverified_context()  # noqa: S323, SLF001
            connection = http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT, context=context)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
        with contextlib.closing(connection):
            target = parts.path or "/"
            connection.request("GET", f"{target}?{parts.query}" if parts.query else target, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(limit)
    except (OSError, http.client.HTTPException, ValueError):
        return 0, b""
