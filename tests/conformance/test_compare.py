"""The comparison itself: a trace that equals the recording passes, and one wrong value in it is reported."""

from __future__ import annotations

import copy
import hashlib
import http.client
import json
from pathlib import Path
from typing import Any

import pytest
from compare import compare, logged, report
from fixture_server import FILE, fixture_server
from trace_deviations import ENDLESS, PARTS, deviations, expectation
from trace_run import Case, Trace, command, load_cases, read_trace, recorded_files, snapshot
from trace_text import (
    Difference,
    as_text,
    canonical,
    canonical_stream,
    find_difference,
    message_of,
    normalise,
    output_rows,
    settled,
)

CASES = {case.name: case for case in load_cases()}
RECORDED = [  # cases that were run through the reference, with what they printed
    case
    for case in CASES.values()
    if case.outcome["status"] not in ENDLESS and "steps" in case.outcome and "events" in case.data
]
DEVIATION_KEYS = {
    *("reason", "status", "error_contains", "compare", "steps", "all_steps", "substitute"),
    *("local", "created", "files", "out", "output", "needs", "if"),
}
UNDEFINED = {"$undef": True}


def as_trace(case: Case) -> Trace:
    """Give the trace of an engine that does exactly what was recorded."""
    outcome = copy.deepcopy(case.outcome)
    events = [{"kind": event["type"], **event} for event in copy.deepcopy(case.data.get("events", []))]
    return Trace(
        steps=outcome.get("steps", []),
        events=events,
        end={"status": outcome["status"], "error": as_text(outcome["error"]) or "wrong", "local": outcome.get("local")},
        created=recorded_files(outcome.get("created", [])),
        exit_code=0 if outcome["status"] in ("done", "daemon") else 1,
    )


def differences(case: Case, trace: Trace) -> list[Difference]:
    return compare(case, trace, expectation(case, {}))


def recording(name: str) -> tuple[Case, Trace]:
    return CASES[name], as_trace(CASES[name])


def places(case: Case, trace: Trace) -> list[str]:
    return [difference.where for difference in differences(case, trace)]


def test_all_cases_are_there() -> None:
    folder = Path(__file__).parent
    assert len(list(folder.glob("cases/*.json"))) == 167
    numbers = {path.name.split("-")[1] for path in folder.glob("spec/*.json")}
    assert {f"{number:02}" for number in range(1, 53)} <= numbers
    assert all(case.name == case.data["name"] for case in CASES.values())


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case.name)
def test_the_recording_itself_passes_and_each_wrong_step_field_is_reported(case: Case) -> None:
    assert differences(case, as_trace(case)) == []
    stopped = case.flag("--stop-after") is not None
    for number, step in enumerate(case.outcome["steps"]):
        fields = {"script", "index", "rendered", "input"} & set(step)
        if step.get("skipped"):
            fields |= {"next"}
        elif not stopped:
            fields |= {"returned", "local_after"} & set(step)
            fields |= {"next"} if step.get("next", UNDEFINED) != UNDEFINED else set()
        for name in fields:
            trace = as_trace(case)
            trace.steps[number][name] = "something else"
            assert differences(case, trace), f"a wrong {name} of step {number} passes"


def test_a_missing_and_an_extra_step_are_reported() -> None:
    case, trace = recording("next-attr")
    last = trace.steps.pop()
    assert places(case, trace) == ["steps"]
    trace.steps += [last, last]
    assert places(case, trace) == ["steps"]


def test_another_order_of_steps_is_reported() -> None:
    case, trace = recording("script-nested")
    trace.steps[1], trace.steps[2] = trace.steps[2], trace.steps[1]
    assert places(case, trace)[0].endswith("order")


def test_a_step_skipped_or_run_by_mistake_is_reported() -> None:
    case, trace = recording("when-skip-next")
    skipped = next(step for step in trace.steps if step.get("skipped"))
    del skipped["skipped"]
    assert any(place.endswith("skipped") for place in places(case, trace))
    trace = as_trace(case)
    next(step for step in trace.steps if "rendered" in step)["skipped"] = True
    assert any(place.endswith("skipped") for place in places(case, trace))


def test_wrong_ends_are_reported() -> None:
    case, trace = recording("fs-read-missing")
    trace.end["error"] = "another message"
    assert places(case, trace) == ["error"]
    trace.end = {"status": "done"}
    assert places(case, trace)[0] == "status"
    trace = as_trace(case)
    trace.exit_code = 0
    assert places(case, trace) == ["exit code of error"]
    trace.end = {}
    assert places(case, trace) == ["end"]


def test_an_error_needs_a_message() -> None:
    case, trace = recording("exec")
    trace.end["error"] = " "
    assert places(case, trace) == ["error"]


def test_a_wrong_step_error_is_reported() -> None:
    case, trace = recording("fs-read-missing")
    trace.steps[0]["error"] = {"$error": "Error", "message": trace.steps[0]["error"], "code": "ENOENT"}
    assert places(case, trace) == []
    trace.steps[0]["error"]["message"] += " and more"
    assert places(case, trace) == ["step 0 run.js[0] error"]


def test_a_step_that_failed_instead_of_giving_nothing_is_reported() -> None:
    case, trace = recording("fs-rm")
    del trace.steps[0]["returned"]
    trace.steps[0]["error"] = "no"
    assert places(case, trace) == ["step 0 run.js[0] failed.$undef"]


def test_wrong_locals_are_reported() -> None:
    case, trace = recording("local-set")
    trace.end["local"] = {}
    assert places(case, trace)[0].startswith("local")


def test_wrong_files_are_reported() -> None:
    case, trace = recording("fs-write")
    trace.created["j.json"]["text"] += " "
    del trace.created["b.bin"]
    trace.created["extra.txt"] = {"text": ""}
    assert places(case, trace) == ["created b.bin", "created extra.txt", "created j.json.text"]


def test_wrong_printed_text_is_reported() -> None:
    case, trace = recording("log-json")
    trace.events[0]["data"]["raw"] += "!"
    assert places(case, trace)[0].startswith("printed")


def test_how_printed_text_is_cut_into_events_does_not_matter() -> None:
    case, trace = recording("log-json")
    first = trace.events[0]
    text = first["data"]["raw"]
    trace.events[0:1] = [{**first, "data": {"raw": part}} for part in (text[:3], text[3:])]
    assert places(case, trace) == []


@pytest.mark.parametrize("name", ["htmlmodal", "input-form", "modal", "real-install"])
def test_missing_and_wrong_dialogs_are_reported(name: str) -> None:
    case, trace = recording(name)
    kinds = ("htmlmodal", "input", "modal", "notify")
    shown = next(event for event in trace.events if event["kind"] in kinds)
    shown["data"] = {"other": 1}
    assert places(case, trace)[0].startswith("shown")
    trace.events.remove(shown)
    assert places(case, trace) == ["shown"] or places(case, trace)[0].startswith("shown")


def test_a_missing_error_event_is_reported() -> None:
    case, trace = recording("step-no-method")
    trace.events = []
    assert places(case, trace) == ["error event"]


def test_shell_output_is_compared_and_the_shell_itself_is_not() -> None:
    case, trace = recording("shell-multiline")
    result = trace.steps[0]["returned"]
    for key in ("response", "stdout"):
        command_line, rest = result[key].split("\r\n", 1)
        assert command_line.startswith("<<PINOKIO_SHELL>>eval")
        result[key] = "(base) <<PINOKIO_SHELL>>our own command line\r\n" + rest.removesuffix(">") + "> "
    assert places(case, trace) == []
    result["stdout"] = result["stdout"].replace("\r\ntwo\r\n", "\r\ntoo\r\n")
    assert places(case, trace)[0].startswith("step 0 run.js[0] returned.stdout")
    trace = as_trace(case)
    trace.events = [event for event in trace.events if "two" not in str(event["data"])]
    assert set(places(case, trace)) == {"step 0 run.js[0] printed"}


def test_a_lost_row_and_an_unfinished_command_are_reported() -> None:
    case, trace = recording("shell-string")
    result = trace.steps[0]["returned"]
    whole = result["stdout"]
    result["stdout"] = whole.replace("hi\r\n<<", "<<")
    assert places(case, trace)
    result["stdout"] = whole.removesuffix("\r\n<<PINOKIO_SHELL>>")
    assert places(case, trace)


def test_matches_are_compared_without_their_offset() -> None:
    case, trace = recording("shell-on-kill")
    match = trace.steps[0]["returned"]["event"]
    match["index"] += 1000
    assert places(case, trace) == []
    match["groups"] = {"p": "x"}
    assert places(case, trace)


def test_a_live_error_must_name_the_last_line() -> None:
    case, trace = recording("shell-error-live")
    for key in ("response", "stdout"):
        trace.steps[0]["returned"][key] = "start\r\nValueError: bad"
    assert places(case, trace) == []
    trace.steps[0]["returned"]["stdout"] = "start"
    assert places(case, trace) == ["step 0 run.js[0] returned.stdout"]


def test_a_stopped_run_may_be_called_done_only_where_it_was_stopped() -> None:
    case, trace = recording("input-stop")
    trace.end["status"] = "stopped"
    assert places(case, trace) == []
    case, trace = recording("log-json")
    trace.end["status"] = "stopped"
    assert places(case, trace) == ["status"]


def test_logged_lines_are_compared() -> None:
    case, trace = recording("spec-19-duplicate-ids")
    assert logged(trace) == ["0", "first", "second"]
    trace.events = trace.events[:-2]
    assert "log steps printed" in places(case, trace)


def test_command_output_and_file_contents_are_compared() -> None:
    case, trace = recording("log-empty")
    change = {"files": {"x.txt": "x"}, "output": {"0": ["row"]}}
    found = compare(case, trace, expectation(case, change))
    assert [difference.where for difference in found] == ["step 0 output", "file x.txt"]


def test_deviations_are_well_formed() -> None:
    for name, entry in deviations().items():
        assert name in CASES, f"{name}: no such case"
        assert entry["reason"], f"{name}: no reason"
        assert set(entry) <= DEVIATION_KEYS, f"{name}: {set(entry) - DEVIATION_KEYS}"
        assert set(entry.get("compare", [])) <= set(PARTS), name
        assert len(entry) > 1, f"{name}: nothing is different"


def test_every_case_has_an_expectation() -> None:
    for case in CASES.values():
        assert not expectation(case).statuses & set(ENDLESS), f"{case.name} must end"


def test_a_case_that_never_ends_needs_a_deviation() -> None:
    with pytest.raises(ValueError, match="never ends"):
        expectation(CASES["jump-negative"], {})


def test_a_changed_result_is_also_the_next_input() -> None:
    steps = expectation(CASES["shell-on-done"]).steps
    assert steps is not None
    assert steps[1]["input"] == steps[0]["returned"]
    assert steps[1]["rendered"]["params"]["url"] == "http://127.0.0.1:1234"
    assert '12"34' in steps[0]["rendered"]["params"]["message"]


def test_a_deviation_still_reports_what_it_does_not_cover() -> None:
    case = CASES["tpl-injection"]
    trace = as_trace(case)
    assert compare(case, trace), "evaluated text from a file passes"
    recorded = json.dumps(trace.steps).replace("hi linux 42 bye", "hi {{process.platform}} {{6*7}} bye")
    trace.steps = json.loads(recorded)
    for event in trace.events:
        if isinstance(event["data"], dict):
            event["data"]["raw"] = event["data"]["raw"].replace("linux 42", "{{process.platform}} {{6*7}}")
    assert compare(case, trace) == []


def test_files_that_must_not_or_may_be_there() -> None:
    case, trace = recording("fs-append")
    change = {"created": {"x.txt": None, "y/": {"$optional": True}, "y/z.txt": {"$pattern": "^q"}}}
    found = compare(case, trace, expectation(case, change))
    assert [difference.where for difference in found] == ["created x.txt"]
    del trace.created["x.txt"], trace.created["y/"]
    assert compare(case, trace, expectation(case, change)) == []


def test_volatile_text_is_replaced() -> None:
    text = json.dumps({
        "id": "0a1b2c3d-0000-4000-8000-0123456789ab", "path": "/tmp/x/home/api/app", "job": "[1] 4242",
        "at": "2024-05-06T07:08:09.123Z", "peer": "d1712345678901", "mine": "http://127.0.0.1:39999/a",
        "proc": "/proc/77/status", "fixed": "http://127.0.0.1:7860", "any": "localhost:54321",
    })  # fmt: skip
    assert json.loads(normalise(text, "/tmp/x/home", 39999)) == {
        "id": "<uuid>", "path": "$HOME/api/app", "job": "[1] <pid>", "at": "<ts>", "peer": "d<ms>",
        "mine": "http://127.0.0.1:18431/a", "proc": "/proc/<pid>/status", "fixed": "http://127.0.0.1:7860",
        "any": "localhost:<port>",
    }  # fmt: skip


def test_shell_text_is_reduced_to_rows() -> None:
    assert output_rows("<<PINOKIO_SHELL>>echo a\r\na\r\n\r\n(env) <<PINOKIO_SHELL>> ") == ["a", ""]
    assert output_rows("(x) <<PINOKIO_SHELL>>printf b\r\nb<<PINOKIO_SHELL>>") == ["b"]
    assert output_rows("1972\r\n1973\r\n<<PINOKIO_SHELL>>") == ["1972", "1973"]
    assert output_rows("<<PINOKIO_SHELL>>exit") == []
    assert output_rows(UNDEFINED) == []


def test_shell_text_inside_json_is_canonical() -> None:
    ours = json.dumps({"a": '(env) <<PINOKIO_SHELL>>x && echo "q"\r\nq\r\n(env) <<PINOKIO_SHELL>> '})
    theirs = json.dumps({"a": "<<PINOKIO_SHELL>>eval; y\r\nq\r\n<<PINOKIO_SHELL>>"})
    assert canonical_stream(ours) == canonical_stream(theirs)
    assert canonical_stream(theirs) != canonical_stream(theirs.replace("q", "r"))


def test_what_a_terminal_shows_is_settled() -> None:
    assert settled("\x1b[31mabc\rX\x1b[0m\r\na\tb\r\r\n") == "Xbc\nab\n"


def test_ports_are_canonical_and_other_numbers_are_not() -> None:
    assert canonical({"p": 42003, "n": 42002, "b": True}) == {"p": "<port>", "n": 42002, "b": True}


@pytest.mark.parametrize(
    ("expected", "got", "where"),
    [
        (1, True, "x"), (0, False, "x"), (None, UNDEFINED, "x"), ("", None, "x"), ([1], [1, 2], "x"),
        ({"a": 1}, {"a": 1, "b": 2}, "x.b"), ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "x.a.b[1]"),
        ({"$contains": "a"}, "b", "x"), ({"$pattern": "^a$"}, "ab", "x"), ({"$lines": ["a"]}, "ab\nc", "x"),
        ({"$oneof": [1, 2]}, 3, "x"), (UNDEFINED, None, "x"),
    ],
)  # fmt: skip
def test_differences_are_found(expected: Any, got: Any, where: str) -> None:
    difference = find_difference(expected, got, "x")
    assert difference is not None
    assert difference.where == where


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (1, 1.0), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({"$any": True}, UNDEFINED), ({"$contains": ["a", "b"]}, "ba"),
        ({"$pattern": "^a"}, "ab"), ({"$lines": ["a", "b"]}, "b\nc\na"), ({"$oneof": [[], [1]]}, [1]),
    ],
)  # fmt: skip
def test_equal_values_pass(expected: Any, got: Any) -> None:
    assert find_difference(expected, got, "x") is None


def test_class_names_before_messages_do_not_count() -> None:
    assert message_of("TypeError [ERR_X]: no") == message_of({"$error": "TypeError", "message": "no"}) == "no"
    assert message_of("api.process rejected: Error: no") == "no"


def test_a_report_names_case_step_field_and_values() -> None:
    case, trace = recording("args-basic")
    trace.steps[1]["rendered"]["params"]["json"][1] = "object"
    text = report(case, differences(case, trace))
    assert "args-basic" in text
    assert 'step 1 run.js[1] rendered.params.json[1]: expected "undefined", got "object"' in text


def test_a_trace_is_read(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"type": "step", "script": f"{tmp_path}/api/app/run.js", "index": 0},
        {"type": "event", "kind": "stream", "data": {"raw": "x"}, "index": 0},
        {"type": "end", "status": "done", "error": None, "local": UNDEFINED},
    ]
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + '\n{"type": "st', "utf-8")
    trace = read_trace(path, str(tmp_path))
    assert trace.steps == [{"script": "$HOME/api/app/run.js", "index": 0}]
    assert trace.events[0]["kind"] == "stream"
    assert trace.end["status"] == "done"
    assert read_trace(tmp_path / "none", "").end == {}


def test_numbered_steps_are_put_in_start_order(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text("".join(json.dumps({"type": "step", "index": n, "n": n}) + "\n" for n in (1, 0)), "utf-8")
    assert [step["index"] for step in read_trace(path, "").steps] == [0, 1]


def test_a_snapshot_holds_texts_hashes_links_and_whole_environments(tmp_path: Path) -> None:
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "pyvenv.cfg").write_text("home = x")
    (tmp_path / "node_modules" / "a").mkdir(parents=True)
    (tmp_path / "bg.pid").write_text("4242\n")
    (tmp_path / "b").write_bytes(b"\0\x01")
    (tmp_path / "big").write_bytes(b"x" * 9000)
    (tmp_path / "link").symlink_to("../elsewhere")
    assert snapshot(tmp_path) == {
        "env/": {"venv": True},
        "node_modules/": {"dir": True, "pruned": True},
        "bg.pid": {"text": "<pid>\n"},
        "b": {"base64": "AAE="},
        "big": {"size": 9000, "sha1": hashlib.sha1(b"x" * 9000, usedforsecurity=False).hexdigest()},
        "link": {"link": "../elsewhere"},
    }


def test_the_command_line_carries_arguments_answers_and_flags() -> None:
    def line(name: str) -> list[str]:
        return command(["engine"], CASES[name], Path("/h"), Path("/t"), 5)

    assert line("args-scalar")[:7] == ["engine", "/h/api/app/run.js", "--home", "/h", "--trace", "/t", "--args"]
    assert '"hello"' in line("args-scalar")
    assert "--args" not in line("args-none")
    assert line("htmlmodal")[6:8] == ["--answer", '{"ok": 1}']
    assert line("shell-stop")[6:8] == ["--stop-after", "4.0"]
    assert line("script-action")[6:8] == ["--action", "install"]
    assert "2.5" in line("shell-on-trigger")
    assert '{"http": "http://127.0.0.1:5", "http_get": "http-get://127.0.0.1:5"}' in line("net-get")


def ask(port: int, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=b"{}" if method == "POST" else None, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_the_fixture_server_keeps_its_contract() -> None:
    assert hashlib.sha1(FILE, usedforsecurity=False).hexdigest() == "0a3a7f3a3d7194e442e14caaa99ed239e9b70a26"
    with fixture_server() as port:
        assert ask(port, "GET", "/json")[2] == b'{"a":1,"b":[true,null]}'
        assert ask(port, "GET", "/text")[2] == b"plain text"
        assert ask(port, "GET", "/file.bin")[2] == FILE == ask(port, "GET", "/a.bin")[2]
        status, headers, body = ask(port, "GET", "/small.txt", {"Range": "bytes=3-"})
        assert (status, headers["content-range"], body) == (206, "bytes 3-9/10", b"3456789")
        status, headers, _ = ask(port, "GET", "/small.txt", {"Range": "bytes=10-"})
        assert (status, headers["content-range"]) == (416, "bytes */10")
        status, headers, body = ask(port, "HEAD", "/file.bin")
        assert (status, headers["content-length"], body) == (200, "300000", b"")
        assert "from header.txt" in ask(port, "GET", "/cd")[1]["content-disposition"]
        assert ask(port, "GET", "/redirect")[1]["location"] == "/file.bin"
        assert ask(port, "GET", "/status/418")[0] == 418
        assert ask(port, "GET", "/nowhere")[::2] == (404, b"nf")
        assert [ask(port, "GET", "/flaky3")[0] for _ in range(4)] == [503, 503, 200, 503]
        assert ask(port, "GET", "/flaky3", {"X-K": "other"})[0] == 503
        said = json.loads(ask(port, "POST", "/echo?q=1", {"X-A": "b"})[2])
        assert (said["method"], said["url"], said["body"], said["xa"]) == ("POST", "/echo?q=1", "{}", "b")
