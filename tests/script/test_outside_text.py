"""Text from outside is data: only what the script itself contains is a template (architecture §4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pinokiocloud import PresetPrompter

EVIL = "{{40 + 2}}"
LOG = {"method": "log", "params": {"raw": "<{{input}}>"}}
PRINT_EVIL = r"printf '\173\173 40 + 2 \175\175\n'"


def shown(text: str, strict: bool) -> str:
    return text.replace(EVIL, "42").replace("{{ 40 + 2 }}", "42") if strict else text


@pytest.fixture(params=[False, True], ids=["default", "strict"])
def strict(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def log(template: str) -> dict[str, Any]:
    return {"method": "log", "params": {"raw": template}}


def test_arguments(app: Any, play: Any, strict: bool) -> None:
    script = app.script(log("{{args.x}}"), log("a {{args.x}} b"), log("{{args.o.p[0].q}}"))
    played = play(script, args={"x": EVIL, "o": {"p": [{"q": EVIL}]}}, engine={"strict": strict})
    assert played.lines == shown(f"{EVIL}\na {EVIL} b\n{EVIL}", strict).split("\n")


def test_arguments_as_keys(app: Any, play: Any, strict: bool) -> None:
    script = app.script({"method": "local.set", "params": {"{{args.k}}": 1}}, log("{{Object.keys(local)[0]}}"))
    played = play(script, args={"k": EVIL}, engine={"strict": strict})
    assert played.lines[-1] == shown(EVIL, strict)


def test_two_values_that_only_together_are_a_template(app: Any, play: Any, strict: bool) -> None:
    script = app.script(log("x {{args.a}}{{args.b}}"), log("x {{args.c}}{{args.d}}"))
    args = {"a": "{", "b": "{40 + 2}}", "c": "{{40 + ", "d": "2}}"}
    played = play(script, args=args, engine={"strict": strict})
    assert played.lines == [f"x {shown(EVIL, strict)}"] * 2


def test_a_value_that_joins_with_the_scripts_own_braces(app: Any, play: Any) -> None:
    played = play(app.script(log("x {{args.a}}{40 + 2}}"), log("{ {{args.b}} }")), args={"a": "{", "b": "{40 + 2}"})
    assert "42" not in played.text


def test_arguments_of_a_caller(app: Any, play: Any, strict: bool) -> None:
    app.script(log("{{args.x}}"), name="child.json")
    parameters = {"uri": "child.json", "params": {"x": "{{{40 + 2}}}"}}
    played = play(app.script({"method": "script.start", "params": parameters}), engine={"strict": strict})
    assert played.lines[-1] == shown(EVIL, strict)


def test_what_a_caller_got_from_outside(app: Any, play: Any, strict: bool) -> None:
    app.script(log("{{args.x}}"), name="child.json")
    parameters = {"uri": "child.json", "params": {"x": "{{args.y}}"}}
    script = app.script({"method": "script.start", "params": parameters})
    assert play(script, args={"y": EVIL}, engine={"strict": strict}).lines[-1] == shown(EVIL, strict)


def test_what_a_child_returns(app: Any, play: Any, strict: bool) -> None:
    app.script({"method": "script.return", "params": {"x": "{{{40 + 2}}}"}}, name="child.json")
    script = app.script({"method": "script.start", "params": {"uri": "child.json"}}, log("{{input.x}}"))
    assert play(script, engine={"strict": strict}).lines[-1] == shown(EVIL, strict)


def test_shell_output(app: Any, play: Any, strict: bool) -> None:
    on = [{"event": "/(.. 40 . 2 ..)\\s/", "done": True}]
    script = app.script(
        {"method": "shell.run", "params": {"message": PRINT_EVIL + "; sleep 30", "on": on}},
        {"method": "local.set", "params": {"event": "{{input.event[1]}}", "out": "{{input.stdout}}"}},
        log("[{{local.event}}]"),
        log("{{local.out}}"),
    )
    played = play(script, engine={"strict": strict})
    assert shown("[{{ 40 + 2 }}]", strict) in played.lines
    assert ("\n42" in played.text) == strict


@pytest.mark.parametrize(
    "step",
    [
        {"method": "fs.read", "params": {"path": "data.txt", "encoding": "utf8"}},
        {"method": "load", "params": {"d": "data.json"}},
        {"method": "json.get", "params": {"d": "data.json"}},
        {"method": "json.read", "params": {"path": "data.json"}},
    ],
    ids=lambda step: step["method"],
)
def test_file_content(app: Any, play: Any, strict: bool, step: dict[str, Any]) -> None:
    app.write("data.txt", EVIL)
    app.write("data.json", {"x": EVIL})
    find = "{{local.d ? local.d.x : input.d ? input.d.x : input.x ? input.x : input}}"
    script = app.script(step, {"method": "local.set", "params": {"found": find}}, log("{{local.found}}"))
    assert play(script, engine={"strict": strict}).lines[-1] == shown(EVIL, strict)


def test_form_answers(app: Any, play: Any, strict: bool) -> None:
    script = app.script(
        {"method": "input", "params": {"form": [{"key": "name"}]}},
        {"method": "local.set", "params": {"name": "{{input.name}}"}},
        log("{{local.name}}"),
        log("Hello {{local.name}}!"),
    )
    played = play(script, engine={"strict": strict, "prompter": PresetPrompter([{"name": EVIL}])})
    assert played.lines[-2:] == shown(f"{EVIL}\nHello {EVIL}!", strict).split("\n")


def test_values_of_the_environment(app: Any, play: Any, strict: bool) -> None:
    app.write("ENVIRONMENT", f"EVIL={EVIL}\n")
    played = play(app.script(log("{{env.EVIL}}"), log("a {{envs.EVIL}}")), engine={"strict": strict})
    assert played.lines == shown(f"{EVIL}\na {EVIL}", strict).split("\n")


def test_variables_of_the_process(app: Any, play: Any, strict: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVIL_TEXT", EVIL)
    played = play(app.script(log("{{process.env.EVIL_TEXT}}")), engine={"strict": strict})
    assert played.lines == [shown(EVIL, strict)]


def test_names_of_folders(app: Any, play: Any, strict: bool) -> None:
    script = app.script(log("{{path.basename(cwd)}}"), log("at {{path.basename(cwd)}}"), name=f"{EVIL}/main.json")
    assert play(script, engine={"strict": strict}).lines == shown(f"{EVIL}\nat {EVIL}", strict).split("\n")


def test_what_functions_of_the_script_return(app: Any, play: Any) -> None:
    app.write("data.txt", EVIL)
    script = app.js("""
        const fs = require('fs'); const path = require('path')
        module.exports = {run: [
          {method: async () => ({text: fs.readFileSync(path.join(__dirname, 'data.txt'), 'utf8')})},
          {method: 'log', params: {raw: '{{input.text}}'}}
        ]}""")
    assert play(script).lines == [EVIL]


def test_global_variables_of_an_earlier_run(app: Any, with_engine: Any, strict: bool) -> None:
    first = app.script({"method": "global.set", "params": {"x": "{{args.x || global.x}}"}}, log("{{global.x}}"))

    async def work(engine: Any) -> str:
        run = await engine.start(first, args={"x": EVIL})
        await run.wait()
        app.script(log("{{global.x}}"))
        texts: list[Any] = []
        run = await engine.start(first, on_event=lambda e: texts.append(e.data) if e.kind == "stream" else None)
        await run.wait()
        return str(texts[0]["raw"])

    if strict:
        return
    assert with_engine(work, strict=strict).strip() == EVIL


@pytest.mark.parametrize("how", ["script", "import", "kernel"])
def test_local_variables_of_another_script(app: Any, with_engine: Any, how: str) -> None:
    other = app.script({"method": "local.set", "params": {"x": "{{args.x}}"}}, name="other.json", daemon=True)
    steps = {
        "script": [log(f"{{{{script.local('{other}').x}}}}")],
        "kernel": [log(f"{{{{kernel.memory.local['{other}'].x}}}}")],
        "import": [{"method": "local.import", "params": {"o": "other.json"}}, log("{{local.o.x}}")],
    }[how]
    script = app.script(*steps)

    async def work(engine: Any) -> list[str]:
        await (await engine.start(other, args={"x": EVIL})).wait()
        texts: list[str] = []
        run = await engine.start(script, on_event=lambda e: texts.append(e.data["raw"]) if e.kind == "stream" else None)
        assert await run.wait()
        return "".join(texts).split("\r\n")

    assert EVIL in with_engine(work)


def test_local_variables_that_a_retry_begins_with(app: Any, play: Any) -> None:
    assert play(app.script(log("{{local.x}}")), local={"x": EVIL}).lines == [EVIL]


def test_a_when_beside_a_template_of_the_scripts_own(app: Any, play: Any) -> None:
    count = "globalThis.whenEvil = 1"
    script = app.script(
        {"when": "{{args.flag}} yes", "method": "log", "params": {"raw": "{{args.ok}}"}},
        log("{{globalThis.whenEvil || 'safe'}}"),
    )
    played = play(script, args={"flag": f"{{{{{count}}}}} {{{{args.ok}}}}", "ok": "ran"})
    assert played.lines == ["ran", "safe"]


def test_shell_output_in_a_notification(app: Any, play: Any) -> None:
    on = [{"event": "/(.. globalThis.noteEvil . 1 ..)\\s/", "notify": {"html": "{{{event[1]}}}"}}]
    script = app.script(
        {
            "method": "shell.run",
            "params": {"message": r"printf '\173\173 globalThis.noteEvil = 1 \175\175 \n'", "on": on},
        },
        {"method": "process.wait", "params": {"sec": 0.2}},
        log("{{globalThis.noteEvil || 'safe'}}"),
    )
    played = play(script)
    assert played.lines[-1] == "safe"
    assert played.of("push") == [{"html": "{{ globalThis.noteEvil = 1 }}"}]


def test_shell_output_in_the_return_of_a_written_shell(app: Any, play: Any) -> None:
    on = [{"event": r"/(\{\{ 40 . 2 \}\})/", "return": {"found": "{{{event.matches[0][1]}}}"}}]
    script = app.script(
        {"method": "shell.start", "params": {"id": "s"}},
        {"method": "shell.enter", "params": {"id": "s", "message": PRINT_EVIL, "on": on}},
        {"method": "log", "params": {"json": "{{input}}"}},
    )
    assert '{"found":"{{ 40 + 2 }}"}' in play(script).text


def test_outside_text_inside_a_late_template(app: Any, play: Any) -> None:
    on = [{"event": "/hello/", "notify": {"html": "{{args.html}}"}}]
    script = app.script(
        {"method": "shell.run", "params": {"message": "echo hello", "on": on}},
        {"method": "process.wait", "params": {"sec": 0.2}},
    )
    assert play(script, args={"html": EVIL}).of("push") == [{"html": EVIL}]


def test_the_scripts_own_text_is_a_template_wherever_it_comes_by(app: Any, play: Any) -> None:
    app.write("data.txt", "braces } {")
    script = app.script(
        {"method": "fs.read", "params": {"path": "data.txt", "encoding": "utf8"}},
        {"method": "local.set", "params": {"command": "{{{platform}}}", "mixed": "on {{{arch}}}"}},
        log("{{local.command}} {{local.mixed}}."),
        log("{{self.title}}"),
        title="for {{platform}} & {{arch}}",
    )
    assert play(script).lines[-2:] == ["linux on x64.", "for linux & x64"]


def test_edited_text_of_the_script_is_its_own_too(app: Any, play: Any) -> None:
    script = app.script(
        {"method": "self.set", "params": {"main.json": {"title": "{{{gpu}}}"}}},
        log("{{self.title}}"),
        title="{{platform}}",
    )
    assert play(script, args={"x": "}"}).lines[-1] == "none"


def test_outside_text_goes_to_the_shell_as_it_is(app: Any, play: Any) -> None:
    script = app.script({"method": "shell.run", "params": {"message": "printf '%s' '{{args.x}}' > out.txt"}})
    play(script, args={"x": EVIL})
    assert Path(app.folder, "out.txt").read_text() == EVIL
