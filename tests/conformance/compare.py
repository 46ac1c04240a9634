"""Compares a run's trace with what is expected of it; as a script it prints a table.

python tests/conformance/compare.py [--engine "command"] [--jobs 2] [--show] [names or patterns…]
"""

from __future__ import annotations

import argparse
import fnmatch
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any

from trace_deviations import FAILED, Expectation, expectation, missing_needs
from trace_run import Case, Trace, load_cases, run_case
from trace_text import (
    LIVE_ERROR,
    PROMPT,
    Difference,
    as_text,
    canonical,
    canonical_stream,
    find_difference,
    message_of,
    output_rows,
    settled,
    shorten,
)

SHOWN = ("notify", "input", "modal", "htmlmodal")
_UNDEFINED = {"$undef": True}
_SUCCESS = ("done", "daemon")
_STEP_FIELDS = ("rendered", "returned", "next", "input", "local_after")


def compare(case: Case, trace: Trace, expected: Expectation | None = None) -> list[Difference]:
    """Give every difference between what a case must show and what it showed."""
    wanted = expectation(case) if expected is None else expected
    found = _compare_end(wanted, trace)
    if "steps" in wanted.parts and wanted.steps is not None:
        found += _compare_steps(wanted.steps, trace.steps, stopped=case.flag("--stop-after") is not None)
    if "created" in wanted.parts and wanted.created is not None:
        found += _compare_created(wanted, trace)
    if "events" in wanted.parts and wanted.events is not None:
        found += _compare_shown(wanted, trace) + _compare_streams(wanted, trace)
    return found + _compare_extras(wanted, trace)


def _compare_end(wanted: Expectation, trace: Trace) -> list[Difference]:
    status = trace.end.get("status")
    if status is None:
        return [Difference("end", sorted(wanted.statuses), f"no end in the trace; {_printed(trace)}")]
    found = []
    if "status" in wanted.parts and status not in wanted.statuses:
        found.append(Difference("status", sorted(wanted.statuses), f"{status}: {as_text(trace.end.get('error'))}"))
    elif status in _SUCCESS + FAILED and (status in _SUCCESS) != (trace.exit_code == 0):
        found.append(Difference(f"exit code of {status}", "0 only when the run succeeded", trace.exit_code))
    text = as_text(trace.end.get("error"))
    if "error" in wanted.parts and status in FAILED:
        if not text.strip():
            found.append(Difference("error", "a message", text))
        found += [Difference("error", {"$contains": part}, text) for part in wanted.error_contains if part not in text]
    if "local" in wanted.parts and wanted.local is not None:
        local = trace.end.get("local")
        found += _one(wanted.local, _UNDEFINED if local is None else local, "local")
    return found


def _one(expected: Any, got: Any, where: str) -> list[Difference]:
    difference = find_difference(canonical(expected), canonical(got), where)
    return [difference] if difference else []


def _label(step: dict[str, Any]) -> str:
    return f"{PurePosixPath(step.get('script') or '').name}[{step.get('index')}]"


def _compare_steps(expected: list[dict[str, Any]], got: list[dict[str, Any]], *, stopped: bool) -> list[Difference]:
    found: list[Difference] = []
    for position, (left, right) in enumerate(zip(expected, got, strict=False)):
        where = f"step {position} {_label(left)}"
        if not _same_place(left, right):
            return [*found, Difference(f"{where} order", _order(expected), _order(got))]
        # A stop comes in the middle of the last step: what that step gave is a matter of luck.
        last = stopped and position == len(expected) - 1
        found += _compare_step(left, right, where, ("rendered", "input") if last else _STEP_FIELDS)
    if len(expected) != len(got):
        found.append(Difference("steps", _order(expected), _order(got)))
    return found


def _same_place(left: dict[str, Any], right: dict[str, Any]) -> bool:
    script = left.get("script", right.get("script"))  # an expectation of ours may leave the script out
    return script == right.get("script") and left.get("index") == right.get("index")


def _order(steps: list[dict[str, Any]]) -> list[str]:
    return [_label(step) for step in steps]


def _compare_step(left: dict[str, Any], right: dict[str, Any], where: str, fields: tuple[str, ...]) -> list[Difference]:
    if left.get("skipped") or right.get("skipped"):
        found = _one(bool(left.get("skipped")), bool(right.get("skipped")), f"{where} skipped")
        if found:
            return found
        fields = ("next", "input")
    found = []
    for name in fields:
        expected, got = left.get(name), right.get(name, _UNDEFINED)
        if name not in left or (name == "next" and expected == _UNDEFINED):
            continue  # not recorded, or the step ended the run
        if name in ("returned", "input") and _is_live_error(expected):
            found += _compare_live_error(expected, got, f"{where} {name}")
        else:
            found += _one(expected, got, f"{where} {name}")
    if "returned" in left and "error" in right and "returned" not in right and left["returned"] != {"$any": True}:
        found += _one(left["returned"], {"error": right["error"]}, f"{where} failed")
    if "error" in left:
        matcher = isinstance(left["error"], dict) and "$error" not in left["error"]
        expected = left["error"] if matcher else message_of(left["error"])
        found += _one(expected, message_of(right.get("error")), f"{where} error")
    return found


def _is_live_error(value: Any) -> bool:
    return isinstance(value, dict) and str(value.get("response")).startswith(LIVE_ERROR)


def _compare_live_error(expected: Any, got: Any, where: str) -> list[Difference]:
    lines = [line for line in expected["response"].splitlines() if line.strip()]
    # Where the last line is the echo of the command, the reference failed before the command printed anything.
    response = {"$any": True} if lines[-1].startswith(PROMPT) else {"$contains": lines[-1]}
    return _one({**expected, "response": response, "stdout": response}, got, where)


def _compare_created(wanted: Expectation, trace: Trace) -> list[Difference]:
    got = {name: info for name, info in trace.created.items() if name not in wanted.optional}
    expected = wanted.created or {}
    names = sorted({*expected, *got})
    found = []
    for name in names:
        left, right = expected.get(name, "no file"), got.get(name, "no file")
        # What is expected of a text may be a matcher.
        text = isinstance(left, dict) and "text" not in left and isinstance(right, dict) and "text" in right
        found += _one(left, right["text"] if text and set(left) & {"$lines", "$pattern"} else right, f"created {name}")
    return found


def _compare_shown(wanted: Expectation, trace: Trace) -> list[Difference]:
    def shown(events: list[dict[str, Any]], key: str) -> list[Any]:
        return [[event[key], event.get("index"), event.get("data")] for event in events if event.get(key) in SHOWN]

    found = _one(shown(wanted.events or [], "type"), shown(trace.events, "kind"), "shown")
    errors = [message_of(event.get("data")) for event in trace.events if event.get("kind") == "error"]
    for event in wanted.events or []:
        text = message_of(event.get("data")) if event["type"] == "error" else None
        if text is not None and not any(text in error for error in errors):
            found.append(Difference("error event", {"$contains": text}, errors))
    return found


def _methods(steps: list[dict[str, Any]]) -> dict[Any, set[str]]:
    methods: dict[Any, set[str]] = {}
    for step in steps:
        rendered = step.get("rendered")
        method = rendered.get("method") if isinstance(rendered, dict) else None
        methods.setdefault(step.get("index"), set()).add(str(method))
    return methods


def _groups(pairs: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
    """Join what was printed in a row by the same step."""
    groups: list[tuple[Any, str]] = []
    for index, text in pairs:
        if groups and groups[-1][0] == index:
            groups[-1] = (index, groups[-1][1] + text)
        elif text:
            groups.append((index, text))
    return groups


def _printed_by(events: list[dict[str, Any]], key: str) -> list[tuple[Any, str]]:
    pairs = []
    for event in events:
        data = event.get("data")
        text = data.get("raw", "") if isinstance(data, dict) else data
        if event.get(key) == "stream" and isinstance(text, str):
            pairs.append((event.get("index"), text))
    return pairs


def _compare_streams(wanted: Expectation, trace: Trace) -> list[Difference]:
    steps = wanted.steps or []
    shells = {index for index, names in _methods([*steps, *trace.steps]).items() if _has_shell(names)}
    expected, got = _printed_by(wanted.events or [], "type"), _printed_by(trace.events, "kind")
    found = _one(_without(shells, expected), _without(shells, got), "printed")
    for position, step in enumerate(steps):
        result = step.get("returned")
        if step.get("index") in shells and isinstance(result, dict) and not _is_live_error(result):
            text = settled("".join(text for index, text in got if index == step.get("index")))
            rows = [row.strip() for row in output_rows(result.get("stdout"))]
            lost = [row for row in rows if row not in text and PROMPT not in row]
            found += [Difference(f"step {position} {_label(step)} printed", {"$contains": row}, text) for row in lost]
    return found


def _without(shells: set[Any], pairs: list[tuple[Any, str]]) -> list[list[Any]]:
    groups = _groups([pair for pair in pairs if pair[0] not in shells])
    return [[index, canonical_stream(text)] for index, text in groups]


def _has_shell(names: set[str]) -> bool:
    return any(name.startswith("shell.") for name in names)


def logged(trace: Trace) -> list[str]:
    """Give the lines that `log` steps printed."""
    logs = {index for index, names in _methods(trace.steps).items() if "log" in names and not _has_shell(names)}
    text = "".join(text for index, text in _printed_by(trace.events, "kind") if index in logs)
    return canonical_stream(text).replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def _lines(texts: Any) -> Any:
    return [line for text in texts for line in text.split("\n")] if isinstance(texts, list) else texts


def _compare_extras(wanted: Expectation, trace: Trace) -> list[Difference]:
    found = []
    if wanted.out is not None:
        found += _one(_lines(wanted.out), logged(trace), "log steps printed")
    for position, rows in wanted.output.items():
        step = trace.steps[int(position)] if int(position) < len(trace.steps) else {}
        result = step.get("returned")
        got = output_rows(result.get("stdout")) if isinstance(result, dict) else result
        found += _one(rows, got, f"step {position} output")
    for name, text in wanted.files.items():
        found += _one(text, trace.files.get(name, "no file"), f"file {name}")
    return found


def _printed(trace: Trace) -> str:
    return f"exit code {trace.exit_code}, printed: {trace.printed[-600:].strip()}"


def report(case: Case, differences: list[Difference]) -> str:
    """Give the differences as text for a person."""
    return "\n".join([f"{case.name}: {case.data.get('doc', '')}", *(f"  {difference}" for difference in differences)])


def check(case: Case, engine: list[str] | None = None) -> tuple[list[Difference], Trace]:
    """Run a case and compare it."""
    trace = run_case(case, engine)
    return compare(case, trace), trace


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run conformance cases and print where they differ.")
    parser.add_argument("names", nargs="*", help="case names or patterns (all when absent)")
    parser.add_argument("--engine", type=shlex.split, help="command that runs a script (default: this project's)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="print every difference and the engine's own output")
    return parser.parse_args()


def main() -> int:
    """Run the named cases and print a table; the exit code is 1 when one differs."""
    options = _arguments()
    chosen = [case for case in load_cases() if _chosen(case.name, options.names)]
    counts = {"pass": 0, "FAIL": 0, "skip": 0}

    def judge(case: Case) -> tuple[str, str]:
        missing = missing_needs(case)
        if missing:
            return "skip", f"needs {', '.join(missing)}"
        differences, trace = check(case, options.engine)
        if not differences:
            return "pass", ""
        if options.show:
            return "FAIL", "\n      ".join(["", *map(str, differences), _printed(trace)])
        return "FAIL", str(differences[0]) + (f" (+{len(differences) - 1})" if len(differences) > 1 else "")

    with ThreadPoolExecutor(options.jobs) as pool:
        for case, (verdict, text) in zip(chosen, pool.map(judge, chosen), strict=True):
            counts[verdict] += 1
            print(f"{verdict}  {case.name:34} {text}".rstrip(), flush=True)
    print(shorten(counts))
    return 1 if counts["FAIL"] or not chosen else 0


def _chosen(name: str, patterns: list[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


if __name__ == "__main__":
    sys.exit(main())
