"""Checking an app: every script loaded and judged, the menu evaluated for states and machines, nothing run."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.apps.findings import FAULT, WARNING, Finding, Findings
from pinokiocloud.apps.inspector import Inspector, app_folder, home_at
from pinokiocloud.apps.launcher import find_launcher
from pinokiocloud.apps.machines import MACHINES
from pinokiocloud.apps.menu import MenuItem, flat, menu_items
from pinokiocloud.apps.rules import ScriptRules, nearby
from pinokiocloud.errors import HostError, HostHungError, ScriptNotFoundError
from pinokiocloud.home.dotenv import parse, read
from pinokiocloud.script import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pinokiocloud.platforms.machine import Machine

__all__ = ["CheckResult", "check_app"]

_METADATA = ("pinokio.json", "pinokio_meta.json")
_SUFFIXES = (".js", ".json")
_FIRST = "linux/nvidia"


@dataclass
class CheckResult:
    """What ``check`` says about an app or a script.

    Attributes:
        path: what was checked.
        launcher: the app's launcher; None without one.
        scripts: the scripts that were loaded.
        findings: what is wrong, by file and line.
        menu: the number of menu items when the app is ``fresh``, ``installed`` and ``running``, on Linux with an
            NVIDIA card; None where the menu could not be evaluated.
    """

    path: Path
    launcher: Path | None = None
    scripts: list[Path] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    menu: dict[str, int | None] = field(default_factory=dict)

    @property
    def faults(self) -> list[Finding]:
        """What breaks something."""
        return [finding for finding in self.findings if finding.level == FAULT]

    @property
    def warnings(self) -> list[Finding]:
        """What is hardly meant."""
        return [finding for finding in self.findings if finding.level == WARNING]

    @property
    def ok(self) -> bool:
        """Whether there are no faults."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON-like object."""
        return {
            "path": str(self.path),
            "ok": self.ok,
            "launcher": None if self.launcher is None else str(self.launcher),
            "scripts": [str(script) for script in self.scripts],
            "faults": [finding.to_dict() for finding in self.faults],
            "warnings": [finding.to_dict() for finding in self.warnings],
            "menu": self.menu,
        }


async def check_app(
    path: str | os.PathLike[str],
    *,
    home: str | os.PathLike[str] | None = None,
    machines: Mapping[str, Machine] = MACHINES,
) -> CheckResult:
    """Check an app, a launcher's folder or one script, without running anything.

    Every script is loaded for every machine, its steps are rendered with what can be known beforehand, and the menu is
    evaluated for a new copy of the app, an installed one, and with each of its scripts running.

    Parameters:
        path: the app's folder, its launcher's folder, or a script (which is checked with the scripts that it starts).
        home: the home folder; it need not exist.
        machines: the machines to try, by name.

    Raises:
        ScriptNotFoundError: there is no such file or folder.
        HostStartError: Node or its packages are missing.
    """
    given = Path(os.path.realpath(path))  # modules of scripts know their real place
    if not given.exists():
        raise ScriptNotFoundError(f"there is no app or script {given}", hint="is the path right?", path=str(given))
    where = home_at(home)
    async with Inspector(app_folder(given, where), home=where, read=[given.parent]) as look:
        return await _Check(given, look, machines).run()


@dataclass(frozen=True)
class _State:
    """A state of an app in which its menu is looked at.

    Parameters:
        name: what reports call it.
        installed: whether every file that the menu asks for is taken to be there.
        running: a script that runs.
        up: whether that script has set its variables.
    """

    name: str
    installed: bool = True
    running: Path | None = None
    up: bool = False


class _Check:
    """The check of one app.

    Parameters:
        given: what is to be checked.
        look: the process to look with.
        machines: the machines by name.
    """

    def __init__(self, given: Path, look: Inspector, machines: Mapping[str, Machine]) -> None:
        self.look = look
        self.machines = machines
        self.findings = Findings(machines)
        self.result = CheckResult(given)
        self.app = given if given.is_dir() else look.folder
        self.linked: set[Path] = set()  # what a menu, a script or the caller leads to
        self.done: set[Path] = set()
        self.locals: dict[Path, dict[str, Any]] = {}
        self.daemons: set[Path] = set()
        self.counts: dict[str, int] = {}

    async def run(self) -> CheckResult:
        """Check everything."""
        given = self.result.path
        machines = {name: machine.variables() for name, machine in self.machines.items()}
        await self.look.prepare("inspect.machines", machines=machines, env=self.look.environment())
        if given.is_file() and given.name != "pinokio.js":
            self.linked.add(given)
            await self._scripts({given})
        else:
            self.app = given if given.is_dir() else given.parent
            await self._app()
        self.result.scripts = sorted(self.done)
        self.result.findings = self.findings.result()
        return self.result

    async def _app(self) -> None:
        launcher = find_launcher(self.app)
        self.result.launcher = launcher
        root = launcher.parent if launcher else self.app
        found = {Path(file) for file in await self.look.call("inspect.scan", root=str(root))}
        if launcher is None and not found:
            message = "there is no launcher (pinokio.js) and no script here"
            self.findings.add(Finding(FAULT, "launcher", message, str(self.app), hint="give the folder of an app"))
        for folder in {self.app, root}:
            self._metadata(folder)
            self._environment(folder)
        await self._scripts(found)
        if launcher is not None:
            await self._all_menus(launcher, root)

    # ---- scripts ----------------------------------------------------------------------------------------------
    async def _scripts(self, found: Iterable[Path]) -> None:
        """Check scripts and those that they start."""
        from pinokiocloud.methods.registry import load_methods  # noqa: PLC0415 - takes as long as starting Node

        names = set(await asyncio.to_thread(load_methods))
        waiting = sorted(set(found) - self.done)
        while waiting:
            file = waiting.pop(0)
            if file in self.done:
                continue
            self.done.add(file)
            rules = ScriptRules(file, names, self.look.home, self.findings)
            try:
                told = await self.look.call("inspect.script", path=str(file))
            except HostError as error:
                self._host(file, error)
                continue
            rules.script(told, linked=file in self.linked)
            self.locals[file] = wire.decode(told["locals"])
            if any(variant["daemon"] for variant in told["variants"]):
                self.daemons.add(file)
            for module, function, finding in rules.modules:
                await self._module(module, function, finding)
            self.linked |= set(rules.starts)
            waiting += sorted(set(rules.starts) - self.done)

    async def _module(self, file: Path, function: str, finding: Finding) -> None:
        try:
            told = await self.look.call("inspect.module", path=str(file), method=function)
        except HostError as error:
            self._host(file, error)
            return
        if told["fault"]:
            ScriptRules(file, (), self.look.home, self.findings).script(
                {"findings": [told["fault"]], "variants": []}, linked=False
            )
        elif not told["ok"]:
            self.findings.add(finding)

    def _host(self, file: Path, error: HostError) -> None:
        what = "it never gives back control when it is loaded" if isinstance(error, HostHungError) else error.message
        self.findings.add(Finding(FAULT, "host", what, str(file), hint=error.hint))

    # ---- menus ------------------------------------------------------------------------------------------------
    async def _menus(self, launcher: Path, root: Path, states: Sequence[_State]) -> set[Path]:
        """Evaluate the menu in states; return the scripts that it leads to."""
        body = [
            {
                "state": state.name,
                "installed": state.installed,
                "running": [str(state.running)] if state.running else [],
                "local": wire.encode(
                    {str(state.running): self.locals.get(state.running, {})} if state.running and state.up else {}
                ),
            }
            for state in states
        ]
        try:
            menus = await self.look.call("inspect.states", app=str(self.app), states=body)
        except HostError as error:
            self._host(launcher, error)
            return set()
        scripts: set[Path] = set()
        for told in menus:
            if not told["ok"]:
                self._menu_fault(told)
                continue
            items = flat(menu_items(wire.decode(told["menu"]), root))
            if _FIRST in told["machines"]:
                count = len([item for item in items if not item.items])
                self.counts.update(dict.fromkeys(told["states"], count))
            scripts |= {item.script for item in items if item.script is not None and self._href(item, told)}
        return scripts

    def _menu_fault(self, told: Mapping[str, Any]) -> None:
        fault = told["fault"]
        blame = fault.get("blame")
        if blame == "assumed":
            return  # a file that was only taken to be there
        level, code, hint = FAULT, "menu", None
        words = {"load": "the launcher cannot be loaded", "throws": "the menu throws", "value": "the menu is no list"}
        message = f"{words[told['kind']]}: {fault['reason']}"
        if told["kind"] == "load" and fault.get("name") == "SyntaxError":
            code = "syntax"
        if blame == "denied":
            level, code = WARNING, "denied"
            message = f"the menu cannot be looked at without running it: {fault['reason']}"
        elif blame in ("network", "command", "package"):
            level = WARNING
            need = {"network": "a network", "command": "the result of a command", "package": "an npm package"}[blame]
            message = f"the menu throws without {need}: {fault['reason']}"
        elif told["kind"] != "load":
            hint = "the app then has no menu"
        file = str(fault.get("file") or told["launcher"])
        machines, states = tuple(told["machines"]), tuple(told["states"])
        self.findings.add(Finding(level, code, message, file, fault.get("line"), None, None, machines, states, hint))

    def _href(self, item: MenuItem, told: Mapping[str, Any]) -> bool:
        """Judge where a menu item leads; return whether a script is there."""
        script = item.script
        assert script is not None
        if script.is_file():
            if not item.extra.get("fs"):  # else it is shown as a file, not run
                self.linked.add(script)
            return True
        if item.extra.get("fs"):
            return False
        # what an install makes is not there yet
        level = FAULT if script.parent.is_dir() else WARNING
        message = f"the menu item '{item.text}' leads to a script that does not exist: {item.href}"
        machines, states = tuple(told["machines"]), tuple(told["states"])
        line, file = told["lines"].get(item.href), str(told["launcher"])
        self.findings.add(Finding(level, "href", message, file, line, None, None, machines, states, nearby(script)))
        return False

    async def _all_menus(self, launcher: Path, root: Path) -> None:
        """Evaluate the menu of a new and an installed app, then with each script running."""
        found = await self._menus(launcher, root, [_State("fresh", installed=False), _State("installed")])
        await self._scripts(found)
        tried: set[Path] = set()
        while self.done - tried:
            states = []
            for script in sorted(self.done - tried):
                states.append(_State(f"{script.name} starting", running=script))
                states.append(_State(f"{script.name} running", running=script, up=True))
            tried |= self.done
            await self._scripts(await self._menus(launcher, root, states))
        shown = self._shown()
        self.result.menu = {
            "fresh": self.counts.get("fresh"),
            "installed": self.counts.get("installed"),
            "running": self.counts.get(f"{shown.name} running") if shown else None,
        }

    def _shown(self) -> Path | None:
        """Return the script whose running the report's menu count speaks of: the one that stays up."""
        linked = sorted(self.linked & self.daemons) or sorted(self.linked & self.done)
        first = [script for script in linked if script.stem == "start"]
        return next(iter(first or linked), None)

    # ---- other files ------------------------------------------------------------------------------------------
    def _metadata(self, folder: Path) -> None:
        for name in _METADATA:
            file = folder / name
            try:
                text = file.read_text(encoding="utf-8-sig", errors="replace")
            except OSError:
                continue
            try:
                json.loads(text)
            except ValueError as error:
                line = error.lineno if isinstance(error, json.JSONDecodeError) else None
                reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                message = f"it is not valid JSON ({reason}), so it is ignored"
                self.findings.add(Finding(WARNING, "metadata", message, str(file), line))

    def _environment(self, folder: Path) -> None:
        for name in ("ENVIRONMENT", "_ENVIRONMENT"):
            file = folder / name
            if not file.is_file():
                continue
            try:
                text = read(file)
            except OSError:
                continue
            for line, message in _environment_faults(text):
                self.findings.add(Finding(WARNING, "environment", message, str(file), line))


def _environment_faults(text: str) -> list[tuple[int, str]]:
    """Return (line, message) of every line of a dotenv text that sets nothing (spec §5.5)."""
    lines = text.splitlines()
    everything = parse(text)
    out = []
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = parse(line)
        if found:
            key = next(iter(found))
            if not key.replace("_", "a").isalnum() or key[0].isdigit():
                out.append((number, f"'{key}' is no name that a shell takes: the variable never reaches a command"))
            continue
        # a line that changes nothing when it is taken away belongs to no value of several lines either
        if parse("\n".join([*lines[: number - 1], *lines[number:]])) == everything:
            out.append((number, f"this line sets nothing: {stripped[:60]}"))
    return out
