"""What a script would do on this machine: its steps in order, without executing any (spec §2)."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.apps.effects import Effects, effects_of
from pinokiocloud.apps.inspector import Inspector, app_folder, home_at
from pinokiocloud.apps.launcher import script_path
from pinokiocloud.apps.needs import missing
from pinokiocloud.apps.templates import is_late, path_of
from pinokiocloud.errors import ScriptNotFoundError
from pinokiocloud.script import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pinokiocloud.home import Home
    from pinokiocloud.platforms.machine import Machine

__all__ = ["Plan", "PlanStep", "plan_script"]

_FIRST_PORT = 42003


@dataclass(frozen=True)
class PlanStep:
    """One step of a plan.

    Attributes:
        index: its place in the script, from 0.
        state: ``run``; ``skip``, its condition is false; ``if``, its condition is not known yet; ``maybe``, whether the
            script gets here is not known yet; ``fault``, it fails.
        method: its method; None for a JavaScript function.
        id: its label; None without one.
        file: the file that it stands in.
        line: its line there; None when it is not known.
        condition: its ``when``, as written; None without one.
        depends: what is not known yet and matters: ``{"template": …, "on": ["step 2", …]}``. ``template`` is the
            condition or a text of the step.
        effects: what it would do.
        script: the plan of the script that it starts; None when it starts none or that is not known.
        notes: what else there is to know, such as where it goes on.
    """

    index: int
    state: str
    method: str | None
    file: Path
    id: str | None = None
    line: int | None = None
    condition: str | None = None
    depends: tuple[dict[str, Any], ...] = ()
    effects: Effects = field(default_factory=Effects)
    script: Plan | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the step as a JSON-like object; what is empty is left out."""
        effects = {key: value for key, value in asdict(self.effects).items() if value}
        out: dict[str, Any] = {"index": self.index, "state": self.state, "method": self.method, "line": self.line}
        more = {"id": self.id, "when": self.condition, "depends": list(self.depends), "notes": list(self.notes)}
        out |= {key: value for key, value in more.items() if value}
        out |= effects
        if self.script is not None:
            out["script"] = self.script.to_dict()
        return out


@dataclass(frozen=True)
class Plan:
    """What a script would do.

    Attributes:
        path: the script.
        steps: its steps, in the order in which they would run.
        daemon: whether it stays up when they are done.
        fault: why it would not start, ``file:line: reason``; None when it would.
        notes: what else there is to know, such as an endless loop.
    """

    path: Path
    steps: tuple[PlanStep, ...] = ()
    daemon: bool = False
    fault: str | None = None
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[PlanStep]:
        return iter(self.steps)

    def walk(self) -> Iterator[PlanStep]:
        """Give every step, those of nested scripts behind the step that starts them."""
        for step in self.steps:
            yield step
            if step.script is not None:
                yield from step.script.walk()

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON-like object."""
        return {
            "path": str(self.path),
            "daemon": self.daemon,
            "fault": self.fault,
            "notes": list(self.notes),
            "steps": [step.to_dict() for step in self.steps],
        }


def _origin(origin: Mapping[str, Any], script: str) -> str:
    """Return what an unknown value comes from, in words."""
    if "step" in origin:
        name = "" if origin["script"] == script else f" of {os.path.basename(origin['script'])}"  # noqa: PTH119 - a text
        return f"step {origin['step']}{name}"
    if "variable" in origin:
        return str(origin["variable"])
    return "global variables" if "global" in origin else "a file"


def _origins(found: Iterable[Mapping[str, Any]], script: str) -> list[str]:
    return list(dict.fromkeys(_origin(origin, script) for origin in found))


def _step(told: Mapping[str, Any], script: str, home: Home) -> PlanStep:
    rendered = wire.decode(told.get("step")) or {}
    method = told.get("method")
    notes = list(told["notes"])
    when = told.get("when") or {}
    depends = [{"template": item["template"], "on": _origins(item["on"], script)} for item in told["depends"]]
    effects = Effects()
    own = isinstance(rendered, dict) and rendered.get("uri")
    if told["state"] != "skip" and isinstance(method, str) and not own:
        params = rendered.get("params") if isinstance(rendered, dict) else None
        cwd = Path(script).parent
        lacking = missing(method, params)
        if lacking:
            notes.append(f"{method} needs {lacking}")
        effects = effects_of(method, params, cwd=cwd, home=home, venv=told.get("venv"), target=told.get("target"))
    elif own:
        notes.append(f"calls '{method}' of the module {own}: what it does is not known")
    elif method is None and told["state"] not in ("skip", "fault"):
        notes.append("a JavaScript function: what it does is not known")
    if told["state"] != "skip":
        failed = [item for item in told["failed"] if not is_late(path_of(rendered, item["template"]))]
        notes += [f"{item['template']} stays as it is: {item['reason']}" for item in failed]
    child = told.get("child")
    condition = when.get("text")
    return PlanStep(
        index=told["index"],
        state=told["state"],
        method=method if isinstance(method, str) else None,
        file=Path(told["file"]),
        id=None if told.get("id") is None else str(told["id"]),
        line=told.get("line"),
        condition=None if condition is None else str(wire.plain(wire.decode(condition))),
        depends=tuple(depends),
        effects=effects,
        script=None if child is None else _plan(child, home),
        notes=tuple(notes),
    )


def _plan(told: Mapping[str, Any], home: Home) -> Plan:
    fault = told.get("fault")
    reason = None
    if fault:
        line = f":{fault['line']}" if fault.get("line") else ""
        reason = f"{fault.get('file') or told['path']}{line}: {fault['reason']}"
    return Plan(
        path=Path(told["path"]),
        steps=tuple(_step(entry, told["path"], home) for entry in told["entries"]),
        daemon=bool(told["daemon"]),
        fault=reason,
        notes=tuple(told["notes"]),
    )


async def plan_script(
    script: str | os.PathLike[str],
    *,
    args: Any = wire.UNDEFINED,
    action: str = "run",
    home: str | os.PathLike[str] | None = None,
    machine: Machine | None = None,
) -> Plan:
    """Return what a script would do, as far as that is known without doing it.

    Conditions are evaluated for the machine, memory and files are followed from step to step, scripts that are started
    are gone through as well. What depends on the result of a step is not guessed but marked.

    Parameters:
        script: path, ``~/…`` (below the home), or git address of an installed app.
        args: its arguments; JSON-like.
        action: the list of steps.
        home: the home folder; it need not exist.
        machine: the machine; by default this one.

    Raises:
        ScriptNotFoundError: there is no such script.
        HostError: its code never gave back control, or ended the process.
    """
    where = home_at(home)
    file = script_path(os.fspath(script), where)
    if not file.is_file():
        raise ScriptNotFoundError(f"there is no script {file}", hint="is the path right?", path=str(file))
    from pinokiocloud.methods.registry import load_methods  # noqa: PLC0415 - takes as long as starting Node

    async with Inspector(app_folder(file, where), home=where, machine=machine) as look:
        told = await look.call(
            "inspect.plan",
            path=str(file),
            action=action,
            hasArgs=args is not wire.UNDEFINED,
            args=wire.encode(args),
            env=look.environment(),
            port=_FIRST_PORT,
            methods=sorted(await asyncio.to_thread(load_methods)),
        )
        return _plan(told, where)
