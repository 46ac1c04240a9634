"""``pinokiocloud plan``: what a script would do, without doing it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.apps.inspector import home_at
from pinokiocloud.apps.launcher import script_path
from pinokiocloud.apps.machines import with_gpu
from pinokiocloud.apps.plan import Plan, PlanStep, plan_script
from pinokiocloud.cli.text import Screen, write_json
from pinokiocloud.platforms.machine import detect_machine
from pinokiocloud.script import wire

if TYPE_CHECKING:
    from pinokiocloud.apps.effects import Command

__all__ = ["show_plan"]

_LONG = 200  # characters of a value


class _Text:
    """Writes a plan for people.

    Parameters:
        screen: where to write.
        base: the folder that paths are shown relative to.
        home: the home folder, shown as ``~``.
    """

    def __init__(self, screen: Screen, base: Path, home: Path) -> None:
        self._screen = screen
        self._base = base
        self._home = home

    def path(self, text: str) -> str:
        """Return a path, short."""
        path = Path(text)
        if path == self._base:
            return "."
        if path.is_relative_to(self._base):
            return str(path.relative_to(self._base))
        return f"~/{path.relative_to(self._home)}" if path.is_relative_to(self._home) else text

    def plan(self, plan: Plan, depth: int = 0) -> None:
        """Write a script's steps; steps in a row that are left out are one line."""
        indent = 4 * depth
        if plan.fault:
            self._screen.line(f"it would not start: {plan.fault}", "red", indent)
        skipped: list[PlanStep] = []
        for step in plan.steps:
            if step.state == "skip":
                skipped.append(step)
                continue
            self._skipped(skipped, indent)
            skipped = []
            self._step(step, indent, depth)
        self._skipped(skipped, indent)
        if plan.daemon:
            self._screen.line("it stays up until it is stopped (daemon)", "dim", indent)
        for note in plan.notes:
            self._screen.line(note, "yellow", indent)

    def _skipped(self, steps: list[PlanStep], indent: int) -> None:
        if not steps:
            return
        if len(steps) == 1:
            text = f"{steps[0].index:>3}  left out: {steps[0].condition} is false"
        else:
            text = f"{steps[0].index:>3}–{steps[-1].index} left out: their conditions are false"
        self._screen.line(text, "dim", indent)

    def _step(self, step: PlanStep, indent: int, depth: int) -> None:
        screen = self._screen
        name = step.method or "function"
        title = f"{step.index:>3}  {screen.paint(name, 'bold')}"
        if step.id:
            title += f" ({step.id})"
        if step.line:
            title += screen.paint(f"  {step.file.name}:{step.line}", "dim")
        screen.line(title, indent=indent)
        inner = indent + 5
        if step.condition is not None:
            on = next((item["on"] for item in step.depends if item["template"] in (step.condition or "")), None)
            known = f"depends on {', '.join(on)}" if on and step.state == "if" else "true here"
            screen.line(f"if {step.condition}: {known}", "yellow" if on else "dim", inner)
        if step.state == "maybe":
            screen.line("perhaps: whether the script gets here is not known yet", "yellow", inner)
        self._effects(step, inner)
        for item in step.depends:
            if item["template"] != step.condition:
                screen.line(f"{item['template']} depends on {', '.join(item['on'])}", "yellow", inner)
        for note in step.notes:
            screen.line(note, "red" if step.state == "fault" else "yellow", inner)
        if step.script is not None:
            screen.line(f"{self.path(str(step.script.path))}:", "cyan", inner)
            self.plan(step.script, depth + 2)

    def _effects(self, step: PlanStep, indent: int) -> None:
        screen, effects = self._screen, step.effects
        for number, command in enumerate(effects.commands):
            before = effects.commands[number - 1] if number else None
            self._command(command, before, indent)
        for change in effects.files:
            to = f" to {self.path(change.to)}" if change.to else ""
            screen.line(f"{change.action} {self.path(change.path)}{to}", indent=indent)
        for download in effects.downloads:
            for url in download.urls:
                to = f" to {self.path(download.target)}" if download.target else ""
                screen.line(f"download {screen.paint(url, 'cyan')}{to}", indent=indent)
        for link in effects.links:
            text = f"show {link.text}" if link.text else "show"
            screen.line(text + (f" {screen.paint(link.url, 'cyan')}" if link.url else ""), indent=indent)
        for question in effects.questions:
            screen.line(f"ask: {question.title}", indent=indent)
            for field in question.fields:
                more = [f"{key} {field[key]}" for key in ("type", "default") if field.get(key) not in (None, "")]
                screen.line(f"{field.get('key')}" + (f" ({', '.join(more)})" if more else ""), indent=indent + 2)
        for store, values in effects.sets.items():
            for key, value in values.items() if isinstance(values, dict) else [("", values)]:
                screen.line(f"set {store}.{key} = {_short(value)}", indent=indent)
        for script in effects.stops:
            screen.line(f"stop {self.path(script)}", indent=indent)
        if effects.waits:
            screen.line(f"wait: {effects.waits}", indent=indent)
        if effects.prints:
            screen.line(f"print {_short(effects.prints)}", indent=indent)

    def _command(self, command: Command, before: Command | None, indent: int) -> None:
        screen = self._screen
        setting = (command.folder, command.env, command.venv, command.conda, command.shell)
        if before is None or setting != (before.folder, before.env, before.venv, before.conda, before.shell):
            parts = [f"in {self.path(command.folder)}"]
            if command.venv:
                state = {True: "", False: ", made first", None: ", made first if it is missing"}[command.venv["exists"]]
                python = f", Python {command.venv['python']}" if command.venv["python"] else ""
                parts.append(f"venv {self.path(command.venv['path'])}{python}{state}")
            if command.conda:
                parts.append("conda " + ", ".join(f"{key} {value}" for key, value in command.conda.items()))
            if command.shell:
                parts.append(f"shell {self.path(command.shell)}")
            if command.sudo:
                parts.append("as root")
            screen.line("; ".join(parts), "dim", indent)
            for key, value in command.env.items():
                screen.line(f"{key}={_short(value)}", "dim", indent + 2)
        if command.line is not None:
            first, *rest = command.line.split("\n")
            screen.line("\n".join([f"$ {first}", *(f"  {line}" for line in rest)]), "green", indent)
        for event in command.events:
            screen.line(f"on {event['event']}: {event['then']}", "dim", indent + 2)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = " ".join(text.split())
    return line if len(line) <= _LONG else line[: _LONG - 1] + "…"


def show_plan(
    script: str, *, args: Any, has_args: bool, action: str, home: Path | None, gpu: str | None, as_json: bool
) -> int:
    """Print what a script would do on this machine.

    Parameters:
        script: path, ``~/…`` or git address.
        args: its arguments.
        has_args: whether it gets any.
        action: the list of steps.
        home: the home folder.
        gpu: another graphics card: ``nvidia``, ``amd`` or ``none``; None for this machine's own.
        as_json: print JSON.

    Returns:
        The exit code: 0, or 3 when the script would not start.

    Raises:
        PinokioError: there is no such script, or Node could not be started.
    """
    machine = detect_machine()
    if gpu is not None:
        machine = with_gpu(machine, gpu)
    given = args if has_args else wire.UNDEFINED
    plan = asyncio.run(plan_script(script, args=given, action=action, home=home, machine=machine))
    code = 3 if plan.fault else 0
    if as_json:
        write_json({**plan.to_dict(), "machine": machine.variables()})
        return code
    screen = Screen()
    where = home_at(home)
    screen.line(str(script_path(script, where)), "bold")
    card = machine.gpu_model or "no graphics card"
    screen.line(f"on {machine.platform} {machine.arch}, {card}; nothing is executed", "dim")
    _Text(screen, plan.path.parent, where.root).plan(plan)
    return code
