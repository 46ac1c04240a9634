"""The menu of an app, evaluated in a process that can only read."""

from __future__ import annotations

import asyncio

import pytest

from pinokiocloud.apps.inspector import Inspector, app_folder, home_at
from pinokiocloud.apps.machines import MACHINES
from pinokiocloud.apps.menu import evaluate_menu, plain_text
from pinokiocloud.errors import HostError, ScriptLoadError, ScriptNotFoundError


def menu_of(app, **more):
    return asyncio.run(evaluate_menu(app.root, home=app.home, **more))


def labels(menu):
    return [item.text for item in menu.items]


def test_a_menu_sees_the_files_as_they_are(app):
    app.write(pinokio_js="module.exports = { menu: (k, info) => [{ text: String(info.exists('env')), href: 'a.js' }] }")

    before = labels(menu_of(app))
    app.put("env/x")

    assert (before, labels(menu_of(app))) == (["false"], ["true"])


def test_scripts_run_only_as_far_as_the_caller_says_so(app):
    app.write(
        pinokio_js="""module.exports = { menu: async (kernel, info) => [
  { text: `${info.running("s.js")} ${info.local("s.js").url} ${kernel.running(__dirname, "s.js")}`, href: "s.js" }
] }"""
    )

    assert labels(menu_of(app)) == ["false undefined false"]
    assert labels(menu_of(app, running=["s.js"], local={"s.js": {"url": "http://x"}})) == ["true http://x true"]


def test_an_app_behind_a_link_is_the_same_app(app, tmp_path):
    app.write(
        pinokio_js="""module.exports = { menu: async (kernel, info) => [
  { text: `${info.running("s.js")} ${info.local("s.js").url} ${info.exists("s.js")}`, href: "s.js" } ] }""",
        s_js="",
    )
    link = tmp_path / "link"
    link.symlink_to(app.root)

    menu = asyncio.run(evaluate_menu(link, home=app.home, running=["s.js"], local={"s.js": {"url": "http://x"}}))

    assert labels(menu) == ["true http://x true"]
    assert menu.items[0].script == link / "s.js"


def test_the_machine_is_the_callers(app):
    app.write(
        pinokio_js="module.exports = { menu: async (kernel) => [{ text: kernel.gpu + kernel.platform, href: 'a' }] }"
    )

    assert labels(menu_of(app, machine=MACHINES["win32/nvidia"])) == ["nvidiawin32"]


def test_items_are_told_with_what_they_lead_to(app):
    app.put(
        "pinokio/pinokio.js",
        """module.exports = { menu: [
  { text: "<b>Start</b> it", icon: "fa", href: "start.js?x=1", params: { a: 1 }, default: true, confirm: "sure?" },
  { text: "Open", href: "http://127.0.0.1:1", popout: true },
  { text: "More", menu: [{ html: "<i>Deep</i>", href: "deep.json" }] },
  { text: "a label" }, { text: "nothing", href: undefined }
] }""",
    )

    menu = menu_of(app)
    start, web, more = menu.items

    assert (start.text, start.script, start.params, start.confirm) == (
        "Start it",
        app.root / "pinokio" / "start.js",
        {"a": 1},
        "sure?",
    )
    assert menu.default is start
    assert (web.url, web.script, web.extra) == ("http://127.0.0.1:1", None, {"popout": True})
    assert [(item.text, item.script) for item in more.items] == [("Deep", app.root / "pinokio" / "deep.json")]
    assert menu.to_dict()["menu"][2]["menu"][0]["href"] == "deep.json"


def test_title_and_icon_come_from_the_launcher_and_the_metadata_over_it(app):
    app.write(
        pinokio_js="module.exports = { title: 'One', icon: 'icon.png', description: '<b>x</b>' }",
        pinokio_json='{"title": "Two"}',
    )

    menu = menu_of(app)

    assert (menu.title, menu.description, menu.icon, menu.items) == ("Two", "x", app.root / "icon.png", ())


def test_an_app_without_launcher_has_its_folders_name_and_no_items(app):
    menu = menu_of(app)

    assert (menu.title, menu.launcher, menu.items) == ("app", None, ())


def test_a_menu_that_throws_is_an_error_with_file_and_line(app):
    app.write(pinokio_js="module.exports = {\n  menu: async (kernel) => {\n    return kernel.nothing.here\n  }\n}\n")

    with pytest.raises(ScriptLoadError, match=rf"{app.root}/pinokio.js:3: .*throws: TypeError"):
        menu_of(app)


def test_a_launcher_that_cannot_be_loaded_is_an_error_with_file_and_line(app):
    app.write(pinokio_js="module.exports = {\n  menu: [\n}\n")

    with pytest.raises(ScriptLoadError, match=r"pinokio.js:3: it cannot be loaded: SyntaxError"):
        menu_of(app)


def test_a_menu_can_neither_write_nor_start_programs(app):
    made = app.root / "made"
    app.write(pinokio_js=f"module.exports = {{ menu: async () => {{ require('fs').writeFileSync('{made}', '') }} }}")
    with pytest.raises(ScriptLoadError, match="it writes"):
        menu_of(app)

    app.write(pinokio_js="module.exports = { menu: async () => require('child_process').execSync('true') }")
    with pytest.raises(ScriptLoadError, match="it starts a process"):
        menu_of(app)

    assert not made.exists()


def test_what_a_menu_wanted_and_did_not_get_is_told(app, tmp_path):
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    app.write(
        pinokio_js=f"""module.exports = {{ menu: async (kernel) => {{
  const done = await kernel.exec({{ message: "nvidia-smi" }})
  return [{{ text: done.stdout + String(require("fs").existsSync("{secret}")), href: "a" }}]
}} }}"""
    )

    menu = menu_of(app)

    assert labels(menu) == ["false"]
    assert menu.notes == ("it wanted to run exec nvidia-smi", f"it may not look at {secret}")


def test_a_menu_may_look_into_the_home_and_at_the_programs_on_the_path(app):
    (app.home / "api" / "other").mkdir()
    app.write(
        pinokio_js="""module.exports = { menu: async (kernel) => [
  { text: `${await kernel.exists("api/other")} ${kernel.which("sh") !== null}`, href: "a" }] }"""
    )

    assert labels(menu_of(app)) == ["true true"]


def test_a_menu_that_never_gives_back_control_is_an_error(app, monkeypatch):
    monkeypatch.setattr("pinokiocloud.apps.inspector._WATCHDOG", 0.4)
    app.write(pinokio_js="module.exports = { menu: async () => { for (;;) {} } }")

    with pytest.raises(HostError):
        menu_of(app)


def test_one_process_serves_several_menus_and_survives_one_that_ends_it(app):
    other = app.root.parent / "other"
    app.write(pinokio_js="module.exports = { menu: async () => process.exit(1) }")
    other.mkdir()
    (other / "pinokio.js").write_text("module.exports = { menu: [{ text: 'fine', href: 'a.js' }] }")

    async def both():
        async with Inspector(app.root, home=app.home) as look:
            with pytest.raises(HostError):
                await evaluate_menu(app.root, inspector=look)
            return await evaluate_menu(other, inspector=look)

    assert labels(asyncio.run(both())) == ["fine"]


def test_a_missing_folder_is_an_error(app):
    with pytest.raises(ScriptNotFoundError):
        asyncio.run(evaluate_menu(app.root / "nothing"))


def test_the_home_is_not_made_by_looking(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "pinokio.js").write_text("module.exports = { menu: (kernel) => [{ text: kernel.homedir, href: 'a' }] }")

    menu = asyncio.run(evaluate_menu(folder, home=tmp_path / "home"))

    assert labels(menu) == [str(tmp_path / "home")]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("Start", "Start"),
        ("<div><strong>Save</strong><div>Space</div></div>", "Save Space"),
        ("a &amp; b", "a & b"),
        ("  two\n lines ", "two lines"),
        ("1 < 2", "1 < 2"),
    ],
)
def test_labels_are_shown_without_html(html, text):
    assert plain_text(html) == text


class TestAppFolder:
    def test_below_the_home_it_is_the_first_folder(self, app):
        script = app.put("deep/er/a.js")

        assert app_folder(script, home_at(app.home)) == app.root

    def test_elsewhere_it_is_the_nearest_with_a_launcher_or_a_repository(self, tmp_path):
        home = home_at(tmp_path / "home")
        for name in ("one/pinokio.js", "one/sub/a.js", "two/pinokio/pinokio.js", "two/pinokio/a.js", "three/a.js"):
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

        assert app_folder(tmp_path / "one/sub/a.js", home) == tmp_path / "one"
        assert app_folder(tmp_path / "two", home) == tmp_path / "two"
        assert app_folder(tmp_path / "three/a.js", home) == tmp_path / "three"
