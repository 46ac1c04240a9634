"""What `check` says about the steps of a script: each fault at its line, and nothing about what is right."""

from __future__ import annotations

import pytest
from found import LOG, only, step, told


class TestSteps:
    def check(self, app, text):
        app.write(a_js=step(text))
        return app.check("a.js")

    def test_an_unknown_method_is_told_with_the_one_that_was_meant(self, app):
        finding = only(self.check(app, '{ method: "shell.rum", params: { message: "x" } }'))

        assert (finding.message, finding.line) == ("there is no method 'shell.rum'", 3)
        assert finding.hint == "did you mean 'shell.run'?"

    def test_an_unknown_method_is_told_although_its_condition_is_false(self, app):
        assert only(self.check(app, '{ when: "{{false}}", method: "fs.nothing" }')).code == "method"

    def test_a_step_without_method_is_a_fault(self, app):
        finding = only(self.check(app, '{ methd: "log", params: { raw: "x" } }'))

        assert finding.message == "step 0 has no method"
        assert finding.hint == "did you mean 'method' by 'methd'?"

    def test_a_step_that_is_no_object_is_a_fault(self, app):
        assert len(self.check(app, 'null, "log"').faults) == 2

    def test_methods_that_are_functions_and_kernel_methods_are_fine(self, app):
        result = self.check(app, "{ method: async () => 1 }, { method: 'kernel.bin.exec', params: {} }")

        assert result.findings == []

    def test_an_unknown_kernel_method_is_a_fault(self, app):
        assert only(self.check(app, "{ method: 'kernel.bin.nothing', params: {} }")).code == "method"

    @pytest.mark.parametrize(
        ("text", "lacking"),
        [
            ('{ method: "fs.write" }', "'params' (path)"),
            ('{ method: "fs.copy", params: { src: "a" } }', "'dest'"),
            ('{ method: "fs.download", params: { uri: "http://x" } }', "'dir' or 'path'"),
            ('{ method: "local.set" }', "'params'"),
            ('{ method: "jump", params: {} }', "'index' or 'id'"),
        ],
    )
    def test_missing_params_are_a_fault(self, app, text, lacking):
        assert only(self.check(app, text)).message.endswith(f"needs {lacking}")

    def test_a_path_variable_that_is_no_list_is_a_fault(self, app):
        text = '{ method: "shell.run", params: { message: "x", env: {\n "PATH": "/opt" } } }'

        finding = only(self.check(app, text))

        assert (finding.code, finding.line) == ("params", 4)

    def test_an_unknown_key_that_resembles_one_is_a_warning(self, app):
        assert (
            only(self.check(app, '{ method: "log", parms: { raw: "x" } }'), "warning").hint == "did you mean 'params'?"
        )

    def test_events_beside_params_are_a_warning(self, app):
        text = '{ method: "shell.run", params: { message: "x" }, on: [{ event: "/x/" }] }'

        assert only(self.check(app, text), "warning").hint == "put it into 'params'"

    def test_a_step_module_must_exist_and_have_the_function(self, app):
        app.put("mod.js", "module.exports = class {\n  go () {}\n}\n")
        text = (
            "{ uri: './mod.js', method: 'go' }, { uri: './mod.js', method: 'nope' }, { uri: './none.js', method: 'go' }"
        )

        assert [message for _, _, message in told(self.check(app, text))] == [
            "the module ./mod.js has no function 'nope'",
            f"the step's module ./none.js does not exist: {app.root}/none.js",
        ]

    def test_steps_that_a_helper_makes_are_told_where_they_are_written(self, app):
        app.write(
            helper_js="module.exports = (name) => ({\n  method: 'shell.rum',\n  params: { message: name }\n})\n",
            a_js="const one = require('./helper')\nmodule.exports = { run: ['x', 'y'].map(one) }\n",
        )

        assert {(name, line) for name, line, _ in told(app.check("a.js"))} == {("helper.js", 2)}


class TestTemplates:
    def check(self, app, text):
        app.write(a_js=step(text))
        return app.check("a.js")

    def test_a_pure_template_that_does_not_compile_names_what_stays_unrendered_with_it(self, app):
        finding = only(self.check(app, '{ method: "log", params: {\n raw: "{{platform}}",\n note: "{{not valid}}" } }'))

        assert finding.line == 5
        assert "does not compile" in finding.message
        assert "nothing beside it is replaced either: raw" in finding.message

    def test_two_templates_that_span_a_text_are_told_as_such(self, app):
        finding = only(self.check(app, '{ method: "log", params: { raw: "{{platform}} {{arch}}" } }'))

        assert "two templates that begin and end a text" in finding.message

    def test_a_mixed_text_names_the_templates_that_stay_with_it(self, app):
        finding = only(self.check(app, '{ method: "log", params: { raw: "a {{gpu}} b {{not valid}}." } }'))

        assert "so do {{gpu}}" in finding.message

    @pytest.mark.parametrize(
        "text", ["x {{platform}} {{arch}}", "{{{input.event[0]}}}", "{ not } a {template}", "{{'}'}}"]
    )
    def test_sound_texts_are_no_fault(self, app, text):
        assert self.check(app, f'{{ method: "log", params: {{ raw: "{text}" }} }}').findings == []

    def test_go_templates_are_only_a_warning(self, app):
        result = self.check(app, '{ method: "shell.run", params: { message: "docker ps --format \'{{.Names}}\'" } }')

        assert result.ok
        assert only(result, "warning").code == "template"

    def test_an_undeclared_name_is_a_warning_on_the_machines_that_evaluate_it(self, app):
        text = """{ when: "{{platform === 'linux'}}", method: "log", params: { raw: "{{cuda_available()}}" } }"""

        finding = only(self.check(app, text), "warning")

        assert finding.machines == ("linux/nvidia", "linux/no gpu", "linux/amd")
        assert "ReferenceError" in finding.message

    def test_what_only_a_run_knows_is_no_finding(self, app):
        texts = [
            "{{input.event[0]}}",
            "{{args.a.b.c}}",
            "{{local.x.y}}",
            "{{input.a ? input.b.c : 1}}",
            "{{exists('x') ? 1 : nope}}",
            "{{input}}",
        ]
        steps = ",".join(f'{{ method: "log", params: {{ raw: "{text}" }} }}' for text in texts)

        assert self.check(app, steps).findings == []

    def test_templates_for_the_event_of_a_shell_are_no_finding(self, app):
        on = '[{ event: "/x/", return: "{{event.matches[0][0]}}" }]'

        assert self.check(app, f'{{ method: "shell.enter", params: {{ message: "x", on: {on} }} }}').findings == []

    def test_variables_that_are_asked_for_beforehand_are_no_finding(self, app):
        log = "{ method: 'log', params: { raw: '{{env.MY_KEY}}{{env.OTHER_KEY}}.' } }"
        app.write(a_js=f"module.exports = {{ pre: [{{ env: 'MY_KEY' }}], run: [{log}] }}")

        assert "OTHER_KEY" in only(app.check("a.js"), "warning").message


class TestConditions:
    def check(self, app, when):
        app.write(a_js=step(f'{{ method: "log", params: {{ raw: "x" }},\n when: "{when}" }}'))
        return app.check("a.js")

    def test_a_condition_that_throws_is_a_fault(self, app):
        finding = only(self.check(app, "{{cfg.mode}}"))

        assert (finding.code, finding.line) == ("when", 4)
        assert "cfg is not defined" in finding.message

    def test_it_names_the_machines_where_it_throws(self, app):
        assert only(self.check(app, "{{kernel.gpu_model.includes('rtx')}}")).machines == ("linux/no gpu",)

    @pytest.mark.parametrize("when", ["gpu === 'nvidia'", "false", "0"])
    def test_a_text_without_braces_is_always_true(self, app, when):
        finding = only(self.check(app, when), "warning")

        assert "always true" in finding.message
        assert finding.hint == f"write {{{{{when}}}}}"

    @pytest.mark.parametrize("when", ["{{platform === 'linux'}} ", "x{{gpu}}"])
    def test_a_template_with_text_around_it_is_always_true(self, app, when):
        assert "always true" in only(self.check(app, when), "warning").message

    def test_a_template_that_is_not_closed_is_always_true(self, app):
        assert "is not closed on its line" in only(self.check(app, "{{gpu === 'nvidia'"), "warning").message

    def test_a_promise_is_always_true(self, app):
        assert "Promise" in only(self.check(app, "{{kernel.exists('x')}}"), "warning").message

    def test_two_templates_are_a_fault(self, app):
        finding = only(self.check(app, "{{platform === 'linux'}} && {{true}}"))

        assert "the whole step stays as it is written" in finding.message

    @pytest.mark.parametrize(
        "when", ["{{local.mode}}", "{{exists('x')}}", "{{args && args.x}}", "{{false}}", "{{undefined}}"]
    )
    def test_ordinary_conditions_are_no_finding(self, app, when):
        assert self.check(app, when).findings == []


class TestTargets:
    def check(self, app, text):
        app.write(a_js=step(text))
        return app.check("a.js")

    @pytest.mark.parametrize(
        "text",
        [
            '{ method: "log", next: "nowhere" }',
            '{ method: "log", next: 7 }',
            '{ method: "jump", params: { index: -1 } }',
            '{ method: "jump", params: { id: "nowhere" } }',
        ],
    )
    def test_a_target_that_does_not_exist_is_a_fault(self, app, text):
        assert only(self.check(app, text)).code == "jump"

    def test_the_id_that_was_meant_is_named(self, app):
        assert (
            only(self.check(app, '{ id: "start", method: "log" }, { method: "log", next: "strat" }')).hint
            == "did you mean 'start'?"
        )

    @pytest.mark.parametrize(
        "text",
        [
            '{ method: "log", next: null }',
            '{ method: "log", next: "{{args.x}}" }',
            '{ id: "a", method: "jump", params: { id: "a" } }',
        ],
    )
    def test_sound_targets_are_no_finding(self, app, text):
        assert self.check(app, text).findings == []

    def test_an_id_that_stands_twice_is_a_warning(self, app):
        result = self.check(app, '{ id: "a", method: "log" }, { id: "a", method: "log" }')

        assert {finding.code for finding in result.warnings} == {"jump"}

    def test_a_number_written_as_text_is_a_warning(self, app):
        assert (
            only(self.check(app, '{ method: "jump", params: { index: "1" } }, { method: "log" }'), "warning").hint
            == "write a number"
        )

    def test_a_script_that_does_not_exist_is_a_fault_with_the_one_that_was_meant(self, app):
        app.put("torch.js", LOG)

        finding = only(self.check(app, '{ method: "script.start", params: {\n uri: "troch.js" } }'))

        assert (finding.code, finding.line, finding.hint) == ("uri", 4, "did you mean 'torch.js'?")

    def test_a_script_that_an_install_brings_is_only_a_warning(self, app):
        result = self.check(app, '{ method: "script.start", params: { uri: "app/start.js" } }')

        assert result.ok
        assert only(result, "warning").code == "uri"

    def test_a_repository_that_is_not_installed_is_no_finding_but_must_be_a_git_address(self, app):
        good = '{ method: "script.start", params: { uri: "https://example.com/a/b.git/start.js" } }'
        bad = '{ method: "script.start", params: { uri: "https://example.com/a/b/start.js" } }'

        assert self.check(app, good).findings == []
        assert only(self.check(app, bad)).code == "uri"


class TestEvents:
    def check(self, app, event):
        app.write(
            a_js=step(
                f'{{ method: "shell.run", params: {{ message: "x", on: [\n {{ event: {event}, done: true }}] }} }}'
            )
        )
        return app.check("a.js")

    @pytest.mark.parametrize(
        "event", ['"/http:\\\\/\\\\/[0-9.:]+/"', '"/a(?<n>b)/gi"', "/text/", '"stdout"', "null", '"{{args.event}}"']
    )
    def test_regular_expressions_are_no_finding(self, app, event):
        assert self.check(app, event).findings == []

    def test_an_event_without_slashes_is_a_warning_since_only_the_original_fails(self, app):
        finding = only(self.check(app, '"Running on"'), "warning")

        assert (finding.code, finding.line, finding.hint) == ("event", 4, "write /Running on/")

    def test_an_event_that_is_no_text_is_a_fault(self, app):
        assert only(self.check(app, "7")).code == "event"

    def test_an_expression_that_does_not_compile_in_javascript_is_a_fault(self, app):
        assert "does not compile" in only(self.check(app, '"/(a/"')).message

    def test_a_trigger_must_name_a_list_of_steps(self, app):
        app.write(
            a_js=step('{ method: "shell.run", params: { message: "x", on: [{ event: "/x/", trigger: "again" }] } }')
        )

        assert only(app.check("a.js")).code == "event"
