"""What `check` says about scripts and launchers: each fault at its file and line, and nothing about what is right."""

from __future__ import annotations

import asyncio

import pytest
from found import LOG, only, step, told

from pinokiocloud.apps.check import check_app
from pinokiocloud.errors import ScriptNotFoundError

MENU = """module.exports = {
  menu: async (kernel, info) => {
    if (info.running("start.js")) {
      const local = info.local("start.js")
      return [{ text: "Open", href: local.url }, { text: "Terminal", href: "start.js" }]
    }
    if (!info.exists("env")) return [{ text: "Install", href: "install.js" }]
    return [{ text: "Start", href: "start.js" }, { text: "Update", href: "update.json" }, { text: "x", menu: [] }]
  }
}
"""


class TestWholeApp:
    def test_a_sound_app_has_no_findings_and_its_menu_is_counted_for_each_state(self, app):
        app.write(
            pinokio_js=MENU,
            install_js=step('{ method: "script.start", params: { uri: "torch.js", params: { venv: "env" } } }'),
            torch_js=step(
                """{ when: "{{gpu === 'nvidia'}}", method: "log", params: { raw: "{{args.venv}}" }, next: null }"""
            ),
            start_js='module.exports = { daemon: true, run: [{ method: "local.set", params: { url: "{{port}}" } }] }',
            update_json=LOG,
        )

        result = app.check()

        assert result.findings == []
        assert [script.name for script in result.scripts] == ["install.js", "start.js", "torch.js", "update.json"]
        assert result.menu == {"fresh": 1, "installed": 2, "running": 2}
        assert result.ok

    def test_an_app_behind_a_link_is_checked_as_itself(self, app, tmp_path):
        app.write(
            pinokio_js=MENU, install_js=step('{ method: "log" }'), start_js=step('{ method: "log" }'), update_json=LOG
        )
        link = tmp_path / "link"
        link.symlink_to(app.root)

        result = asyncio.run(check_app(link, home=app.home))

        assert (result.findings, result.menu["installed"]) == ([], 2)

    def test_a_launcher_in_a_subfolder_is_found(self, app):
        app.put("pinokio/pinokio.js", 'module.exports = { menu: [{ text: "Go", href: "go.json" }] }')
        app.put("pinokio/go.json", LOG)

        result = app.check()

        assert result.findings == []
        assert result.launcher == app.root / "pinokio" / "pinokio.js"
        assert [script.name for script in result.scripts] == ["go.json"]

    def test_a_folder_without_launcher_and_scripts_is_a_fault(self, app):
        app.put("readme.txt", "hello")

        assert only(app.check()).code == "launcher"

    def test_only_the_given_script_and_those_it_starts_are_checked(self, app):
        app.write(a_js=step('{ method: "script.start", params: { uri: "b.json" } }'), b_json=LOG, c_js="nonsense here")

        result = app.check("a.js")

        assert [script.name for script in result.scripts] == ["a.js", "b.json"]
        assert result.ok

    def test_a_missing_path_is_an_error(self, app):
        with pytest.raises(ScriptNotFoundError):
            app.check("nothing.js")

    def test_other_javascript_of_an_app_is_not_taken_for_scripts(self, app):
        app.write(pinokio_js="module.exports = { menu: [] }")
        app.put("server/index.js", "const run = () => {}; const method = 'GET'; throw new Error('not a script')")
        app.put("app/.git/HEAD", "ref")
        app.put("app/tool.js", step('{ method: "no.method" }'))

        result = app.check()

        assert result.findings == []
        assert result.scripts == []

    def test_a_script_deep_in_the_launcher_is_found_by_its_steps(self, app):
        app.write(pinokio_js="module.exports = { menu: [] }")
        app.put("extras/more/one.js", step('{ method: "no.method" }'))

        assert told(app.check()) == [("one.js", 3, "there is no method 'no.method'")]


class TestLoading:
    def test_a_syntax_error_is_told_with_its_line(self, app):
        app.write(a_js="module.exports = {\n  run: [\n    { method: 'log' }\n    { method: 'log' }\n  ]\n}\n")

        finding = only(app.check("a.js"))

        assert (finding.code, finding.line) == ("syntax", 4)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ('{\n  "run": [\n    {"method": "log"},\n  ]\n}\n', 4),
            ('{\n  // text\n  "run": []\n}', 2),
            ('{\n  "run": [\n', 3),
            ('{"a": "\\x"}', 1),
        ],
    )
    def test_json_that_is_none_is_told_with_its_line(self, app, text, line):
        app.write(a_json=text)

        finding = only(app.check("a.json"))

        assert (finding.code, finding.line) == ("syntax", line)

    def test_an_exception_in_a_module_that_is_required_is_told_where_it_arises(self, app):
        app.write(
            a_js="module.exports = require('./config').made()\n",
            config_js="exports.made = () => {\n  return null.x\n}\n",
        )

        finding = only(app.check("a.js"))

        assert (finding.file.rpartition("/")[2], finding.line) == ("config.js", 2)
        assert "TypeError" in finding.message

    def test_a_fault_of_one_machine_names_it(self, app):
        log = "{ method: 'log' }"
        app.write(a_js=f"module.exports = async (kernel) => ({{\n gpu: kernel.gpu_model.trim(),\n run: [{log}] }})")

        finding = only(app.check("a.js"))

        assert finding.machines == ("linux/no gpu",)
        assert finding.line == 2

    def test_a_missing_package_is_only_a_warning(self, app):
        app.write(a_js="const yaml = require('js-yaml')\nmodule.exports = { run: [{ method: 'log' }] }\n")

        result = app.check("a.js")

        assert result.ok
        assert told(result, "warning") == [("a.js", 1, "it needs the npm package 'js-yaml', which is not there yet")]

    def test_a_missing_neighbour_is_a_fault(self, app):
        app.write(a_js="const path = require('path')\nconst c = require('./config')\nmodule.exports = { run: [] }\n")

        finding = only(app.check("a.js"))

        assert (finding.code, finding.line) == ("load", 2)

    def test_a_script_that_writes_or_runs_programs_when_loaded_does_neither_and_is_no_fault(self, app):
        target = app.root / "made.txt"
        app.write(
            a_js=f"require('fs').writeFileSync({str(target)!r}, 'x')\nmodule.exports = {{ run: [] }}\n",
            b_js="require('child_process').execSync('true')\nmodule.exports = { run: [{ method: 'log' }] }\n",
        )

        for name in ("a.js", "b.js"):
            result = app.check(name)
            assert only(result, "warning").code == "denied"
            assert result.ok
        assert not target.exists()

    def test_a_script_that_never_ends_is_a_fault(self, app, monkeypatch):
        monkeypatch.setattr("pinokiocloud.apps.inspector._WATCHDOG", 0.5)
        app.write(a_js="for (;;) {}\n", b_js=step('{ method: "nope" }'))
        app.write(pinokio_js="module.exports = { menu: [{ text: 'a', href: 'a.js' }] }")

        result = app.check()

        assert {finding.code for finding in result.faults} == {"host", "method"}

    def test_a_promise_that_never_settles_is_a_fault(self, app):
        app.write(a_js="module.exports = async () => { await new Promise(() => {}) }\n")

        assert "gives no answer" in only(app.check("a.js")).message

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("module.exports = { run: [] }", "empty"),
            ("module.exports = { steps: [] }", "no list of steps named 'run'"),
            ("module.exports = (kernel) => Promise.resolve({ run: [{ method: 'log' }] })", "not async"),
        ],
    )
    def test_a_linked_file_without_steps_is_a_fault(self, app, text, message):
        app.write(pinokio_js="module.exports = { menu: [{ text: 'a', href: 'a.js' }] }", a_js=text)

        assert message in only(app.check()).message

    def test_a_function_called_run_is_judged_like_a_list(self, app):
        app.write(a_js="module.exports = {\n  run: async (kernel) => [\n    { method: 'nope' }\n  ]\n}\n")

        assert told(app.check("a.js")) == [("a.js", 3, "there is no method 'nope'")]


class TestMenus:
    def test_a_menu_that_throws_is_told_with_its_line_and_state(self, app):
        app.write(
            start_js='module.exports = { daemon: true, run: [{ method: "local.set", params: { url: "x" } }] }',
            pinokio_js="""module.exports = {
  menu: async (kernel, info) => {
    if (info.running("start.js")) {
      return [{ text: "Open", href: info.local("start.js").session.url }]
    }
    return [{ text: "Start", href: "start.js" }]
  }
}
""",
        )

        finding = only(app.check())

        assert (finding.code, finding.line) == ("menu", 4)
        assert finding.states == ("start.js starting", "start.js running")

    def test_a_menu_item_that_leads_nowhere_is_a_fault(self, app):
        app.write(
            pinokio_js='module.exports = { menu: [\n  { text: "Start", href: "strat.js" }\n] }',
            start_js=step('{ method: "log" }'),
        )

        finding = only(app.check())

        assert (finding.code, finding.line, finding.hint) == ("href", 2, "did you mean 'start.js'?")

    def test_a_menu_item_to_what_an_install_brings_is_a_warning(self, app):
        app.write(pinokio_js='module.exports = { menu: [{ text: "Start", href: "app/start.js" }] }')

        assert app.check().ok

    def test_a_menu_that_gives_no_list_is_a_fault(self, app):
        app.write(pinokio_js="module.exports = { menu: (kernel) => Promise.resolve([]) }")

        assert "declare the function as async" in only(app.check()).message

    def test_commands_of_a_menu_are_not_executed(self, app):
        made = app.root / "made"
        app.write(
            pinokio_js=f"""module.exports = {{ menu: async (kernel) => {{
  const got = await kernel.exec({{ message: "touch {made}" }})
  return [{{ text: got.stdout + "Start", href: "start.js" }}]
}} }}""",
            start_js=step('{ method: "log" }'),
        )

        assert app.check().findings == []
        assert not made.exists()

    def test_a_menu_that_needs_a_network_is_no_fault(self, app):
        body = "const r = await fetch('http://127.0.0.1:59999/'); return r.json()"
        app.write(pinokio_js=f"module.exports = {{ menu: async () => {{ {body} }} }}")

        result = app.check()

        assert result.ok
        assert "without a network" in only(result, "warning").message

    def test_a_menu_that_reads_what_the_installed_state_only_assumes_is_no_fault(self, app):
        app.write(
            pinokio_js="""const fs = require('fs')
const path = require('path')
module.exports = { menu: async (kernel, info) => {
  if (info.exists("env/config.json")) {
    const saved = await kernel.require(__dirname, "env/config.json")
    const text = fs.readFileSync(path.resolve(__dirname, "env/config.json"), "utf8")
    return [{ text: saved.name.first + text, href: "start.js" }]
  }
  return [{ text: "Install", href: "start.js" }]
} }""",
            start_js=step('{ method: "log" }'),
        )

        assert app.check().findings == []

    def test_a_menu_that_asks_the_file_system_itself_sees_the_state(self, app):
        app.write(
            pinokio_js="""const fs = require('fs')
module.exports = { menu: async (kernel, info) => {
  const start = { text: "a", href: "s.js" }
  return fs.existsSync(info.path("env")) ? [start, start] : [start]
} }""",
            s_js=step('{ method: "log" }'),
        )

        assert app.check().menu["installed"] == 2

    def test_an_installed_app_is_seen_as_new_for_the_fresh_state(self, app):
        app.write(
            pinokio_js=MENU, install_js=step('{ method: "log" }'), start_js=step('{ method: "log" }'), update_json=LOG
        )
        app.put("env/pyvenv.cfg")

        assert app.check().menu["fresh"] == 1


class TestOtherFiles:
    def test_lines_of_environment_that_set_nothing_are_warnings(self, app):
        app.write(pinokio_js="module.exports = { menu: [] }")
        app.put("_ENVIRONMENT", '# text\nA=1\nexport B="two\nlines"\nthis is nothing\nMY-KEY=3\n')

        assert [(line, message) for _, line, message in told(app.check(), "warning")] == [
            (5, "this line sets nothing: this is nothing"),
            (6, "'MY-KEY' is no name that a shell takes: the variable never reaches a command"),
        ]

    def test_metadata_that_is_no_json_is_a_warning_with_its_line(self, app):
        app.write(pinokio_js="module.exports = { menu: [] }", pinokio_json='{\n  title: "x"\n}')

        finding = only(app.check(), "warning")

        assert (finding.code, finding.line) == ("metadata", 2)


def test_the_result_is_json_like(app):
    app.write(a_js=step('{ method: "nope" }'))

    told_ = app.check("a.js").to_dict()

    assert told_["ok"] is False
    assert told_["faults"][0]["file"] == str(app.root / "a.js")
    assert told_["faults"][0] | {"line": 3, "step": 0, "action": "run"} == told_["faults"][0]
