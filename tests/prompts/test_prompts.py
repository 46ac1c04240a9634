"""Who answers what a script asks: a person at the terminal, answers given beforehand, or nobody."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud.errors import PromptError
from pinokiocloud.prompts import PresetPrompter, Prompt, TerminalPrompter, UnattendedPrompter


def form(*fields: dict[str, Any], **params: Any) -> dict[str, Any]:
    return {"method": "input", "params": {"title": "Title", **params, "form": list(fields)}}


SHOW = {"method": "log", "params": {"raw": "<{{JSON.stringify(input)}}>"}}


def prompt(*keys: str, kind: str = "input", **params: Any) -> Prompt:
    return Prompt(kind, params, "/app/install.json", 3, [{"key": key} for key in keys])


def ask(prompter: Any, question: Prompt) -> Any:
    return asyncio.run(prompter.ask(question))


# ---- nobody ------------------------------------------------------------------------------------------------------------
def test_nobody_says_which_keys_are_asked_for_and_how_to_answer() -> None:
    with pytest.raises(PromptError) as caught:
        ask(UnattendedPrompter(), prompt("token", "model", title="Login"))
    text = str(caught.value)
    for word in ("token", "model", "Login", "step 3", "/app/install.json", "--answer"):
        assert word in text
    assert caught.value.to_dict()["code"] == "prompt"


def test_a_script_that_asks_nobody_fails_with_that_text(app: Any, play: Any) -> None:
    played = play(app.script(form({"key": "token"}, {"key": "model"})))
    assert played.result.status == "error"
    assert "token, model" in played.result.message


def test_a_file_is_asked_for_in_the_same_way(app: Any, play: Any) -> None:
    played = play(app.script({"method": "filepicker.open", "params": {"title": "Which file?"}}))
    assert played.result.status == "error"
    assert "Which file?" in played.result.message


def test_a_message_needs_nobody(app: Any, play: Any) -> None:
    assert play(app.script({"method": "modal", "params": {"title": "Done"}}, SHOW)).lines[-1] == "<{}>"


# ---- answers given beforehand -----------------------------------------------------------------------------------------------
def test_answers_are_taken_in_order_and_then_it_is_an_error(app: Any, play: Any) -> None:
    script = app.script(form({"key": "a"}), SHOW, form({"key": "b"}), SHOW, form({"key": "c"}), SHOW)
    played = play(script, engine={"prompter": PresetPrompter([{"a": 1}, {"b": [True]}])})
    assert played.result.status == "error"
    assert "(c)" in played.result.message
    assert [line for line in played.lines if line.startswith("<")] == ['<{"a":1}>', '<{"b":[true]}>']


def test_after_the_answers_the_next_one_is_asked() -> None:
    prompter = PresetPrompter([1], PresetPrompter([2]))
    assert [ask(prompter, prompt()), ask(prompter, prompt())] == [1, 2]
    with pytest.raises(PromptError):
        ask(prompter, prompt())


@pytest.mark.parametrize(
    ("answer", "paths"), [("/x", ["/x"]), (["/x", "/y"], ["/x", "/y"]), ({"paths": ["/z"]}, ["/z"])]
)
def test_a_file_may_be_answered_as_text_or_list(app: Any, play: Any, answer: Any, paths: list[str]) -> None:
    played = play(
        app.script({"method": "filepicker.open", "params": {}}, SHOW), engine={"prompter": PresetPrompter([answer])}
    )
    assert played.lines[-1] == f"<{json.dumps({'paths': paths}, separators=(',', ':'))}>"


def test_the_guides_question_gives_its_value_and_sets_a_local(app: Any, play: Any) -> None:
    question = {"method": "input", "params": {"message": "Name?", "return": "local.name"}}
    played = play(
        app.script(question, {"method": "log", "params": {"raw": "<{{local.name}} {{input}}>"}}),
        engine={"prompter": PresetPrompter([{"value": "Ann"}])},
    )
    assert "<Ann Ann>" in played.text


def test_a_script_without_a_form_gets_what_was_confirmed(app: Any, play: Any) -> None:
    played = play(app.script({"method": "input"}, SHOW), engine={"prompter": PresetPrompter([{}])})
    assert played.lines[-1] == "<{}>"


# ---- a person ---------------------------------------------------------------------------------------------------------------
def test_without_a_terminal_nobody_is_asked(app: Any, play: Any) -> None:
    played = play(app.script(form({"key": "a"})), engine={"prompter": TerminalPrompter()})
    assert played.result.status == "error"
    assert "nobody is there" in played.result.message


def test_every_kind_of_field(app: Any, terminal: Any) -> None:
    app.write("file.bin", b"\x00\xffdata")
    script = app.script(
        form(
            {"key": "name", "title": "Your name", "description": "as on the door", "required": True},
            {
                "key": "model",
                "type": "select",
                "title": "Model",
                "items": ["small", {"text": "Large one", "value": "large"}],
                "default": "small",
            },
            {"key": "other", "type": "select", "title": "Other", "items": ["small", "large"], "default": "small"},
            {"key": "ok", "type": "checkbox", "title": "Agree"},
            {"key": "port", "type": "number", "title": "Port", "default": 7860},
            {"key": "empty", "title": "Empty"},
            {"key": "file", "type": "file", "title": "File"},
            description="Please fill in",
        ),
        {"method": "log", "params": {"raw": "<{{JSON.stringify({...input, file: input.file.toString('hex')})}}>"}},
    )
    person = terminal("run", str(script))
    shown = person.until("Your name: ")
    assert "Title" in shown
    assert "Please fill in" in shown
    assert "as on the door" in shown
    person.type("\n")
    person.until("Your name: ")
    person.type("Jürgen Ü\n")
    assert "2. Large one" in person.until("Model [small]: ")
    person.type("9\n")
    person.until("Model [small]: ")
    person.type("2\n")
    person.until("Other [small]: ")
    person.type("\n")
    person.until("Agree (y/n): ")
    person.type("Y\n")
    person.until("Port [7860]: ")
    person.type("\n")
    person.until("Empty: ")
    person.type("\n")
    person.until("File: ")
    person.type(f"{app.folder}/no-such\n")
    person.until("File: ")
    person.type(f"{app.folder}/file.bin\n")
    assert person.end() == 0
    answer = json.loads(person.shown.decode().rpartition("<")[2].partition(">")[0])
    assert answer == {
        "name": "Jürgen Ü",
        "model": "large",
        "other": "small",
        "ok": True,
        "port": "7860",
        "empty": "",
        "file": "00ff64617461",
    }


@pytest.mark.parametrize("typed", ["n\n", "\n", "no\n", "x\n"])
def test_a_box_is_ticked_only_by_a_yes(app: Any, terminal: Any, typed: str) -> None:
    person = terminal("run", str(app.script(form({"key": "ok", "type": "checkbox", "default": True}), SHOW)))
    person.until("ok (y/n): ")
    person.type(typed)
    assert person.end() == 0
    assert b'<{"ok":false}>' in person.shown


def test_files_are_asked_for(app: Any, terminal: Any) -> None:
    person = terminal(
        "run", str(app.script({"method": "filepicker.open", "params": {"multiple": True, "title": "Files"}}, SHOW))
    )
    person.until("path(s), separated by commas: ")
    person.type("/a b, /c\n")
    assert person.end() == 0
    assert b'<{"paths":["/a b","/c"]}>' in person.shown


def test_a_message_waits_for_enter(app: Any, terminal: Any) -> None:
    person = terminal("run", str(app.script({"method": "modal", "params": {"title": "Look", "html": "at this"}}, SHOW)))
    assert "at this" in person.until("press Enter")
    person.type("\n")
    assert person.end() == 0
    assert b"<{}>" in person.shown


SECRET = "hf_SecretTokenValue123"


def test_a_password_is_seen_nowhere(app: Any, terminal: Any, home: Path) -> None:
    script = app.script(
        form({"key": "token", "type": "password", "title": "Token"}),
        {"method": "log", "params": {"raw": "length {{input.token.length}}"}},
    )
    trace = app.folder / "trace.jsonl"
    person = terminal("run", str(script), "--trace", str(trace))
    person.until("Token: ")
    assert not person.echoes
    person.type(SECRET + "\n")
    assert person.end() == 0
    assert f"length {len(SECRET)}".encode() in person.shown
    assert SECRET.encode() not in person.shown
    for file in home.rglob("*"):
        if file.is_file() and "miniforge" not in file.parts and file != trace:
            assert SECRET.encode() not in file.read_bytes(), file


def test_a_password_is_in_no_event(app: Any, play: Any) -> None:
    script = app.script(form({"key": "token", "type": "password"}), {"method": "log", "params": {"raw": "x"}})
    played = play(script, engine={"prompter": PresetPrompter([{"token": SECRET}])})
    assert played.result.status == "done"
    assert SECRET not in repr(played.events)
    assert SECRET not in repr(played.result)


@pytest.mark.parametrize("kind", ["text", "password", "checkbox"])
def test_ctrl_c_at_a_question_ends_at_once_and_leaves_the_terminal_as_it_was(
    app: Any, terminal: Any, kind: str
) -> None:
    person = terminal("run", str(app.script(form({"key": "a", "type": kind, "title": "Ask"}))))
    person.until("Ask")
    person.type("\x03")
    assert person.end() == 130
    assert person.echoes
    assert b"Traceback" not in person.shown
    assert b"Fatal" not in person.shown


@pytest.mark.parametrize("kind", ["text", "password"])
def test_a_closed_terminal_is_a_clear_error(app: Any, terminal: Any, kind: str) -> None:
    person = terminal("run", str(app.script(form({"key": "a", "type": kind, "title": "Ask"}))))
    person.until("Ask: ")
    person.type("\x04")
    assert person.end() == 1
    assert b"the terminal was closed" in person.shown
    assert b"Traceback" not in person.shown


def test_unattended_never_asks(app: Any, terminal: Any) -> None:
    person = terminal("run", "--unattended", str(app.script(form({"key": "a"}))))
    assert person.end() == 1
    assert b"nobody is there" in person.shown


def test_answers_go_before_the_person(app: Any, terminal: Any) -> None:
    person = terminal(
        "run", "--answer", '{"a": 5}', str(app.script(form({"key": "a"}), SHOW, form({"key": "b"}), SHOW))
    )
    person.until("b: ")
    person.type("typed\n")
    assert person.end() == 0
    assert b'<{"a":5}>' in person.shown
    assert b'<{"b":"typed"}>' in person.shown
