"""The engine: runs scripts, holds their shells, and answers what they ask (architecture §1).

A plain asyncio object: it works inside a test or a command, with no server.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.asks import Asks
from pinokiocloud.errors import PinokioError, ScriptNotFoundError
from pinokiocloud.events import SHOWN, Event
from pinokiocloud.home.environment import set_values
from pinokiocloud.home.uri import remotes, resolve
from pinokiocloud.methods.context import StepContext
from pinokiocloud.methods.registry import WITHOUT_PARAMS, load_methods
from pinokiocloud.platforms.machine import Machine, detect_machine
from pinokiocloud.platforms.ports import free_ports
from pinokiocloud.prompts import Prompt, Prompter, UnattendedPrompter
from pinokiocloud.script import wire
from pinokiocloud.script.host import HostProcess, HostSettings
from pinokiocloud.script.run import Call, Run, RunRequest, RunResult
from pinokiocloud.script.trace import TraceFile, trace_value
from pinokiocloud.shell.registry import ShellRegistry
from pinokiocloud.shell.session import ShellSession, ShellSpec
from pinokiocloud.workplace import Workplace

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Engine"]

_LOG = logging.getLogger("pinokiocloud")


class Engine:
    """Runs Pinokio scripts.

    Use it as ``async with Engine() as engine: run = await engine.start("install.js")``.

    Parameters:
        home: the home folder; by default ``PINOKIO_HOME``, else ``~/pinokio``.
        prompter: answers what scripts ask; by default nobody does, and a question is an error.
        strict: follow the reference also where it is wrong (architecture §4).
        settings: bounds of the script host.
        machine: what ``platform``, ``gpu`` … are; by default what this machine has.
        trace: file that gets a record of every step and event, as JSON lines.
        fail_on_exit_code: whether a command with an exit code other than 0 fails its step.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        prompter: Prompter | None = None,
        strict: bool = False,
        settings: HostSettings | None = None,
        machine: Machine | None = None,
        trace: str | os.PathLike[str] | None = None,
        fail_on_exit_code: bool = False,
    ) -> None:
        self._wanted_home = home
        self.prompter: Prompter = prompter or UnattendedPrompter()
        self.strict = strict
        self.runs: dict[str, Run] = {}
        self.last_results: dict[str, RunResult] = {}
        self.ready_scripts: set[str] = set()
        self.clipboard = ""
        self.callbacks: list[Callable[[Event], None]] = []
        self._settings = settings or HostSettings()
        self._machine = machine
        self._trace_path = trace
        self._trace: TraceFile | None = None
        self._fail_on_exit_code = fail_on_exit_code
        self._tasks: set[asyncio.Task[Any]] = set()
        self._host: HostProcess | None = None
        self._host_lock = asyncio.Lock()
        self._shutdown = asyncio.Event()
        self._asks = Asks(self)
        self._opened = False
        self.log_lines: deque[str] = deque(maxlen=1000)

    # ---- life ------------------------------------------------------------------------------------------------
    async def open(self) -> Self:
        """Open the home folder and start the script host.

        Raises:
            HomeError: the home folder cannot be used.
            HostStartError: Node is missing.
        """
        if self._opened:
            return self
        self.place = Workplace(self._wanted_home)
        self.home = self.place.home
        self.shells = ShellRegistry(self.host_call)
        self.methods = load_methods()
        if self._trace_path is not None:
            self._trace = TraceFile(Path(self._trace_path))
        process = HostProcess(self._settings, self._notified, self._asks.answer)
        try:
            await process.start()
            self.machine = self._machine or detect_machine()  # while Node starts
            await self._init_host(process)
        except BaseException:
            await process.close()
            if self._trace is not None:
                self._trace.close()
            raise
        self._host = process
        self._opened = True
        return self

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop every run, end every process, and let go of everything."""
        if not self._opened:
            return
        await asyncio.gather(*(run.stop() for run in list(self.runs.values())), return_exceptions=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.shells.end_all()
        if self._host is not None:
            await self._host.close()
        if self._trace is not None:
            self._trace.close()
        self._opened = False

    def request_shutdown(self) -> None:
        """Ask whoever holds the engine to close it."""
        self._shutdown.set()

    async def wait_shutdown(self) -> None:
        """Wait until somebody asked for the end."""
        await self._shutdown.wait()

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ---- the script host -------------------------------------------------------------------------------------
    async def _init_host(self, process: HostProcess) -> None:
        await process.call(
            "init",
            home=str(self.home.root),
            machine=self.machine.variables(),
            env=self.place.merged_environment(None),
            searchPath=self.place.search_path,
            python=[name for name, item in self.methods.items() if item.handler is not None],
            cloudPlatform=os.environ.get("PINOKIOCLOUD_PLATFORM", "local"),
            remotes=remotes(self.home.api),
        )

    async def host_call(self, op: str, **body: Any) -> Any:
        """Call the script host, which is started again when it has ended.

        Raises:
            HostError: it ended during the call.
        """
        process = self._host
        if process is None or not process.alive:
            process = await self._restart_host()
        return await process.call(op, **body)

    call = host_call

    async def _restart_host(self) -> HostProcess:
        """Start a new host and give it what Python knows of the daemons: they go on."""
        async with self._host_lock:
            if self._host is not None and self._host.alive:
                return self._host
            if self._host is not None:
                await self._host.close()
            process = HostProcess(self._settings, self._notified, self._asks.answer)
            await process.start()
            await self._init_host(process)
            daemons = {
                run.id: wire.encode(run.local)
                for run in self.runs.values()
                if run.status == "daemon" and run.local is not wire.UNDEFINED
            }
            await process.call(
                "memory.restore",
                local=daemons,
                running=[run.id for run in self.runs.values() if run.status == "daemon"],
                readiness=dict.fromkeys(self.ready_scripts, "ready"),
            )
            self._host = process
            return process

    def _notified(self, message: dict[str, Any]) -> None:
        op = message["op"]
        if op == "event":
            index = message.get("index")
            self._tell(
                Event(message["kind"], wire.decode(message.get("data")), message["run"], index), message.get("trace")
            )
        elif op == "trace":
            if self._trace is not None:
                self._trace.step(message["record"])
        elif op == "local":
            run = self.runs.get(message["run"])
            if run is not None:
                run.local = wire.decode(message["local"])
                self._tell(Event("local", {"keys": message["keys"], "local": wire.plain(run.local)}, run.id, run.index))
        elif op == "warning":
            run = self.runs.get(message["run"])
            if run is not None:
                text = (
                    message.get("message") or f"the template {message['template']} stays as it is: {message['reason']}"
                )
                self.warn(run, message["index"], text)
        elif op == "stray":
            self.log_lines.append(message["message"])

    # ---- events ----------------------------------------------------------------------------------------------
    def emit(self, run: Run, kind: str, data: Any, index: int | str | None) -> None:
        """Tell an event of a run."""
        self._tell(Event(kind, data, run.id, index), _UNENCODED if run.request.trace else None, run)

    def _tell(self, event: Event, trace: Any = None, run: Run | None = None) -> None:
        if trace is not None and event.kind in SHOWN and self._trace is not None:
            self._trace.event(event.kind, trace_value(event.data) if trace is _UNENCODED else trace, event.index)
        run = run or self.runs.get(event.run)
        for callback in (*(run.callbacks if run else ()), *self.callbacks):
            try:
                callback(event)
            except Exception:  # noqa: BLE001, PERF203 - a listener's fault is its own: it must not end runs or stop other listeners
                _LOG.exception("a listener failed at %s", event.kind)

    def warn(self, run: Run, index: int | str | None, text: str) -> None:
        """Tell that something is not as the script's author will have meant it."""
        self._tell(Event("warning", {"message": text}, run.id, index), None, run)

    async def events(self) -> AsyncIterator[Event]:
        """Give every event from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self.callbacks.append(queue.put_nowait)
        try:
            while True:
                yield await queue.get()
        finally:
            self.callbacks.remove(queue.put_nowait)

    # ---- runs ------------------------------------------------------------------------------------------------
    def script_path(self, uri: str) -> Path:
        """Return the path of a script: as given, relative to here, or to ``HOME/api`` (spec §2.2)."""
        if uri.startswith(("http://", "https://", "~/", "/")):
            return Path(os.path.normpath(resolve(uri, None, self.home)))
        here = Path.cwd() / uri
        return Path(os.path.normpath(here if here.exists() else self.home.api / uri))

    def _request(self, path: Path, uri: str, **more: Any) -> RunRequest:
        app = self.place.environment.app_of(str(path))
        try:
            name = str(path.parent.relative_to(self.home.api))
        except ValueError:
            name = path.parent.name
        return RunRequest(
            path=str(path),
            uri=uri,
            name=name,
            app=app.name if app else None,
            strict=self.strict,
            trace=self._trace is not None,
            **more,
        )

    async def start(
        self,
        script: str | os.PathLike[str],
        *,
        args: Any = wire.UNDEFINED,
        action: str = "run",
        id: str | None = None,  # noqa: A002
        on_event: Callable[[Event], None] | None = None,
        start: int = 0,
        local: Any = wire.UNDEFINED,
        prompter: Prompter | None = None,
    ) -> Run:
        """Start a script and return its run at once.

        Parameters:
            script: path, ``~/…`` (below the home), or git address of an installed app.
            args: its arguments; JSON-like.
            action: the list of steps.
            id: an id of its own, so that one script can run several times.
            on_event: gets the run's events.
            start: index of the first step (a retry).
            local: local variables to begin with (a retry).
            prompter: answers the questions of this run and of those that it starts.

        Raises:
            PinokioError: there is a run of this script already.
        """
        path = self.script_path(os.fspath(script))
        request = self._request(
            path, os.fspath(script) if id else str(path), args=args, action=action, id=id, start=start, local=local
        )
        return self._begin(request, on_event, prompter)

    def _begin(
        self,
        request: RunRequest,
        on_event: Callable[[Event], None] | None = None,
        prompter: Prompter | None = None,
    ) -> Run:
        run = Run(request, self)
        run.prompter = prompter
        if on_event is not None:
            run.callbacks.append(on_event)
        if run.id in self.runs:
            raise PinokioError(f"{request.path} is running already", hint="stop it first", path=request.path)
        self.runs[run.id] = run
        self.ready_scripts.discard(run.path)
        problem = _rejection(Path(request.path))
        if problem is not None:
            run.reject(problem)
            return run
        run.start()
        return run

    async def start_child(self, ctx: StepContext, path: Path, *, args: Any, same_args: bool) -> Run:
        """Start a script for another one (spec §2.9.2)."""
        caller = ctx.run
        request = self._request(path, str(path), args=args, args_of=caller.id if same_args else None, caller=caller.id)
        run = self._begin(request, None, caller.prompter)
        run.callbacks += [c for c in caller.callbacks if c not in run.callbacks]
        return run

    async def stop(self, what: str | Run) -> RunResult | None:
        """Stop a run, by itself, its id, or its script; None when nothing like that runs."""
        run = what if isinstance(what, Run) else self.runs.get(what) or self.runs.get(str(self.script_path(what)))
        return None if run is None else await run.stop()

    def keep_running(self, run: Run) -> None:
        """Treat a run as a daemon, though its script does not say so (systems.md §1)."""
        run.keep = True

    def restart_later(self, path: Path, args: Any, caller: Run) -> None:
        """Stop a script, then start it again."""

        async def again() -> None:
            run = self.runs.get(str(path))
            callbacks = list((run or caller).callbacks)
            if run is not None:
                await run.stop()
            fresh = self._begin(self._request(path, str(path), args=args))
            fresh.callbacks += callbacks

        self._spawn(again())

    async def execute(self, run: Run, call: Call) -> Any:
        """Execute a step's method in Python."""
        item = self.methods[call.method]
        assert item.handler is not None
        self._tell(Event("step", {"method": call.method, "total": run.total}, run.id, call.index), None, run)
        ctx = StepContext(self, run, call)
        if not call.has_params and call.method not in WITHOUT_PARAMS:
            error = TypeError(f"Cannot read properties of undefined (reading '{next(iter(item.params), 'uri')}')")
            error.js_name = "TypeError"  # type: ignore[attr-defined]
            raise error
        return await item.handler(ctx)

    async def release(self, run: Run) -> None:
        """End what belongs to a run."""
        for side in run.sides:
            if not side.finished:
                await side.stop()
        await self.shells.end_of(run.key)

    async def ended(self, run: Run, on_stop: Any) -> None:
        """Take a run out of the table."""
        assert run.result is not None
        if self.runs.get(run.id) is run:
            del self.runs[run.id]
        self.last_results[run.path] = run.result
        if run.result.status == "done":
            self.ready_scripts.add(run.path)
        else:
            self.ready_scripts.discard(run.path)
        self._tell(Event("ended", run.result.to_dict(), run.id), None, run)
        if isinstance(on_stop, dict) and on_stop.get("uri"):
            path = Path(os.path.normpath(resolve(str(on_stop["uri"]), Path(run.path).parent, self.home)))
            if str(path) not in self.runs:
                self._begin(self._request(path, str(path), args=on_stop.get("input", wire.UNDEFINED), caller=run.id))

    def write_end(self, result: RunResult) -> None:
        """Write the last record of a trace."""
        if self._trace is not None:
            local = trace_value(result.local) if result.local_trace is None else result.local_trace
            self._trace.end(result.status, trace_value(result.error), local, wire.plain(result.detail))

    # ---- what steps need -------------------------------------------------------------------------------------
    def step_environment(self, run: Run) -> dict[str, str]:
        """Return the ``env`` of a run's steps."""
        return self.place.script_environment(run.path)

    def became_ready(self, run: Run) -> None:
        """Note that a daemon's steps are done."""
        self.ready_scripts.add(run.path)

    async def require(self, run: Run, variables: list[Any]) -> None:
        """Ask for the required variables that have no value, and keep the answers in the app's ENVIRONMENT (spec §5.6).

        Raises:
            PromptError: nobody is there to answer, and there are no defaults.
        """
        env = self.step_environment(run)
        items = [item for item in variables if isinstance(item, dict) and (item.get("key") or item.get("env"))]
        missing = {
            str(item.get("key") or item["env"]): item for item in items if not env.get(item.get("key") or item["env"])
        }
        app = self.place.environment.app_of(run.path)
        if not missing or app is None:
            return
        form = [{**item, "key": key, "required": True} for key, item in missing.items()]
        params = {"title": f"{app.name} needs these variables", "form": form}
        self.emit(run, "input", params, None)
        defaults = {key: str(item["default"]) for key, item in missing.items() if item.get("default")}
        try:
            answer = await (run.prompter or self.prompter).ask(Prompt("input", params, run.path, "", form))
        except PinokioError:
            if len(defaults) < len(missing):
                raise
            answer = defaults
        file = self.place.environment.settings_file(app)
        if not file.exists():
            self.place.environment.create_app_environment(app)
        values = {key: str(answer[key]) for key in missing if isinstance(answer, dict) and answer.get(key)}
        set_values(file, values)
        self.environment_changed()

    def environment_changed(self) -> None:
        """Tell the host after the system's file may have changed."""
        if self._host is not None:
            self._host.post("environment", env=self.place.merged_environment(None))

    async def refresh_remotes(self) -> None:
        """Tell the host which repositories are installed."""
        await self.host_call("remotes", remotes=remotes(self.home.api))

    async def set_local(self, run: Run, name: str, value: Any) -> None:
        """Set a local variable of a run."""
        local = run.local if isinstance(run.local, dict) else {}
        run.local = {**local, name: value}
        await self.host_call("memory.restore", local={run.id: wire.encode(run.local)})

    async def ask_person(self, ctx: StepContext, prompt: Prompt, default: Any = wire.UNDEFINED) -> Any:
        """Ask whoever answers; ``default`` is taken when nobody is there."""
        asking = asyncio.ensure_future((ctx.run.prompter or self.prompter).ask(prompt))
        stop = asyncio.ensure_future(ctx.stopping.wait())
        try:
            await asyncio.wait({asking, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                asking.cancel()
                return wire.UNDEFINED
            return asking.result()
        except PinokioError:
            if default is wire.UNDEFINED:
                raise
            return default
        finally:
            stop.cancel()

    # ---- shells ----------------------------------------------------------------------------------------------
    def new_shell(
        self, run: Run, spec: ShellSpec, on_output: Callable[[str], None], on_fired: Callable[[dict[str, Any]], None]
    ) -> ShellSession:
        """Make a shell for a run."""
        self._tell(
            Event(
                "shell",
                {
                    "id": spec.id,
                    "line": spec.line,
                    "cwd": str(spec.cwd),
                    "log": str(spec.log),
                    "input": spec.persistent and not spec.live,
                },
                run.id,
                run.index,
            ),
            None,
            run,
        )
        return self.shells.new(spec, on_output, on_fired)

    def shell(self, name: str) -> ShellSession | None:
        """Return a shell by id."""
        return self.shells.get(name)

    async def end_shell(self, shell: ShellSession) -> None:
        """End a shell and everything that it started."""
        await self.shells.end(shell)

    async def end_shells_of(self, group: str) -> None:
        """End the shells of a run, named by its id or its key."""
        run = self.runs.get(group) or self.runs.get(str(self.home.path(group)))
        await self.shells.end_of(run.key if run else group)

    def handler_fired(self, ctx: StepContext, params: Mapping[str, Any], fired: Mapping[str, Any]) -> None:
        """An ``on`` item with ``trigger`` or ``notify`` matched (spec §4.2.7)."""
        handler = (params.get("on") or [])[fired["handler"]]
        if fired.get("trigger"):
            self._spawn(self._trigger(ctx, str(fired["trigger"]), wire.decode(fired["match"])))
        if fired.get("notify"):
            self._spawn(self._notify_handler(ctx, handler.get("notify"), fired["match"]))

    async def _notify_handler(self, ctx: StepContext, template: Any, match: Any) -> None:
        answer = await self.host_call("scan.notify", run=ctx.run.id, template=wire.encode(template), event=match)
        ctx.emit("push", wire.decode(answer["value"]))

    async def _trigger(self, ctx: StepContext, action: str, match: Any) -> None:
        """Run another action of the same script beside this one; without ``daemon`` its end ends all (spec §7 #41)."""
        run = ctx.run
        request = self._request(
            Path(run.path),
            run.request.uri,
            action=action,
            parallel=os.urandom(8).hex(),
            caller=run.request.caller,
            id=run.request.id,
            args={"event": match, "trigger": action},
        )
        side = Run(request, self)
        side.callbacks = run.callbacks
        run.sides.append(side)
        side.start()
        result = await side.wait()
        if result.status == "done" and not run.finished and run.status != "daemon":
            await run.stop()
        elif not result.ok:
            self.warn(run, ctx.index, f"the action '{action}' failed: {result.message}")

    def note_exit(self, run: Run, index: int | str, code: int | None) -> None:
        """Tell the exit code of a step's command when it is not 0."""
        if code:
            self._tell(Event("exit", {"code": code}, run.id, index), None, run)

    def note_failure(
        self, run: Run, index: int | str, errors: Sequence[str], lines: Sequence[str], code: int | None
    ) -> None:
        """Tell why a shell step failed: what matched, the exit code, the last lines."""
        run.failure = {"errors": list(errors), "lines": list(lines), "exit_code": code}
        self._tell(Event("failure", run.failure, run.id, index), None, run)

    def fails_on_exit_code(self, run: Run) -> bool:
        """Whether exit codes fail steps: the engine's setting, or the app's ``PINOKIOCLOUD_FAIL_ON_EXIT_CODE``."""
        value = self.step_environment(run).get("PINOKIOCLOUD_FAIL_ON_EXIT_CODE", "")
        return self._fail_on_exit_code or value.lower() in ("1", "true", "yes", "on")

    async def free_port(self) -> int:
        """Return the first free port from 42003 on (spec §3.6.1)."""
        return free_ports(1)[0]


_UNENCODED: Any = object()


def _rejection(path: Path) -> PinokioError | None:
    """Why a path cannot be run at all (spec §1.1, §2.2)."""
    try:
        there = path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, a NUL in it
        return ScriptNotFoundError(f"{str(path)[:200]!r} is no path: {error}", hint="is the path right?")
    if not there:
        return ScriptNotFoundError(
            f"ENOENT: no such file or directory, stat '{path}'", path=str(path), hint="is the path right?"
        )
    if path.is_dir():
        return ScriptNotFoundError(
            f"module doesn't exist: {path} is a folder", path=str(path), hint="name a script in it, such as install.js"
        )
    return None
