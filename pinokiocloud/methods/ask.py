"""input, modal, htmlmodal, filepicker, loading: what asks or tells a person (spec §4.7)."""

from __future__ import annotations

from typing import Any

from pinokiocloud.methods.context import StepContext
from pinokiocloud.methods.registry import method
from pinokiocloud.prompts import Prompt


def _fields(params: dict[str, Any]) -> list[dict[str, Any]]:
    form = params.get("form")
    if isinstance(form, list):
        return [item for item in form if isinstance(item, dict) and item.get("key")]
    return []


def _guide_form(ctx: StepContext) -> tuple[dict[str, Any], str | None]:
    """The guide's one-question form: {message, type, placeholder, options, return} (systems.md §1)."""
    params = ctx.params
    if "form" in params or not ({"message", "options", "placeholder", "return"} & params.keys()):
        return params, None
    options = params.get("options")
    item: dict[str, Any] = {
        "key": "value",
        "title": params.get("message", ""),
        "type": "select" if options else params.get("type", "text"),
    }
    for name, key in (("placeholder", "placeholder"), ("default", "default"), ("required", "required")):
        if name in params:
            item[key] = params[name]
    if options:
        item["items"] = options
    return {**params, "title": params.get("title") or params.get("message"), "form": [item]}, str(
        params.get("return") or ""
    )


@method(
    "input",
    summary="ask for values by a form",
    source="spec §4.7",
    title="text",
    description="text",
    form="list of fields",
    type="modal or notify",
)
async def ask_input(ctx: StepContext) -> Any:
    """Show a form and give its values."""
    params, target = _guide_form(ctx)
    ctx.emit("input", params if target is not None or ctx.call.has_params else {})
    answer = await ctx.engine.ask_person(ctx, Prompt("input", params, ctx.run.path, ctx.index, _fields(params)))
    if target is None:
        return answer
    value = answer.get("value") if isinstance(answer, dict) else answer
    if target:
        name = target.removeprefix("local.")
        await ctx.engine.set_local(ctx.run, name, value)
    return value


@method(
    "modal",
    summary="show a message and wait",
    source="spec §4.1",
    title="text",
    description="text",
    html="text",
    menu="list of buttons",
)
async def modal(ctx: StepContext) -> Any:
    """Show a message; on a machine without a screen it is printed and answered at once (spec §6)."""
    ctx.emit("modal", ctx.params)
    return await ctx.engine.ask_person(ctx, Prompt("modal", ctx.params, ctx.run.path, ctx.index), default={})


async def _html_modal(ctx: StepContext, action: str) -> Any:
    name = f"htmlmodal:{ctx.run.id}"
    packet: dict[str, Any] = {"action": action, **ctx.params, "id": ctx.params.get("id") or name}
    if action == "close":
        packet["await"] = bool(ctx.params.get("await"))
    waits = bool(ctx.params.get("await"))
    if waits:
        packet["awaitKey"] = ctx.run.id
    ctx.emit("htmlmodal", packet)
    if not waits:
        return packet
    return await ctx.engine.ask_person(ctx, Prompt("htmlmodal", packet, ctx.run.path, ctx.index))


@method("htmlmodal", "htmlmodal.open", summary="open a window with HTML", source="spec §4.9", title="text", html="HTML")
async def html_modal_open(ctx: StepContext) -> Any:
    """Open an HTML window."""
    return await _html_modal(ctx, "open")


@method("htmlmodal.update", summary="change it", source="spec §4.9", html="HTML")
async def html_modal_update(ctx: StepContext) -> Any:
    """Change an HTML window."""
    return await _html_modal(ctx, "update")


@method("htmlmodal.close", summary="close it", source="spec §4.9", id="window")
async def html_modal_close(ctx: StepContext) -> Any:
    """Close an HTML window."""
    return await _html_modal(ctx, "close")


@method(
    "filepicker.open",
    summary="choose files or folders",
    source="spec §4.7",
    title="text",
    type="file or folder",
    multiple="several",
)
async def file_picker(ctx: StepContext) -> Any:
    """Ask for paths."""
    ctx.emit("filepicker", ctx.params)
    answer = await ctx.engine.ask_person(ctx, Prompt("filepicker", ctx.params, ctx.run.path, ctx.index))
    if isinstance(answer, str):
        return {"paths": [answer]}
    if isinstance(answer, list):
        return {"paths": answer}
    return answer


@method("loading.start", summary="show that something takes time", source="spec §4.1", message="text")
async def loading_start(ctx: StepContext) -> Any:
    """Tell that something takes time."""
    ctx.emit("loading.start", ctx.params)
    return {}


@method("loading.end", summary="it is over", source="spec §4.1")
async def loading_end(ctx: StepContext) -> Any:
    """Tell that it is over."""
    ctx.emit("loading.end", ctx.params)
    return {}
