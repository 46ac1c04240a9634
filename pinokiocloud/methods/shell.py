"""shell.run, shell.start, shell.enter, shell.write, shell.stop, exec (spec §4.2, §4.3)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinokiocloud.errors import ShellError
from pinokiocloud.methods.context import StepContext
from pinokiocloud.methods.registry import method
from pinokiocloud.script import wire
from pinokiocloud.shell.activation import activation, portable
from pinokiocloud.shell.command import javascript_text, lines_of, with_activation
from pinokiocloud.shell.guard import harms_base
from pinokiocloud.shell.session import Outcome, ShellSession, ShellSpec

__all__ = ["run_shell", "shell_run"]

_RULE = "=" * 51
_FAILED_LINES = 30


def _banner(text: str) -> str:
    return f"\r\n████\r\n██ {text}\r\n"


def _event_banner(ctx: StepContext, event: Any) -> None:
    import json  # noqa: PLC0415 - only where an event matched

    ctx.stream(f"\r\n\r\n{_RULE}\r\n")
    ctx.stream("# input.event\r\n")
    values = [None if item is wire.UNDEFINED else item for item in event]
    ctx.stream(json.dumps(values, indent=2, ensure_ascii=False).replace("\n", "\r\n"))
    ctx.stream(f"\r\n{_RULE}\r\n\r\n")


def _aliases(params: dict[str, Any]) -> dict[str, Any]:
    """Accept the guide's ``cwd`` where there is no ``path`` (systems.md §1)."""
    if "cwd" in params and not params.get("path"):
        return {**params, "path": params["cwd"]}
    return params


def _sudo_line(params: Mapping[str, Any]) -> str:
    lines = lines_of(params.get("message"), params.get("chain") or "&")
    return lines[0] or "" if lines else ""


class _ShellStep:
    """One ``shell.run``: its shells, one after the other."""

    def __init__(self, ctx: StepContext, params: dict[str, Any]) -> None:
        self.ctx = ctx
        self.engine = ctx.engine
        self.params = _aliases(params)
        path = self.params.get("path")
        self.cwd = ctx.resolve(path) if path not in (None, "") else ctx.cwd

    def _program(self) -> str:
        wanted = self.params.get("shell")
        if not wanted:
            return self.engine.place.bash
        if "/" in str(wanted):
            return str(wanted)
        return self.engine.place.which(str(wanted)) or str(wanted)

    def fired(self, fired: dict[str, Any]) -> None:
        self.engine.handler_fired(self.ctx, self.params, fired)

    async def spec(self, line: str | None, *, persistent: bool) -> ShellSpec:
        params, place = self.params, self.engine.place
        sudo = bool(params.get("sudo"))
        active = activation({"conda": {"skip": True}} if sudo else params, self.cwd, place.base.prefix)
        program = "/bin/sh" if sudo else self._program()
        if os.path.basename(program) != "bash":  # noqa: PTH119 - a program's name, not a file
            active = portable(active, place.base.prefix)
        if active.needs_base or (params.get("venv") and not sudo):
            await place.ensure_base(lambda text: self.ctx.stream(f"{text}\r\n"))
        if line is not None and harms_base(line, base=place.base.prefix, other_selected=active.other_conda):
            self.ctx.stream(
                "\r\nThis command would change Python or conda of the managed base environment; it is not run.\r\n"
            )
            line = None
        env = place.shell_environment(self.ctx.run.path, params, active.env)
        live = not params.get("input")
        return ShellSpec(
            line=with_activation(active.commands, line, params.get("chain")) or None,
            cwd=self.cwd,
            env=env,
            on=params.get("on"),
            program=program,
            persistent=persistent,
            live=live and not sudo,
            id=str(params.get("id") or uuid.uuid4()),
            group=self.ctx.run.key,
            cols=int(params.get("cols") or 100),
            rows=int(params.get("rows") or 30),
            log=place.log_of(self.ctx.run.path),
            echo=self.ctx.run.request.strict,
            once=sudo,
        )

    async def run(self) -> Any:
        """Run every line; give the result of the last (spec §4.2.2)."""
        if self.params.get("sudo"):
            return await self._one(_sudo_line(self.params))
        result: Any = wire.UNDEFINED
        for line in lines_of(self.params.get("message"), self.params.get("chain")):
            result = await self._one(line)
            if isinstance(result, dict) and result.get("error"):
                break
            if self.ctx.stopping.is_set():
                break
        return result

    async def _one(self, line: str | None) -> Any:
        ctx, params = self.ctx, self.params
        persistent = bool(params.get("input") or params.get("persistent"))
        spec = await self.spec(line, persistent=persistent)
        if ctx.stopping.is_set():
            return wire.UNDEFINED
        shell = self.engine.new_shell(
            ctx.run, spec, lambda raw: ctx.emit("stream", {"id": spec.id, "raw": raw, "shell_id": spec.id}), self.fired
        )
        ctx.stream(_banner(f"Starting Shell {spec.id}"))
        try:
            await shell.start()
            if ctx.step.get("daemon") and "on" not in params:
                return await self._detach(shell)
            outcome = await shell.wait()
        except BaseException:
            await self.engine.end_shell(shell)
            raise
        return await self._result(shell, outcome)

    async def _detach(self, shell: ShellSession) -> Any:
        """The guide's step-level ``daemon: true``: the step is over as soon as its command runs (systems.md §1)."""
        self.engine.keep_running(self.ctx.run)
        shell.detach()
        self.ctx.stream(f"\r\n\r\n██ Detached from Shell {shell.id}\r\n\r\n")
        return {"id": shell.id, "response": "", "stdout": "", "event": wire.UNDEFINED}

    async def _result(self, shell: ShellSession, outcome: Outcome) -> Any:
        ctx = self.ctx
        shell.flush()
        if outcome.kind in ("done", "break"):
            shell.detach()
            ctx.stream(f"\r\n\r\n██ Detached from Shell {shell.id}\r\n\r\n")
        code = outcome.code if outcome.kind in ("prompt", "exit") else None
        text = await shell.screen(prompt=outcome.kind not in ("done", "kill", "break"))
        # what the command printed, not the line that was typed (architecture §4)
        said = text if shell.spec.echo else await shell.output_text()
        errors = None if shell.spec.once else await shell.scanner.final(said)
        if outcome.kind not in ("done", "break"):
            await self.engine.end_shell(shell)
            ctx.stream(f"\r\n\r\n██ Terminated Shell {shell.id}\r\n████\r\n")
            ctx.emit("stream", {"raw": "", "type": "shell.kill"})
        event = shell.scanner.event
        if shell.scanner.captured:
            _event_banner(ctx, event)
        ctx.engine.note_exit(ctx.run, ctx.index, code)
        result = {"id": shell.id, "response": text, "stdout": text, "event": event}
        if shell.spec.once:  # sudo: failures are ignored (spec §4.2.9)
            return result
        if outcome.kind == "incomplete":
            raise ShellError(
                "the command is incomplete: a quote, bracket or block is not closed",
                line=shell.spec.line,
                hint="check the quotes of 'message'",
            )
        if outcome.kind == "break" and not errors:
            errors = [str(event[0])]
        if not errors and code and self.engine.fails_on_exit_code(ctx.run):
            errors = [f"exit code {code}"]
        if errors:
            result["error"] = errors
            ctx.engine.note_failure(ctx.run, ctx.index, errors, shell.last_lines(_FAILED_LINES), code)
        return result


async def run_shell(ctx: StepContext, params: dict[str, Any]) -> Any:
    """Run a ``shell.run`` with these params; for methods that are made of one (hf.download, kernel.exec)."""
    return await _ShellStep(ctx, params).run()


@method(
    "shell.run",
    summary="run commands in a shell",
    source="spec §4.2",
    message="command, list of commands or argv object",
    path="folder",
    env="variables",
    venv="virtual environment",
    conda="conda environment",
    on="events",
    chain="how commands are joined",
    input="keep the shell open",
    sudo="run without activation",
    id="the shell's id",
)
async def shell_run(ctx: StepContext) -> Any:
    """Run commands (spec §4.2)."""
    return await run_shell(ctx, ctx.params)


def _shell_id(ctx: StepContext) -> str:
    return str(ctx.params.get("id") or ctx.cwd)


@method(
    "shell.start",
    summary="start a shell that stays",
    source="spec §4.3",
    id="the shell's id",
    path="folder",
    env="variables",
    message="first command",
    on="events",
)
async def shell_start(ctx: StepContext) -> Any:
    """Start a persistent shell; the step is over when it is idle or an event ends it (architecture §4)."""
    params = {**_aliases(ctx.params), "id": _shell_id(ctx)}
    old = ctx.engine.shell(params["id"])
    if old is not None and old.alive:
        raise ShellError(
            f"there is a shell with the id {params['id']!r} already", hint="stop it with shell.stop, or give another id"
        )
    step = _ShellStep(ctx, params)
    lines = lines_of(params.get("message"), params.get("chain") or "&")
    spec = await step.spec(lines[0] if lines else None, persistent=True)
    shell = ctx.engine.new_shell(
        ctx.run, spec, lambda raw: ctx.emit("stream", {"id": spec.id, "raw": raw, "shell_id": spec.id}), step.fired
    )
    ctx.stream(_banner(f"Starting Shell {spec.id}"))
    try:
        await shell.start()
        ends = {asyncio.ensure_future(shell.wait())}
        if not any(
            isinstance(item, Mapping) and (item.get("done") or item.get("kill")) for item in params.get("on") or []
        ):
            ends.add(asyncio.ensure_future(shell.wait_idle()))  # type: ignore[arg-type]
        done, rest = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        outcome = next(iter(done)).result()
    except BaseException:
        await ctx.engine.end_shell(shell)
        raise
    shell.flush()
    if isinstance(outcome, Outcome) and outcome.kind in ("kill", "exit", "stopped"):
        await ctx.engine.end_shell(shell)
    else:
        shell.detach()
    return shell.id


async def _typed(ctx: StepContext, *, enter: bool) -> Any:
    name = _shell_id(ctx)
    shell = ctx.engine.shell(name)
    if shell is None or not shell.alive:
        raise ShellError(f"there is no shell with the id {name!r}", hint="start it with shell.start", id=name)
    messages = ctx.params.get("message")
    result: Any = wire.UNDEFINED
    for message in messages if isinstance(messages, list) else [messages]:
        if message is None or message is wire.UNDEFINED:
            continue
        shell.write(javascript_text(message) + ("\n" if enter else ""))
        if enter or ctx.params.get("on"):  # text without Enter brings no prompt to wait for
            result = await _await_return(ctx, shell)
    return result


async def _await_return(ctx: StepContext, shell: ShellSession) -> Any:
    """Wait for an ``on`` item with a ``return`` (spec §4.3); ``event: null``, and no item at all, mean the prompt."""
    handlers = [item for item in ctx.params.get("on") or [] if isinstance(item, dict)]
    waiting = [item for item in handlers if "return" in item]
    prompt = next((item for item in waiting if item.get("event") is None), None)
    patterns = [item for item in waiting if item.get("event") is not None]
    while True:
        if shell.code is not None and not shell.alive:
            return await shell.screen()
        printed = shell.printed
        if patterns:
            screen = await shell.screen()
            answer = await ctx.engine.host_call("screen.match", run=ctx.run.id, on=wire.encode(patterns), text=screen)
            if not answer.get("none"):
                return wire.decode(answer["value"])
        if prompt is not None or not patterns:
            if await shell.wait_idle():
                return prompt["return"] if prompt is not None else wire.UNDEFINED
            return await shell.screen()
        change = asyncio.ensure_future(shell.wait_change(printed))
        stop = asyncio.ensure_future(ctx.stopping.wait())
        await asyncio.wait({change, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in (change, stop):
            task.cancel()
        if ctx.stopping.is_set():
            return await shell.screen()
        await asyncio.sleep(0.02)


@method(
    "shell.enter",
    summary="type a line into a shell",
    source="spec §4.3",
    id="the shell's id",
    message="text",
    on="events with return",
)
async def shell_enter(ctx: StepContext) -> Any:
    """Type a message and Enter."""
    return await _typed(ctx, enter=True)


@method(
    "shell.write",
    summary="type text into a shell",
    source="spec §4.3",
    id="the shell's id",
    message="text",
    on="events with return",
)
async def shell_write(ctx: StepContext) -> Any:
    """Type a message without Enter."""
    return await _typed(ctx, enter=False)


@method("shell.stop", summary="end a shell", source="spec §4.3", id="the shell's id", group="a run's shells")
async def shell_stop(ctx: StepContext) -> None:
    """End a shell, or all shells of a run."""
    group = ctx.params.get("group")
    if group:
        await ctx.engine.end_shells_of(str(group))
        return
    shell = ctx.engine.shell(_shell_id(ctx))
    if shell is not None:
        await ctx.engine.end_shell(shell)


@method(
    "exec",
    summary="run a command without a terminal",
    source="spec §4.1",
    message="command",
    path="folder",
    cwd="folder",
    env="variables",
)
async def execute(ctx: StepContext) -> Any:
    """Run a command by the system's shell; give its output (spec §4.1, exec)."""
    params = ctx.params
    message = ctx.require("message", what="a command")
    folder = params.get("path") or params.get("cwd")
    cwd = Path(os.path.normpath(ctx.cwd / str(folder))) if folder else ctx.cwd
    ctx.stream(f"██ Exec: {message}\r\n")
    env = ctx.engine.place.command_environment(ctx.run.path, params.get("env"))
    code, out, err = await ctx.engine.shells.command(ctx.run.key, ["/bin/sh", "-c", str(message)], cwd=cwd, env=env)
    error = wire.JSError("Error", f"Command failed: {message}\n{err}", code) if code else None
    return {"stdout": out, "error": error, "stderr": err}
