"""One run of a script, seen from Python: drives the host's step loop and serves what it asks for (spec §2)."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from pinokiocloud.errors import HostDiedError, HostError, PinokioError
from pinokiocloud.script import wire

__all__ = ["Call", "ResultOf", "Run", "RunRequest", "RunResult", "Services"]

FINISHED = frozenset({"done", "error", "rejected", "stopped", "timeout"})
_STOP_GRACE = 3.0  # s that a method has for ending by itself after a stop


@dataclass(frozen=True)
class ResultOf:
    """Stands for the last result of another run: the value itself stays in the host."""

    run: str


@dataclass(frozen=True)
class RunRequest:
    """What is to be run.

    Parameters:
        path: the script's absolute path.
        uri: as it was asked for.
        args: its arguments; UNDEFINED for none.
        args_of: id of a run whose waiting step's ``params.params`` are the arguments.
        action: the list of steps.
        id: the run's id when it is not the path.
        cwd: another working folder than the script's own.
        caller: id of the run that started it.
        name: the script's folder relative to ``HOME/api``.
        app: the app's folder name.
        strict: follow the reference where it is wrong, too.
        trace: make trace records.
        parallel: a key when the run goes on beside one of the same id (``on[].trigger``).
        start: index of the first step.
        local: local variables to begin with (a retry).
    """

    path: str
    uri: str
    args: Any = wire.UNDEFINED
    args_of: str | None = None
    action: str = "run"
    id: str | None = None
    cwd: str | None = None
    caller: str | None = None
    name: str = ""
    app: str | None = None
    strict: bool = False
    trace: bool = False
    parallel: str | None = None
    start: int = 0
    local: Any = wire.UNDEFINED


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        status: ``done``, ``daemon`` (its steps are done, it stays up), ``error``, ``rejected`` (it would not start),
            ``stopped``, ``timeout``.
        error: what failed, in the reference's words; None without an error.
        detail: the same for people: code, message, hint, step index, method …
        local: the script's local variables.
        script: path of the script.
    """

    status: str
    error: Any = None
    detail: dict[str, Any] = field(default_factory=dict)
    local: Any = wire.UNDEFINED
    script: str = ""
    local_trace: Any = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether the script did what it should."""
        return self.status in ("done", "daemon")

    def __bool__(self) -> bool:
        return self.ok

    @property
    def url(self) -> str | None:
        """``local.url``: the address that the app announced."""
        url = self.local.get("url") if isinstance(self.local, dict) else None
        return url if isinstance(url, str) else None

    @property
    def message(self) -> str:
        """What failed, for people; empty without an error."""
        if self.error is None and not self.detail:
            return ""
        text = str(self.detail.get("message") or self.error or "the run failed")
        reason = self.detail.get("reason")
        hint = self.detail.get("hint")
        return text + (f"\n{reason}" if reason else "") + (f"\n{hint}" if hint else "")

    def _repr_html_(self) -> str:
        """Show the result in a notebook."""
        return _as_html(self.script, self.status, self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON-like object."""
        return {
            "status": self.status,
            "error": wire.plain(self.error),
            "detail": wire.plain(self.detail),
            "local": wire.plain(self.local),
            "script": self.script,
        }


def _as_html(path: str, state: str, result: RunResult | None) -> str:
    """A run for a notebook: name, state, address and what failed; every text is the script's, so none is HTML."""
    import html  # noqa: PLC0415 - only in a notebook

    url = (result.url if result else None) or ""
    safe = html.escape(url)
    link = f' · <a href="{safe}" target="_blank">{safe}</a>' if url.startswith(("http://", "https://")) else ""
    failed = f"<pre>{html.escape(result.message)}</pre>" if result and result.message else ""
    return f"<div><b>{html.escape(Path(path).name)}</b> · {html.escape(state)}{link}{failed}</div>"


@dataclass(frozen=True)
class Call:
    """A step that Python has to execute."""

    method: str
    params: Any
    has_params: bool
    index: int | str
    cwd: Path
    step: dict[str, Any]


class Services(Protocol):
    """What a run needs from the engine."""

    async def call(self, op: str, **body: Any) -> Any:
        """Call the script host."""

    async def execute(self, run: Run, call: Call) -> Any:
        """Execute a step's method; return its result."""

    def became_ready(self, run: Run) -> None:
        """Take notice that a daemon's steps are done."""

    async def require(self, run: Run, variables: list[Any]) -> None:
        """See to it that a script's required variables have values (spec §5.6)."""

    def step_environment(self, run: Run) -> dict[str, str]:
        """Return the ``env`` of a step."""

    async def free_port(self) -> int:
        """Return the first free port from 42003 on."""

    async def release(self, run: Run) -> None:
        """End everything that belongs to the run: its shells, waits, tunnels."""

    async def ended(self, run: Run, on_stop: Any) -> None:
        """Take notice of a run's end, and start its ``on.stop`` request."""

    def emit(self, run: Run, kind: str, data: Any, index: int | str | None) -> None:
        """Tell an event."""


class Run:
    """A run, from its request to its end.

    Parameters:
        request: what is to be run.
        services: the engine.
    """

    def __init__(self, request: RunRequest, services: Services) -> None:
        self.request = request
        self.id = request.id or request.path
        self.key = uuid.uuid4().hex
        self.path = request.path
        self.status = "starting"
        self.result: RunResult | None = None
        self.local: Any = wire.UNDEFINED
        self.index: int | str = 0
        self.total = 0
        self.method: str | None = None
        self._services = services
        self._stopping = asyncio.Event()
        self._settled: asyncio.Future[RunResult] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._reason = "stopped"
        self.callbacks: list[Callable[[Any], None]] = []
        self.failure: dict[str, Any] = {}  # of the last shell step that failed: errors, lines, exit_code
        self.sides: list[Run] = []  # what `trigger` started beside it
        self.keep = False  # treat it as a daemon, though its script does not say so
        self.prompter: Any = None  # who answers this run's questions; None for the engine's

    # ---- what others see ------------------------------------------------------------------------------------------
    @property
    def finished(self) -> bool:
        """Whether it is over; a daemon is not."""
        return self.status in FINISHED

    @property
    def stopping(self) -> asyncio.Event:
        """Set when the run is to stop."""
        return self._stopping

    async def wait(self) -> RunResult:
        """Wait until the steps are done (a daemon's too) or the run failed, and return how."""
        return await asyncio.shield(self._settled)

    async def wait_finished(self) -> RunResult:
        """Wait until the run is over, a daemon until it is stopped."""
        await self.wait()
        if self._ending is not None:
            await asyncio.shield(self._ending)
        while not self.finished:
            await self._stopping.wait()
            if self._ending is not None:
                await asyncio.shield(self._ending)
            else:
                await asyncio.sleep(0)
        assert self.result is not None
        return self.result

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._main(), name=f"run {self.id}")

    def reject(self, problem: PinokioError) -> None:
        """End before the beginning: the script cannot be started at all."""
        self._finish_later(RunResult("rejected", problem.message, problem.to_dict(), script=self.path))

    async def stop(self, reason: str = "stopped") -> RunResult:
        """Stop the run and everything that belongs to it (spec §2.8).

        Parameters:
            reason: the status that it gets: ``stopped`` or ``timeout``.
        """
        if self.finished:
            assert self.result is not None
            return self.result
        self._reason = reason
        self._stopping.set()
        if self.status == "daemon":
            self._finish_later(RunResult(reason, local=self.local, script=self.path))
        if self._task is not None and not self._task.done():
            with contextlib.suppress(HostError):
                await self._services.call("run.stop", **self._key)
            await asyncio.wait({self._task})
        if self._ending is not None:
            await asyncio.shield(self._ending)
        assert self.result is not None
        return self.result

    # ---- the loop ---------------------------------------------------------------------------------------------------
    @property
    def _key(self) -> dict[str, Any]:
        return {"run": self.id, "parallel": self.request.parallel} if self.request.parallel else {"run": self.id}

    def _start_body(self) -> dict[str, Any]:
        r = self.request
        body: dict[str, Any] = {
            **self._key,
            "key": self.key,
            "path": r.path,
            "uri": r.uri,
            "action": r.action,
            "name": r.name,
            "app": r.app,
            "strict": r.strict,
            "trace": r.trace,
            "start": r.start,
            "emitErrors": True,
            "explicitId": r.id is not None,
        }
        if r.cwd:
            body["cwd"] = r.cwd
        if r.caller:
            body["caller"] = r.caller
        if r.args_of is not None:
            body["argsOf"] = r.args_of
        elif r.args is not wire.UNDEFINED:
            body["hasArgs"] = True
            body["args"] = wire.encode(r.args)
        if r.local is not wire.UNDEFINED:
            body["local"] = wire.encode(r.local)
        return body

    async def _main(self) -> None:
        call = self._services.call
        try:
            try:
                reply = await call("run.start", **self._start_body())
            except HostDiedError as error:  # of something else, before it came to this run: a new host begins anew
                if error.context.get("key") == self.key:
                    raise
                reply = await call("run.start", **self._start_body())
            if reply["state"] == "ready":
                self.status = "running"
                self.total = reply["total"]
                if reply.get("required") and self.request.caller is None and self.request.parallel is None:
                    await self._services.require(self, wire.decode(reply["required"]))
                reply = await call("run.drive", **self._key)
            while True:
                state = reply["state"]
                if state == "slice":
                    reply = await call("run.drive", **self._key)
                elif state == "need":
                    body: dict[str, Any] = {}
                    if reply["env"]:
                        body["env"] = self._services.step_environment(self)
                    if reply["port"]:
                        body["port"] = await self._services.free_port()
                    reply = await call("run.vars", **self._key, **body)
                elif state == "call":
                    answer = await self._execute(reply)
                    if self._stopping.is_set():  # also by the step itself (script.stop): no further one may begin
                        await call("run.stop", **self._key)
                    reply = await call("run.reply", **self._key, answer=answer)
                else:
                    break
            await self._end(reply)
        except PinokioError as error:
            detail = {**error.to_dict(), **error.context}
            if detail.get("run") == self.id and str(detail.get("step")).isdigit():
                detail["index"] = int(detail["step"])
            await self._end({"state": "error", "error": error.message, "detail": detail})
        except Exception as error:  # a fault of ours: the run must end all the same
            await self._end(
                {
                    "state": "error",
                    "error": f"{type(error).__name__}: {error}",
                    "detail": {"code": "internal", "message": f"{type(error).__name__}: {error}"},
                }
            )
            raise

    async def _execute(self, reply: dict[str, Any]) -> dict[str, Any]:
        """Execute one step in Python; give its answer for the host."""
        step = Call(
            reply["method"],
            wire.decode(reply["params"]),
            bool(reply["hasParams"]),
            reply["index"],
            Path(reply["cwd"]),
            wire.decode(reply["step"]),
        )
        self.index = step.index
        self.method = step.method
        task = asyncio.get_running_loop().create_task(self._services.execute(self, step))
        stop = asyncio.get_running_loop().create_task(self._stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await self._services.release(self)
                await asyncio.wait({task}, timeout=_STOP_GRACE)
                if not task.done():
                    task.cancel()
                    await asyncio.wait({task})
        finally:
            stop.cancel()
        self.method = None
        if task.cancelled():
            return {"value": wire.encode(wire.UNDEFINED)}
        error = task.exception()
        if error is not None:
            if not isinstance(error, Exception):
                raise error
            return {"error": _answer(error)}
        value = task.result()
        if isinstance(value, ResultOf):
            return {"from": value.run}
        return {"value": wire.encode(wire.UNDEFINED if value is None else value), "detach": self.keep}

    # ---- the end ----------------------------------------------------------------------------------------------------
    async def _end(self, reply: dict[str, Any]) -> None:
        state = reply["state"]
        if state == "stopped" and not self._stopping.is_set():
            # the host that knew this run has ended meanwhile, by another run's fault or from outside
            lost = HostDiedError(
                "the script host was restarted while this step was going on",
                script=self.path,
                step=str(self.index),
                hint="run the script again",
            )
            reply = {"state": "error", "error": lost.message, "detail": {**lost.to_dict(), "index": self.index}}
            state = "error"
        if state == "stopped" or (self._stopping.is_set() and state in ("done", "daemon", "error")):
            await self._finish(RunResult(self._reason, local=self.local, script=self.path))
            return
        detail = wire.decode(reply.get("detail") or {})
        if self.failure and state == "error":
            detail = {**detail, **self.failure}
        error = reply.get("error")
        if state == "daemon":
            self.local = wire.decode(reply["local"])
            self.status = "daemon"
            self.result = RunResult("daemon", local=self.local, script=self.path, local_trace=reply.get("trace"))
            with contextlib.suppress(HostError):
                await self._services.call("run.ready", path=self.path)
            self._services.became_ready(self)
            self._settled.set_result(self.result)
            return
        if "local" in reply:
            self.local = wire.decode(reply["local"])
        if state == "error" and detail.get("rejected"):
            state = "rejected"
        await self._finish(
            RunResult(
                state, error=error, detail=detail, local=self.local, script=self.path, local_trace=reply.get("trace")
            )
        )

    def _finish_later(self, result: RunResult) -> None:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._finish(result))

    async def _finish(self, result: RunResult) -> None:
        """End what belongs to the run, take it out of the running table, and tell those who wait."""
        if self.finished:
            return
        await self._services.release(self)
        on_stop = None
        readiness = "ready" if result.status == "done" else "stopped"
        for _ in range(2):  # when the host is found dead, a new one knows the daemons, and their on.stop
            try:
                answer = await self._services.call("run.end", **self._key, keepResult=True, readiness=readiness)
            except HostError:
                continue
            on_stop = wire.decode(answer["onStop"])
            if self.local is wire.UNDEFINED and "local" in answer:
                self.local = wire.decode(answer["local"])
            if result.local_trace is None and answer.get("trace") is not None:
                result = replace(result, local_trace=answer["trace"])
            break
        if result.local is wire.UNDEFINED:
            result = replace(result, local=self.local)
        self.result = result
        self.status = result.status
        try:
            await self._services.ended(self, on_stop)
        finally:  # whatever fails there, nobody may wait for this run for ever
            if not self._settled.done():
                self._settled.set_result(result)
            self._stopping.set()

    def _repr_html_(self) -> str:
        """Show the run in a notebook."""
        step = "" if self.finished else f" · step {self.index} of {self.total}"
        return _as_html(self.path, self.status + step, self.result)

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.status}>"


def _answer(error: Exception) -> dict[str, Any]:
    """Turn a method's exception into what the host throws."""
    if isinstance(error, PinokioError):
        return {
            "name": "Error",
            "message": error.message,
            "detail": {
                "code": error.code,
                "hint": error.hint,
                **{k: v if isinstance(v, int) else str(v) for k, v in error.context.items()},
            },
        }
    name = getattr(error, "js_name", "Error")
    message = getattr(error, "js_message", None) or str(error) or type(error).__name__
    answer: dict[str, Any] = {"name": name, "message": message}
    code = getattr(error, "code", None)
    if isinstance(code, str):
        answer["code"] = code
    return answer


Executor = Callable[[Run, Call], Awaitable[Any]]
