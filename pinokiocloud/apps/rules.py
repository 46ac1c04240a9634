"""The rules for steps: what ``check`` says about one script (spec §2, §3, §4)."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.apps.findings import FAULT, WARNING, Finding
from pinokiocloud.apps.needs import missing
from pinokiocloud.apps.templates import is_late, path_of
from pinokiocloud.errors import PinokioError
from pinokiocloud.home.uri import resolve
from pinokiocloud.script import wire

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pinokiocloud.apps.findings import Findings
    from pinokiocloud.home import Home

__all__ = ["ScriptRules", "nearby"]

_STEP_KEYS = ("method", "params", "uri", "when", "id", "next", "returns", "notify", "queue", "on", "daemon")
_STARTS = ("script.start", "script.run")
_SCRIPTS = (*_STARTS, "script.stop", "script.restart")
_GO_TEMPLATE = re.compile(r"\{\{-?\s*(?:\.|range\b|if\b|end\b|with\b|json\b|println\b)")
_WEB = ("http://", "https://")


def _dotted(path: Sequence[Any]) -> str:
    return ".".join(str(part) for part in path)


def _shown(text: str, limit: int = 90) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _named(names: Sequence[str], limit: int = 5) -> str:
    return ", ".join(names[:limit]) + (" …" if len(names) > limit else "")


@dataclass(frozen=True)
class _Place:
    """One step, as the place of findings."""

    file: str
    line: int | None
    lines: Mapping[str, int]
    action: str
    index: int
    machines: tuple[str, ...]
    findings: Findings

    def find(
        self, level: str, code: str, message: str, path: Sequence[Any] = (), *, hint: str | None = None
    ) -> Finding:
        """Return a finding for a part of the step: its line is that of the nearest part above that has one."""
        above = (_dotted(path[:n]) for n in range(len(path), -1, -1))
        line = next((self.lines[name] for name in above if name in self.lines), self.line)
        return Finding(level, code, message, self.file, line, self.action, self.index, self.machines, hint=hint)

    def fault(self, code: str, message: str, path: Sequence[Any] = (), hint: str | None = None) -> None:
        """Tell of a fault."""
        self.findings.add(self.find(FAULT, code, message, path, hint=hint))

    def warning(self, code: str, message: str, path: Sequence[Any] = (), hint: str | None = None) -> None:
        """Tell of a warning."""
        self.findings.add(self.find(WARNING, code, message, path, hint=hint))

    def on(self, machines: Sequence[str]) -> _Place:
        """Return the same step on some of the machines."""
        return replace(self, machines=tuple(machines))


class ScriptRules:
    """Judges the steps of one script.

    Parameters:
        file: the script.
        methods: the names of all methods.
        home: the home folder, for addresses of scripts.
        findings: gets what is found.
    """

    def __init__(self, file: Path, methods: Collection[str], home: Home, findings: Findings) -> None:
        self.file = file
        self.methods = methods
        self.home = home
        self.findings = findings
        #: The scripts that its steps start.
        self.starts: list[Path] = []
        #: The step modules that its steps call: (file, function, finding to make when it is not there).
        self.modules: list[tuple[Path, str, Finding]] = []

    # ---- the whole script -------------------------------------------------------------------------------------
    def script(self, told: Mapping[str, Any], *, linked: bool) -> None:
        """Judge a script.

        Parameters:
            told: what the host says about it (``inspect.script``).
            linked: whether a menu or a script leads to it, so that it has to be runnable.
        """
        for fault in told["findings"]:
            self._load(fault)
        for variant in told["variants"]:
            machines = tuple(variant["machines"])
            self._exports(variant, machines, linked=linked)
            ids = {name: [step["step"] for step in action["steps"]] for name, action in variant["actions"].items()}
            for name, action in variant["actions"].items():
                if action["fault"]:
                    self._load({**action["fault"], "machines": machines})
                for step in action["steps"]:
                    self._step(name, step, ids, machines, variant["keys"])

    def _load(self, fault: Mapping[str, Any]) -> None:
        blame = fault.get("blame")
        reason = str(fault["reason"])
        level, code, hint = FAULT, "syntax" if fault.get("name") == "SyntaxError" else "load", None
        if blame == "denied":
            level, code = WARNING, "denied"
            reason = f"it cannot be looked at without running it: {reason}"
        elif blame == "package":
            level = WARNING
            reason = f"it needs the npm package '{fault['package']}', which is not there yet"
        elif blame in ("network", "command"):
            level = WARNING
            need = "a network" if blame == "network" else "the result of a command"
            reason = f"it cannot be loaded without {need}: {reason}"
        elif blame == "late":
            reason = f"it cannot be loaded: {reason}"
        else:
            reason = f"it cannot be loaded: {reason}"
        self.findings.add(
            Finding(
                level,
                code,
                reason,
                str(fault.get("file") or self.file),
                fault.get("line"),
                machines=tuple(fault.get("machines", ())),
                hint=hint,
            )
        )

    def _exports(self, variant: Mapping[str, Any], machines: tuple[str, ...], *, linked: bool) -> None:
        run = variant["actions"].get("run")
        if not linked or (run and (run["steps"] or run["fault"])):
            return
        if variant["promise"]:
            message = "the script exports a function that is not async and returns a Promise, which is not awaited"
            hint: str | None = "declare it as an async function"
        elif "run" in variant["keys"]:
            message, hint = "its list of steps 'run' is empty or no list: it cannot be run", None
        else:
            others = [name for name in variant["keys"] if name not in ("title", "description", "icon", "version")]
            close = difflib.get_close_matches("run", others, 1, 0.6)
            message = "it has no list of steps named 'run', so it cannot be run"
            hint = f"did you mean 'run' by '{close[0]}'?" if close else None
        self.findings.add(Finding(FAULT, "export", message, str(self.file), 1, machines=machines, hint=hint))

    # ---- one step ---------------------------------------------------------------------------------------------
    def _step(
        self,
        action: str,
        told: Mapping[str, Any],
        lists: Mapping[str, Sequence[Any]],
        machines: tuple[str, ...],
        keys: Sequence[str],
    ) -> None:
        index: int = told["index"]
        at = _Place(str(told["file"]), told.get("line"), told["lines"], action, index, machines, self.findings)
        raw = wire.decode(told["step"])
        if not isinstance(raw, dict):
            at.fault("step", f"step {index} is {wire.plain(raw)!r}: a step is an object with a method")
            return
        for fault in told["templates"]:
            level, message = _template(fault)
            self.findings.add(at.find(level, "template", message, fault["path"]))
        for fault in told["events"]:
            level, message, hint = _event(fault)
            self.findings.add(at.find(level, "event", message, fault["path"], hint=hint))
        for rendered in told["rendered"]:
            here = at.on(rendered["machines"])
            _when(told.get("when"), rendered, here)
            for failed in rendered["failed"]:
                if "does not compile" in failed["reason"]:
                    continue  # said above, with its place
                path = path_of(raw, failed["template"])
                if is_late(path):
                    continue
                here.warning("template", f"{_shown(failed['template'])} stays as it is: {failed['reason']}", path)
            self._method(raw, wire.decode(rendered["step"]), rendered, here)
        _keys(raw, at)
        _targets(raw, lists[action], lists.get("run", lists[action]), at)
        _handlers(raw, keys, at)

    def _method(self, raw: Mapping[str, Any], step: Any, rendered: Mapping[str, Any], at: _Place) -> None:
        method = step.get("method") if isinstance(step, dict) else None
        if isinstance(method, wire.JSValue):
            return
        if not method:
            if rendered["state"] != "broken":
                at.fault("step", f"step {at.index} has no method", (), _close("method", raw))
            return
        if not isinstance(method, str):
            at.fault("method", f"step {at.index}: the method is {wire.plain(method)!r}", ["method"])
            return
        if "{{" in method:
            return
        if isinstance(step.get("uri"), str) and step["uri"]:
            self._module(step["uri"], method, at)
        elif method.startswith("kernel."):
            if rendered["method"] is False:
                at.fault("method", f"there is no kernel method '{method}'", ["method"])
        elif method not in self.methods:
            close = difflib.get_close_matches(method.strip(), list(self.methods), 1, 0.6)
            hint = f"did you mean '{close[0]}'?" if close else None
            at.fault("method", f"there is no method '{method}'", ["method"], hint)
        else:
            self._params(raw, step, method, rendered, at)

    def _module(self, uri: str, method: str, at: _Place) -> None:
        file = self._resolved(uri)
        if file is None or "{{" in uri:
            return
        if not file.exists():
            at.fault("module", f"the step's module {uri} does not exist: {file}", ["uri"])
            return
        finding = at.find(FAULT, "module", f"the module {uri} has no function '{method}'", ["method"])
        self.modules.append((file, method, finding))

    def _params(
        self, raw: Mapping[str, Any], step: Mapping[str, Any], method: str, rendered: Mapping[str, Any], at: _Place
    ) -> None:
        written, params = raw.get("params"), step.get("params")
        lacking = missing(method, written)
        if lacking:
            at.fault("params", f"{method} needs {lacking}", ["params"])
            return
        if not isinstance(params, dict):
            return
        if method == "fs.download" and not params.get("dir") and isinstance(params.get("uri", params.get("url")), list):
            at.fault("params", "fs.download needs 'dir' for several addresses", ["params"])
        env = params.get("env")
        for name, value in env.items() if isinstance(env, dict) else ():
            if name.upper() == "PATH" and isinstance(value, str) and "{{" not in value:
                hint = f'"{name}": ["/folder"]: they go before the PATH'
                at.fault("params", f"env.{name} must be a list of folders, not text", ["params", "env", name], hint)
        conda = params.get("conda")
        if isinstance(conda, dict) and conda and not any(conda.get(key) for key in ("path", "name", "skip")):
            at.fault("params", "conda needs a path, a name or skip", ["params", "conda"])
        if method in _SCRIPTS:
            uris = params.get("uri", params.get("path"))
            for uri in uris if isinstance(uris, list) else [uris]:
                if isinstance(uri, str) and uri and "{{" not in uri:
                    self._uri(uri, method, rendered["state"], at)

    def _resolved(self, uri: str) -> Path | None:
        try:
            return Path(os.path.normpath(resolve(uri, self.file.parent, self.home)))
        except PinokioError:
            return None

    def _uri(self, uri: str, method: str, state: str, at: _Place) -> None:
        path = ["params", "uri"]
        if uri.startswith(_WEB) and ".git" not in uri:
            at.fault(
                "uri", f"a git address must hold .git: {uri}", path, "write https://host/owner/name.git/path/in/it"
            )
            return
        file = self._resolved(uri)
        if file is None:
            return  # a repository that is not installed is cloned when the step runs
        if file.exists():
            if method in _STARTS and file.suffix.lower() in (".js", ".json"):
                self.starts.append(file)
            return
        # What an install makes is not there yet; a condition may keep the step from running.
        soft = method not in _STARTS or not file.parent.exists() or state in ("maybe", "no")
        more = "" if file.parent.exists() else " (nor does its folder, yet)"
        message = f"{method} names a script that does not exist: {uri}{more}"
        self.findings.add(at.find(WARNING if soft else FAULT, "uri", message, path, hint=nearby(file)))


def nearby(file: Path) -> str | None:
    """Return a hint to a script with a similar name beside a missing one."""
    try:
        names = [entry.name for entry in file.parent.iterdir() if entry.suffix in (".js", ".json")]
    except OSError:
        return None
    close = difflib.get_close_matches(file.name, names, 1, 0.6)
    return f"did you mean '{close[0]}'?" if close else None


def _when(when: Mapping[str, Any] | None, rendered: Mapping[str, Any], at: _Place) -> None:
    """Judge a condition (spec §2.4)."""
    told = rendered["when"]
    if told and told.get("promise"):
        hint = "exists('path') answers at once; kernel.exists gives a Promise"
        at.warning("when", f"{_shown(str(told['template']))} is a Promise, which is always true", ["when"], hint)
    elif rendered["state"] == "throws":
        at.fault("when", f"the condition {_shown(told['template'])} fails: {told['reason']}", ["when"])
    if when is None or not when["text"].strip():
        return
    text = _shown(when["text"])
    if not when["template"] and when["open"]:
        message = (
            f"the template of the condition '{text}' is not closed on its line: it is a text, which is always true"
        )
        at.warning("when", message, ["when"], "write {{ and }} around it")
    elif not when["template"]:
        hint = f"write {{{{{text}}}}}"
        at.warning("when", f"the condition is the text '{text}', which is always true", ["when"], hint)
    elif not when["pure"] and rendered["state"] == "yes":
        hint = "write one template with nothing around it: {{a && b}}"
        at.warning("when", f"the condition '{text}' is a text around a template, which is always true", ["when"], hint)


def _keys(raw: Mapping[str, Any], at: _Place) -> None:
    """Judge the keys of a step (spec §2.1)."""
    if isinstance(raw.get("on"), list):
        at.warning("step", "'on' stands beside 'params' and has no effect there", ["on"], "put it into 'params'")
    for key in raw:
        if key in _STEP_KEYS or "{{" in key:
            continue
        close = difflib.get_close_matches(key, ("method", "params", "when", "next", "returns", "notify"), 1, 0.75)
        if close and close[0] not in raw:
            at.warning("step", f"'{key}' is no key of a step", [key], f"did you mean '{close[0]}'?")


def _targets(raw: Mapping[str, Any], steps: Sequence[Any], jumps: Sequence[Any], at: _Place) -> None:
    """Judge where a step goes on: ``next``, and the params of a jump, which looks in ``run`` (spec §2.5)."""
    if "next" in raw:
        _target(raw["next"], steps, "next", ["next"], at)
    params = raw.get("params")
    if raw.get("method") in ("jump", "goto") and isinstance(params, dict):
        if params.get("index") is not None:
            _target(params["index"], steps, raw["method"], ["params", "index"], at)
        elif params.get("id") is not None:
            _target(str(params["id"]), jumps, raw["method"], ["params", "id"], at)
    own = raw.get("id")
    if isinstance(own, str) and [step.get("id") for step in steps if isinstance(step, dict)].count(own) > 1:
        at.warning("jump", f"the id '{own}' stands at several steps: next takes the first, jump the last", ["id"])


def _target(target: Any, steps: Sequence[Any], what: str, path: Sequence[Any], at: _Place) -> None:
    if isinstance(target, bool) or target is None or target is wire.UNDEFINED:
        return
    if isinstance(target, (int, float)):
        if not 0 <= target < len(steps):
            at.fault("jump", f"{what} goes to step {target}, but the steps are 0 to {len(steps) - 1}", path)
        return
    if not isinstance(target, str) or "{{" in target:
        return
    ids = [str(step["id"]) for step in steps if isinstance(step, dict) and step.get("id") is not None]
    if target in ids or any("{{" in name for name in ids):
        return
    if target.isdecimal() and int(target) < len(steps):
        message = f"{what} goes to the text '{target}': which step follows is then counted wrong"
        at.warning("jump", message, path, "write a number")
        return
    close = difflib.get_close_matches(target, ids, 1, 0.6)
    known = "the ids are: " + _named(ids) if ids else "no step has an id"
    hint = f"did you mean '{close[0]}'?" if close else known
    at.fault("jump", f"{what} goes to '{target}', but there is no step with this id", path, hint)


def _handlers(raw: Mapping[str, Any], keys: Sequence[str], at: _Place) -> None:
    """Judge the ``on`` list of a shell step (spec §4.2.7)."""
    params = raw.get("params")
    on = params.get("on") if isinstance(params, dict) else None
    if isinstance(on, dict):
        at.fault("event", "'on' must be a list of events, not one object", ["params", "on"], 'write "on": [{…}]')
    for i, item in enumerate(on if isinstance(on, list) else []):
        trigger = item.get("trigger") if isinstance(item, dict) else None
        if isinstance(trigger, str) and trigger not in keys and "{{" not in trigger:
            at.fault("event", f"there is no list of steps '{trigger}' to trigger", ["params", "on", i, "trigger"])


def _template(fault: Mapping[str, Any]) -> tuple[str, str]:
    """Return level and message of a template that does not compile (spec §3.4)."""
    text = _shown(fault["template"])
    beside = [str(key) for key in fault["siblings"]]
    kind = fault["kind"]
    if kind == "braces":
        return WARNING, f"triple braces do not protect inside a text: nothing in it is replaced: {text}"
    if kind == "mixed":
        level = WARNING if _GO_TEMPLATE.match(fault["template"]) else FAULT
        rest = f", and so do {_named(beside)}" if beside else ""
        return level, f"{text} does not compile ({fault['reason']}): it stays as it is{rest}"
    top = len(fault["path"]) == 1
    spread = f"; nothing beside it is replaced either: {_named(beside)}" if beside else ""
    if top:
        spread = "; the whole step stays as it is written"
    if kind == "spans":
        message = "two templates that begin and end a text are one expression, which does not compile"
        return FAULT, f"{text}: {message}{spread}"
    return FAULT, f"{text} does not compile ({fault['reason']}){spread}"


def _event(fault: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Return level, message and hint of an event that is no ``/…/`` (spec §4.2.7)."""
    text = _shown(str(fault["text"]))
    if fault["kind"] == "regex":
        return FAULT, f"the event {text} does not compile: {fault['reason']}", None
    if fault["kind"] == "value":
        return FAULT, f"the event {text} is no text", "write it between slashes: /text/i"
    message = (
        f"the event '{text}' stands without slashes: the original then ends the shell as soon as it prints anything"
    )
    return WARNING, message, f"write /{text}/"


def _close(name: str, raw: Mapping[str, Any]) -> str | None:
    close = difflib.get_close_matches(name, list(raw), 1, 0.6)
    return f"did you mean '{name}' by '{close[0]}'?" if close and close[0] != name else None
