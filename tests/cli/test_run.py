"""``pinokiocloud run``: exit codes, options, what it prints, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SKIP = {"skip": True}
COMMAND = [sys.executable, "-m", "pinokiocloud", "run"]
LIMIT = 30


def shell_step(message: str, **params: Any) -> dict[str, Any]:
    return {"method": "shell.run", "params": {"message": message, "conda": SKIP, **params}}


def show(template: str) -> dict[str, Any]:
    return {"method": "log", "params": {"raw": f"<{template}>"}}


SERVER = shell_step("setsid sleep 1000 & echo up-$((1)); sleep 1000", on=[{"event": "/up-1/", "done": True}])


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LIMIT
    while not (value := condition()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)
    return value


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "PINOKIO_HOME": str(home)}


@pytest.fixture
def run(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give a function that runs the command to its end."""

    def go(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL, check=False, **options
        )  # fmt: skip

    return go


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Give a function that starts the command."""
    started = []

    def go(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL, **options}
        started.append(subprocess.Popen([*COMMAND, *arguments], env=environment, text=True, **options))
        return started[-1]

    yield go
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(autouse=True)
def nothing_is_left(home: Path, left_over: Callable[[str], list[int]]) -> Iterator[None]:
    yield
    wait_for(lambda: left_over(f"PINOKIO_HOME={home}") == [])


# ---- exit codes ----------------------------------------------------------------------------------------------------------
def test_a_script_that_is_done_is_0(run: Any, app: Any) -> None:
    done = run(str(app.script(show("hi"))))
    assert (done.returncode, done.stderr) == (0, "")
    assert "<hi>" in done.stdout


def test_a_script_that_fails_is_1_and_says_where(run: Any, app: Any) -> None:
    done = run(str(app.script(show("hi"), {"method": "fs.read", "params": {"path": "missing"}})))
    assert done.returncode == 1
    assert "step index 1" in done.stdout + done.stderr or "step 1" in done.stdout + done.stderr
    assert "ENOENT" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--args", "{no json"], ["--answer", "{no json"], ["--set", "no-sign"], ["--set", "=x"], ["--args", "[1]", "--set", "a=1"], ["--timeout", "soon"], ["--no-such-option"]],
)  # fmt: skip
def test_wrong_usage_is_2(run: Any, app: Any, arguments: list[str]) -> None:
    done = run(str(app.script(show("hi"))), *arguments)
    assert done.returncode == 2
    assert "<hi>" not in done.stdout
    assert "Traceback" not in done.stderr


def test_without_a_script_it_is_2(run: Any) -> None:
    assert run().returncode == 2


@pytest.mark.parametrize("content", [None, "{ not json", '{"run": []}', '{"title": "x"}'])
def test_what_cannot_be_started_is_an_error_that_names_the_file(run: Any, app: Any, content: str | None) -> None:
    path = app.folder / "main.json" if content is None else app.write("main.json", content)
    done = run(str(path))
    assert done.returncode in (1, 3)
    assert "main.json" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_missing_script_is_3(run: Any, app: Any) -> None:
    assert run(str(app.folder / "no-such.js")).returncode == 3
    assert run(str(app.folder)).returncode == 3


def test_a_limit_is_124_and_leaves_nothing(run: Any, app: Any) -> None:
    done = run(str(app.script(shell_step("setsid sleep 1000 & sleep 1000"))), "--timeout", "0.5")
    assert done.returncode == 124


def test_a_limit_ends_a_daemon_and_is_no_failure(run: Any, app: Any) -> None:
    assert run(str(app.script(SERVER, daemon=True)), "--timeout", "1").returncode == 0


def test_a_home_that_cannot_be_used_is_a_clear_error(run: Any, app: Any) -> None:
    file = app.write("file", "")
    done = run(str(app.script(show("hi"))), "--home", str(file))
    assert done.returncode == 1
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_128_more_and_leaves_nothing(start: Any, app: Any, number: signal.Signals) -> None:
    script = app.script(
        shell_step(
            "setsid sh -c 'trap \"\" INT TERM; echo x > up; sleep 1000' & nohup sleep 1000 >/dev/null & sleep 1000"
        )
    )
    process = start(str(script))
    wait_for((app.folder / "up").exists)
    process.send_signal(number)
    assert process.wait(LIMIT) == 128 + number


def test_two_signals_are_as_one(start: Any, app: Any) -> None:
    process = start(str(app.script(shell_step("echo x > up; trap '' INT TERM; sleep 1000"))))
    wait_for((app.folder / "up").exists)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert "Traceback" not in out


def test_ctrl_c_in_a_terminals_group_leaves_nothing(start: Any, app: Any) -> None:
    process = start(str(app.script(shell_step("echo x > up; sleep 1000"))), start_new_session=True)
    wait_for((app.folder / "up").exists)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(LIMIT) == 130


def test_a_kill_leaves_no_node_behind(start: Any, app: Any) -> None:
    process = start(str(app.script({"method": "process.wait"})))
    node = wait_for(lambda: [pid for pid in children(process.pid) if "main.js" in command_of(pid)])
    process.kill()
    process.wait()
    wait_for(lambda: not any("main.js" in command_of(pid) for pid in node))


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in text.read_text().split()] if text.exists() else []


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


# ---- a daemon ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_daemon_stays_until_a_signal(
    start: Any, app: Any, number: signal.Signals, home: Path, left_over: Any
) -> None:
    process = start(str(app.script(SERVER, show("steps done"), daemon=True)))
    line = ""
    while "steps done" not in line:
        line = process.stdout.readline()
        assert line
    time.sleep(0.3)
    assert process.poll() is None
    assert left_over(f"PINOKIO_HOME={home}")
    process.send_signal(number)
    assert process.wait(LIMIT) == 128 + number


def test_a_daemon_is_detached_from(run: Any, app: Any) -> None:
    done = run(str(app.script(SERVER, show("steps done"), daemon=True)), "--detach-after", "0.2")
    assert done.returncode == 0
    assert "<steps done>" in done.stdout


def test_stop_after_stops_a_script(run: Any, app: Any) -> None:
    assert run(str(app.script({"method": "process.wait"})), "--stop-after", "0.3").returncode == 0


# ---- arguments and answers ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        ([], "{}"),
        (["--args", '{"a": [1, "x", null]}'], '{"a":[1,"x",null]}'),
        (["--args", "5"], "5"),
        (["--set", "a=1", "--set", "b=x=y z"], '{"a":"1","b":"x=y z"}'),
        (["--set", "a="], '{"a":""}'),
        (["--args", '{"a": 1, "b": 2}', "--set", "a=3"], '{"a":"3","b":2}'),
        (["--set", "a={{7*6}}"], '{"a":"{{7*6}}"}'),
        (["--args", '{"é": "日😀"}'], '{"é":"日😀"}'),
    ],
)  # fmt: skip
def test_arguments(run: Any, app: Any, arguments: list[str], args: str) -> None:
    assert (
        f"<{args}>"
        in run(
            str(app.script({"method": "log", "params": {"json": "{{args}}"}}, show("{{JSON.stringify(args)}}"))),
            *arguments,
        ).stdout
    )


def test_answers(run: Any, app: Any) -> None:
    question = {"method": "input", "params": {"title": "Q", "form": [{"key": "a"}]}}
    done = run(
        str(app.script(question, show("{{input.a}}"), question, show("{{input.a}}"))),
        "--answer",
        '{"a": "one"}',
        "--answer",
        '{"a": "two"}',
    )
    assert done.returncode == 0
    assert done.stdout.index("<one>") < done.stdout.index("<two>")


def test_too_few_answers_are_an_error_that_names_the_keys(run: Any, app: Any) -> None:
    done = run(str(app.script({"method": "input", "params": {"title": "Q", "form": [{"key": "token"}]}})))
    assert done.returncode == 1
    assert "token" in done.stdout + done.stderr


def test_an_action(run: Any, app: Any) -> None:
    script = app.script(show("run"), other=[show("other")])
    assert "<other>" in run(str(script), "--action", "other").stdout
    assert run(str(script), "--action", "no-such").returncode in (1, 3)


def test_a_relative_path_counts_from_here(run: Any, app: Any) -> None:
    app.script(show("hi"))
    assert "<hi>" in run("main.json", cwd=app.folder).stdout


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--fail-on-exit-code"], 1)])
def test_exit_codes_of_commands_fail_on_wish(run: Any, app: Any, arguments: list[str], code: int) -> None:
    done = run(str(app.script(shell_step("exit 7"))), *arguments)
    assert done.returncode == code
    assert "exit code 7" in done.stdout


# ---- what is printed ---------------------------------------------------------------------------------------------------------
def test_json_is_exactly_one_line(run: Any, app: Any) -> None:
    script = app.script(
        shell_step("echo printed; exit 3"),
        {"method": "local.set", "params": {"url": "http://x", "text": "é\n"}},
        {"method": "notify", "params": {"html": "n"}},
    )
    done = run(str(script), "--json")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    result = json.loads(done.stdout)
    assert result["status"] == "done"
    assert result["local"] == {"url": "http://x", "text": "é\n"}
    assert done.stderr == ""


@pytest.mark.parametrize(
    "steps", [[{"method": "no.such"}], [{"method": "input", "params": {"form": [{"key": "a"}]}}], []]
)
def test_json_is_one_line_also_for_a_failure(run: Any, app: Any, steps: list[Any]) -> None:
    done = run(str(app.script(*steps)), "--json")
    assert done.returncode in (1, 3)
    result = json.loads(done.stdout)
    assert result["status"] in ("error", "rejected")
    assert result["error"]


def test_json_is_one_line_for_a_missing_script(run: Any, app: Any) -> None:
    done = run(str(app.folder / "no-such.js"), "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["status"] == "rejected"


def test_on_a_pipe_there_are_no_carriage_returns_and_no_colours_of_our_own(run: Any, app: Any) -> None:
    done = run(str(app.script(shell_step("printf 'one\\ntwo\\n'"), {"method": "no.such"})))
    assert "\r" not in done.stdout
    assert "one\ntwo\n" in done.stdout
    assert "\x1b[31m" not in done.stdout


def test_a_flood_on_a_pipe_is_complete(run: Any, app: Any) -> None:
    done = run(str(app.script(shell_step("seq -f 'n%.0f' 1 200000"))))
    assert [line for line in done.stdout.split("\n") if line[:1] == "n"] == [f"n{i}" for i in range(1, 200001)]


def test_a_reader_that_goes_away_leaves_nothing_and_gets_no_traceback(start: Any, app: Any) -> None:
    script = app.script(shell_step("setsid sleep 1000 & seq 1 1000000; seq 1 1000000; sleep 1000"))
    process = start(str(script), stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    try:
        assert process.wait(LIMIT / 3) == 128 + signal.SIGPIPE
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(LIMIT)
    with process.stderr:
        assert process.stderr.read() == ""


def test_a_slow_reader_loses_nothing(start: Any, app: Any) -> None:
    process = start(str(app.script(shell_step("seq -f 'n%.0f' 1 100000"))))
    time.sleep(1)
    out, _ = process.communicate(timeout=LIMIT)
    assert out.count("\nn") == 100000
    assert process.returncode == 0


def test_a_full_disk_below_stdout_is_no_traceback(environment: dict[str, str], app: Any) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, str(app.script(show("hi")))],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr
    assert done.returncode == 1


def test_a_trace_is_written(run: Any, app: Any) -> None:
    trace = app.folder / "trace.jsonl"
    assert run(str(app.script(show("hi"))), "--trace", str(trace)).returncode == 0
    kinds = [json.loads(line)["type"] for line in trace.read_text().splitlines()]
    assert kinds[-1] == "end"
    assert "step" in kinds


def test_help_names_every_option(run: Any) -> None:
    text = run("--help").stdout
    for option in (
        "--args",
        "--set",
        "--answer",
        "--json",
        "--timeout",
        "--home",
        "--action",
        "--unattended",
        "--fail-on-exit-code",
    ):
        assert option in text
