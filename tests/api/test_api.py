"""The short way from Python: plain code, event loops, threads, interrupts, notebooks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pinokiocloud
from pinokiocloud import PinokioError, api
from pinokiocloud.script.run import Run, RunRequest, RunResult

HELLO = {"method": "log", "params": {"raw": "hello"}}
FOREVER = {"method": "process.wait"}


@pytest.fixture(autouse=True)
def _own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINOKIO_HOME", str(home))


@pytest.fixture(autouse=True, scope="module")
def _close_runtime() -> Iterator[None]:
    yield
    api._RUNTIME.close()


def python(code: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


# ---- calls ----------------------------------------------------------------------------------------------------------
def test_plain_code(app: Any) -> None:
    script = app.script({"method": "local.set", "params": {"url": "http://x", "got": "{{args.n}}"}})
    result = pinokiocloud.run_sync(script, args={"n": [1, None]})
    assert result
    assert result.status == "done"
    assert result.url == "http://x"
    assert result.local["got"] == [1, None]
    assert json.loads(json.dumps(result.to_dict()))["local"] == {"url": "http://x", "got": [1, None]}


def test_an_event_loop(app: Any) -> None:
    async def main() -> Any:
        return await asyncio.gather(
            *(pinokiocloud.run(app.script(HELLO, name=f"{n}.json")) for n in range(3)),
            pinokiocloud.run(app.folder / "no.json"),
        )

    results = asyncio.run(main())
    assert [result.status for result in results] == ["done", "done", "done", "rejected"]


def test_plain_calls_inside_a_running_event_loop(app: Any) -> None:
    async def main() -> Any:
        return pinokiocloud.run_sync(app.script(HELLO))

    assert asyncio.run(main())


def test_several_event_loops_one_after_the_other_share_the_engine(app: Any) -> None:
    script = app.script(HELLO, daemon=True)
    assert asyncio.run(pinokiocloud.run(script)).status == "daemon"
    assert [run.path for run in pinokiocloud.runs()] == [str(script)]
    assert asyncio.run(pinokiocloud.stop(script)).status == "stopped"
    assert pinokiocloud.runs() == []


def test_two_threads(app: Any) -> None:
    scripts = [app.script({"method": "process.wait", "params": {"sec": 0.2}}, name=f"{n}.json") for n in range(4)]
    results: list[Any] = []
    threads = [threading.Thread(target=lambda p=path: results.append(pinokiocloud.run_sync(p))) for path in scripts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.status for result in results] == ["done"] * 4


def test_two_threads_with_one_script(app: Any) -> None:
    script = app.script({"method": "process.wait", "params": {"sec": 0.5}})
    outcomes: list[Any] = []

    def work() -> None:
        try:
            outcomes.append(pinokiocloud.run_sync(script).status)
        except PinokioError as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == sorted(["done", f"{script} is running already"])


def test_a_relative_path_counts_from_the_callers_folder(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app.script(HELLO, name="sub/main.json")
    monkeypatch.chdir(app.folder)
    assert pinokiocloud.run_sync("sub/main.json")
    assert pinokiocloud.run_sync(Path("sub") / "main.json").script == str(app.folder / "sub" / "main.json")


def test_events_actions_and_answers(app: Any) -> None:
    script = app.write("main.json", {"ask": [
        {"method": "input", "params": {"form": [{"key": "name"}]}},
        {"method": "log", "params": {"raw": "{{input.name}}"}},
    ]})  # fmt: skip
    events: list[Any] = []
    assert pinokiocloud.run_sync(script, action="ask", answers=[{"name": "Ann"}], on_event=events.append)
    assert "Ann" in [event.data["raw"] for event in events if event.kind == "stream"]
    assert events[-1].kind == "ended"


def test_a_question_that_nobody_answers(app: Any) -> None:
    result = pinokiocloud.run_sync(app.script({"method": "input", "params": {"form": [{"key": "name"}]}}))
    assert result.status == "error"
    assert "answers=" in result.message


def test_a_timeout(app: Any) -> None:
    result = pinokiocloud.run_sync(app.script(FOREVER), timeout=0.2)
    assert result.status == "timeout"
    assert not result
    assert pinokiocloud.runs() == []


def test_a_listener_that_raises(app: Any) -> None:
    def listener(_: Any) -> None:
        raise RuntimeError("mine")

    assert pinokiocloud.run_sync(app.script(HELLO), on_event=listener)


def test_an_unknown_option_is_told(app: Any) -> None:
    with pytest.raises(TypeError, match="speed"):
        pinokiocloud.run_sync(app.script(HELLO), speed=1)


def test_a_cancelled_call_stops_the_script(app: Any) -> None:
    script = app.script(FOREVER)

    async def main() -> None:
        with pytest.raises((asyncio.TimeoutError, TimeoutError)):
            await asyncio.wait_for(pinokiocloud.run(script), 0.3)

    asyncio.run(main())
    end = time.monotonic() + 5
    while pinokiocloud.runs() and time.monotonic() < end:
        time.sleep(0.01)
    assert pinokiocloud.runs() == []


def test_a_stop_of_something_unknown(app: Any) -> None:
    assert pinokiocloud.stop_sync(app.folder / "unknown.json") is None


def test_a_home_that_cannot_be_used(app: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for _ in range(2):
        with pytest.raises(PinokioError):
            pinokiocloud.run_sync(app.script(HELLO), home=tmp_path / "file")
    assert pinokiocloud.run_sync(app.script(HELLO))


def test_two_threads_with_a_home_that_cannot_be_used(app: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    script, errors = app.script(HELLO), []

    async def call() -> None:
        try:
            await pinokiocloud.run(script, home=tmp_path / "file")
        except Exception as error:  # noqa: BLE001 - whatever it is
            errors.append(error)

    async def main() -> None:
        await asyncio.gather(*(call() for _ in range(5)))

    asyncio.run(main())
    assert [type(error).__name__ for error in errors] == ["HomeError"] * 5


def test_a_runtime_that_was_closed_leaves_no_event_loop_behind(app: Any) -> None:
    code = f"""
import gc, pinokiocloud
for _ in range(2):
    assert pinokiocloud.run_sync({str(app.script(HELLO))!r})
    pinokiocloud.api._RUNTIME.close()
gc.collect()
"""
    process = python(code)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


def test_scripts_and_menus_are_loaded_without_a_run(app: Any) -> None:
    app.js(
        "module.exports = {title: 'T', menu: async (kernel, info) => [{text: info.exists('x') ? 'yes' : 'no'}]}",
        "pinokio.js",
    )
    menu = pinokiocloud.evaluate_menu_sync(app.folder)
    assert "no" in str(menu)
    script = pinokiocloud.load_script_sync(app.script(HELLO))
    assert "log" in str(script)


# ---- processes ------------------------------------------------------------------------------------------------------
def test_ctrl_c_stops_the_script_and_what_it_started(app: Any, left_over: Any) -> None:
    script = app.script(
        {"method": "shell.run", "params": {"message": "echo up; sleep 60", "env": {"MARK": str(app.folder)}}}
    )
    process = python(f"""
import pinokiocloud, sys, time
try:
    pinokiocloud.run_sync({str(script)!r})
except KeyboardInterrupt:
    for _ in range(500):
        if not pinokiocloud.runs(): break
        time.sleep(0.01)
    print("interrupted", pinokiocloud.runs())
    print(pinokiocloud.run_sync({str(app.script(HELLO, name="after.json"))!r}).status)
""")
    end = time.monotonic() + 20
    while len(left_over(str(app.folder))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert finished(process).split("\n") == ["interrupted []", "done", ""]
    assert left_over(str(app.folder)) == []


def test_the_end_of_the_process_ends_daemons(app: Any, left_over: Any) -> None:
    env = {"MARK": str(app.folder)}
    step = {
        "method": "shell.run",
        "params": {"env": env, "message": "echo up; sleep 60", "on": [{"event": "/up/", "done": True}]},
    }
    script = app.script(step, daemon=True)
    process = python(f"import pinokiocloud; print(pinokiocloud.run_sync({str(script)!r}).status)")
    assert finished(process) == "daemon\n"
    assert left_over(str(app.folder)) == []


def test_a_forked_process_has_an_engine_of_its_own(app: Any) -> None:
    script = app.script(HELLO)
    process = python(f"""
import os, warnings, pinokiocloud
warnings.simplefilter("ignore")
assert pinokiocloud.run_sync({str(script)!r})
child = os.fork()
if child == 0:
    ok = bool(pinokiocloud.run_sync({str(script)!r}))
    pinokiocloud.api._RUNTIME.close()
    os._exit(0 if ok else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert pinokiocloud.run_sync({str(script)!r})
print("both")
""")
    assert finished(process) == "both\n"


def test_a_runtime_that_was_closed_begins_anew(app: Any) -> None:
    assert pinokiocloud.run_sync(app.script(HELLO))
    api._RUNTIME.close()
    assert pinokiocloud.run_sync(app.script(HELLO))


# ---- notebooks ------------------------------------------------------------------------------------------------------
EVIL = '<img src=x onerror="alert(1)">&'


def test_a_run_shows_itself_in_a_notebook_without_html_of_the_script() -> None:
    async def main() -> str:
        run = Run(RunRequest(path=f"/x/{EVIL}.json", uri="x"), None)  # type: ignore[arg-type]
        running = run._repr_html_()
        run.result = RunResult(
            "error", EVIL, {"message": EVIL, "hint": EVIL}, {"url": f"http://x/{EVIL}"}, f"/x/{EVIL}.json"
        )
        run.status = "error"
        run._settled.cancel()
        return running + run._repr_html_()

    text = asyncio.run(main())
    assert "&lt;img" in text
    assert "<img" not in text
    assert 'onerror="' not in text


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,<script>", " JavaScript:alert(1)", "file:///etc/passwd"]
)
def test_an_address_that_is_no_web_address_is_no_link(url: str) -> None:
    async def main() -> str:
        run = Run(RunRequest(path="/x.json", uri="x"), None)  # type: ignore[arg-type]
        run.result = RunResult("daemon", local={"url": url})
        run._settled.cancel()
        return run._repr_html_()

    assert "href" not in asyncio.run(main())


def test_a_result_shows_itself_in_a_notebook_without_html_of_the_script() -> None:
    result = RunResult("error", EVIL, {"message": EVIL, "hint": EVIL}, {"url": f"http://x/{EVIL}"}, f"/x/{EVIL}.json")
    text = result._repr_html_()
    assert "&lt;img" in text
    assert "<img" not in text


# ---- importing ------------------------------------------------------------------------------------------------------
def modules_of(code: str) -> set[str]:
    return set(finished(python(f"{code}\nimport sys; print(*sys.modules)")).split())


def test_the_import_loads_nothing_heavy() -> None:
    before, after = modules_of("pass"), modules_of("import pinokiocloud")
    heavy = {
        "requests",
        "typer",
        "rich",
        "huggingface_hub",
        "ipywidgets",
        "asyncio",
        "psutil",
        "IPython",
        "urllib3",
        "ssl",
        "uv",
    }
    assert (after - before) & heavy == set()
    assert {name for name in after if name.startswith("pinokiocloud")} == {"pinokiocloud"}


def test_the_interface_loads_nothing_that_it_seldom_needs() -> None:
    loaded = modules_of("import pinokiocloud; pinokiocloud.run_sync, pinokiocloud.Engine")
    assert loaded & {"typer", "rich", "huggingface_hub", "ipywidgets", "IPython"} == set()


def test_every_public_name_is_there_and_documented() -> None:
    for name in pinokiocloud.__all__:
        assert getattr(pinokiocloud, name) is not None
        assert name in dir(pinokiocloud)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pinokiocloud.nothing
    finished(python("from pinokiocloud import *; assert run_sync and Engine and __version__"))
