"""The Pinokio scripts that are measured: the same text for both engines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "command",
    "daemon",
    "echo",
    "fs_steps",
    "literal",
    "loop",
    "one_step",
    "python_steps",
    "reloaded",
    "straight",
    "write",
]

LINES_OF_99 = "head -c {size} /dev/zero | tr '\\0' a | fold -w 99"


def write(home: Path, name: str, text: str) -> Path:
    """Write a script into the app ``bench`` of a home folder."""
    path = home / "api" / "bench" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _steps(steps: list[dict[str, Any]], **more: Any) -> str:
    return f"module.exports = {json.dumps({**more, 'run': steps})}\n"


def one_step() -> str:
    """One log step."""
    return 'module.exports = { run: [{ method: "log", params: { raw: "hi" } }] }\n'


def daemon() -> str:
    """One log step of a script that stays."""
    return 'module.exports = { daemon: true, run: [{ method: "log", params: { raw: "hi" } }] }\n'


def straight(count: int) -> str:
    """That many log steps, made by an expression."""
    step = '({ method: "log", params: { raw: "step " + i } })'
    return f"module.exports = {{ run: Array.from({{ length: {count} }}, (_, i) => {step}) }}\n"


def literal(count: int) -> str:
    """That many log steps, written out."""
    return _steps([{"method": "log", "params": {"raw": f"step {i}"}} for i in range(count)])


def reloaded(count: int) -> str:
    """Return the loop, in a file that must be loaded before each step, since loading it may have effects."""
    return f'const machine = require("os").hostname()\n{loop(count)}'


def loop(count: int) -> str:
    """Steps of ``local.set`` and ``jump`` in turn, that many together."""
    return (
        'module.exports = { run: [{ method: "local.set", params: { i: "{{(local.i || 0) + 1}}" } }, '
        f'{{ when: "{{{{local.i < {count // 2}}}}}", method: "jump", params: {{ index: 0 }} }}] }}\n'
    )


def python_steps(count: int) -> str:
    """Trivial steps that our engine executes in Python."""
    return _steps([{"method": "fs.open", "params": {"path": "."}}] * count)


def echo(count: int) -> str:
    """That many ``shell.run`` of ``echo hi``."""
    return _steps([{"method": "shell.run", "params": {"message": "echo hi"}}] * count)


def command(line: str) -> str:
    """One ``shell.run``."""
    return _steps([{"method": "shell.run", "params": {"message": line}}])


def fs_steps(method: str, params: list[dict[str, Any]]) -> str:
    """One step of a method for each of the parameters."""
    return _steps([{"method": method, "params": item} for item in params])
