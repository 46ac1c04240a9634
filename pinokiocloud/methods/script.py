"""script.start, run, stop, restart, ready, download, status, output (spec §2.9.2, §4.9)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from pinokiocloud.errors import ScriptNotFoundError, StepError, ToolError
from pinokiocloud.home.uri import GitUri, folder_name, installed
from pinokiocloud.methods.context import StepContext
from pinokiocloud.methods.registry import method
from pinokiocloud.methods.shell import run_shell
from pinokiocloud.script import wire
from pinokiocloud.script.run import ResultOf

_INTERPRETERS = {".py": "python -u", ".sh": "bash"}


def _is_web(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


async def _git(ctx: StepContext, command: str, folder: Path) -> None:
    result = await run_shell(ctx, {"message": command, "path": str(folder), "conda": {"skip": True}})
    if isinstance(result, dict) and result.get("error"):
        raise ToolError(f"'{command}' failed in {folder}: {result['error'][0]}", hint="see the log above")


async def _fetched(ctx: StepContext, uri: str) -> Path:
    """Return the path of a script URI; a git repository that is not there yet is cloned (spec §4.9)."""
    if not _is_web(uri):
        return ctx.resolve(uri)
    git = GitUri.parse(uri)
    home = ctx.engine.home
    params = ctx.params
    folder = installed(git.remote, home)
    if folder is None:
        name = folder_name(git.remote)
        await _git(ctx, f"git clone {git.remote} {name}", home.api)
        folder = home.api / name
        if not folder.is_dir():
            raise ToolError(
                f"{git.remote} could not be cloned",
                hint="see the log above: is the address right, is the network there?",
            )
    if params.get("branch"):
        await _git(ctx, "git pull", folder)
        await _git(ctx, f"git switch {params['branch']}", folder)
    if params.get("hash"):
        await _git(ctx, "git pull", folder)
        await _git(ctx, f"git switch --detach {params['hash']}", folder)
    if params.get("pull"):
        await _git(ctx, "git pull", folder)
    await ctx.engine.refresh_remotes()
    return folder / git.path


def _uri(ctx: StepContext) -> str:
    uri = ctx.params.get("uri", ctx.params.get("path"))
    if not isinstance(uri, str) or not uri:
        raise StepError(f"step {ctx.index}: {ctx.call.method} needs 'uri'", script=ctx.run.path, index=ctx.index)
    return uri


def _foreign(ctx: StepContext, path: Path) -> str:
    """The command that runs a .py or .sh file (systems.md §1)."""
    args = ctx.params.get("args", ctx.params.get("params"))
    words = [f"'{item}'" for item in args] if isinstance(args, list) else []
    return " ".join([_INTERPRETERS[path.suffix], f"'{path}'", *words])


@method(
    "script.start",
    "script.run",
    summary="run another script",
    source="spec §2.9.2",
    uri="script or git address",
    params="its arguments",
    branch="branch",
    hash="commit",
    pull="pull first",
    args="arguments (guide)",
    env="variables (guide)",
)
async def script_start(ctx: StepContext) -> Any:
    """Run another script and wait until its steps are done."""
    uri = _uri(ctx)
    path = await _fetched(ctx, uri)
    if path.suffix in _INTERPRETERS and path.is_file():
        return await run_shell(
            ctx, {"message": _foreign(ctx, path), "path": str(path.parent), "env": ctx.params.get("env")}
        )
    if str(path) in ctx.engine.runs:
        ctx.stream(f"{uri} already running. Continuing...\r\n")
        return None
    if not path.exists():
        raise ScriptNotFoundError(
            f"ENOENT: no such file or directory, stat '{path}'",
            script=ctx.run.path,
            index=ctx.index,
            missing=str(path),
            hint=f"step {ctx.index} of {ctx.run.path} starts it",
        )
    guide = "params" not in ctx.params and "args" in ctx.params
    child = await ctx.engine.start_child(
        ctx, path, args=ctx.params["args"] if guide else wire.UNDEFINED, same_args=not guide
    )
    result = await child.wait()
    if result.status == "rejected" or result.detail.get("code") == "script_load":
        raise StepError(
            f"{uri} could not be started: {result.message}", script=ctx.run.path, index=ctx.index, child=str(path)
        )
    if not result.ok:
        how = result.message or "it was stopped"
        text = f"{uri} ended as {result.status}: {how}; the caller goes on, as in the reference"
        ctx.engine.warn(ctx.run, ctx.index, text)
        return ResultOf(child.id) if result.detail.get("keepResult") else None
    return ResultOf(child.id)


@method("script.stop", summary="stop scripts", source="spec §4.9", uri="script or list of scripts")
async def script_stop(ctx: StepContext) -> None:
    """Stop scripts; relative paths count from the run's folder (architecture §4)."""
    uris = ctx.params.get("uri", ctx.params.get("path"))
    for uri in uris if isinstance(uris, list) else [uris]:
        path = ctx.resolve(uri)
        run = ctx.engine.runs.get(str(path))
        if run is ctx.run:
            run.stopping.set()
            continue
        if run is not None:
            await run.stop()
            ctx.stream(f"Stopped {uri}\r\n")
        else:
            ctx.stream(f"{uri} is not running\r\n")


@method(
    "script.restart",
    summary="stop and start again",
    source="spec §4.9",
    uri="script, this one by default",
    params="arguments",
)
async def script_restart(ctx: StepContext) -> Any:
    """Stop the target and schedule a new start."""
    uri = ctx.params.get("uri")
    path = ctx.resolve(uri) if uri else Path(ctx.run.path)
    itself = str(path) == ctx.run.path
    given = ctx.params.get("params", wire.UNDEFINED)
    args = given if given is not wire.UNDEFINED else ctx.run.request.args if itself else wire.UNDEFINED
    ctx.engine.restart_later(path, args, ctx.run)
    return {"uri": str(uri or ctx.run.request.uri), "scheduled": True, "self": itself, "params": args}


@method("script.ready", summary="tell whether a script is ready", source="spec §4.1", uri="script")
async def script_ready(ctx: StepContext) -> bool:
    """Tell whether a script's steps are done."""
    raw = ctx.raw_params
    uri = raw if isinstance(raw, str) else ctx.params.get("uri") or ctx.params.get("path") or ctx.params.get("script")
    path = str(ctx.resolve(uri))
    return path in ctx.engine.ready_scripts


@method(
    "script.download",
    summary="clone a script's repository",
    source="spec §4.9",
    uri="git address",
    branch="branch",
    hash="commit",
    pull="pull",
)
async def script_download(ctx: StepContext) -> str:
    """Clone a repository; give the script's path."""
    return os.fspath(await _fetched(ctx, _uri(ctx)))


@method("script.status", summary="tell how a script is", source="systems §1", uri="script", path="the same")
async def script_status(ctx: StepContext) -> Any:
    """Tell a script's status (systems.md §1)."""
    path = str(ctx.resolve(_uri(ctx)))
    run = ctx.engine.runs.get(path)
    if run is None:
        last = ctx.engine.last_results.get(path)
        return {"id": path, "status": last.status if last else "not started"}
    return {"id": run.id, "status": run.status}


@method("script.output", summary="give the last lines of a script", source="systems §1", uri="script", lines="how many")
async def script_output(ctx: StepContext) -> Any:
    """Give the last lines that a script's shells printed (systems.md §1)."""
    path = str(ctx.resolve(_uri(ctx)))
    count = int(ctx.params.get("lines") or 100)
    log = ctx.engine.place.log_of(path)
    text = await asyncio.to_thread(_tail, log, count)
    return {"lines": text, "path": str(log)}


def _tail(log: Path, count: int) -> list[str]:
    from pinokiocloud.shell.text import PlainText  # noqa: PLC0415 - only where somebody asks

    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 400 * count - 65536))
            text = PlainText().feed(file.read(), final=True)
    except FileNotFoundError:
        return []
    return text.rstrip("\n").split("\n")[-count:]
