"""Loads the cases, runs one with the command line in a fresh home, and reads what it did."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fixture_server import fixture_server
from trace_text import FIXTURE_PORT, normalise

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parents[1]
ENGINE = [sys.executable, "-m", "pinokiocloud", "run"]
DETACH_AFTER = 0.4  # seconds for which a daemon is watched, as the recorded cases did

_PRUNED = {"node_modules", ".git", "site-packages", "lib64"}
_WHOLE_TEXT = 8192
_LEAST_TIMEOUT = 60.0
_GRACE = 30.0


@dataclass(frozen=True)
class Case:
    """One script, how it is started, and what it did in the reference (or must do by the specification)."""

    name: str
    data: dict[str, Any]

    @property
    def outcome(self) -> dict[str, Any]:
        return dict(self.data["outcome"])

    def flag(self, name: str) -> str | None:
        """Give the value of one of the recorder's flags."""
        flags: list[str] = self.data.get("flags") or []
        return flags[flags.index(name) + 1] if name in flags else None


@dataclass
class Trace:
    """What a run did, normalised but not yet compared."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)
    created: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    printed: str = ""


def load_cases() -> list[Case]:
    """Give the recorded cases, then the cases of the specification."""
    paths = sorted(FOLDER.glob("cases/*.json")) + sorted(FOLDER.glob("spec/*.json"))
    # Process numbers and the like in the recordings go the same way as in our traces.
    return [Case(path.stem, json.loads(normalise(path.read_text("utf-8")))) for path in paths]


def arguments(case: Case, port: int = FIXTURE_PORT) -> Any:
    """Give the script's arguments, or None where none were passed."""
    given = case.data.get("args")
    if not case.data.get("http"):
        return given
    server = {"http": f"http://127.0.0.1:{port}", "http_get": f"http-get://127.0.0.1:{port}"}
    return {**given, **server} if isinstance(given, dict) else server


def command(engine: list[str], case: Case, home: Path, trace: Path, port: int) -> list[str]:
    """Give the command line that runs the case."""
    script = home / "api" / "app" / case.data["script"]
    line = [*engine, str(script), "--home", str(home), "--trace", str(trace)]
    given = arguments(case, port)
    if given is not None:
        line += ["--args", json.dumps(given)]
    for answer in json.loads(case.flag("--respond") or "[]"):
        line += ["--answer", json.dumps(answer)]
    stop_after = case.flag("--stop-after")
    if stop_after:
        line += ["--stop-after", str(int(stop_after) / 1000)]
    action = case.flag("--action")
    if action:
        line += ["--action", action]
    wait = case.flag("--daemon-wait")
    line += ["--detach-after", str(int(wait) / 1000 if wait else DETACH_AFTER)]
    return [*line, "--timeout", str(time_limit(case))]


def time_limit(case: Case) -> float:
    """Give the seconds after which a run counts as hung."""
    return max(_LEAST_TIMEOUT, float(case.data["timeout"]) / 1000)


def run_case(case: Case, engine: list[str] | None = None) -> Trace:
    """Run the case in a fresh home and give its trace."""
    with ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True)
        run = Path(stack.enter_context(folder)).resolve()
        port = stack.enter_context(fixture_server()) if case.data.get("http") else FIXTURE_PORT
        home, app, trace = run / "home", run / "home" / "api" / "app", run / "trace.jsonl"
        app.mkdir(parents=True)
        for name, text in case.data["files"].items():
            target = home / "api" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8", newline="")
        before = snapshot(app)
        line = command(engine or ENGINE, case, home, trace, port)
        exit_code, printed = _execute(line, run, time_limit(case) + _GRACE)
        after = snapshot(app)
        result = read_trace(trace, str(home), port)
        result.exit_code, result.printed = exit_code, normalise(printed, str(home), port)
        created = json.dumps({name: info for name, info in after.items() if name not in before})
        result.created = json.loads(normalise(created, str(home), port))
        result.files = {name: info["text"] for name, info in after.items() if "text" in info}
        return result


def _execute(line: list[str], folder: Path, limit: float) -> tuple[int | None, str]:
    log = folder / "printed.txt"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PINOKIO_")}
    environment["PINOKIOCLOUD_MICROMAMBA"] = str(Path(__file__).parent / "micromamba.sh")
    with log.open("wb") as output:
        process = subprocess.Popen(
            line, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None, log.read_text("utf-8", "replace")
    return process.returncode, log.read_text("utf-8", "replace")


def read_trace(path: Path, home: str, port: int = FIXTURE_PORT) -> Trace:
    """Read a trace of JSON lines; a last line cut off by a kill is dropped."""
    trace = Trace()
    text = path.read_text("utf-8") if path.is_file() else ""
    for line in normalise(text, home, port).splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        kind = record.pop("type", None)
        if kind == "step":
            trace.steps.append(record)
        elif kind == "event":
            trace.events.append(record)
        elif kind == "end":
            trace.end = record
    # Steps are compared in the order in which they started; a trace that numbers them may write them as they end.
    trace.steps.sort(key=lambda step: step.get("n", 0))
    return trace


def snapshot(folder: Path) -> dict[str, dict[str, Any]]:
    """Give what lies in a folder: name to text, hash or link target; an environment is one entry."""
    found: dict[str, dict[str, Any]] = {}
    _look_into(folder, "", found)
    return collapse_environments(found)


def _look_into(folder: Path, prefix: str, found: dict[str, dict[str, Any]]) -> None:
    for entry in sorted(os.scandir(folder), key=lambda item: item.name):
        name = prefix + entry.name
        if entry.is_symlink():
            found[name] = {"link": os.readlink(entry.path)}
        elif entry.is_dir():
            found[f"{name}/"] = {"dir": True}
            if entry.name in _PRUNED:
                found[f"{name}/"]["pruned"] = True
            else:
                _look_into(Path(entry.path), f"{name}/", found)
        elif entry.is_file():
            found[name] = _describe(Path(entry.path))


def _describe(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    if len(content) > _WHOLE_TEXT:
        return {"size": len(content), "sha1": hashlib.sha1(content, usedforsecurity=False).hexdigest()}
    if b"\0" in content:
        return {"base64": base64.b64encode(content).decode()}
    text = content.decode("utf-8", "replace")
    return {"text": "<pid>\n" if "pid" in path.name and text.strip().isdigit() else text}


def collapse_environments(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Replace a virtual or conda environment's files by one entry: what is in it is its maker's business."""
    result = dict(found)
    for mark, kind in (("pyvenv.cfg", "venv"), ("conda-meta/", "conda")):
        for top in [name.removesuffix(mark) for name in found if name.endswith(f"/{mark}")]:
            result = {name: info for name, info in result.items() if not name.startswith(top)}
            result[top] = {kind: True}
    return result


def recorded_files(created: list[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Give a recorded `created` list in the form of a snapshot."""
    whole = {name: dict(info) for name, info in created}
    for info in whole.values():
        if "sha1" not in info:
            info.pop("size", None)  # the size of a text that held the home's path says nothing
    return collapse_environments(whole)
