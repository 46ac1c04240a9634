"""What a script would do: followed as far as it is known, marked where it is not, and nothing executed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from pinokiocloud.apps.machines import MACHINES, with_gpu
from pinokiocloud.apps.plan import plan_script
from pinokiocloud.errors import ScriptNotFoundError
from pinokiocloud.platforms.machine import Machine

CASES = Path(__file__).parents[1] / "conformance" / "cases"
MACHINE = Machine(platform="linux", arch="x64", ram=13)


def script(app, *steps, name="a.js", **more):
    """Write a script of steps given as JSON-like objects."""
    app.put(name, f"module.exports = {json.dumps({**more, 'run': list(steps)})}")


def states(plan):
    return [(step.index, step.state) for step in plan.steps]


def log(text="x", **more):
    return {"method": "log", "params": {"raw": text}, **more}


class TestFlow:
    def test_conditions_are_evaluated_for_the_machine(self, app):
        script(app, log(when="{{gpu === 'nvidia'}}"), log(when="{{platform === 'linux' && gpu !== 'nvidia'}}"), log())

        assert states(app.plan("a.js")) == [(0, "skip"), (1, "run"), (2, "run")]
        assert states(app.plan("a.js", MACHINES["linux/nvidia"])) == [(0, "run"), (1, "skip"), (2, "run")]

    def test_a_step_with_next_null_ends_the_script(self, app):
        script(app, log(when="{{false}}", next=None), log(next=None), log())

        assert states(app.plan("a.js")) == [(0, "skip"), (1, "run")]

    def test_jumps_and_ids_are_followed(self, app):
        script(app, log(next="c"), log(), log(id="c"), {"method": "jump", "params": {"index": 5}}, log(), log())

        assert [index for index, _ in states(app.plan("a.js"))] == [0, 2, 3, 5]

    def test_a_counted_loop_is_followed_to_its_end(self, app):
        script(
            app,
            {"method": "local.set", "params": {"i": "{{(local.i || 0) + 1}}"}},
            {"when": "{{local.i < 3}}", "method": "jump", "params": {"index": 0}},
            log("{{local.i}}"),
        )

        plan = app.plan("a.js")

        assert [index for index, _ in states(plan)] == [0, 1, 0, 1, 0, 1, 2]
        assert plan.steps[-1].effects.prints == "3"

    def test_an_endless_loop_is_told_instead_of_followed(self, app):
        script(app, log(), {"method": "jump", "params": {"index": 0}})

        plan = app.plan("a.js")

        assert len(plan.steps) < 6
        assert "repeats from step" in plan.notes[0]

    def test_arguments_are_known(self, app):
        script(app, log("{{args.name}}"), log(when="{{args.more}}"))

        plan = app.plan("a.js", args={"name": "x"})

        assert plan.steps[0].effects.prints == "x"
        assert states(plan) == [(0, "run"), (1, "skip")]

    def test_braces_in_arguments_are_no_templates(self, app):
        script(app, log("{{args.name}}"))

        assert app.plan("a.js", args={"name": "{{platform}}"}).steps[0].effects.prints == "{{platform}}"

    def test_a_script_that_would_not_start_says_why(self, app):
        app.put("a.js", "module.exports = {\n  run: [}")
        app.put("b.js", "module.exports = { run: [] }")

        assert app.plan("a.js").fault.startswith(f"{app.root}/a.js:2: SyntaxError")
        assert "empty" in app.plan("b.js").fault

    def test_another_action_can_be_planned(self, app):
        script(app, log("one"), again=[log("two")])

        assert app.plan("a.js", action="again").steps[0].effects.prints == "two"

    def test_a_missing_script_is_an_error(self, app):
        with pytest.raises(ScriptNotFoundError):
            app.plan("none.js")

    @pytest.mark.parametrize(
        "step",
        [
            {"method": "shell.rum"},
            {"params": {}},
            {"method": "log", "when": "{{nope.x}}"},
            {"method": "fs.read", "params": {"path": "missing"}},
            {"method": "script.start", "params": {"uri": "missing.js"}},
            {"method": "import", "params": {}},
        ],
    )
    def test_a_step_that_is_bound_to_fail_ends_the_plan(self, app, step):
        script(app, step, log())

        plan = app.plan("a.js")

        assert states(plan) == [(0, "fault")]
        assert plan.steps[0].notes


class TestUnknown:
    def test_what_depends_on_a_result_is_marked_and_not_guessed(self, app):
        script(
            app,
            {"method": "shell.run", "params": {"message": "ls"}},
            {"method": "local.set", "params": {"url": "{{input.event[0]}}", "n": "{{1 + 1}}"}},
            log("{{local.url}} and {{local.n}}."),
            log(when="{{local.url ? true : false}}"),
        )

        _, second, third, fourth = app.plan("a.js").steps

        assert second.depends == ({"template": "{{input.event[0]}}", "on": ["step 0"]},)
        assert second.effects.sets == {"local": {"url": "{{input.event[0]}}", "n": 2}}
        assert third.depends == ({"template": "{{local.url}}", "on": ["step 0"]},)
        assert third.effects.prints == "{{local.url}} and 2."
        assert (fourth.state, fourth.depends[0]["on"]) == ("if", ["step 0"])

    def test_a_condition_that_does_not_get_to_the_unknown_part_is_known(self, app):
        script(app, {"method": "shell.run", "params": {"message": "ls"}}, log(when="{{gpu === 'nvidia' && input.x}}"))

        assert states(app.plan("a.js")) == [(0, "run"), (1, "skip")]

    def test_what_a_step_sets_that_perhaps_runs_is_unknown(self, app):
        script(
            app,
            {"method": "shell.run", "params": {"message": "ls"}},
            {"when": "{{input.stdout}}", "method": "local.set", "params": {"a": 1}},
            log("{{local.a}}"),
        )

        assert app.plan("a.js").steps[2].depends == ({"template": "{{local.a}}", "on": ["step 1"]},)

    def test_what_follows_an_end_that_perhaps_comes_is_marked(self, app):
        script(
            app, {"method": "shell.run", "params": {"message": "ls"}}, log(when="{{input.stdout}}", next=None), log()
        )

        plan = app.plan("a.js")

        assert states(plan) == [(0, "run"), (1, "if"), (2, "maybe")]
        assert plan.steps[1].notes == ("if it runs, the script ends after it",)

    def test_answers_to_questions_are_unknown(self, app):
        form = [{"key": "name", "title": "Name", "type": "text", "default": "x"}]
        script(app, {"method": "input", "params": {"title": "Who?", "form": form}}, log("{{input.name}}"))

        first, second = app.plan("a.js").steps

        (question,) = first.effects.questions
        assert (question.title, question.fields) == ("Who?", tuple(form))
        assert second.depends[0]["on"] == ["step 0"]

    def test_steps_that_are_functions_are_not_called(self, app):
        made = app.root / "made"
        app.put("a.js", f"module.exports = {{ run: [{{ method: () => require('fs').writeFileSync('{made}', '') }}] }}")

        (step,) = app.plan("a.js").steps

        assert (step.method, step.state) == (None, "run")
        assert "not known" in step.notes[0]
        assert not made.exists()


class TestFiles:
    def exists(self, app, *before, path="x"):
        script(app, *before, log(when=f"{{{{exists('{path}')}}}}"))
        return app.plan("a.js").steps[-1].state

    def test_files_are_as_they_are_now(self, app):
        assert self.exists(app) == "skip"
        app.put("x")
        assert self.exists(app) == "run"

    def test_what_steps_make_and_remove_counts(self, app):
        write = {"method": "fs.write", "params": {"path": "x/y", "text": "t"}}
        remove = {"method": "fs.rm", "params": {"path": "x"}}

        assert self.exists(app, write) == "run"
        assert self.exists(app, write, remove) == "skip"
        assert self.exists(app, write, remove, path="x/y") == "skip"

    def test_writing_nothing_removes_a_file(self, app):
        app.put("x", "text")

        assert self.exists(app, {"method": "fs.write", "params": {"path": "x", "text": ""}}) == "skip"

    def test_what_a_command_may_make_is_unknown(self, app):
        shell = {"method": "shell.run", "params": {"message": "git clone x"}}

        assert self.exists(app, shell) == "if"
        assert app.plan("a.js").steps[-1].depends[0]["on"] == ["step 0"]

    def test_a_virtual_environment_is_made_once(self, app):
        shell = {"method": "shell.run", "params": {"message": "ls", "venv": "env"}}
        script(app, log(), shell, shell)

        _, first, second = app.plan("a.js").steps

        assert [step.effects.commands[0].venv["exists"] for step in (first, second)] == [False, True]


class TestNested:
    def test_scripts_are_gone_through_with_their_arguments(self, app):
        script(
            app,
            {"method": "script.start", "params": {"uri": "sub/b.js", "params": {"venv": "env"}}},
            log("{{input.r}}"),
        )
        script(app, log("{{args.venv}} {{cwd}}."), {"method": "script.return", "params": {"r": 7}}, name="sub/b.js")

        first, second = app.plan("a.js").steps

        assert first.script.path == app.root / "sub" / "b.js"
        assert first.script.steps[0].effects.prints == f"env {app.root}/sub."
        assert second.effects.prints == "7"

    def test_arguments_that_are_unknown_stay_so_in_the_child(self, app):
        script(
            app,
            {"method": "shell.run", "params": {"message": "ls"}},
            {"method": "script.start", "params": {"uri": "b.js", "params": {"port": "{{input.event[1]}}", "n": 1}}},
        )
        script(app, log("{{args.port}}"), log("{{args.n}}"), name="b.js")

        steps = app.plan("a.js").steps[1].script.steps

        assert steps[0].depends == ({"template": "{{args.port}}", "on": ["step 0 of a.js"]},)
        assert not steps[1].depends

    def test_a_daemon_child_stays_up_and_its_variables_can_be_read(self, app):
        script(
            app,
            {"method": "script.start", "params": {"uri": "b.js"}},
            log("{{script.local(cwd, 'b.js').url}}", when="{{running('b.js')}}"),
            {"method": "script.start", "params": {"uri": "b.js"}},
        )
        script(app, {"method": "local.set", "params": {"url": "http://x"}}, name="b.js", daemon=True)

        first, second, third = app.plan("a.js").steps

        assert first.script.daemon
        assert second.effects.prints == "http://x"
        assert third.script is None
        assert "running already" in third.notes[0]

    def test_scripts_that_start_each_other_come_to_an_end(self, app):
        script(app, {"method": "script.start", "params": {"uri": "b.js"}})
        script(app, {"method": "script.start", "params": {"uri": "a.js"}}, name="b.js")

        assert len(list(app.plan("a.js").walk())) == 2

    def test_a_repository_that_is_not_installed_is_cloned_first(self, app):
        script(app, {"method": "script.start", "params": {"uri": "https://example.com/a/b.git/start.js"}})

        (command,) = app.plan("a.js").steps[0].effects.commands

        assert command.line == "git clone https://example.com/a/b.git example_com_a_b_git"


class TestEffects:
    def effects(self, app, method, params):
        script(app, {"method": method, "params": params})
        return app.plan("a.js").steps[0].effects

    def test_commands_have_folder_variables_environment_and_events(self, app):
        params = {
            "message": ["one {{platform}}", "", "{{null}}", {"_": ["two", "a b"]}],
            "path": "app",
            "env": {"A": 1, "PATH": ["/x", "/y"]},
            "venv": "env",
            "venv_python": "3.11",
            "on": [{"event": "/http:/", "done": True}, {"event": "/error/i", "break": False}],
        }

        first, second = self.effects(app, "shell.run", params).commands

        assert (first.line, second.line) == ("one linux", "'two' 'a b'")
        assert first.folder == str(app.root / "app")
        assert first.env == {"A": "1", "PATH": "/x:/y"}
        assert first.venv == {"path": str(app.root / "app/env"), "python": "3.11", "exists": False}
        assert first.events == (
            {"event": "/http:/", "then": "the step is done"},
            {"event": "/error/i", "then": "no error"},
        )

    def test_chained_messages_are_one_command(self, app):
        (command,) = self.effects(app, "shell.run", {"message": ["a", "b"], "chain": "&"}).commands

        assert command.line == "a && b"

    def test_downloads_have_their_addresses_and_target(self, app):
        one, two = (
            self.effects(app, "fs.download", {"uri": ["http://x/a", "http://x/b"], "dir": "m"}).downloads[0],
            self.effects(app, "hf.download", {"_": ["org/model", "file.bin"], "local-dir": "m"}).downloads[0],
        )

        assert (one.urls, one.target) == (("http://x/a", "http://x/b"), str(app.root / "m"))
        assert (two.urls, two.target) == (("https://huggingface.co/org/model/file.bin",), str(app.root / "m"))

    def test_files_that_are_touched_are_told(self, app):
        changes = [
            self.effects(app, method, params).files[0]
            for method, params in (
                ("fs.rm", {"path": "app"}),
                ("json.set", {"c.json": {"a": 1}}),
                ("fs.link", {"drive": {"models": "m"}, "peers": []}),
                ("env.set", {"A": "1"}),
            )
        ]

        assert [(change.action, Path(change.path).name) for change in changes] == [
            ("remove", "app"),
            ("change", "c.json"),
            ("share", "m"),
            ("change", "ENVIRONMENT"),
        ]

    def test_links_and_waits_are_told(self, app):
        assert self.effects(app, "browser.open", {"uri": "http://x"}).links[0].url == "http://x"
        assert self.effects(app, "notify", {"html": "done"}).links[0].text == "done"
        assert self.effects(app, "process.wait", {"sec": 5}).waits == "sec 5"
        assert self.effects(app, "script.stop", {"uri": "b.js"}).stops == (str(app.root / "b.js"),)


class TestMachines:
    def test_a_machine_keeps_its_own_card_of_the_kind_that_is_asked_for(self):
        own = MACHINES["win32/nvidia"]

        assert with_gpu(own, "nvidia") is own
        assert with_gpu(own, "amd").gpu_target == "gfx1100"
        assert (with_gpu(own, "none").gpu, with_gpu(own, "none").platform) == ("none", "win32")

    def test_templates_and_scripts_see_the_machine(self, app):
        app.put(
            "a.js",
            "module.exports = async (kernel) => ({ run: [{ method: 'log', params: { raw:"
            " `${kernel.gpu} ${process.platform} {{os.platform()}} {{gpus.length}} {{typeof gpu_model}}.` } }] })",
        )

        assert app.plan("a.js", MACHINES["win32/nvidia"]).steps[0].effects.prints == "nvidia win32 win32 1 string."
        assert app.plan("a.js", MACHINES["linux/no gpu"]).steps[0].effects.prints == "none linux linux 0 undefined."


RECORDED = """
args-basic daemon jump-id jump-input jump-last jump-loop local-import local-set next-attr next-template
script-child-local script-nested script-return-mid script-return-top script-start script-start-twice-params
shell-array shell-noparams shell-venv tpl-keys tpl-mixed tpl-nested-result tpl-syntax-error tpl-types
when-basic when-platform when-skip-last when-skip-next
"""


@pytest.mark.parametrize("name", RECORDED.split())
def test_a_plan_names_the_steps_that_the_reference_was_recorded_to_run(name, tmp_path):
    case = json.loads((CASES / f"{name}.json").read_text())
    home = tmp_path / "home"
    for path, text in case["files"].items():
        file = home / "api" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    script_file = home / "api" / "app" / case["script"]
    more = {} if case["args"] is None else {"args": case["args"]}

    plan = asyncio.run(plan_script(script_file, home=home, machine=MACHINE, **more))

    planned = sorted((str(step.file), step.index, step.state) for step in plan.walk())
    recorded = sorted(
        (step["script"].replace("$HOME", str(home)), step["index"], "skip" if step.get("skipped") else "run")
        for step in case["outcome"]["steps"]
    )
    assert planned == recorded
