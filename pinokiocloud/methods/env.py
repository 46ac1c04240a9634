"""env.set and env.switch: the app's ENVIRONMENT file (spec §4.6)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pinokiocloud.errors import StepError
from pinokiocloud.home.environment import set_values, switch_values
from pinokiocloud.methods.context import StepContext, node_error
from pinokiocloud.methods.registry import method
from pinokiocloud.shell.command import javascript_text


def _change(ctx: StepContext, change: Callable[[Path, dict[str, Any]], Any], values: dict[str, Any]) -> None:
    app = ctx.engine.place.environment.app_of(ctx.run.path)
    if app is None:
        raise StepError(
            f"step {ctx.index}: {ctx.run.path} is in no app, so there is no ENVIRONMENT to change",
            script=ctx.run.path,
            index=ctx.index,
        )
    file = ctx.engine.place.environment.settings_file(app, strict=ctx.run.request.strict)
    try:
        change(file, values)
    except FileNotFoundError as error:
        error.filename = str(file)
        raise node_error(error, "open") from None
    ctx.engine.environment_changed()


def _text(value: Any) -> str:
    if value is None:
        error = TypeError("Cannot read properties of null (reading 'toString')")
        error.js_name = "TypeError"  # type: ignore[attr-defined]
        raise error
    return javascript_text(value)


@method("env.set", summary="set variables of the app", source="spec §4.6", **{"<NAME>": "value"})
async def env_set(ctx: StepContext) -> None:
    """Write values to the app's ENVIRONMENT."""
    _change(ctx, set_values, {key: _text(value) for key, value in ctx.params.items()})


@method("env.switch", summary="go on to the next value of a list", source="spec §4.6", **{"<NAME>": "list of values"})
async def env_switch(ctx: StepContext) -> None:
    """Rotate values in the app's ENVIRONMENT."""
    _change(
        ctx,
        switch_values,
        {key: [_text(item) for item in value] for key, value in ctx.params.items() if isinstance(value, list)},
    )
