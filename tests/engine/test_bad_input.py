"""Bad scripts and bad steps end with an error that names the file, the step and what is wrong in it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud.errors import PinokioError
from pinokiocloud.script.host import HostSettings

LOG = {"method": "log", "params": {"raw": "hello"}}


def failed(played: Any, *parts: Any, status: str = "error", index: Any = None) -> None:
    """The run failed, and its message holds these parts."""
    assert played.result.status == status
    assert not played.result
    for part in parts:
        assert str(part) in played.result.message
    assert "[object Object]" not in played.result.message
    if index is not None:
        assert played.result.detail["index"] == index
    assert played.result.script in played.result.message or played.result.detail.get("index") is not None
    played.result.to_dict()


# ---- the file ---------------------------------------------------------------------------------------------------
def test_a_missing_script(app: Any, play: Any) -> None:
    path = app.folder / "missing.json"
    failed(play(path), "no such file", path, status="rejected")


def test_a_folder(app: Any, play: Any) -> None:
    failed(play(app.folder), "is a folder", app.folder, "install.js", status="rejected")


@pytest.mark.parametrize("name", ["main.json", "main.js"])
def test_an_empty_file(app: Any, play: Any, name: str) -> None:
    failed(play(app.write(name, "")), name)


def test_a_file_that_is_no_json(app: Any, play: Any) -> None:
    failed(play(app.write("main.json", '{"run": [}')), "main.json", "JSON")


def test_json_with_comments(app: Any, play: Any) -> None:
    failed(play(app.write("main.json", '{"run": [] // no\n}')), "main.json", "JSON")


@pytest.mark.parametrize("value", ["null", "5", '"text"', "[]", "{}", "true"])
def test_json_of_the_wrong_shape(app: Any, play: Any, value: str) -> None:
    failed(play(app.write("main.json", value)), "main.json")


def test_a_syntax_error_tells_the_line(app: Any, play: Any) -> None:
    failed(play(app.js("// one\n// two\nmodule.exports = {run: [}\n")), "main.js:3", "SyntaxError")


def test_a_syntax_error_in_a_helper_tells_its_line(app: Any, play: Any) -> None:
    app.js("\n\nlet = 1 +", "lib/helper.js")
    failed(play(app.js("require('./lib/helper')")), "helper.js:3", "SyntaxError")


def test_a_script_that_throws_tells_the_line(app: Any, play: Any) -> None:
    failed(play(app.js("\nfunction f () { null.x }\nf()")), "main.js:2", "TypeError")


@pytest.mark.parametrize(
    "thrown", ["'text'", "null", "undefined", "{a: 1}", "Object.create(null)", "new Error('')", "5n"]
)
def test_a_script_that_throws_anything(app: Any, play: Any, thrown: str) -> None:
    failed(play(app.js(f"throw {thrown}")), "main.js")


def test_a_missing_module(app: Any, play: Any) -> None:
    failed(play(app.js("require('not-there')")), "main.js", "Cannot find module 'not-there'")


@pytest.mark.parametrize(
    "source", ["module.exports = Promise.resolve({run: []})", "module.exports = kernel => Promise.resolve({run: []})"]
)
def test_an_exported_promise(app: Any, play: Any, source: str) -> None:
    failed(play(app.js(source)), "main.js", "Promise", "async function")


@pytest.mark.parametrize("value", ["null", "undefined", "5", "'text'", "[]", "() => {}", "async () => null"])
def test_an_export_of_the_wrong_kind(app: Any, play: Any, value: str) -> None:
    failed(play(app.js(f"module.exports = {value}")), "main.js")


def test_a_function_script_that_throws(app: Any, play: Any) -> None:
    failed(play(app.js("module.exports = async kernel => {\n  null.x\n}")), "main.js:2", "TypeError")


def test_a_rejected_function_script(app: Any, play: Any) -> None:
    failed(play(app.js("module.exports = async kernel => { throw 'no kernel' }")), "main.js", "no kernel")


def test_a_run_function_that_throws(app: Any, play: Any) -> None:
    failed(play(app.js("module.exports = {run () { throw new RangeError('far') }}")), "main.js", "run", "far")


@pytest.mark.parametrize("steps", ["{}", "[]", "'x'", "null", "5", "undefined"])
def test_a_run_that_is_no_list_of_steps(app: Any, play: Any, steps: str) -> None:
    failed(play(app.js(f"module.exports = {{run: {steps}}}")), "main.js", "run")
    failed(play(app.js(f"module.exports = {{run: () => ({steps})}}", "b.js")), "b.js", "run")


def test_files_that_require_each_other_too_early(app: Any, play: Any) -> None:
    app.js("module.exports = {run: require('./main').steps.map(s => s)}", "other.js")
    failed(play(app.js("module.exports = {steps: [], run: require('./other').run}")), "other.js:1", "TypeError")


def test_an_endless_require(app: Any, play: Any) -> None:
    script = app.js("delete require.cache[__filename]; require(__filename)")
    failed(play(script), "main.js", "Maximum call stack")


@pytest.mark.parametrize("suffix", ["json", "js"])
def test_a_file_of_50_megabytes(app: Any, play: Any, suffix: str) -> None:
    head, tail = ('{"junk": "', '", "run": [{"method": "log", "params": {"raw": "{{self.junk.length}}"}}]}')
    script = app.write(
        f"main.{suffix}", ("" if suffix == "json" else "module.exports = ") + head + "x" * 50_000_000 + tail
    )
    played = play(script)
    assert played.result or f"main.{suffix}" in played.result.message
    assert played.lines == ["50000000"]


@pytest.mark.parametrize("text", ["[" * 500_000, '"' + "x" * 50_000_000], ids=["deep", "long"])
def test_a_large_broken_file(app: Any, play: Any, text: str) -> None:
    played = play(app.write("main.json", '{"run": ' + text))
    failed(played, "main.json")
    assert len(played.result.message) < 2000


@pytest.mark.parametrize("suffix", ["json", "js"])
def test_a_binary_file(app: Any, play: Any, suffix: str) -> None:
    failed(play(app.write(f"main.{suffix}", bytes(range(256)) * 10)), f"main.{suffix}")


def test_a_script_of_another_kind(app: Any, play: Any) -> None:
    failed(play(app.write("main.txt", "{}")), "main.txt", ".js or .json")


def test_a_path_through_a_file(app: Any, play: Any) -> None:
    inside = app.write("file.json", "{}") / "main.json"
    failed(play(inside), inside, status="rejected")


def test_a_null_byte_in_the_path(app: Any, with_engine: Any) -> None:
    async def work(engine: Any) -> Any:
        try:
            run = await engine.start(f"{app.folder}/a\0b.json")
            return await run.wait()
        except PinokioError as error:
            return error

    answer = with_engine(work)
    assert "\0" not in answer.message or "null" in answer.message
    assert answer.message


def test_a_link_to_nowhere_and_a_loop_of_links(app: Any, play: Any) -> None:
    (app.folder / "loop.json").symlink_to("loop.json")
    failed(play(app.folder / "loop.json"), "loop.json", status="rejected")


def test_a_very_long_name(app: Any, play: Any) -> None:
    failed(play(app.folder / ("x" * 300 + ".json")), "x" * 300, status="rejected")


# ---- templates --------------------------------------------------------------------------------------------------
def test_a_template_that_throws_stays_with_a_warning(app: Any, play: Any) -> None:
    played = play(app.script({"method": "log", "params": {"raw": "{{args.a.b}}"}}))
    assert played.lines == ["{{args.a.b}}"]
    assert "{{args.a.b}}" in played.warnings
    assert "TypeError" in played.warnings


@pytest.mark.parametrize("loop", ["(() => { for (;;); })()", "/^(a+)+$/.test('a'.repeat(60) + 'b')"])
def test_a_template_that_never_ends(app: Any, play: Any, loop: str) -> None:
    script = app.script(LOG, {"method": "log", "params": {"raw": f"{{{{{loop}}}}}"}})
    played = play(script, engine={"settings": HostSettings(watchdog=1)})
    failed(played, "step 1", "did not give back control for 1 s", "never ends", script, index=1)
    assert played.result.detail["script"] == str(script)


def test_a_module_that_never_ends_at_load(app: Any, play: Any) -> None:
    played = play(app.js("for (;;);"), engine={"settings": HostSettings(watchdog=1)})
    failed(played, "did not give back control", "loading", "main.js")


def test_an_endless_template_in_a_folder_with_a_very_long_name(app: Any, play: Any) -> None:
    name = "/".join(["n" * 200] * 4) + "/main.json"
    script = app.script(LOG, {"method": "log", "params": {"raw": "{{(() => { for (;;); })()}}"}}, name=name)
    played = play(script, engine={"settings": HostSettings(watchdog=1)})
    assert played.result.detail["script"] == str(script)
    assert str(played.result.detail["step"]) == "1"


def test_a_template_that_takes_all_memory(app: Any, play: Any) -> None:
    grow = "(() => { const all = []; for (;;) all.push(new Array(1000).fill({})) })()"
    script = app.script(LOG, {"method": "log", "params": {"raw": f"{{{{{grow}}}}}"}})
    played = play(script, engine={"settings": HostSettings(memory=128)})
    failed(played, "more than 128 MiB", "allocates without end", "step 1", script, index=1)


def test_a_huge_text_is_handed_over(app: Any, play: Any) -> None:
    script = app.script({"method": "notify", "params": {"html": "{{'x'.repeat(30000000)}}"}}, LOG)
    played = play(script)
    assert played.result
    assert len(played.of("notify")[0]["html"]) == 30_000_000


def test_a_text_larger_than_any_string_may_be(app: Any, play: Any) -> None:
    script = app.script(LOG, {"method": "notify", "params": {"html": "{{Array(12).fill('x'.repeat(2 ** 26))}}"}})
    failed(play(script), "step 1 of", script, "string")


# ---- steps ------------------------------------------------------------------------------------------------------
def test_a_step_without_a_method(app: Any, play: Any) -> None:
    failed(play(app.script(LOG, {"params": {}})), "method", "step 1", "main.json", index=1)


@pytest.mark.parametrize("step", [None, 5, "text", True])
def test_a_step_that_is_no_object(app: Any, play: Any, step: Any) -> None:
    failed(play(app.script(LOG, step, LOG)), "step 1", "main.json", index=1)


@pytest.mark.parametrize("step", [None, 5, "text", [], False])
def test_a_first_step_that_is_no_object(app: Any, play: Any, step: Any) -> None:
    played = play(app.script(step, LOG))
    assert played.result.status in ("error", "rejected")
    assert "step 0" in played.result.message
    assert "main.json" in played.result.message


@pytest.mark.parametrize("method", [5, True, {}, [], ["log"], {"a": 1}])
def test_a_method_that_is_no_name(app: Any, play: Any, method: Any) -> None:
    played = play(app.script(LOG, {"method": method}))
    assert played.result.status == "error"
    assert played.result.detail["index"] == 1


@pytest.mark.parametrize("index", [99, -1, 1.5, "nowhere"])
def test_a_jump_to_a_step_that_does_not_exist(app: Any, play: Any, index: Any) -> None:
    failed(play(app.script({"method": "jump", "params": {"index": index}}, LOG)), "step", str(index), index=0)


def test_a_jump_to_an_unknown_id_goes_on_and_an_unknown_next_does_not(app: Any, play: Any) -> None:
    assert play(app.script({"method": "jump", "params": {"id": "nowhere"}}, LOG)).lines == ["hello"]
    failed(play(app.script({**LOG, "next": "nowhere"}, LOG)), "nowhere", "no step with the id", index=0)


@pytest.mark.parametrize("when", ["{{args.a.b}}", "{{missing}}", "{{missing}} && {{args}}"])
def test_a_when_that_throws(app: Any, play: Any, when: str) -> None:
    played = play(app.script(LOG, {**LOG, "when": when}))
    failed(played, "step 1", "when", index=1)
    assert played.result.detail["construct"] == "when"


@pytest.mark.parametrize("method", ["shell.rnu", "lgo", "fs.wirte", "a.b.c", "kernel.nothing", "toString", "__proto__"])
def test_an_unknown_method(app: Any, play: Any, method: str) -> None:
    played = play(app.script(LOG, {"method": method, "params": {}}))
    failed(played, method, index=1)


@pytest.mark.parametrize(("method", "meant"), [("shell.rnu", "shell.run"), ("lgo", "log"), ("fs.wirte", "fs.write")])
def test_an_unknown_method_comes_with_the_one_that_was_meant(app: Any, play: Any, method: str, meant: str) -> None:
    failed(play(app.script({"method": method, "params": {}})), meant)


def test_an_action_that_does_not_exist(app: Any, play: Any) -> None:
    failed(play(app.script(LOG), action="update"), "update", "main.json")


@pytest.mark.parametrize("action", ["__proto__", "constructor", "toString", "daemon", ""])
def test_an_action_that_is_no_list(app: Any, play: Any, action: str) -> None:
    played = play(app.script(LOG, daemon=True), action=action)
    assert played.result.status == "error" if action else True


@pytest.mark.parametrize("args", [5, "text", [1, 2], True, None])
def test_arguments_need_not_be_an_object(app: Any, play: Any, args: Any) -> None:
    played = play(app.script({"method": "log", "params": {"json": "{{[args, input]}}"}}), args=args)
    assert played.result
    assert json.loads(played.text) == [args, args]


def test_circular_arguments_are_no_crash(app: Any, play: Any) -> None:
    args: dict[str, Any] = {"n": 1}
    args["me"] = args
    assert play(app.script({"method": "log", "params": {"raw": "{{args.n}}."}}), args=args).lines == ["1."]


@pytest.mark.parametrize(
    "method", ["fs.write", "jump", "script.start", "json.set", "fs.download", "local.set", "hf.download"]
)
def test_a_step_without_params(app: Any, play: Any, method: str) -> None:
    played = play(app.script(LOG, {"method": method}))
    failed(played, index=1)


@pytest.mark.parametrize("params", [None, 5, "text", []])
@pytest.mark.parametrize("method", ["shell.run", "fs.write", "script.start", "notify", "input", "process.wait"])
def test_params_that_are_no_object(app: Any, with_engine: Any, method: str, params: Any) -> None:
    script = app.script({"method": method, "params": params})

    async def work(engine: Any) -> Any:
        run = await engine.start(script)
        await asyncio.wait({asyncio.ensure_future(run.wait())}, timeout=1)
        return await run.stop()

    result = with_engine(work)
    assert result.status in ("done", "error", "stopped")


def test_a_module_that_does_not_exist(app: Any, play: Any) -> None:
    failed(play(app.script({"uri": "no.js", "method": "x"})), "no.js", "step 0", index=0)
    app.js("throw new Error('broken')", "bad.js")
    failed(play(app.script({"uri": "bad.js", "method": "x"})), "bad.js", "broken", "step 0", index=0)
    app.js("exports.y = 1", "empty.js")
    failed(play(app.script({"uri": "empty.js", "method": "x"})), "empty.js", "'x'", "step 0", index=0)


@pytest.mark.parametrize("uri", [5, {}, [], "http://example.com/x.js"])
def test_a_module_address_that_is_none(app: Any, play: Any, uri: Any) -> None:
    failed(play(app.script({"uri": uri, "method": "x"})), index=0)


@pytest.mark.parametrize(
    "thrown",
    ["new Error('odd')", "'odd'", "{odd: 1}", "null", "undefined", "Object.create(null)", "5n", "Symbol('odd')"],
)
def test_a_step_function_that_throws_anything(app: Any, play: Any, thrown: str) -> None:
    failed(play(app.js(f"module.exports = {{run: [{{method: () => {{ throw {thrown} }}}}]}}")), index=0)
    failed(play(app.js(f"module.exports = {{run: [{{method: async () => {{ throw {thrown} }}}}]}}", "b.js")), index=0)


@pytest.mark.parametrize(
    "error",
    [
        "Object.assign(new Error('odd'), {code: 10n})", "{toString () { throw new Error() }}", "[Symbol('x')]",
        "(() => { const e = new Error('odd'); e.code = e; return e })()", "Object.create(null)",
    ],
)  # fmt: skip
def test_a_result_with_an_odd_error(app: Any, play: Any, error: str) -> None:
    failed(play(app.js(f"module.exports = {{run: [{{method: () => ({{error: {error}}})}}]}}")), index=0)


def test_a_run_that_is_started_twice(app: Any, with_engine: Any) -> None:
    script = app.script({"method": "process.wait"})

    async def work(engine: Any) -> None:
        run = await engine.start(script)
        with pytest.raises(PinokioError, match="running already") as caught:
            await engine.start(script)
        assert caught.value.context["path"] == str(script)
        assert engine.runs[run.id] is run
        second = await engine.start(script, id="another")
        assert (await second.stop()).status == "stopped"
        assert not run.finished
        await run.stop()

    with_engine(work)


def test_an_error_leaves_nothing_running_and_the_next_start_works(app: Any, with_engine: Any) -> None:
    script = app.script({"method": "nothing"})

    async def work(engine: Any) -> None:
        for _ in range(2):
            run = await engine.start(script)
            assert (await run.wait()).status == "error"
            assert engine.runs == {}

    with_engine(work)


def test_an_unknown_start_index(app: Any, play: Any) -> None:
    failed(play(app.script(LOG), start=7), "step 7", "1 steps")


def test_time_is_not_spent_on_failures(app: Any, play: Any) -> None:
    begun = time.monotonic()
    play(Path(app.folder, "missing.json"))
    assert time.monotonic() - begun < 30
