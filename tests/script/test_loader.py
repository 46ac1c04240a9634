"""Loading: what a file may export, and when it is loaded anew (spec §1.1-1.3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

HELLO = "{run: [{method: 'log', params: {raw: 'hello'}}]}"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("object", f"module.exports = {HELLO}"),
        ("arrow", f"module.exports = kernel => ({HELLO})"),
        ("async", f"module.exports = async kernel => {{ await kernel.exists('x'); return {HELLO} }}"),
        ("function", f"module.exports = function (kernel) {{ return {HELLO} }}"),
        ("class", f"module.exports = class {{ run = {HELLO}.run }}"),
        ("class with a getter", f"module.exports = class {{ get run () {{ return {HELLO}.run }} }}"),
        ("constructor", f"module.exports = function () {{ this.run = {HELLO}.run }}"),
        ("exports by name", f"exports.run = {HELLO}.run"),
        ("steps from a function", f"module.exports = {{run: (kernel, info, ctx) => ({HELLO}).run}}"),
        ("steps from an async function", f"module.exports = {{run: async () => ({HELLO}).run}}"),
        ("steps from a promise", f"module.exports = {{run: () => Promise.resolve({HELLO}.run)}}"),
    ],
)
def test_a_script_may_export_one_of_these(app: Any, play: Any, name: str, source: str) -> None:
    assert play(app.js(source)).lines == ["hello"]


def test_an_es_module_with_a_default(app: Any, play: Any) -> None:
    app.write("package.json", {"type": "module"})
    assert play(app.js(f"export default {HELLO}")).lines == ["hello"]


def test_a_json_script_with_a_suffix_in_capitals(app: Any, play: Any) -> None:
    assert play(app.write("MAIN.JSON", [{"method": "log", "params": {"raw": "hello"}}])).lines == ["hello"]


def test_an_ordinary_function_gets_no_kernel_and_an_arrow_function_does(app: Any, play: Any) -> None:
    body = "({run: [{method: 'log', params: {raw: kernel ? 'kernel' : 'none'}}]})"
    assert play(app.js(f"module.exports = function (kernel) {{ return {body} }}")).lines == ["none"]
    assert play(app.js(f"module.exports = (kernel, info) => {body}", "b.js")).lines == ["kernel"]
    needs = "module.exports = function (kernel) { return {run: [{method: 'log', params: {raw: kernel.platform}}]} }"
    assert play(app.js(needs, "c.js")).lines == ["linux"]


def test_siblings_json_and_packages_are_required(app: Any, play: Any) -> None:
    app.write("config.js", "module.exports = {a: require('./lib/deep.json').x}")
    app.write("lib/deep.json", {"x": "deep"})
    app.write("node_modules/pkg/package.json", {"name": "pkg", "main": "lib/entry.js"})
    app.write("node_modules/pkg/lib/entry.js", "exports.b = require('../other').c")
    app.write("node_modules/pkg/other/index.js", "exports.c = require('path').basename(__dirname)")
    app.write("node_modules/@scope/esm/package.json", {"name": "@scope/esm", "type": "module", "exports": "./x.js"})
    app.write("node_modules/@scope/esm/x.js", "export const d = 'esm'")
    script = app.js("""
        const {a} = require('./config'); const {b} = require('pkg'); const {d} = require('@scope/esm')
        module.exports = {run: [{method: 'log', params: {raw: [a, b, d].join()}}]}""")
    assert play(script).lines == ["deep,other,esm"]


def test_files_that_require_each_other(app: Any, play: Any) -> None:
    app.js("exports.early = 1; exports.b = require('./b').name; exports.name = 'a'", "a.js")
    app.js("exports.name = 'b' + require('./a').early", "b.js")
    script = app.js("const a = require('./a'); module.exports = {run: [{method: 'log', params: {raw: a.b + a.name}}]}")
    assert play(script).lines == ["b1a"]


def test_a_script_that_requires_itself(app: Any, play: Any) -> None:
    script = app.js(f"const me = require('./main'); module.exports = {{...{HELLO}, me: Object.keys(me).length}}")
    assert play(script).lines == ["hello"]


def test_a_folder_is_not_run_but_its_script_can_be_required(app: Any, play: Any) -> None:
    app.js("module.exports = {text: 'from index'}", "lib/index.js")
    script = app.js("module.exports = {run: [{method: 'log', params: {raw: require('./lib').text}}]}")
    assert play(script).lines == ["from index"]


def test_module_state_begins_anew_at_every_step_also_in_helpers(app: Any, play: Any) -> None:
    app.js("let n = 0; exports.next = () => ++n", "helper.js")
    script = app.js("""
        const {next} = require('./helper'); let m = 0; next()
        const run = Array(3).fill({method: 'log', params: {raw: '{{self.n}} {{self.m}}.'}})
        module.exports = {n: next(), m: ++m, run}""")
    assert play(script).lines == ["2 1."] * 3


def test_an_edited_helper_is_seen_by_self_and_not_by_the_steps(app: Any, play: Any) -> None:
    app.js("exports.word = 'old'", "helper.js")
    script = app.js("""
        const fs = require('fs'); const path = require('path'); const {word} = require('./helper')
        module.exports = {word, run: [
          {method: () => fs.writeFileSync(path.join(__dirname, 'helper.js'), "exports.word = 'new'")},
          {method: 'log', params: {raw: `step ${word}, self {{self.word}}`}}
        ]}""")
    assert play(script).lines == ["step old, self new"]
    assert play(script).lines == ["step new, self new"]


def test_an_edited_script_changes_self_and_not_the_steps(app: Any, play: Any) -> None:
    edited = json.dumps({"word": "new", "run": [{"method": "log", "params": {"raw": "never"}}]})
    script = app.script(
        {"method": "fs.write", "params": {"path": "main.json", "text": edited}},
        {"method": "log", "params": {"raw": "step, {{self.word}}"}},
        word="old",
    )
    assert play(script).lines == ["step, new"]


def test_daemon_counts_as_it_is_in_the_file_at_the_last_step(app: Any, play: Any) -> None:
    edited = json.dumps({"daemon": True, "run": []})
    script = app.script({"method": "fs.write", "params": {"path": "main.json", "text": edited}})
    assert play(script).result.status == "daemon"


def test_a_script_that_breaks_while_it_runs_keeps_its_last_self(app: Any, play: Any) -> None:
    script = app.script(
        {"method": "fs.write", "params": {"path": "main.json", "text": "{broken"}},
        {"method": "log", "params": {"raw": "{{self.word}}."}},
        word="old",
    )
    played = play(script)
    assert played.lines == ["old."]
    assert played.result


def test_a_function_script_is_called_for_every_step(app: Any, play: Any) -> None:
    script = app.js("""
        module.exports = async kernel => {
          globalThis.calls = (globalThis.calls || 0) + 1
          return {n: globalThis.calls, run: Array(3).fill({method: 'log', params: {raw: '{{self.n}}.'}})}
        }""")
    numbers = [int(float(line)) for line in play(script).lines]
    assert numbers == sorted(set(numbers))


def test_a_getter_export_is_evaluated_at_every_load(app: Any, play: Any) -> None:
    script = app.js("""
        let n = 0
        const run = [{method: 'log', params: {raw: '{{self.n}}{{self.n + 0}}.'}}]
        module.exports = {get n () { return ++n }, run}""")
    assert play(script).lines == ["12."]


def test_another_list_of_steps(app: Any, play: Any) -> None:
    script = app.write("main.json", {"run": [], "update": [{"method": "log", "params": {"raw": "updated"}}]})
    assert play(script, action="update").lines == ["updated"]


def test_what_a_script_prints_itself_harms_nothing(app: Any, play: Any) -> None:
    script = app.js(f"""
        console.log('{{"op": "event"}}'); process.stdout.write('x'.repeat(300000)); console.error('no')
        module.exports = {HELLO}""")
    assert play(script).lines == ["hello"]


def test_a_stray_rejection_ends_no_run(app: Any, play: Any) -> None:
    script = app.js(f"""
        Promise.reject(new Error('stray')); setTimeout(() => {{ throw new Error('late') }}, 1)
        module.exports = {{run: [{{method: () => new Promise(r => setTimeout(r, 50))}}, ...{HELLO}.run]}}""")
    assert play(script).lines == ["hello"]


def test_a_script_that_leaves_the_process_is_told_of(app: Any, play: Any) -> None:
    played = play(app.js("process.exit(7)"))
    assert played.result.status == "error"
    assert "exit code 7" in played.result.message
