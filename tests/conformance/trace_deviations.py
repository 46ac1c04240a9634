"""What is expected of us: the recorded outcome, changed where deviations.json says that we differ on purpose.

An entry of deviations.json has a `reason` and any of

    status          the status, or a list of statuses, instead of the recorded one
    error_contains  texts that the error must name (instead of the recorded message)
    compare         which parts are compared at all: status error steps local created events
    steps           {position: {field: value}}: fields of single steps (a changed result is also the next step's input)
    all_steps       all steps, instead of the recorded ones
    substitute      [[regex, replacement]] on the JSON text of the recorded outcome and events
    local           the final `local`
    created         {name: what}: null is a file that must not be there, {"$optional": true} may be
    files           {name: text} after the run
    out             the lines printed by `log` steps
    output          {position: rows}: what a shell step's command printed
    needs           what the machine must have, else the case is skipped: conda, python3.11
    if              the entry holds only on such a machine: gpu

A status other than the recorded one means that events are not compared, unless `compare` names them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from trace_run import Case, recorded_files
from trace_text import as_text, message_of

PARTS = ("status", "error", "steps", "local", "created", "events")
ENDLESS = ("hung", "timeout", "fatal")
FAILED = ("error", "rejected")


@dataclass
class Expectation:
    """What a run of a case must show."""

    statuses: set[str]
    error_contains: list[str]
    parts: set[str]
    steps: list[dict[str, Any]] | None
    local: Any
    created: dict[str, Any] | None
    events: list[dict[str, Any]] | None
    files: dict[str, str]
    out: Any  # a list of texts, or a matcher
    output: dict[str, list[str]]
    optional: set[str]


@cache
def deviations() -> dict[str, dict[str, Any]]:
    """Read deviations.json."""
    entries: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("deviations.json").read_text("utf-8"))
    return entries


def missing_needs(case: Case) -> list[str]:
    """Give what the machine lacks to run the case."""
    needs = (deviations().get(case.name) or {}).get("needs", [])
    return [need for need in needs if not _has(need)]


@cache
def _has(need: str) -> bool:
    if need == "gpu":
        return any(shutil.which(tool) for tool in ("nvidia-smi", "rocm-smi"))
    if need == "conda":  # creates a real environment from the network
        return os.environ.get("PINOKIOCLOUD_TEST_CONDA") == "1"
    return shutil.which(need) is not None


def expectation(case: Case, deviation: dict[str, Any] | None = None) -> Expectation:
    """Give what the case must show; the deviation is the one of deviations.json unless another is given."""
    change = deviations().get(case.name, {}) if deviation is None else deviation
    if "if" in change and not _has(change["if"]):
        change = {}
    data = _substitute(case.data, change.get("substitute", []))
    outcome = data["outcome"]
    if outcome["status"] in ENDLESS and "status" not in change:
        raise ValueError(f"{case.name}: the reference never ends, deviations.json must say what we do")
    parts = set(change.get("compare", PARTS))
    if "status" in change and "compare" not in change:
        parts.discard("events")
    created = recorded_files(outcome["created"]) if outcome.get("created") is not None else None
    return Expectation(
        statuses=_statuses(case, outcome, change),
        error_contains=change.get("error_contains", _recorded_error(outcome)),
        parts=parts,
        steps=_steps(outcome.get("steps"), change),
        local=change.get("local", outcome.get("local")),
        created=_created(created, change.get("created", {})),
        events=data.get("events"),
        files={**data.get("files_after", {}), **change.get("files", {})},
        out=change.get("out", data.get("out")),
        output={**data.get("output", {}), **change.get("output", {})},
        optional={name for name, info in change.get("created", {}).items() if info == {"$optional": True}},
    )


def _substitute(data: dict[str, Any], pairs: list[list[str]]) -> dict[str, Any]:
    if not pairs:
        return data
    text = json.dumps({"outcome": data["outcome"], "events": data.get("events")}, ensure_ascii=False)
    for pattern, replacement in pairs:
        text, count = re.subn(pattern, replacement, text)
        if not count:
            raise ValueError(f"{data['name']}: nothing matches {pattern!r}")
    return {**data, **json.loads(text)}


def _statuses(case: Case, outcome: dict[str, Any], change: dict[str, Any]) -> set[str]:
    wanted = change.get("status", outcome["status"])
    statuses = {wanted} if isinstance(wanted, str) else set(wanted)
    return statuses | {"stopped"} if "done" in statuses and case.flag("--stop-after") else statuses


def _recorded_error(outcome: dict[str, Any]) -> list[str]:
    error = outcome.get("error")
    return [message_of(error)] if outcome["status"] in FAILED and as_text(error) else []


def _steps(recorded: list[dict[str, Any]] | None, change: dict[str, Any]) -> list[dict[str, Any]] | None:
    if "all_steps" in change:
        return list(change["all_steps"])
    if recorded is None:
        return None
    steps = [dict(step) for step in recorded]
    for position, fields in change.get("steps", {}).items():
        number = int(position)
        was = steps[number].get("returned")
        steps[number].update(fields)
        if "returned" in fields and number + 1 < len(steps) and steps[number + 1].get("input") == was:
            steps[number + 1]["input"] = fields["returned"]
    for position, fields in change.get("steps", {}).items():
        steps[int(position)].update(fields)
    return steps


def _created(recorded: dict[str, Any] | None, change: dict[str, Any]) -> dict[str, Any] | None:
    if recorded is None:
        return {name: info for name, info in change.items() if info is not None} or None
    result = {name: info for name, info in recorded.items() if change.get(name, info) is not None}
    for name, info in change.items():
        if info is None or info == {"$optional": True}:
            result.pop(name, None)
        else:
            result[name] = info
    return result
