"""notify, push, web.*, browser.*, tab.open, uri.open, clipboard.*: what a desktop would show (spec §4.9, §6)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from pinokiocloud.errors import StepError
from pinokiocloud.methods.context import StepContext
from pinokiocloud.methods.registry import method


@method(
    "notify",
    summary="show a notice",
    source="spec §4.9",
    html="HTML",
    message="text",
    href="link",
    target="window",
    type="kind",
)
async def notify(ctx: StepContext) -> None:
    """Show a notice."""
    params = ctx.params
    if "html" not in params and "message" in params:
        params = {**params, "html": params["message"]}
    ctx.emit("notify", params)


@method("push", summary="show a desktop notice", source="spec §4.9", title="text", message="text")
async def push(ctx: StepContext) -> None:
    """Show a notice."""
    ctx.emit("push", ctx.params)


def _open(ctx: StepContext, uri: Any) -> None:
    if not isinstance(uri, str) or not uri:
        raise StepError(f"step {ctx.index}: {ctx.call.method} needs an address", script=ctx.run.path, index=ctx.index)
    ctx.emit("web.open", {**ctx.params, "uri": uri})


@method("web.open", "browser.open", summary="show a link", source="spec §4.9", uri="address", target="window")
async def web_open(ctx: StepContext) -> None:
    """Show a link: there is no browser here to open it in."""
    _open(ctx, ctx.params.get("uri", ctx.params.get("url")))


@method("tab.open", summary="show a link", source="spec §4.1", url="address", target="window")
async def tab_open(ctx: StepContext) -> None:
    """Show a link."""
    _open(ctx, ctx.params.get("url", ctx.params.get("uri")))


@method(
    "browser",
    summary="control the desktop's browser (a notice here)",
    source="usage §5",
    method="what",
    params="its arguments",
)
async def browser(ctx: StepContext) -> None:
    """Tell what the old desktop browser would have been asked to do."""
    ctx.emit("info", {"browser": ctx.params})


@method(
    "web.close",
    "browser.close",
    "web.expose",
    "terminal.upload",
    summary="no effect without a desktop",
    source="spec §4.1",
)
async def nothing(_ctx: StepContext) -> None:
    """Do nothing: it concerns windows of the desktop program."""


def _query(params: Any) -> str:
    parts = []
    for key, value in (params or {}).items():
        for item in value if isinstance(value, list) else [value]:
            if item is None:
                continue
            text = (
                json.dumps(item)
                if isinstance(item, dict)
                else str(item).lower()
                if isinstance(item, bool)
                else str(item)
            )
            parts.append(f"{quote(str(key))}={quote(text)}")
    return "&".join(parts)


@method("uri.open", summary="show a link", source="spec §4.9", uri="address", params="query")
async def uri_open(ctx: StepContext) -> Any:
    """Show a link; ``result.ok`` is false, since nothing was opened."""
    uri = str(ctx.require("uri", what="an address"))
    query = _query(ctx.params.get("params"))
    if query:
        uri += ("&" if "?" in uri else "?") + query
    ctx.emit("web.open", {"uri": uri})
    return {"uri": uri, "result": {"ok": False, "error_message": "there is no desktop here: open the link yourself"}}


@method("clipboard.copy", summary="copy text", source="spec §4.1", text="text")
async def clipboard_copy(ctx: StepContext) -> None:
    """Keep a text, and show it."""
    text = ctx.params.get("text", "")
    ctx.engine.clipboard = "" if text is None else str(text)
    ctx.emit("clipboard", {"text": ctx.engine.clipboard})


@method("clipboard.paste", summary="give the copied text", source="spec §4.1")
async def clipboard_paste(ctx: StepContext) -> str:
    """Give the text that was copied last."""
    return str(ctx.engine.clipboard)
