"""`render`, `menu`, `check`, `plan` and `doctor` on the command line: what they print, and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pinokiocloud.cli.app import app as cli

MENU = 'module.exports = { title: "My app", menu: [{ text: "Go", href: "go.js", default: true }] }'
GO = 'module.exports = { run: [{ method: "shell.run", params: { message: "echo {{gpu}}", venv: "env" } }] }'


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "pinokio.js").write_text(MENU)
    (folder / "go.js").write_text(GO)
    return folder


@pytest.fixture
def call(tmp_path):
    """Call the command line; return (exit code, output, error output)."""

    def run(*arguments):
        result = CliRunner().invoke(cli, [*map(str, arguments), "--home", str(tmp_path / "home")])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


class TestRender:
    @pytest.mark.parametrize(
        ("template", "printed"),
        [
            ("{{1 + 1}}", "2"),
            ("1 + 1", "2"),
            ("is {{[1, null]}} {{({})}}", "is 1, [object Object]"),
            ("{{({a: [1, 'x']})}}", '{"a": [1, "x"]}'),
            ("{{null}}", "null"),
            ("{{'a' + 'b'}}", "ab"),
            ("{{1 / 0}}", "Infinity"),
            ("{{{x}}}", "{{x}}"),
            ("{{exists('/etc')}}", "true"),
        ],
    )
    def test_the_value_is_printed(self, call, template, printed):
        assert call("render", template) == (0, f"{printed}\n", "")

    def test_values_are_json_on_request(self, call):
        assert call("render", "{{'a'}}", "--json")[1] == '"a"\n'
        assert call("render", "{{[undefined, NaN]}}", "--json")[1] == "[null, NaN]\n"

    def test_given_variables_go_before_all_others(self, call):
        variables = json.dumps({"gpu": "amd", "args": {"x": 3}, "mine": "y"})

        assert call("render", "{{gpu}} {{args.x + 1}} {{mine}}.", "--vars", variables)[1] == "amd 4 y.\n"

    def test_what_stays_as_it_is_is_told_on_the_error_output(self, call):
        assert call("render", "{{nope}}") == (
            0,
            "{{nope}}\n",
            "warning: {{nope}} stays as it is: it throws ReferenceError: nope is not defined\n",
        )

    def test_a_text_that_is_no_expression_is_printed_with_a_warning(self, call):
        code, out, err = call("render", "hello world")

        assert (code, out) == (0, "hello world\n")
        assert err.startswith("warning: ")

    def test_a_template_that_does_not_compile_is_a_failure(self, call):
        code, out, err = call("render", "{{a}} {{b}}")

        assert (code, out) == (1, "")
        assert "does not compile" in err
        assert "two templates" in err

    @pytest.mark.parametrize("variables", ["{", "[1]"])
    def test_variables_must_be_a_json_object(self, call, variables):
        assert call("render", "x", "--vars", variables)[0] == 2


class TestMenu:
    def test_the_items_are_listed(self, call, app):
        code, out, _ = call("menu", app)

        assert code == 0
        assert out == "My app\n  ▸ Go  go.js\n"

    def test_json_holds_everything(self, call, app):
        told = json.loads(call("menu", app, "--json")[1])

        assert told["title"] == "My app"
        assert told["menu"] == [{"text": "Go", "href": "go.js", "script": str(app / "go.js"), "default": True}]

    def test_running_scripts_and_their_variables_can_be_given(self, call, app):
        (app / "pinokio.js").write_text(
            "module.exports = { menu: (k, info) => ["
            "{ text: info.running('go.js') + info.local('go.js').url, href: 'go.js' }] }"
        )

        out = call("menu", app, "--running", "go.js", "--local", '{"go.js": {"url": "http://x"}}')[1]

        assert "truehttp://x" in out

    def test_a_menu_that_throws_is_a_failure_with_file_and_line(self, call, app):
        (app / "pinokio.js").write_text("module.exports = {\n  menu: (kernel) => kernel.a.b\n}\n")

        code, out, err = call("menu", app)

        assert (code, out) == (1, "")
        assert f"{app}/pinokio.js:2: it has a menu that throws: TypeError" in err

    def test_a_missing_folder_is_a_failure(self, call, app):
        assert call("menu", app / "none")[0] == 1


class TestCheck:
    def test_a_sound_app_exits_with_0(self, call, app):
        code, out, _ = call("check", app)

        assert code == 0
        assert out.splitlines()[-1] == "  1 script, 0 faults, 0 warnings, menu items: 1 fresh, 1 installed, 1 running"

    def test_faults_are_printed_with_file_line_and_step_and_exit_with_1(self, call, app):
        (app / "go.js").write_text('module.exports = { run: [\n  { method: "shell.rum" }\n] }')

        code, out, _ = call("check", app)

        assert code == 1
        assert "  go.js:2 step 0: fault: there is no method 'shell.rum'\n      did you mean 'shell.run'?\n" in out

    def test_warnings_alone_exit_with_0(self, call, app):
        (app / "go.js").write_text('module.exports = { run: [{ method: "log", when: "false" }] }')

        code, out, _ = call("check", app / "go.js")

        assert code == 0
        assert "0 faults, 1 warning" in out

    def test_one_path_gives_an_object_and_several_a_list(self, call, app):
        assert json.loads(call("check", app, "--json")[1])["ok"] is True
        assert [item["ok"] for item in json.loads(call("check", app, app / "go.js", "--json")[1])] == [True, True]

    def test_a_missing_path_is_a_failure(self, call, app):
        code, _, err = call("check", app / "none")

        assert code == 1
        assert "there is no app or script" in err


class TestPlan:
    def test_steps_are_printed_with_their_commands(self, call, app):
        code, out, _ = call("plan", app / "go.js", "--gpu", "nvidia")

        assert code == 0
        assert "  0  shell.run  go.js:1\n     in .; venv env, made first\n     $ echo nvidia\n" in out

    def test_json_holds_steps_and_machine(self, call, app):
        told = json.loads(call("plan", app / "go.js", "--gpu", "none", "--json")[1])

        assert told["machine"]["gpu"] == "none"
        assert told["steps"][0]["commands"][0]["line"] == "echo none"

    def test_arguments_are_taken_as_for_run(self, call, app):
        (app / "go.js").write_text(
            'module.exports = { run: [{ method: "log", params: { raw: "{{args.a}} {{args.b}}." } }] }'
        )

        out = call("plan", app / "go.js", "--args", '{"a": 1}', "--set", "b=2")[1]

        assert "print 1 2." in out

    def test_every_kind_of_step_has_its_line(self, call, app):
        steps = [
            {"method": "input", "params": {"title": "Who?", "form": [{"key": "n", "type": "text", "default": "x"}]}},
            {"method": "fs.rm", "params": {"path": "app"}, "when": "{{input.n}}"},
            {"method": "fs.download", "params": {"uri": "http://x/f", "dir": "m"}},
            {"method": "browser.open", "params": {"uri": "http://x"}},
            {"method": "process.wait", "params": {"sec": 1}},
            {"method": "local.set", "params": {"url": "u"}},
            {"method": "log", "params": {"raw": "a"}, "when": "{{false}}"},
            {"method": "log", "params": {"raw": "a"}, "when": "{{null}}"},
            {"method": "script.stop", "params": {"uri": "go.js"}},
            {"method": "script.start", "params": {"uri": "b.json"}},
        ]
        (app / "go.js").write_text(f"module.exports = {json.dumps({'daemon': True, 'run': steps})}")
        (app / "b.json").write_text(
            '{"run": [{"method": "shell.run", "params": {"message": "a\\nb", "env": {"A": "1"}}}]}'
        )

        out = call("plan", app / "go.js")[1]

        lines = """ask: Who?
  n (type text, default x)
if {{input.n}}: depends on step 0
remove app
download http://x/f to m
show http://x
wait: sec 1
set local.url = u
  6–7 left out: their conditions are false
stop go.js
b.json:
A=1
$ a
  b
it stays up until it is stopped (daemon)"""
        for line in lines.split("\n"):
            assert line in out

    def test_a_script_that_would_not_start_exits_with_3(self, call, app):
        (app / "go.js").write_text("module.exports = {")

        code, out, _ = call("plan", app / "go.js")

        assert code == 3
        assert "it would not start" in out

    def test_wrong_usage_exits_with_2(self, call, app):
        assert call("plan", app / "go.js", "--gpu", "riva128")[0] == 2
        assert call("plan", app / "go.js", "--args", "{")[0] == 2

    def test_a_missing_script_is_a_failure(self, call, app):
        assert call("plan", app / "none.js")[0] == 1


class TestDoctor:
    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch):
        monkeypatch.setattr("pinokiocloud.apps.doctor._reachable", lambda _: "no network in tests")
        monkeypatch.setattr("pinokiocloud.apps.doctor.SITES", {"one": "http://one"})

    def test_conditions_are_listed_and_offline_is_no_failure(self, call):
        code, out, _ = call("doctor")

        assert code == 0
        assert out.splitlines()[-1] == "scripts can run"
        assert "!  one" in out

    def test_json_holds_every_condition(self, call):
        told = json.loads(call("doctor", "--json")[1])

        assert told["ok"] is True
        assert {"name", "status", "value", "hint"} == set(told["conditions"][0])

    def test_it_exits_with_1_when_scripts_cannot_run(self, call, tmp_path):
        (tmp_path / "home").touch()

        code, out, _ = call("doctor")

        assert code == 1
        assert out.splitlines()[-1] == "scripts cannot run"


@pytest.mark.parametrize("module", ["pinokiocloud.cli.app", "pinokiocloud.cli.run"])
def test_help_and_run_do_not_load_what_the_other_commands_need(module):
    code = f"import sys, {module}; print([m for m in sys.modules if m.startswith('pinokiocloud.apps')])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
