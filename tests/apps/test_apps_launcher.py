"""Loading scripts without running them."""

from __future__ import annotations

import asyncio

import pytest

from pinokiocloud.apps.inspector import home_at
from pinokiocloud.apps.launcher import find_launcher, load_script, script_path
from pinokiocloud.errors import ScriptLoadError, ScriptNotFoundError, UsageError


def load(app, name):
    return asyncio.run(load_script(app.root / name, home=app.home))


def test_steps_actions_and_daemon_of_a_script_are_told(app):
    app.write(
        a_js="module.exports = async (kernel) => ({ daemon: true, title: kernel.platform && 't',\n"
        " run: [{ method: 'log', params: { raw: '{{x}}' } }], again: [{ method: 'log' }], list: [1] })"
    )

    script = load(app, "a.js")

    assert script.steps == [{"method": "log", "params": {"raw": "{{x}}"}}]
    assert set(script.actions) == {"run", "again"}
    assert (script.daemon, script.runnable, script.value["title"]) == (True, True, "t")


def test_a_file_without_steps_loads_and_is_not_runnable(app):
    app.write(a_json='{"title": "x"}')

    script = load(app, "a.json")

    assert (script.runnable, script.steps, script.value) == (False, [], {"title": "x"})


def test_an_ordinary_function_is_a_constructor_and_gets_no_kernel(app):
    app.write(a_js="module.exports = function (kernel) { return { run: [{ method: kernel ? 'kernel' : 'none' }] } }")

    assert load(app, "a.js").steps == [{"method": "none"}]


def test_a_script_that_cannot_be_loaded_is_an_error_with_file_and_line(app):
    app.write(a_js="module.exports = {\n  run: [}\n", b_json='{\n "run": nothing\n}')

    with pytest.raises(ScriptLoadError, match=r"a\.js:2: it cannot be loaded: SyntaxError"):
        load(app, "a.js")
    with pytest.raises(ScriptLoadError, match=r"b\.json:2: .*not valid JSON") as caught:
        load(app, "b.json")
    assert caught.value.context["line"] == 2


def test_a_missing_script_is_an_error(app):
    with pytest.raises(ScriptNotFoundError):
        load(app, "none.js")


def test_the_launcher_is_at_the_root_or_in_pinokio(app):
    assert find_launcher(app.root) is None
    inner = app.put("pinokio/pinokio.js")
    assert find_launcher(app.root) == inner
    outer = app.put("pinokio.js")
    assert find_launcher(app.root) == outer


class TestScriptPath:
    def test_it_counts_from_here_then_from_the_apps(self, app, monkeypatch):
        home = home_at(app.home)
        app.put("a.js")
        monkeypatch.chdir(app.root)

        assert script_path("a.js", home) == app.root / "a.js"
        assert script_path("app/b.js", home) == app.root / "b.js"
        assert script_path("~/api/app/b.js", home) == app.root / "b.js"
        assert script_path("/x/../y.js", home).as_posix() == "/y.js"

    def test_addresses_of_repositories_must_be_installed_ones(self, app):
        home = home_at(app.home)
        app.put(".git/config", '[remote "origin"]\n\turl = https://example.com/a/b.git\n')

        assert script_path("https://example.com/a/b.git/x.js", home) == app.root / "x.js"
        with pytest.raises(ScriptNotFoundError):
            script_path("https://example.com/a/other.git/x.js", home)
        with pytest.raises(UsageError):
            script_path("https://example.com/a/b/x.js", home)
