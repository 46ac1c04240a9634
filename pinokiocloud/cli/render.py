"""``pinokiocloud render``: one template, with the variables of a step."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from pathlib import Path
from typing import Any

from pinokiocloud.apps.inspector import Inspector
from pinokiocloud.script import wire
from pinokiocloud.shell.command import javascript_text

__all__ = ["render_template"]

_FIRST_PORT = 42003


async def _render(template: str, values: dict[str, Any], home: Path | None) -> dict[str, Any]:
    cwd = Path.cwd()
    async with Inspector(cwd, home=home, read=[Path("/")]) as look:  # exists('/…') is a person's own question here
        reply: dict[str, Any] = await look.call(
            "inspect.render", template=template, vars=wire.encode(values), cwd=str(cwd), port=_FIRST_PORT
        )
        return reply


def _text(value: Any) -> str:
    """Return a value as a person reads it: texts as they are, objects and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return javascript_text(value)


def render_template(text: str, values: dict[str, Any], *, home: Path | None, as_json: bool) -> int:
    """Render a template and print its value; warnings go to the standard error.

    A text without ``{{ }}`` is taken as an expression; where it is none, it is printed as it is.

    Parameters:
        text: the template, or the expression.
        values: variables; they go before those that a step has.
        home: the home folder.
        as_json: print the value as JSON, a text too.

    Returns:
        The exit code: 0, or 1 when the template does not compile.

    Raises:
        PinokioError: Node could not be started, or the template never gave back control.
    """
    bare = "{{" not in text
    reply = asyncio.run(_render(f"{{{{{text}}}}}" if bare else text, values, home))
    warnings = reply["warnings"]
    if bare and ("error" in reply or warnings):
        reasons = [reply["error"]] if "error" in reply else [warning["reason"] for warning in warnings]
        sys.stderr.write(f"warning: {text} is printed as it is: {reasons[0]}\n")
        reply, warnings = {"value": text}, []
    for warning in warnings:
        sys.stderr.write(f"warning: {warning['template']} stays as it is: {warning['reason']}\n")
    if "error" in reply:
        sys.stderr.write(f"pinokiocloud: {reply['error']}\n")
        if text.count("{{") > 1:
            sys.stderr.write(
                "  two templates that begin and end a text are one expression: put a text before or behind\n"
            )
        return 1
    value = wire.plain(wire.decode(reply["value"]))
    if as_json:
        finite = None if isinstance(value, float) and not math.isfinite(value) else value
        sys.stdout.write(json.dumps(finite, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(_text(value) + "\n")
    return 0
