"""Downloads over HTTP: resumed when they break, never a half file under the final name (spec §4.4 fs.download)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import re
import threading
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pinokiocloud.errors import DownloadError, UsageError
from pinokiocloud.transfer import wire
from pinokiocloud.transfer.names import remote_name
from pinokiocloud.transfer.partial import Note, Partial
from pinokiocloud.transfer.progress import DownloadEvent, Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import requests

__all__ = ["Download", "DownloadEvent", "download"]

BACKOFF_BASE, BACKOFF_CAP = 0.5, 30.0
"""The first and the longest wait between attempts, in seconds."""
CONNECT_TIMEOUT = 30.0
GRACE = 2.0
"""How long a cancelled download may take to close its file, in seconds; then its thread ends by itself."""
POLL = 0.1
"""How often the caller's cancel event is looked at, in seconds."""


@dataclass(frozen=True)
class Download:
    """A finished download.

    Parameters:
        url: the address as asked for.
        path: the file.
        size: its bytes on disk.
        resumed_from: bytes that an earlier download had left and that were used.
        skipped: the file was there already, with the size that the server names.
        attempts: how many attempts it took, over all.
    """

    url: str
    path: Path
    size: int
    resumed_from: int
    skipped: bool
    attempts: int


async def download(
    url: str,
    *,
    directory: Path | None = None,
    path: Path | None = None,
    on_event: Callable[[DownloadEvent], None] | None = None,
    headers: Mapping[str, str] | None = None,
    attempts: int = 10,
    timeout: float = 60.0,
    proxies_from_environment: bool = False,
    cancel: threading.Event | None = None,
) -> Download:
    """Download a file (spec §4.4 fs.download).

    Parameters:
        url: an http or https address.
        directory: the folder to put it in, under the name the server gives it. Made if missing.
        path: the file to make, instead of ``directory``.
        on_event: called in the event loop's thread with each ``DownloadEvent``, in order. If it raises, the download
            stops and the error is raised here.
        headers: added to the request.
        attempts: it fails after so many failed attempts in a row, counted anew from each that brought something new.
        timeout: seconds without a byte after which an attempt has failed.
        proxies_from_environment: use HTTP_PROXY and its like, and ~/.netrc (the reference does not).
        cancel: stops the download when set.

    Returns:
        what was downloaded, or skipped because a file of the announced size is there.

    Raises:
        DownloadError: it failed for good; the context has ``url`` and, where known, ``status`` or ``path``.
            With ``context["stopped"]`` it was stopped by ``cancel``.
        UsageError: the arguments make no sense.

    An unfinished file stays beside the destination (``NAME.part`` and ``NAME.part.json``) when a later call can go on
    with it, whether this one failed, was stopped, or its task was cancelled.
    """
    url = url.strip()
    if (directory is None) == (path is None):
        raise UsageError("A download needs either 'directory' or 'path'")
    if attempts < 1 or timeout <= 0:
        raise UsageError("A download needs 'attempts' of at least 1 and a 'timeout' above 0")
    if not _is_web(url):
        hint = "only http and https addresses work"
        raise DownloadError(f"Cannot download {_shown(url)}", hint=hint, url=_shown(url))
    stop = wire.Stop()
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Download] = loop.create_future()

    def deliver(event: DownloadEvent) -> None:
        if on_event is None or result.done() or stop.is_set():
            return
        try:
            on_event(event)
        except Exception as error:  # noqa: BLE001  (raised to the caller, whose function it is)
            stop.set()
            settle(error)

    def settle(outcome: Download | BaseException) -> None:
        if result.done():
            return
        if isinstance(outcome, BaseException):
            result.set_exception(outcome)
            result.exception()  # seen: a cancelled caller does not come back for it
        else:
            result.set_result(outcome)

    def post(function: Callable[[Any], None], value: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(function, value)

    def emit(event: DownloadEvent) -> None:
        post(deliver, event)

    def work() -> None:
        transfer = _Transfer(url, directory, path, attempts=attempts, timeout=timeout, stop=stop, emit=emit)
        try:
            with wire.session(stop, headers, environment=proxies_from_environment) as session:
                outcome: Download | BaseException = transfer.run(session)
        except BaseException as error:  # noqa: BLE001  (handed to the caller, whatever it is)
            outcome = error
        post(settle, outcome)

    # A thread of its own: asyncio's few shared ones would all be taken by a handful of long downloads, and a thread
    # that hangs in a name lookup must not keep the process from ending.
    threading.Thread(target=contextvars.copy_context().run, args=(work,), name="download", daemon=True).start()
    try:
        while not result.done() and not (cancel and cancel.is_set()):
            await asyncio.wait([result], timeout=POLL if cancel else None)
        if result.done():
            return result.result()
        stop.set()
        await asyncio.wait([result], timeout=GRACE)
        if result.done() and not isinstance(result.exception(), wire.StoppedError):
            return result.result()
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([result], timeout=GRACE)
        raise
    raise DownloadError(
        f"The download of {_shown(url)} was stopped",
        hint="start it again to go on where it stopped",
        url=_shown(url),
        stopped=True,
    )


class _Again(Exception):  # noqa: N818
    """The answer says that another request is needed; nothing failed."""


class _Transfer:
    """One download, in its thread."""

    def __init__(
        self,
        url: str,
        directory: Path | None,
        path: Path | None,
        *,
        attempts: int,
        timeout: float,
        stop: wire.Stop,
        emit: Callable[[DownloadEvent], None],
    ) -> None:
        self._url = url
        self._directory = directory
        self._path = path
        self._attempts = attempts
        self._timeout = timeout
        self._stop = stop
        self._emit = emit
        self._attempt = 0
        self._partial: Partial | None = None
        # Whether the unfinished file holds bytes that this call may go on with.
        self._continue = False
        # Whether asking for the rest has failed, so that the whole file is asked for.
        self._whole = False
        self._resumed_from = 0
        self._most = 0

    def run(self, session: requests.Session) -> Download:
        """Try until it is done, or until ``attempts`` attempts in a row brought nothing new."""
        try:
            if self._path:
                self._claim(self._path)
            failed = 0
            while True:
                self._attempt += 1
                self._tell("attempt")
                most = self._most
                try:
                    return self._try(session)
                except wire.Failure as failure:
                    self._stop.check()
                    # The mark only rises: a server that sends the same first half for ever does not go on for ever.
                    failed = 1 if self._most > most else failed + 1
                    if failure.final or failed >= self._attempts:
                        raise self._give_up(failure) from failure
                    delay = min(BACKOFF_BASE * 2 ** (failed - 1), BACKOFF_CAP) * random.uniform(0.75, 1.25)  # noqa: S311
                    delay = max(delay, failure.delay)
                    self._tell_failure("retry", failure, delay=delay)
                    self._stop.wait(delay)
                    self._stop.check()
        except DownloadError as error:
            if error.context.get("full") and self._partial:
                self._partial.resumable = False  # a full disk breaks everything else: leave nothing on it
            error.context.setdefault("url", _shown(self._url))
            raise
        finally:
            if self._partial:
                self._partial.close()

    def _try(self, session: requests.Session) -> Download:
        """Make one attempt, of as many requests as the answers ask for."""
        while True:
            self._stop.check()
            start, headers = self._range()
            with self._get(session, headers) as response:
                try:
                    return self._receive(response, start)
                except _Again:
                    # The rest that does not fit is asked for once; after that the whole file.
                    self._whole = start > 0

    def _get(self, session: requests.Session, headers: dict[str, str]) -> requests.Response:
        try:
            return session.get(
                self._url, headers=headers, stream=True, timeout=(min(self._timeout, CONNECT_TIMEOUT), self._timeout)
            )
        except (*wire.NETWORK_ERRORS, ValueError) as error:
            self._stop.check()
            raise wire.translate(error) from error

    def _range(self) -> tuple[int, dict[str, str]]:
        """Return where to go on, and the headers that ask for it: (0, none) for the whole file."""
        partial = self._partial
        if not partial or not partial.note or not self._continue or self._whole:
            return 0, {}
        size = partial.size()
        if not size or size == partial.note.size:
            return 0, {}
        headers = {"Range": f"bytes={size}-"}
        if partial.note.validator:
            headers["If-Range"] = partial.note.validator
        return size, headers

    def _receive(self, response: requests.Response, start: int) -> Download:
        """Take an answer: decide what it means for the file, and take its bytes."""
        if response.status_code == 416 and start:
            raise _Again
        wire.check_status(response)
        answer = wire.Answer.of(response)
        if not self._partial:
            name = remote_name(answer.disposition, answer.url, self._url)
            assert self._directory
            if self._claim(self._directory / name):
                raise _Again  # the other download may have completed the file, and this answer is old by now
        partial = self._partial
        assert partial
        packed = self._packed(answer)
        if not packed and answer.total is not None and partial.existing() == answer.total:
            return self._skip(answer.total)
        # Unpacked bytes cannot be gone on with: their note must match nothing, even after a crash.
        note = Note.of(self._url) if packed else Note.of(self._url, answer.etag, answer.last_modified, answer.total)
        if answer.status == 206:
            return self._receive_rest(response, answer, note, start)
        if not start and not self._whole and self._left_over(note):
            size = partial.size()
            if size == answer.total:
                self._tell("started", done=size, total=size)
                return self._finish(size, size)
            if answer.ranges:
                raise _Again
        if self._resumed_from:
            self._resumed_from = self._most = 0
        lasting = answer.ranges and note.validator is not None
        partial.start(note, resumable=lasting)
        # Without ETag and date, the size alone is trusted for as long as this call lasts.
        self._continue = lasting or (answer.ranges and note.size is not None)
        self._whole = False
        return self._take(response, 0, answer.total, wire.Inflater(answer.encoding) if packed else None)

    def _receive_rest(self, response: requests.Response, answer: wire.Answer, note: Note, start: int) -> Download:
        """Take an answer that holds the rest of the file, if it really does."""
        if not start:
            raise wire.Failure("the server sent a part of the file, unasked", final=True, status=answer.status)
        partial = self._partial
        assert partial
        assert partial.note
        if partial.note.conflicts(note) or self._packed(answer) or answer.start != start or partial.resume() != start:
            raise _Again
        return self._take(response, start, answer.total or partial.note.size, None)

    def _left_over(self, note: Note) -> bool:
        """Return whether an earlier call left bytes of this very version."""
        partial = self._partial
        assert partial
        self._continue = bool(partial.note and partial.size() and partial.note.same(note))
        return self._continue

    def _take(
        self, response: requests.Response, start: int, total: int | None, inflater: wire.Inflater | None
    ) -> Download:
        """Write the bytes of an answer behind the first ``start`` ones, and finish the file if they are all there."""
        partial = self._partial
        assert partial
        done = told = start
        self._tell("started", done=start, total=total)
        meter = Meter(start, time.monotonic())
        for data in self._body(response):
            for piece in self._inflate(inflater, data) if inflater else (data,):
                partial.write(piece)
            done += len(data)
            self._most = max(self._most, done)
            now = time.monotonic()
            if meter.due(now):
                self._tell("progress", done=done, total=total, rate=meter.rate(done, now))
                told = done
        if (total is not None and done < total) or (inflater and not inflater.ended):
            raise wire.Failure(f"the connection ended after {done:,} bytes" + (f" of {total:,}" if total else ""))
        if total is not None and done > total:
            self._whole = True
            raise wire.Failure(f"the server sent {done:,} bytes for a file of {total:,}")
        if done != told:
            self._tell("progress", done=done, total=total, rate=meter.rate(done, time.monotonic()))
        return self._finish(done, total)

    def _body(self, response: requests.Response) -> Iterator[bytes]:
        pieces = wire.body(response)
        while True:
            try:
                data = next(pieces, b"")
            except wire.NETWORK_ERRORS as error:
                self._stop.check()
                raise wire.translate(error) from error
            # Stopping closes the connection, which looks like the end of the file.
            self._stop.check()
            if not data:
                return
            yield data

    def _inflate(self, inflater: wire.Inflater, data: bytes) -> Iterator[bytes]:
        try:
            yield from inflater.feed(data)
        except zlib.error as error:
            raise wire.Failure(f"the compressed bytes are damaged: {error}") from error

    def _packed(self, answer: wire.Answer) -> bool:
        """Return whether the bytes must be unpacked on the way.

        As browsers do: a server that sends ``x.tar.gz`` "with Content-Encoding gzip" only names the file's own format.
        """
        assert self._partial
        if answer.encoding not in {"gzip", "x-gzip", "deflate"}:
            if answer.encoding in {"br", "zstd", "compress"} and self._partial.dest.suffix not in {".br", ".zst", ".Z"}:
                raise wire.Failure(
                    f"the server compresses it with {answer.encoding}, although asked not to",
                    "look for another address of the file",
                    final=True,
                )
            return False  # "identity", or words that mean nothing, such as "utf-8" or "aws-chunked"
        own = self._partial.dest.suffix.lower() in {".gz", ".tgz"}
        return not own and answer.kind not in {"application/gzip", "application/x-gzip", "application/x-tgz"}

    def _claim(self, path: Path) -> bool:
        """Make the destination ours; return whether it had to be waited for."""
        self._partial = Partial(path, self._url)
        self._path = path
        waited = self._partial.open(self._stop)
        self._continue = self._partial.resumable
        if self._continue:
            self._resumed_from = self._most = self._partial.size()
        return waited

    def _skip(self, size: int) -> Download:
        partial = self._partial
        assert partial
        assert self._path
        partial.resumable = False
        self._tell("skipped", done=size, total=size, size=size)
        return Download(self._url, self._path, size, 0, skipped=True, attempts=self._attempt)

    def _finish(self, done: int, total: int | None) -> Download:
        partial = self._partial
        assert partial
        assert self._path
        size = partial.finish()
        self._tell("end", done=done, total=total, size=size)
        return Download(self._url, self._path, size, self._resumed_from, skipped=False, attempts=self._attempt)

    def _give_up(self, failure: wire.Failure) -> DownloadError:
        self._tell_failure("failed", failure)
        hint = failure.hint
        if not failure.final:
            hint = "check the network"
            if self._partial and self._partial.resumable and self._partial.size():
                hint += "; start it again to go on where it stopped"
        message = f"Cannot download {_shown(self._url)}: {self._text(failure)}"
        if self._attempt > 1:
            message += f" (attempt {self._attempt})"
        context: dict[str, Any] = {"url": _shown(self._url), "attempts": self._attempt}
        if failure.status:
            context["status"] = failure.status
        return DownloadError(message, hint=hint, **context)

    def _text(self, failure: wire.Failure) -> str:
        return f"no byte came for {self._timeout:g} seconds" if failure.stalled else failure.message

    def _tell_failure(self, kind: Literal["retry", "failed"], failure: wire.Failure, delay: float = 0.0) -> None:
        self._tell(
            kind,
            error=self._text(failure),
            status=failure.status,
            stalled=self._timeout if failure.stalled else None,
            delay=delay,
        )

    def _tell(
        self, kind: Literal["attempt", "started", "progress", "skipped", "retry", "failed", "end"], **facts: Any
    ) -> None:
        directory = self._path.parent if self._path else self._directory
        assert directory
        self._emit(DownloadEvent(kind, _shown(self._url), directory, attempt=self._attempt, path=self._path, **facts))


def _is_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        return False


def _shown(url: str) -> str:
    """Return the address without a password: it goes into logs and error reports."""
    return re.sub(r"^(\w+://[^/?#@]*:)[^/?#]*@", r"\1***@", url)
