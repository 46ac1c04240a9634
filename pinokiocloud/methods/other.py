"""proxy, cloudflare, gradio, key, github, app: what is old, elsewhere, or needs a desktop (spec §4.1, §6)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from pinokiocloud.errors import StepError, ToolError
from pinokiocloud.home.uri import download_name
from pinokiocloud.methods.context import StepContext
from pinokiocloud.methods.registry import method
from pinokiocloud.methods.shell import run_shell
from pinokiocloud.shell.session import ShellSpec

_TUNNEL = re.compile(r"https://[a-z0-9-]+\.trycloudflare\.com")
_TUNNEL_LIMIT = 60.0  # s


@method(
    "proxy.start", summary="deprecated: skipped, as in the reference", source="spec §4.1", uri="address", name="name"
)
async def proxy_start(ctx: StepContext) -> None:
    """Do nothing but say so."""
    ctx.engine.warn(ctx.run, ctx.index, "proxy.start is deprecated: it is skipped, as in the reference")


@method("proxy.stop", summary="deprecated", source="spec §4.1", uri="address")
async def proxy_stop(_ctx: StepContext) -> None:
    """Do nothing."""


@method("cloudflare.tunnel", summary="make an address public", source="spec §4.1", uri="address")
async def cloudflare_tunnel(ctx: StepContext) -> Any:
    """Open a quick tunnel by cloudflared; give {address: public address}."""
    uri = str(ctx.require("uri", what="an address"))
    if ctx.params.get("passcode"):
        raise StepError(
            f"step {ctx.index}: a tunnel with a passcode is not offered",
            script=ctx.run.path,
            index=ctx.index,
            hint="leave out 'passcode', or protect the app itself",
        )
    program = ctx.engine.place.which("cloudflared")
    if program is None:
        raise ToolError(
            "cloudflared is missing",
            hint="put it into HOME/bin or on the PATH: https://github.com/cloudflare/cloudflared/releases",
        )
    spec = ShellSpec(
        line=f"exec {program} tunnel --no-autoupdate --protocol http2 --url {uri}",
        cwd=ctx.cwd,
        live=False,
        persistent=True,
        env=ctx.engine.place.shell_environment(ctx.run.path, {}, {}),
        on=[{"event": f"/{_TUNNEL.pattern.replace('/', chr(92) + '/')}/", "done": True}],
        id=f"cloudflare:{uri}",
        group=ctx.run.key,
        log=ctx.engine.place.log_of(ctx.run.path),
    )
    shell = ctx.engine.new_shell(
        ctx.run, spec, lambda raw: ctx.emit("stream", {"raw": raw, "id": spec.id, "shell_id": spec.id}), lambda _: None
    )
    await shell.start()
    try:
        outcome = await asyncio.wait_for(shell.wait(), _TUNNEL_LIMIT)
    except (asyncio.TimeoutError, TimeoutError):
        await ctx.engine.end_shell(shell)
        raise ToolError(f"cloudflared gave no address within {_TUNNEL_LIMIT:g} s") from None
    if outcome.kind != "done":
        lines = shell.last_lines(5)
        await ctx.engine.end_shell(shell)
        raise ToolError("cloudflared ended: " + " ".join(lines))
    shell.detach()
    return {uri: str(shell.scanner.event[0])}


@method("cloudflare.stop", summary="close the tunnel", source="spec §4.1", uri="address")
async def cloudflare_stop(ctx: StepContext) -> None:
    """Close a quick tunnel."""
    shell = ctx.engine.shell(f"cloudflare:{ctx.require('uri', what='an address')}")
    if shell is not None:
        await ctx.engine.end_shell(shell)


def _predict(uri: str, path: str, arguments: list[Any]) -> Any:
    try:
        from gradio_client import Client  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ToolError("gradio.predict needs gradio_client", hint="pip install 'pinokiocloud[gradio]'") from error
    return Client(uri, verbose=False).predict(*arguments, api_name=path)


@method(
    "gradio.predict",
    summary="call a Gradio app",
    source="spec §4.9",
    uri="address",
    path="endpoint",
    params="list of arguments",
)
async def gradio_predict(ctx: StepContext) -> Any:
    """Call an endpoint of a Gradio app; ``data`` holds its results."""
    uri, path = str(ctx.require("uri", what="an address")), str(ctx.require("path", what="an endpoint"))
    result = await asyncio.to_thread(_predict, uri, path, list(ctx.params.get("params") or []))
    return {"data": list(result) if isinstance(result, (tuple, list)) else [result]}


@method("key.set", "key.get", summary="broken in the reference", source="spec §4.1")
async def key_store(ctx: StepContext) -> None:
    """Fail: in the reference this waits for a page that never answers.

    Raises:
        StepError: always.
    """
    raise StepError(
        f"step {ctx.index}: {ctx.call.method} does not work in the reference either",
        script=ctx.run.path,
        index=ctx.index,
        hint='use {"method": "set", "params": {"key": {host: value}}} and {{key(host)}}',
    )


@method("github.create", "github.fork", summary="needs a connected GitHub account", source="spec §4.1")
async def github(ctx: StepContext) -> None:
    """Fail with what to do.

    Raises:
        ToolError: always: there is no account connection in a notebook.
    """
    raise ToolError(
        f"{ctx.call.method} needs a connected GitHub account, which a notebook does not have",
        hint="use git with a token in shell.run",
    )


@method("app.search", summary="find desktop programs", source="spec §4.1")
async def app_search(_ctx: StepContext) -> list[Any]:
    """Give an empty list: there are no desktop programs here."""
    return []


@method("app.launch", "app.info", "app.refresh", summary="desktop programs", source="spec §4.1", id="program")
async def app_launch(ctx: StepContext) -> None:
    """Fail as the reference does when a program is missing.

    Raises:
        StepError: APP_NOT_FOUND.
    """
    name = ctx.params.get("id") or ctx.params.get("app") or ctx.params.get("name")
    raise StepError(
        f"APP_NOT_FOUND: there is no desktop program {name!r} on this machine", script=ctx.run.path, index=ctx.index
    )


_NAME = re.compile(r"\A[A-Za-z0-9._-]+\Z")


@method("app.download", summary="clone an app", source="spec §4.1", uri="git address", name="folder", branch="branch")
async def app_download(ctx: StepContext) -> Any:
    """Clone an app into HOME/api; give {ok, name, path, uri} or {ok: false, code, error}."""
    params = ctx.params
    uri = params.get("uri")
    if not isinstance(uri, str) or not uri.startswith(("http://", "https://", "git@", "file://")):
        return {"ok": False, "code": "INVALID_URI", "error": f"{uri!r} is no git address"}
    name = str(params.get("name") or download_name(uri))
    if not _NAME.match(name) or name in (".", ".."):
        return {"ok": False, "code": "INVALID_NAME", "error": f"{name!r} is no folder name"}
    target = ctx.engine.home.api / name
    if target.exists():
        return {"ok": False, "code": "APP_EXISTS", "error": f"{target} exists already"}
    branch = params.get("branch")
    option = ["-b", str(branch)] if branch else []
    message = {"_": ["git", "clone", *option, uri, name]}
    result = await run_shell(ctx, {"message": message, "path": str(ctx.engine.home.api), "conda": {"skip": True}})
    if not target.is_dir() or (isinstance(result, dict) and result.get("error")):
        return {"ok": False, "code": "CLONE_FAILED", "error": f"{uri} could not be cloned: see the log"}
    await ctx.engine.refresh_remotes()
    out: dict[str, Any] = {"ok": True, "name": name, "path": str(target), "uri": uri}
    return {**out, "branch": branch} if branch else out
