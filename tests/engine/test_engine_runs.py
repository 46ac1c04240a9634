"""Runs: many at once, their ends, their children, what they leave behind (spec §2.8-2.10)."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from pinokiocloud import Engine, PinokioError
from pinokiocloud.errors import ScriptNotFoundError, ShellError
from pinokiocloud.shell.session import ShellSession, ShellSpec

HELLO = {"method": "log", "params": {"raw": "hello"}}
FOREVER = {"method": "process.wait"}


def texts(into: list[str]) -> Any:
    return lambda event: into.append(event.data["raw"].strip()) if event.kind == "stream" else None


def shell(app: Any, message: str, **params: Any) -> dict[str, Any]:
    return {"method": "shell.run", "params": {"message": message, "env": {"MARK": str(app.folder)}, **params}}


def daemon_shell(app: Any, **params: Any) -> dict[str, Any]:
    return shell(app, "echo up; sleep 60", on=[{"event": "/up/", "done": True}], **params)


# ---- many at once -------------------------------------------------------------------------------------------------
def test_twenty_runs_at_once_keep_to_themselves(app: Any, with_engine: Any) -> None:
    steps = [
        {"method": "local.set", "params": {"n": "{{args.n}}"}},
        {"method": "process.wait", "params": {"sec": 0.05}},
        {"method": "shell.run", "params": {"message": "echo out-{{local.n}}"}},
        {"method": "log", "params": {"raw": "{{local.n}} {{/^out-\\d+/m.exec(input.stdout)[0]}}."}},
    ]
    paths = [app.script(*steps, name=f"s{n}.json") for n in range(10)]

    async def work(engine: Any) -> None:
        said: dict[int, list[str]] = {n: [] for n in range(20)}
        runs = [
            await engine.start(
                paths[n % 10], args={"n": n}, id=None if n < 10 else f"second-{n}", on_event=texts(said[n])
            )
            for n in range(20)
        ]
        assert len(engine.runs) == 20
        for n, run in enumerate(runs):
            assert await run.wait()
            assert f"{n} out-{n}." in said[n]
        assert engine.runs == {}

    with_engine(work)


def test_a_run_has_its_own_id_and_the_others_see_it_by_it(app: Any, with_engine: Any) -> None:
    script = app.script({"method": "local.set", "params": {"who": "{{args.who}}"}}, FOREVER)

    async def work(engine: Any) -> None:
        first = await engine.start(script, args={"who": "a"})
        second = await engine.start(script, args={"who": "b"}, id="other")
        assert {first.id, second.id} == {str(script), "other"} == set(engine.runs)
        while not (first.method and second.method):
            await asyncio.sleep(0.01)
        assert (first.local, second.local) == ({"who": "a"}, {"who": "b"})
        assert (await engine.stop("other")).local == {"who": "b"}
        assert not first.finished
        assert (await engine.stop(str(script))).status == "stopped"

    with_engine(work)


# ---- stopping -----------------------------------------------------------------------------------------------------
LOOP = [
    {"method": "local.set", "params": {"n": "{{(local.n || 0) + 1}}"}},
    {"method": "jump", "params": {"index": 0}},
]
PHASES: dict[str, Any] = {
    "loading": "module.exports = async kernel => { await new Promise(() => {}) }",
    "making its steps": "module.exports = {run: async () => { await new Promise(() => {}) }}",
    "a loop of jumps": LOOP,
    "a function that never returns": "module.exports = {run: [{method: () => new Promise(() => {})}]}",
    "a shell": [{"method": "shell.run", "params": {"message": "sleep 60"}}],
    "a shell that ignores signals": [
        {"method": "shell.run", "params": {"message": "trap '' INT TERM HUP; while :; do sleep 1; done"}}
    ],
    "a shell that floods": [{"method": "shell.run", "params": {"message": "yes"}}],
    "shell.start": [
        {"method": "shell.start", "params": {"message": "sleep 60", "on": [{"event": "/never/", "done": True}]}}
    ],
    "shell.enter": [
        {"method": "shell.start", "params": {"id": "s"}},
        {"method": "shell.enter", "params": {"id": "s", "message": "cat", "on": [{"event": "/never/", "return": "x"}]}},
    ],
    "exec": [{"method": "exec", "params": {"message": "sleep 60"}}],
    "a wait": [FOREVER],
    "a wait for time": [{"method": "process.wait", "params": {"sec": 600}}],
    "a wait for an address": [{"method": "process.wait", "params": {"url": "http://127.0.0.1:9/"}}],
    "a wait for a file": [{"method": "process.wait", "params": {"on": {"resources": ["never"]}}}],
    "a child": [{"method": "script.start", "params": {"uri": "child.json"}}],
    "kernel.exec": "module.exports = async kernel => { await kernel.exec({message: 'sleep 60'}); return {run: []} }",
}


@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)
def test_a_stop_ends_a_run_in_every_phase(app: Any, with_engine: Any, phase: Any) -> None:
    app.script(FOREVER, name="child.json")
    script = app.script(*phase) if isinstance(phase, list) else app.js(phase)

    async def work(engine: Any) -> None:
        for delay in (0, 0.15):
            run = await engine.start(script)
            await asyncio.sleep(delay)
            result = await asyncio.wait_for(run.stop(), 5)
            assert result.status == "stopped"
            assert run.finished
            assert str(script) not in engine.runs
            assert await run.wait() is result
            assert await run.wait_finished() is result
            assert await run.stop() is result
            await engine.stop(str(app.folder / "child.json"))

    with_engine(work)


@pytest.mark.parametrize("how", ["stop", "end"])
def test_a_function_script_that_never_returns_again_ends_all_the_same(app: Any, with_engine: Any, how: str) -> None:
    step = "{method: 'process.wait'}" if how == "stop" else "{method: 'log', params: {raw: 'x'}}"
    script = app.js(f"""
        module.exports = async kernel => {{
          globalThis.calls = (globalThis.calls || 0) + 1
          if (globalThis.calls > 2) await new Promise(() => {{}})
          return {{run: [{step}]}}
        }}""")

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        if how == "stop":
            while run.method is None:
                await asyncio.sleep(0.01)
            await asyncio.wait_for(run.stop(), 5)
        assert (await asyncio.wait_for(run.wait(), 5)).status == {"stop": "stopped", "end": "done"}[how]

    with_engine(work)


def test_a_stop_while_a_form_is_open(app: Any, with_engine: Any) -> None:
    class Nobody:
        async def ask(self, prompt: Any) -> Any:
            await asyncio.Event().wait()

    script = app.script({"method": "input", "params": {"form": [{"key": "x"}]}})

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        while run.method != "input":
            await asyncio.sleep(0.01)
        assert (await asyncio.wait_for(run.stop(), 5)).status == "stopped"

    with_engine(work, prompter=Nobody())


def test_a_stop_during_a_download(app: Any, with_engine: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 1000)
        await reader.read(1)
        while await reader.read(1000):
            pass
        writer.close()

    async def work(engine: Any) -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        script = app.script(
            {"method": "fs.download", "params": {"uri": f"http://127.0.0.1:{port}/big.bin", "dir": "."}}
        )
        run = await engine.start(script)
        while run.method != "fs.download":
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert (await asyncio.wait_for(run.stop(), 10)).status == "stopped"
        assert not (app.folder / "big.bin").exists()
        server.close()
        await asyncio.sleep(0.05)

    with_engine(work)


def test_stops_at_the_same_time_and_again_give_one_result(app: Any, with_engine: Any) -> None:
    script = app.script(FOREVER)

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        results = await asyncio.gather(run.stop(), engine.stop(run), engine.stop(str(script)), run.wait())
        assert {id(result) for result in results if result is not None} == {id(results[0])}
        assert await engine.stop(run) is results[0]

    with_engine(work)


def test_a_stop_of_something_unknown_is_nothing(app: Any, with_engine: Any) -> None:
    async def work(engine: Any) -> None:
        assert await engine.stop("unknown") is None
        assert await engine.stop(str(app.folder / "unknown.json")) is None
        assert await engine.stop("~/api/unknown.json") is None

    with_engine(work)


def test_a_script_may_stop_itself(app: Any, play: Any) -> None:
    played = play(app.script({"method": "script.stop", "params": {"uri": "main.json"}}, HELLO))
    assert played.result.status == "stopped"
    assert played.text == ""


def test_a_stopped_run_tells_no_error(app: Any, with_engine: Any) -> None:
    script = app.script(shell(app, "sleep 60"))

    async def work(engine: Any) -> None:
        kinds: list[str] = []
        run = await engine.start(script, on_event=lambda e: kinds.append(e.kind))
        while run.method is None:
            await asyncio.sleep(0.01)
        await run.stop()
        assert "error" not in kinds
        assert kinds[-1] == "ended"

    with_engine(work)


# ---- what is left -------------------------------------------------------------------------------------------------
def test_a_run_that_ends_takes_its_shells_along(app: Any, with_engine: Any, left_over: Any) -> None:
    script = app.script(
        shell(
            app,
            "nohup setsid sleep 60 >/dev/null 2>&1 & disown; (sleep 60 &); echo up; sleep 60",
            on=[{"event": "/up/", "done": True}],
        )
    )

    async def work(engine: Any) -> None:
        assert await (await engine.start(script)).wait()
        assert left_over(str(app.folder)) == []

    with_engine(work)


@pytest.mark.parametrize("how", ["close", "stop", "error"])
def test_nothing_is_left_of_a_daemon(app: Any, with_engine: Any, left_over: Any, how: str) -> None:
    last = [{"method": "nothing.here"}] if how == "error" else []
    script = app.script(daemon_shell(app), *last, daemon=True)

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        result = await run.wait()
        if how == "error":
            assert result.status == "error"
        else:
            assert result.status == "daemon"
            assert left_over(str(app.folder))
        if how == "stop":
            await run.stop()
        if how != "close":
            assert left_over(str(app.folder)) == []

    with_engine(work)
    assert left_over(str(app.folder)) == []


def test_a_shell_that_is_ended_while_it_starts_never_begins(tmp_path: Any, left_over: Any) -> None:
    async def main() -> None:
        answered = asyncio.Event()

        async def call(op: str, **body: Any) -> Any:
            await answered.wait()
            return {"literals": [], "words": []}

        env = {"PATH": os.environ["PATH"], "MARK": str(tmp_path)}
        session = ShellSession(ShellSpec(line="sleep 60", cwd=tmp_path, env=env), call=call, on_output=lambda _: None)
        starting = asyncio.ensure_future(session.start())
        await asyncio.sleep(0)
        await session.kill()
        answered.set()
        with pytest.raises(ShellError):
            await starting
        assert left_over(str(tmp_path)) == []

    asyncio.run(main())


def test_close_ends_runs_of_every_kind(app: Any, with_engine: Any, left_over: Any) -> None:
    scripts = [
        app.script(daemon_shell(app), daemon=True, name="daemon.json"),
        app.script(shell(app, "trap '' INT TERM HUP; sleep 60"), name="stubborn.json"),
        app.script({**shell(app, "sleep 60"), "method": "exec"}, name="exec.json"),
        app.script(*LOOP, name="loop.json"),
        app.js("module.exports = {run: [{method: () => new Promise(() => {})}]}", "never.js"),
        app.js("module.exports = async k => { await k.exec({message: 'sleep 60', env: {M: __dirname}}) }", "k.js"),
    ]  # fmt: skip

    async def work(engine: Any) -> Any:
        runs = [await engine.start(path) for path in scripts]
        while len(left_over(str(app.folder))) < 4:
            await asyncio.sleep(0.02)
        return runs

    runs = with_engine(work)
    assert all(run.finished for run in runs)
    assert left_over(str(app.folder)) == []


def test_an_engine_may_be_closed_twice_and_opened_again(app: Any, home: Any) -> None:
    async def main() -> None:
        engine = Engine(home)
        await engine.close()
        for _ in range(2):
            await engine.open()
            await engine.open()
            assert await (await engine.start(app.script(HELLO))).wait()
            await engine.close()
            await engine.close()

    asyncio.run(main())


# ---- children -----------------------------------------------------------------------------------------------------
def test_a_stopped_caller_leaves_its_child_alone(app: Any, with_engine: Any) -> None:
    child = app.script(FOREVER, name="child.json")
    caller = app.script({"method": "script.start", "params": {"uri": "child.json"}})

    async def work(engine: Any) -> None:
        run = await engine.start(caller)
        while str(child) not in engine.runs:
            await asyncio.sleep(0.01)
        await run.stop()
        assert not engine.runs[str(child)].finished
        await engine.stop(str(child))

    with_engine(work)


def test_a_daemon_child_outlives_its_caller(app: Any, with_engine: Any, left_over: Any) -> None:
    child = app.script(
        daemon_shell(app), {"method": "local.set", "params": {"url": "http://x"}}, daemon=True, name="child.json"
    )
    caller = app.script(
        {"method": "script.start", "params": {"uri": "child.json"}},
        {
            "method": "log",
            "params": {
                "raw": "{{script.local(cwd, 'child.json').url}} {{running('child.json')}} {{ready('child.json')}}."
            },
        },
    )

    async def work(engine: Any) -> None:
        said: list[str] = []
        assert await (await engine.start(caller, on_event=texts(said))).wait()
        assert "http://x true true." in said
        assert engine.runs[str(child)].status == "daemon"
        assert left_over(str(app.folder))
        await engine.stop(str(child))

    with_engine(work)


def test_ready_tells_of_daemons_too(app: Any, with_engine: Any) -> None:
    app.script(HELLO, daemon=True, name="child.json")
    asks = app.script(
        {"method": "script.ready", "params": "child.json"}, {"method": "log", "params": {"raw": "{{input}}"}}
    )

    async def work(engine: Any) -> None:
        said: list[str] = []
        await (await engine.start(asks, on_event=texts(said))).wait()
        assert await (await engine.start(app.folder / "child.json")).wait()
        await (await engine.start(asks, on_event=texts(said))).wait()
        assert [text for text in said if text] == ["false", "true"]

    with_engine(work)


def test_running_and_ready_follow_the_life_of_a_script(app: Any, play: Any) -> None:
    state = {"method": "log", "params": {"raw": "{{!!running('child.json')}} {{ready('child.json')}}."}}
    app.script(HELLO, daemon=True, name="child.json")
    played = play(app.script(
        state, {"method": "script.start", "params": {"uri": "child.json"}}, state,
        {"method": "script.stop", "params": {"uri": "child.json"}}, state,
    ))  # fmt: skip
    assert [line for line in played.lines if line.endswith(".")] == ["false false.", "true true.", "false false."]


def test_params_reach_a_child_as_they_are(app: Any, play: Any) -> None:
    app.js("""
        module.exports = {run: [{method: async req => {
          const {args} = req
          return {fn: args.fn, answer: [Buffer.isBuffer(args.buffer), args.fn(20), args.date instanceof Date,
            args.set.has(1), args === req.input, 'missing' in args, args.missing,
            args.own === globalThis.ownObject].join()}
        }}]}""", "child.js")  # fmt: skip
    script = app.js("""
        globalThis.ownObject ||= new (class Own {})()
        module.exports = {run: [
          {method: 'script.start', params: {uri: 'child.js', params: {
            buffer: Buffer.from('hi'), fn: n => n * 2 + 2, date: new Date(), set: new Set([1]),
            own: globalThis.ownObject, missing: undefined}}},
          {method: 'log', params: {raw: '{{input.answer}} {{input.fn(1)}}.'}}
        ]}""")
    assert play(script).lines[-1] == "true,42,true,true,true,true,,true 4."


def test_a_failed_child_is_a_warning_and_the_caller_goes_on(app: Any, play: Any) -> None:
    app.script({"method": "nothing"}, name="child.json")
    played = play(app.script({"method": "script.start", "params": {"uri": "child.json"}}, HELLO))
    assert played.result
    assert played.lines[-1] == "hello"
    assert "child.json ended as error" in played.warnings


def test_a_child_that_cannot_start_fails_the_step(app: Any, play: Any) -> None:
    played = play(app.script(HELLO, {"method": "script.start", "params": {"uri": "missing.json"}}))
    assert played.result.status == "error"
    assert "missing.json" in played.result.message
    assert played.result.detail["index"] == 1


# ---- ends ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["done", "stopped", "error"])
def test_the_on_stop_request_is_started_with_its_input(app: Any, with_engine: Any, until: Any, how: str) -> None:
    app.script({"method": "fs.write", "params": {"path": "cleaned", "json": "{{args}}"}}, name="clean.json")
    step = {"done": HELLO, "stopped": FOREVER, "error": {"method": "nothing"}}[how]
    script = app.script(step, on={"stop": {"uri": "clean.json", "input": {"why": "end"}}})

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        if how == "stopped":
            await run.stop()
        await run.wait()
        await until((app.folder / "cleaned").exists)
        assert json.loads((app.folder / "cleaned").read_text()) == {"why": "end"}

    with_engine(work)


@pytest.mark.parametrize("uri", ["missing.json", "http://nowhere.example/x", "https://github.com/a/b.git/x.js", 5])
def test_a_wrong_on_stop_request_does_not_spoil_the_end(app: Any, with_engine: Any, uri: Any) -> None:
    script = app.script(HELLO, on={"stop": {"uri": uri}})

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        assert (await run.wait()).status == "done"
        assert str(script) not in engine.runs

    with_engine(work)


def test_a_script_may_restart_itself(app: Any, with_engine: Any, until: Any) -> None:
    script = app.script(
        {"method": "global.set", "params": {"n": "{{(global.n || 0) + 1}}"}},
        {"method": "fs.append", "params": {"path": "count", "text": "{{global.n}} {{args.x}}\n"}},
        {"when": "{{global.n < 3}}", "method": "script.restart"},
        FOREVER,
    )

    async def work(engine: Any) -> None:
        await engine.start(script, args={"x": "kept"})
        count = app.folder / "count"
        await until(lambda: count.exists() and count.read_text() == "1 kept\n2 kept\n3 kept\n")
        await until(lambda: str(script) in engine.runs and engine.runs[str(script)].method)
        await engine.stop(str(script))

    with_engine(work)


def test_global_variables_survive_runs_and_not_the_engine(app: Any, with_engine: Any) -> None:
    script = app.script(
        {"method": "global.set", "params": {"n": "{{(global.n || 0) + 1}}"}},
        {"method": "log", "params": {"raw": "n is {{global.n}}, local {{typeof local.x}}"}},
        {"method": "local.set", "params": {"x": 1}},
    )

    async def work(engine: Any) -> list[str]:
        said: list[str] = []
        for _ in range(3):
            await (await engine.start(script, on_event=texts(said))).wait()
        return [text for text in said if text.startswith("n is")]

    wanted = [f"n is {n}, local undefined" for n in (1, 2, 3)]
    assert with_engine(work) == wanted
    assert with_engine(work) == wanted


def test_returns_stores_the_result(app: Any, play: Any) -> None:
    script = app.script(
        {"method": "script.return", "params": {"a": [1]}, "returns": "local.got"},
        {"method": "script.return", "params": 0, "returns": "local.nothing"},
        {"method": "script.return", "params": 1, "returns": "local.a.b"},
        {"method": "script.return", "params": 1, "returns": "nowhere.x"},
        {"method": "script.return", "params": {"g": 1}, "returns": "global.g"},
        {"method": "log", "params": {"json": "{{[local, global]}}"}},
    )
    assert json.loads(play(script).text) == [{"got": {"a": [1]}}, {"g": {"g": 1}}]


def test_a_timeout_is_told_apart_from_a_stop(app: Any, with_engine: Any) -> None:
    async def work(engine: Any) -> None:
        run = await engine.start(app.script(FOREVER))
        assert (await run.stop("timeout")).status == "timeout"
        assert not run.result

    with_engine(work)


# ---- triggers -----------------------------------------------------------------------------------------------------
def trigger_script(app: Any, later: list[Any], *, daemon: bool, name: str = "main.json") -> Any:
    on = [{"event": "/ready (\\d+)/", "trigger": "later"}]
    if daemon:
        on.append({"event": "/up/", "done": True})
    return app.write(name, {
        "daemon": daemon, "run": [shell(app, "echo ready 7; sleep 0.2; echo up; sleep 60", on=on)], "later": later,
    })  # fmt: skip


def test_a_trigger_of_a_daemon_runs_beside_it(app: Any, with_engine: Any, until: Any) -> None:
    later = [{"method": "local.set", "params": {"port": "{{input.event[1]}}", "by": "{{input.trigger}}"}}]
    script = trigger_script(app, later, daemon=True)

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        assert (await run.wait()).status == "daemon"
        await until(lambda: isinstance(run.local, dict) and "by" in run.local)
        assert run.local == {"port": "7", "by": "later"}
        await asyncio.sleep(0.1)
        assert run.status == "daemon"
        await run.stop()

    with_engine(work)


def test_a_trigger_of_another_script_ends_it(app: Any, with_engine: Any, left_over: Any) -> None:
    script = trigger_script(app, [HELLO], daemon=False)

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        assert (await run.wait()).status == "stopped"
        assert left_over(str(app.folder)) == []

    with_engine(work)


@pytest.mark.parametrize("daemon", [True, False])
def test_the_shells_of_a_trigger_end_with_the_run(
    app: Any, with_engine: Any, left_over: Any, until: Any, daemon: bool
) -> None:
    script = trigger_script(app, [shell(app, "echo side; sleep 61")], daemon=daemon)

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        await until(lambda: len(left_over(str(app.folder))) >= 4)
        await asyncio.wait_for(run.stop(), 10)
        await until(lambda: left_over(str(app.folder)) == [], 3)

    with_engine(work)


def test_an_unknown_trigger_is_a_warning(app: Any, with_engine: Any) -> None:
    on = [{"event": "/hi/", "trigger": "nothing"}]
    script = app.script(shell(app, "echo hi; sleep 0.3", on=on))

    async def work(engine: Any) -> None:
        warnings: list[str] = []
        run = await engine.start(
            script, on_event=lambda e: warnings.append(e.data["message"]) if e.kind == "warning" else None
        )
        assert (await run.wait()).status == "done"
        assert any("nothing" in text for text in warnings)

    with_engine(work)


# ---- queues -------------------------------------------------------------------------------------------------------
def test_queue_serialises_a_method_over_all_runs(app: Any, with_engine: Any) -> None:
    app.js(
        """
        let active = 0; let most = 0
        exports.work = async req => {
          active++; most = Math.max(most, active)
          await new Promise(r => setTimeout(r, 20))
          active--
          globalThis.mostAtOnce = most
        }""",
        "worker.js",
    )
    scripts = [app.script({"uri": "worker.js", "method": "work", "queue": True}, name=f"q{n}.json") for n in range(6)]
    keeper = app.script({"uri": "worker.js", "method": "work", "queue": True}, FOREVER, name="keeper.json")
    look = app.script({"method": "log", "params": {"raw": "most {{globalThis.mostAtOnce}}"}}, name="look.json")

    async def work(engine: Any) -> None:
        first = await engine.start(keeper)
        while first.method is None:
            await asyncio.sleep(0.01)
        for run in [await engine.start(path) for path in scripts]:
            assert await run.wait()
        said: list[str] = []
        await (await engine.start(look, on_event=texts(said))).wait()
        assert said[0] == "most 1"
        await first.stop()

    with_engine(work)


def test_a_stopped_run_leaves_the_queue_to_the_others(app: Any, with_engine: Any) -> None:
    app.js("exports.work = req => new Promise(r => setTimeout(r, req.params.ms))", "worker.js")

    def script(name: str, ms: int) -> Any:
        return app.script({"uri": "worker.js", "method": "work", "queue": True, "params": {"ms": ms}}, name=name)

    async def work(engine: Any) -> None:
        holder = await engine.start(script("a.json", 60_000))
        await asyncio.sleep(0.1)
        waiting = await engine.start(script("b.json", 1))
        last = await engine.start(script("c.json", 1))
        await asyncio.sleep(0.1)
        assert not last.finished
        await asyncio.wait_for(waiting.stop(), 5)
        await asyncio.wait_for(holder.stop(), 5)
        assert (await asyncio.wait_for(last.wait(), 5)).status == "done"

    with_engine(work)


def test_a_queue_of_python_methods_serialises_too(app: Any, with_engine: Any) -> None:
    step = {"method": "process.wait", "queue": True, "params": {"sec": 0.1}}
    scripts = [app.script(step, name=f"q{n}.json") for n in range(3)]

    async def work(engine: Any) -> None:
        active: list[int] = []
        runs = [await engine.start(path) for path in scripts]
        while not all(run.finished for run in runs):
            active.append(sum(run.method == "process.wait" for run in runs))
            await asyncio.sleep(0.01)
        assert max(active) == 1

    with_engine(work)


# ---- functions and modules ----------------------------------------------------------------------------------------
def test_a_function_script_asks_the_engine(app: Any, play: Any) -> None:
    app.write("ENVIRONMENT", "OWN=yes\n")
    name = f"api/{app.folder.name}"
    script = app.js(f"""
        module.exports = async kernel => {{
          const port = await kernel.port(); const ports = await kernel.ports(2)
          const said = await kernel.exec({{message: 'echo from-exec', path: '{name}'}})
          const env = await kernel.env('{name}'); const there = await kernel.exists('{name}', 'main.js')
          const found = kernel.which('sh').endsWith('/sh')
          return {{run: [{{method: 'log', params: {{json: [
            port >= 42003, ports.length, new Set(ports).size, await kernel.port(port), /from-exec/.test(said.stdout),
            env.OWN, there, await kernel.exists('nothing'), found]}}}}]}}
        }}""")
    said = next(line for line in play(script).lines if line.startswith("["))
    assert json.loads(said) == [True, 2, 2, True, True, "yes", True, False, True]


def test_an_inline_function_prints_and_tells(app: Any, play: Any) -> None:
    script = app.js("""
        module.exports = {run: [{method: async (req, ondata, kernel) => {
          ondata({raw: `n is ${req.params.n}\\r\\n`}); ondata({html: 'note'}, 'notify')
          req.next = 2
          return {platform: kernel.platform, cwd: req.cwd === req.dirname, total: req.total}
        }, params: {n: '{{1 + 1}}'}}, {method: 'nothing'}, {method: 'log', params: {json: '{{input}}'}}]}""")
    played = play(script)
    assert played.lines == ["n is 2", '{"platform":"linux","cwd":true,"total":3}']
    assert played.of("notify") == [{"html": "note"}]


def test_a_module_keeps_state_over_steps_and_runs_until_its_owner_ends(app: Any, with_engine: Any) -> None:
    app.js("module.exports = class { n = 0; add () { return ++this.n } }", "counter.js")
    add = {"uri": "counter.js", "method": "add"}
    show = {"method": "log", "params": {"raw": "n={{input}}"}}
    owner = app.script(add, add, show, FOREVER, name="owner.json")
    guest = app.script(add, show, name="guest.json")

    async def work(engine: Any) -> None:
        said: list[str] = []
        run = await engine.start(owner, on_event=texts(said))
        while run.method is None:
            await asyncio.sleep(0.01)
        await (await engine.start(guest, on_event=texts(said))).wait()
        await (await engine.start(guest, on_event=texts(said))).wait()
        await run.stop()
        await (await engine.start(guest, on_event=texts(said))).wait()
        assert [text for text in said if text] == ["n=2", "n=3", "n=4", "n=1"]

    with_engine(work)


# ---- events and traces --------------------------------------------------------------------------------------------
def test_events_come_in_order_and_the_end_is_the_last(app: Any, play: Any) -> None:
    steps = [{"method": "log", "params": {"raw": f"line {n}"}} for n in range(50)]
    played = play(app.script(*steps, {"method": "local.set", "params": {"url": "http://x"}}))
    lines = [line for line in played.lines if line.startswith("line")]
    assert lines == [f"line {n}" for n in range(50)]
    indexes = [event.index for event in played.events if event.kind == "stream"]
    assert indexes == sorted(indexes)
    assert played.events[-1].kind == "ended"
    assert [event.time for event in played.events] == sorted(event.time for event in played.events)
    assert played.of("local")[0]["local"] == {"url": "http://x"}
    for event in played.events:
        json.dumps(event.to_dict())


def test_events_can_be_iterated(app: Any, with_engine: Any) -> None:
    async def work(engine: Any) -> None:
        kinds = []
        stream = engine.events()
        first = asyncio.ensure_future(stream.__anext__())
        await asyncio.sleep(0)
        await (await engine.start(app.script(HELLO))).wait()
        kinds.append((await first).kind)
        async for event in stream:
            kinds.append(event.kind)
            if event.kind == "ended":
                break
        await stream.aclose()
        assert kinds[0] == "stream"
        assert engine.callbacks == []

    with_engine(work)


def test_a_trace_has_every_step_in_the_order_of_their_starts(app: Any, home: Any, tmp_path: Any) -> None:
    app.script({"method": "script.return", "params": "from child"}, name="child.json")
    script = app.script(
        {"method": "script.start", "params": {"uri": "child.json"}},
        {"method": "log", "params": {"raw": "\ud800 {{input}}"}},
        {"when": "{{false}}", "method": "log"},
    )
    trace = tmp_path / "trace.jsonl"

    async def main() -> None:
        async with Engine(home, trace=trace) as engine:
            run = await engine.start(script)
            result = await run.wait()
            assert result
            engine.write_end(result)

    asyncio.run(main())
    records = [json.loads(line) for line in trace.read_text("utf-8").splitlines()]
    steps = [(r["script"].rpartition("/")[2], r["index"]) for r in records if r["type"] == "step"]
    assert steps == [("main.json", 0), ("child.json", 0), ("main.json", 1), ("main.json", 2)]
    assert records[-1]["type"] == "end"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_listener_that_raises_ends_neither_runs_nor_other_listeners(app: Any, with_engine: Any) -> None:
    script = app.script(HELLO, {"method": "notify", "params": {"html": "x"}}, shell(app, "echo hi"), HELLO)

    async def work(engine: Any) -> None:
        def broken(event: Any) -> None:
            raise RuntimeError("mine")

        kinds: list[str] = []
        engine.callbacks += [broken, lambda e: kinds.append(e.kind)]
        run = await engine.start(script, on_event=broken)
        assert (await run.wait()).status == "done"
        await asyncio.sleep(0)
        assert kinds[-1] == "ended"
        assert await (await engine.start(script)).wait()

    with_engine(work)


def test_lone_surrogates_reach_every_place(app: Any, play: Any) -> None:
    script = app.script(
        {"method": "log", "params": {"raw": "\ud800{{args.x}}"}},
        {"method": "local.set", "params": {"x": "{{args.x}}"}},
        {"method": "notify", "params": {"html": "{{local.x}}"}},
        {"method": "shell.run", "params": {"message": "echo '{{args.x}}'"}},
    )
    played = play(script, args={"x": "\udfff"})
    assert played.result.status == "done"
    assert played.of("notify") == [{"html": "\udfff"}]
    assert played.result.local in ({"x": "\udfff"}, None) or played.result.local is not None


# ---- paths --------------------------------------------------------------------------------------------------------
def test_scripts_are_found_by_path_home_and_api(app: Any, with_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    script = app.script(HELLO)
    name = app.folder.name
    monkeypatch.chdir(app.folder)

    async def work(engine: Any) -> None:
        for uri in ("main.json", "./main.json", str(script), f"~/api/{name}/main.json", f"{name}/main.json", script):
            run = await engine.start(uri)
            assert run.path == str(script)
            assert await run.wait()
        with pytest.raises((PinokioError, ScriptNotFoundError), match=r"git|install"):
            await engine.start("https://github.com/none/none.git/x.json")

    with_engine(work)


def test_a_repr_tells_who_and_how(app: Any, with_engine: Any) -> None:
    async def work(engine: Any) -> None:
        run = await engine.start(app.script(FOREVER))
        assert "main.json" in repr(run)
        await run.stop()
        assert "stopped" in repr(run)

    with_engine(work)
