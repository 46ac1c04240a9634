"""The HTTP side of a download: a session that can be cut off, the answer's headers, its bytes, its failures."""

from __future__ import annotations

import http.client
import os
import re
import socket
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["USER_AGENT", "Answer", "Failure", "Inflater", "Stop", "StoppedError", "body", "session", "translate"]

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
"""What the server sees: some refuse anything but a browser, and the reference sends a Chrome one too."""
MAX_REDIRECTS = 20
RETRY_AFTER_CAP = 120.0
"""The longest wait a server can ask for, in seconds."""
READ_LEAST, READ_MOST = 4096, 1 << 20
INFLATE_MOST = 1 << 20

NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)


class StoppedError(Exception):
    """The download was told to stop."""


class Stop:
    """A switch that ends a transfer from another thread, at once even inside a blocking read."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._guard = threading.Lock()
        self._sockets: list[Any] = []

    def set(self) -> None:
        """Stop: the connections are shut down, so that a thread waiting for bytes wakes up."""
        with self._guard:
            self._event.set()
            for sock in self._sockets:
                _shut(sock)

    def is_set(self) -> bool:
        """Return whether it was stopped."""
        return self._event.is_set()

    def watch(self, sock: Any) -> None:
        """Take a new connection under this switch."""
        with self._guard:
            self._sockets = [known for known in self._sockets if known.fileno() >= 0] + [sock]
            if self._event.is_set():
                _shut(sock)

    def wait(self, seconds: float) -> bool:
        """Wait; return whether it was stopped meanwhile."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raise ``StoppedError`` if it was stopped."""
        if self._event.is_set():
            raise StoppedError


def _shut(sock: Any) -> None:
    # The plain socket's method: the TLS one would drop its state under the reading thread.
    with suppress(OSError, TypeError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


@dataclass(eq=False)
class Failure(Exception):  # noqa: N818  (a result of one attempt, not the download's error)
    """One attempt failed.

    Parameters:
        message: what happened.
        hint: what a person can do.
        final: trying again is pointless.
        status: the HTTP status, if that is it.
        delay: the least wait before the next attempt that the server asks for, in seconds.
        stalled: no byte came in time.
    """

    message: str
    hint: str | None = None
    final: bool = False
    status: int | None = None
    delay: float = 0.0
    stalled: bool = False


class _Adapter(HTTPAdapter):
    """Hands every new connection to a ``Stop``."""

    def __init__(self, stop: Stop) -> None:
        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                stop.watch(self.sock)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                stop.watch(self.sock)

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        self._pools = {"http": PlainPool, "https": SecurePool}
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def session(stop: Stop, headers: Mapping[str, str] | None = None, *, environment: bool = False) -> requests.Session:
    """Return a session whose connections ``stop`` can cut.

    Parameters:
        headers: added to every request.
        environment: use HTTP_PROXY and its like, and ~/.netrc.
    """
    made = requests.Session()
    made.mount("http://", _Adapter(stop))
    made.mount("https://", _Adapter(stop))
    made.max_redirects = MAX_REDIRECTS
    made.trust_env = environment
    # Without trust_env, requests would also forget the certificates of a company's own network.
    made.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    # A file as it is: a compressed answer could neither be resumed nor measured.
    made.headers.update({"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **(headers or {})})
    return made


@dataclass(frozen=True)
class Answer:
    """What the headers of an answer say.

    Parameters:
        status: the HTTP status.
        start: the place of the first byte in the file.
        total: the bytes of the whole file as sent, if known.
        length: the bytes of this answer, if known.
        etag, last_modified, disposition, encoding, kind: headers (``kind`` is the Content-Type).
        ranges: the server may give parts of the file.
        url: where the redirects ended.
    """

    status: int
    start: int
    total: int | None
    length: int | None
    etag: str | None
    last_modified: str | None
    disposition: str | None
    encoding: str
    kind: str
    ranges: bool
    url: str

    @classmethod
    def of(cls, response: requests.Response) -> Answer:
        """Read the headers of a response."""
        headers = response.headers
        length = _number(headers.get("Content-Length"))
        start, total = 0, length
        if response.status_code == 206:
            match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("Content-Range", "").strip())
            # -1: a part of we do not know what.
            start, total = (int(match[1]), _number(match[3])) if match else (-1, None)
        if "chunked" in headers.get("Transfer-Encoding", "").lower():
            length = None
            total = None if response.status_code != 206 else total
        return cls(
            status=response.status_code,
            start=start,
            total=total,
            length=length,
            etag=headers.get("ETag"),
            last_modified=headers.get("Last-Modified"),
            disposition=headers.get("Content-Disposition"),
            encoding=headers.get("Content-Encoding", "").strip().lower(),
            kind=headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            ranges=headers.get("Accept-Ranges", "").strip().lower() != "none",
            url=response.url,
        )


def check_status(response: requests.Response) -> None:
    """Raise a ``Failure`` for an answer that is not a file (other than 416, which the caller understands)."""
    status = response.status_code
    if 200 <= status < 300 and status not in {204, 205}:
        return
    reason = http.client.responses.get(status, response.reason or "")
    message = f"the server answered {status} {reason}".strip()
    if status in {408, 425, 429} or status >= 500:
        raise Failure(message, status=status, delay=_retry_after(response.headers.get("Retry-After")))
    hint = "check the address"
    if status in {401, 403, 407}:
        hint = "it wants a login or a token: log in, for a gated model also accept its terms"
    elif status in {404, 410}:
        hint = "the file is not there (any more): check the address"
    raise Failure(message, hint=hint, final=True, status=status)


def body(response: requests.Response) -> Iterator[bytes]:
    """Yield the bytes of an answer as they were sent, soon after they come, in pieces of up to 1 MiB."""
    amount = READ_LEAST * 4
    while True:
        begun = time.monotonic()
        data = response.raw.read(amount, decode_content=False)
        if not data:
            return
        took = time.monotonic() - begun
        # A read waits until the amount is full: as much as comes in a moment, so that progress and resuming stay fine.
        if took < 0.02:
            amount = min(amount * 2, READ_MOST)
        elif took > 0.2:
            amount = max(amount // 2, READ_LEAST)
        yield data


class Inflater:
    """Unpacks a gzip or deflate answer piece by piece.

    Parameters:
        encoding: ``gzip``, ``x-gzip`` or ``deflate``.
    """

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding != "deflate"
        self._stream: Any = None
        self.ended = True
        """Everything that was begun has also ended."""
        self._trailing = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` unpacks to, in pieces of up to 1 MiB; raise ``zlib.error`` if it is damaged."""
        while data and not self._trailing:
            if self._stream is None:
                self._stream = zlib.decompressobj(self._bits(data))
                self.ended = False
            out = self._stream.decompress(data, INFLATE_MOST)
            while out:
                yield out
                out = self._stream.decompress(self._stream.unconsumed_tail, INFLATE_MOST)
            data = b""
            if self._stream.eof:
                data, self.ended = self._stream.unused_data, True
                self._stream = None
                # A second member may follow in gzip; anything else behind the end is padding.
                self._trailing = not self._gzip or (bool(data) and data[:1] != b"\x1f")

    def _bits(self, data: bytes) -> int:
        if self._gzip:
            return 31
        # "deflate" means zlib's format, but some servers send it bare.
        return 15 if data[0] & 0x0F == 8 else -15


def translate(error: BaseException) -> Failure:
    """Return a network error as a ``Failure``: what it means, and whether trying again can help."""
    text = _reason(error)
    if isinstance(error, requests.TooManyRedirects):
        return Failure(f"it redirects more than {MAX_REDIRECTS} times", "the address leads in a circle", final=True)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        hint = "set REQUESTS_CA_BUNDLE to the certificates of your network, or check the machine's clock"
        return Failure("the server's certificate cannot be trusted", hint, final=True)
    if isinstance(error, requests.exceptions.InvalidSchema):
        return Failure("it redirects to an address that is not http or https", final=True)
    if isinstance(error, ValueError):  # requests' InvalidURL and InvalidHeader are ValueErrors too
        return Failure(f"the address or a header is not valid: {text}", "check the address", final=True)
    if isinstance(error, (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)):
        return Failure("no byte came in time", stalled=True)
    return Failure(text)


def _reason(error: BaseException) -> str:
    """Return the innermost cause as text: requests wraps errors in errors."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        inner = getattr(current, "reason", None)
        following = [inner, *current.args, current.__cause__]
        current = next((item for item in following if isinstance(item, BaseException)), None)
    last = seen[-1]
    text = last.strerror if isinstance(last, OSError) and last.strerror else str(last)
    return text or type(last).__name__


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _retry_after(text: str | None) -> float:
    """Return the seconds that a Retry-After header asks for, at most two minutes."""
    if not text:
        return 0.0
    number = _number(text.strip())
    if number is None:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        if when.tzinfo is None:
            when = when.replace(tzinfo=timezone.utc)
        number = int((when - datetime.now(timezone.utc)).total_seconds())
    return min(max(float(number), 0.0), RETRY_AFTER_CAP)
