"""Events in a shell's output (spec §4.2.7)."""

from __future__ import annotations

from typing import Any

import pytest

from pinokiocloud import Engine, Event

SKIP = {"skip": True}
STAY = "; sleep 1000"


def shell_step(message: str, *on: Any, **params: Any) -> dict[str, Any]:
    return {"method": "shell.run", "params": {"message": message, "conda": SKIP, "on": list(on), **params}}


def show(template: str) -> dict[str, Any]:
    return {"method": "log", "params": {"raw": f"<{template}>"}}


@pytest.fixture
def events(app: Any, play: Any) -> Any:
    """Give a function that runs one command with handlers, and shows its event."""

    def go(message: str, *on: Any, **params: Any) -> Any:
        return play(
            app.script(shell_step(message, *on, **params), show("{{JSON.stringify([].slice.call(input.event || []))}}"))
        )

    return go


# ---- done, kill, plain -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("command", "event", "match"),
    [
        ("echo http://127.0.0.1:$((7000+860))", r"/http:\/\/[0-9.:]+/", '["http://127.0.0.1:7860"]'),
        ("echo URL is http://x:1/y$((1))", r"/URL is (http:\/\/\S+)/", '["URL is http://x:1/y1","http://x:1/y1"]'),
        ("echo rea''dy", "/READY/i", '["ready"]'),
        ("echo rea''dy", "ready", '["ready"]'),
        ("printf 'a\\033[31mb\\033[0mc\\n'", "/abc/", '["abc"]'),
        ("printf 'on''e\\ntw''o\\n'", r"/one\ntwo/", '["one\\ntwo"]'),
        ("printf 'on''e\\rtw''o\\n'", r"/^two/m", '["two"]'),
        ("printf 'x-y''-z'", r"/(?<first>x)-(?<second>y)-z/", '["x-y-z","x","y"]'),
        ("echo ü-日-😀-$((1))", "/ü-日-(.+)-1/u", '["ü-日-😀-1","😀"]'),
        ("echo a-$((1)); echo b-$((2))", r"/a-1[\s\S]*b-2/", '["a-1\\nb-2"]'),
        ("echo a-$((1)); echo b-$((2))", r"/a-1.*b-2/s", '["a-1\\nb-2"]'),
        ("echo op''t", r"/opt(x)?/", '["opt",null]'),
    ],
)  # fmt: skip
def test_a_done_event_ends_the_step_and_leaves_the_program_running(
    events: Any, command: str, event: str, match: str
) -> None:
    played = events(command + STAY, {"event": event, "done": True})
    assert played.result.status == "done"
    assert f"<{match}>" in played.text


def test_an_expression_object_works_as_an_event(app: Any, play: Any) -> None:
    played = play(
        app.js(
            """module.exports = { run: [
  { method: 'shell.run', params: { conda: { skip: true }, message: "echo Rea''dy at 78$((60))1; sleep 1000", on: [{ event: /ready at (?<port>\\d{4})/i, done: true }] } },
  { method: 'log', params: { raw: '<{{input.event[1]}} {{input.event.groups.port}}>' } }
] }"""
        )
    )
    assert "<7860 7860>" in played.text


def test_named_groups_and_index_are_there(app: Any, play: Any) -> None:
    played = play(
        app.script(shell_step("echo ab''c", {"event": "/(?<one>a)(?<two>z)?b/", "done": True}), show("{{input.event.groups.one}} {{typeof input.event.groups.two}} {{typeof input.event.index}}"))
    )  # fmt: skip
    assert "<a undefined number>" in played.text


def test_a_killing_event_ends_the_program(events: Any) -> None:
    played = events("trap 'echo never' EXIT; echo up-$((1)); sleep 1000", {"event": "/up-1/", "kill": True})
    assert played.result.status == "done"
    assert '<["up-1"]>' in played.text
    assert "never\n" not in played.text


def test_a_plain_event_is_remembered_and_ends_nothing(events: Any) -> None:
    played = events("echo up-$((1)); echo to the end", {"event": "/up-(.)/"})
    assert '<["up-1","1"]>' in played.text
    assert "to the end\n" in played.text


def test_without_a_match_the_command_ends_by_itself(events: Any) -> None:
    played = events("echo nothing", {"event": "/no such text/", "done": True})
    assert played.result.status == "done"
    assert "<[]>" in played.text


def test_a_handler_without_an_event_does_nothing(events: Any) -> None:
    assert events("echo x", {}, {"done": True}, {"event": None, "done": True}, None, "text", 5).result.status == "done"


def test_the_first_handler_that_matches_wins_whatever_comes_first_in_the_text(events: Any) -> None:
    on = [{"event": "/second-(.)/", "done": True}, {"event": "/first-(.)/", "done": True}]
    played = events("printf 'first-%s second-%s\\n' a b" + STAY, *on)
    assert '<["second-b","b"]>' in played.text


def test_handlers_before_the_one_that_ends_are_seen(events: Any) -> None:
    played = events(
        "echo a-$((1)) b-$((2))" + STAY,
        {"event": "/a-1/"},
        {"event": "/b-2/", "done": True},
        {"event": "/a-./", "done": True},
    )
    assert '<["b-2"]>' in played.text


# ---- where matches are found -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("pause", ["", "sleep 0.05; "])
def test_a_match_is_found_over_pieces(events: Any, pause: str) -> None:
    pieces = "".join(f"{pause}printf '{piece}'; " for piece in ["htt", "p:", "/", "/12", "7.0.0.1", ":78", "60", "/x"])
    played = events(pieces + "echo" + STAY, {"event": r"/http:\/\/[0-9.]+:7860\/x/", "done": True})
    assert '<["http://127.0.0.1:7860/x"]>' in played.text


def test_colours_that_are_cut_in_two_do_not_hide_a_match(events: Any) -> None:
    command = "for p in 'se''rver \\033' '[3' '2m' 'rea''dy \\033]0;ti' 'tle\\007' 'n''ow'; do printf \"$p\"; sleep 0.02; done"
    assert '<["server ready now"]>' in events(command + STAY, {"event": "/server ready now/", "done": True}).text


def test_a_character_that_is_cut_in_two_is_one(events: Any) -> None:
    played = events("printf '<\\xf0\\x9f'; sleep 0.05; printf '\\x98\\x80>'" + STAY, {"event": "/<😀>/", "done": True})
    assert '<["<😀>"]>' in played.text


def test_a_match_begins_sixty_thousand_characters_before(events: Any) -> None:
    command = "echo be''gin; head -c 60000 /dev/zero | tr '\\0' .; sleep 0.1; echo; echo the e''nd"
    played = events(command + STAY, {"event": r"/begin[\s\S]*the end/", "done": True})
    assert played.result.status == "done"
    assert "begin" in played.text.rpartition("<")[2]


def test_a_match_at_the_end_of_a_flood_is_found(events: Any) -> None:
    played = events(
        "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo Rea''dy-$((7))" + STAY,
        {"event": "/Ready-(7)/", "done": True},
    )
    assert '<["Ready-7","7"]>' in played.text


def test_a_match_at_the_end_of_a_flood_of_lines_is_found_without_a_literal(events: Any) -> None:
    played = events("seq 1 100000; echo Q-$((7))Z" + STAY, {"event": "/[Q]-[0-9](Z|Y)/", "done": True})
    assert '<["Q-7Z","Z"]>' in played.text


def test_what_a_look_ahead_sees_may_come_later(events: Any) -> None:
    played = events(
        "printf 'po''rt-1'; sleep 0.1; printf ' op''en\\n'" + STAY, {"event": "/port-1(?= open)/", "done": True}
    )
    assert '<["port-1"]>' in played.text


def test_an_address_that_comes_in_two_pieces_is_whole(events: Any) -> None:
    """The end of a match that touches the end of the output is not taken at once: more may come."""
    played = events(
        "printf 'at http://127.0.0.1:78'; printf '60/path\\n'" + STAY, {"event": r"/at (http:\/\/\S+)/", "done": True}
    )
    assert '"http://127.0.0.1:7860/path"' in played.text


def test_the_line_that_was_typed_is_no_output(events: Any) -> None:
    played = events("true # done-marker error: errno 5 ", {"event": "/done-marker/", "done": True})
    assert played.result.status == "done"
    assert "<[]>" in played.text


def test_the_lines_of_a_here_document_are_no_output(events: Any) -> None:
    played = events(
        "cat > /dev/null <<'EOF'\nerror: in the text\ndone-marker\nEOF\necho after",
        {"event": "/done-marker/", "done": True},
    )
    assert played.result.status == "done"
    assert "<[]>" in played.text


def test_output_of_an_earlier_line_is_seen_while_a_later_one_runs(events: Any) -> None:
    assert '<["one-1"]>' in events("echo one-$((1))\nsleep 1000", {"event": "/one-1/", "done": True}).text


def test_a_server_gives_back_control_by_its_address_and_lives_on(app: Any, with_engine: Any) -> None:
    app.write("server.py", (
        "import http.server, time\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n"
        "time.sleep(2)\n"
        "print(f'Running on http://127.0.0.1:{server.server_port}', flush=True)\n"
        "server.serve_forever()\n"
    ))  # fmt: skip
    script = app.script(
        shell_step("python3 server.py", {"event": r"/http:\/\/[0-9.:]+/", "done": True}),
        {"method": "local.set", "params": {"url": "{{input.event[0]}}"}},
        {"method": "net", "params": {"url": "{{local.url}}/server.py"}},
        show("{{input.includes('serve_forever')}}"),
        daemon=True,
    )

    async def work(engine: Engine) -> None:
        seen: list[Event] = []
        run = await engine.start(script, on_event=seen.append)
        result = await run.wait()
        assert result.status == "daemon"
        text = "".join(str(e.data["raw"]) for e in seen if e.kind == "stream")
        assert text.index("Running on http") < text.index("<true>")
        assert engine.shells.of(run.key)[0].alive
        assert str(result.url).startswith("http://127.0.0.1:")
        await run.stop()

    with_engine(work)


# ---- trigger, once, notify ------------------------------------------------------------------------------------------
def test_a_trigger_runs_an_action_beside(app: Any, play: Any) -> None:
    script = app.script(
        shell_step("for i in 1 2; do echo ti''ck-$i; sleep 0.2; done", {"event": "/tick-(.)/", "trigger": "tick"}),
        tick=[show("{{input.trigger}} {{input.event[1]}}")],
        daemon=True,
    )
    text = play(script).text
    assert "<tick 1>" in text
    assert "<tick 2>" in text


def test_once_fires_once(app: Any, play: Any) -> None:
    script = app.script(
        shell_step(
            "for i in 1 2 3; do echo ti''ck-$i; sleep 0.1; done",
            {"event": "/tick-(.)/", "trigger": "tick", "once": True},
        ),
        tick=[show("{{input.event[1]}}")],
        daemon=True,
    )
    text = play(script).text
    assert "<1>" in text
    assert "<2>" not in text


def test_a_trigger_goes_on_after_the_step_is_done(app: Any, with_engine: Any, until: Any) -> None:
    script = app.script(
        shell_step("echo up-$((1)); while [ ! -e go ]; do sleep 0.02; done; echo la''ter-7; sleep 1000", {"event": "/later-(.)/", "trigger": "later"}, {"event": "/up-1/", "done": True}),
        later=[show("later {{input.event[1]}}")],
        daemon=True,
    )  # fmt: skip

    async def work(engine: Engine) -> None:
        seen: list[Event] = []
        run = await engine.start(script, on_event=seen.append)
        assert (await run.wait()).status == "daemon"
        app.write("go", "")
        await until(lambda: "<later 7>" in str(seen))
        await run.stop()

    with_engine(work)


def test_handlers_behind_an_empty_item_are_found(app: Any, with_engine: Any, until: Any) -> None:
    handler = {"event": "/tick-(.)/", "trigger": "tick", "notify": {"message": "tick {{event[1]}}"}}
    script = app.script(
        shell_step("echo ti''ck-1; sleep 0.3", None, {"event": "/nothing/"}, handler),
        tick=[show("{{input.event[1]}}")],
        daemon=True,
    )

    async def work(engine: Engine) -> None:
        seen: list[Event] = []
        run = await engine.start(script, on_event=seen.append)
        await until(
            lambda: "<1>" in str(seen) and [e.data for e in seen if e.kind == "push"] == [{"message": "tick 1"}]
        )
        assert (await run.wait()).ok

    with_engine(work)


def test_a_notice_is_pushed_with_the_match(app: Any, with_engine: Any, until: Any) -> None:
    script = app.script(
        shell_step(
            "echo pr''ogress 40; sleep 0.5",
            {"event": r"/progress (\d+)/", "notify": {"title": "t", "message": "at {{event[1]}}"}},
        )
    )

    async def work(engine: Engine) -> None:
        seen: list[Event] = []
        run = await engine.start(script, on_event=seen.append)
        await until(lambda: [e.data for e in seen if e.kind == "push"])
        assert [e.data for e in seen if e.kind == "push"] == [{"title": "t", "message": "at 40"}]
        await run.wait()

    with_engine(work)


# ---- errors -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "command",
    ["echo 'err''or: no'", "echo 'ERR''OR: no'", "echo '[Err''no 13] denied'", "printf 'ERR\\033[31mOR: no\\n'", "echo 'err''or: no' >&2", "echo \"TypeErr\"\"or: x\""],
)  # fmt: skip
def test_an_error_in_the_output_fails_the_step(events: Any, command: str) -> None:
    assert events(command).result.status == "error"
    assert events(command + "; sleep 1000").result.status == "error"


@pytest.mark.parametrize(
    "command", ["echo 'an error happened'", "echo error", "echo errnos", "echo 'error :'", "echo 0 errors"]
)
def test_a_mere_word_fails_nothing(events: Any, command: str) -> None:
    assert events(command).result.status == "done"


def test_an_error_over_two_pieces_fails_the_step(events: Any) -> None:
    assert events("printf err; sleep 0.05; printf 'or: x\\n'; sleep 1000").result.status == "error"


def test_errors_that_are_none_are_forgiven(events: Any) -> None:
    assert events("echo 'Err''or: cannot import triton'").result.status == "done"
    assert events("echo 'Err''or: harm''less'", {"event": "/Error: harmless/", "break": False}).result.status == "done"
    assert (
        events(
            "echo 'Err''or: harm''less'; echo 'Err''or: real'", {"event": "/Error: harmless/", "break": False}
        ).result.status
        == "error"
    )
    assert events("echo 'err''or: x'; echo af''ter", {"event": "/error:/", "break": False}).result.status == "done"


def test_an_error_of_ones_own_fails_the_step(events: Any) -> None:
    played = events("echo pa''nic now; sleep 1000", {"event": "/panic (\\w+)/", "break": True})
    assert played.result.status == "error"
    assert "panic now" in str(played.result.error)


def test_an_error_after_the_done_event_does_not_matter(events: Any) -> None:
    assert (
        events(
            "echo up-$((1)); sleep 0.3; echo 'err''or: late'" + STAY, {"event": "/up-1/", "done": True}
        ).result.status
        == "done"
    )


def test_an_error_before_the_done_event_in_one_piece_fails_the_step(events: Any) -> None:
    assert events("printf 'err''or: x\\nup''-1\\n'" + STAY, {"event": "/up-1/", "done": True}).result.status == "error"


def test_with_input_errors_do_not_end_the_step(app: Any, with_engine: Any, until: Any) -> None:
    script = app.script(shell_step("echo 'err''or: x'; sleep 0.2; echo still he''re", input=True))

    async def work(engine: Engine) -> None:
        seen: list[Event] = []
        run = await engine.start(script, on_event=seen.append)
        await until(lambda: "still here" in str(seen))
        assert not run.finished
        await run.stop()

    with_engine(work)


# ---- what is no event ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("event", ["/(/", "/[/", "/a/gg", "/(?<n>a)(?<n>b)/", "(", "*", "/a**/"])
def test_an_invalid_expression_is_a_clear_error(events: Any, event: str) -> None:
    played = events("echo x", {"event": event, "done": True})
    assert played.result.status == "error"
    assert event in played.result.message
    assert "regular expression" in played.result.message


@pytest.mark.parametrize("event", [5, True, ["/a/"], {"a": 1}])
def test_an_event_of_another_kind_is_a_clear_error(events: Any, event: Any) -> None:
    played = events("echo x", {"event": event, "done": True})
    assert played.result.status == "error"
    assert "regular expression" in played.result.message


def test_an_expression_that_matches_nothing_of_length_ends(events: Any) -> None:
    assert events("echo abc", {"event": "/x*/"}).result.status == "done"
    assert events("echo 😀", {"event": "/(?:)/u", "done": True}).result.status == "done"


# ---- the guide's words (systems.md §1) -----------------------------------------------------------------------------------
@pytest.mark.parametrize("word", ["stdout", "stderr", "end"])
def test_the_guides_words_are_no_expressions(events: Any, word: str) -> None:
    played = events(f"echo {word[:2]}''{word[2:]}", {"event": word, "return": "local.out"})
    assert played.result.status == "done"
    assert "<[]>" in played.text
