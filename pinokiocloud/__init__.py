"""Runs Pinokio scripts on machines without a desktop.

``await pinokiocloud.run("install.js")`` or, without an event loop of one's own,
``pinokiocloud.run_sync("install.js")``; ``Engine`` for more. The names are imported when they are first used, so that
importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pinokiocloud.api import (
        evaluate_menu,
        evaluate_menu_sync,
        load_script,
        load_script_sync,
        run,
        run_sync,
        runs,
        stop,
        stop_sync,
    )
    from pinokiocloud.engine import Engine
    from pinokiocloud.errors import PinokioError
    from pinokiocloud.events import Event
    from pinokiocloud.prompts import PresetPrompter, Prompt, Prompter, TerminalPrompter, UnattendedPrompter
    from pinokiocloud.script.run import Run, RunResult
    from pinokiocloud.script.scripthost import ScriptHost
    from pinokiocloud.script.wire import UNDEFINED

__version__ = "0.1.0"

_WHERE = {
    "UNDEFINED": "script.wire",
    "Engine": "engine",
    "Event": "events",
    "PinokioError": "errors",
    "PresetPrompter": "prompts",
    "Prompt": "prompts",
    "Prompter": "prompts",
    "Run": "script.run",
    "RunResult": "script.run",
    "ScriptHost": "script.scripthost",
    "TerminalPrompter": "prompts",
    "UnattendedPrompter": "prompts",
    "evaluate_menu": "api",
    "evaluate_menu_sync": "api",
    "load_script": "api",
    "load_script_sync": "api",
    "run": "api",
    "run_sync": "api",
    "runs": "api",
    "stop": "api",
    "stop_sync": "api",
}

__all__ = [
    "UNDEFINED",
    "Engine",
    "Event",
    "PinokioError",
    "PresetPrompter",
    "Prompt",
    "Prompter",
    "Run",
    "RunResult",
    "ScriptHost",
    "TerminalPrompter",
    "UnattendedPrompter",
    "__version__",
    "evaluate_menu",
    "evaluate_menu_sync",
    "load_script",
    "load_script_sync",
    "run",
    "run_sync",
    "runs",
    "stop",
    "stop_sync",
]


def __getattr__(name: str) -> Any:
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module 'pinokiocloud' has no attribute {name!r}")
    value = getattr(import_module(f"pinokiocloud.{where}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
