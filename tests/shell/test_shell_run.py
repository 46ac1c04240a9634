"""What a ``shell.run`` does with commands of every kind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud import Engine, Event

SKIP = {"skip": True}


def step(message: Any, **params: Any) -> dict[str, Any]:
    return {"method": "shell.run", "params": {"message": message, "conda": SKIP, **params}}


def output(played: Any) -> str:
    """Give what the commands printed: what is between the typed line and the prompt."""
    return played.text


def logged(home: Path, script: Path) -> bytes:
    return (home / "logs" / "shell" / script.relative_to(home / "api").with_name(script.name + ".log")).read_bytes()


def codes(played: Any) -> list[int]:
    return [data["code"] for data in played.of("exit")]


@pytest.fixture
def shell(app: Any, play: Any) -> Callable[..., Any]:
    """Give a function that runs one command."""

    def go(message: Any, **params: Any) -> Any:
        return play(app.script(step(message, **params), {"method": "local.set", "params": {"r": "{{input}}"}}))

    return go


# ---- output ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1_000_000, 20_000_000])
def test_a_flood_is_complete_in_the_log(app: Any, play: Any, home: Path, size: int) -> None:
    script = app.script(step(f"head -c {size} /dev/zero | tr '\\0' '\\043'; echo; echo the end"))
    played = play(script)
    assert played.result.status == "done"
    assert logged(home, script).count(b"#") == size
    assert logged(home, script).count(b"\r\nthe end\r\n") == 1
    assert played.text.count("#") == size


def test_a_flood_of_lines_is_complete_in_the_log(app: Any, play: Any, home: Path) -> None:
    script = app.script(step("seq -f 'n%.0f' 1 300000"))
    assert play(script).result.status == "done"
    numbers = [line[1:] for line in logged(home, script).replace(b"\r", b"\n").split(b"\n") if line.startswith(b"n")]
    assert numbers == [b"%d" % i for i in range(1, 300001)]


def test_output_that_is_no_utf8_is_kept_in_the_log_and_shown_as_replacements(app: Any, play: Any, home: Path) -> None:
    script = app.script(
        step("printf '<\\xff\\xfe\\x00\\xe2\\x82>'; echo; printf '\\xf0\\x9f'; printf '\\x98\\x80'; echo")
    )
    played = play(script)
    assert b"<\xff\xfe\x00\xe2\x82>" in logged(home, script)
    assert "<\ufffd\ufffd\0\ufffd>" in played.text
    assert "😀" in played.text


def test_a_last_escape_is_not_lost(app: Any, play: Any, home: Path) -> None:
    script = app.script(step("exec printf 'last\\033'"))
    play(script)
    assert logged(home, script).endswith(b"last\x1b")


def test_the_log_goes_on_over_the_steps(app: Any, play: Any, home: Path) -> None:
    script = app.script(step("echo one"), step("echo two"))
    play(script)
    assert [
        word
        for word in (b"one\r\n", b"two\r\n")
        if logged(home, script).count(b"\n" + word) + logged(home, script).count(b"\r" + word) == 1
    ] == [b"one\r\n", b"two\r\n"]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("echo 'héllo wörld 日本語 😀'", "héllo wörld 日本語 😀\n"),
        ("printf 'a\\tb\\n'", "a\tb\n"),
        ("echo a\tb", "a b\n"),
        ("echo 'a\tb'", "a\tb\n"),
        ("cat <<EOF\nline one\n  line two\nEOF", "line one\n  line two\n"),
        ("cat <<'EOF'\n$HOME `x` \"q\"\nEOF", "$HOME `x` \"q\"\n"),
        ("cat <<-EOF\n\tindented\n\tEOF", "indented\n"),
        ("for i in 1 2 3\ndo\necho n$i\ndone", "n1\nn2\nn3\n"),
        ("echo one; echo two\necho three", "three\n"),
        ("echo a \\\n  b", "a b\n"),
        ("echo 'two\nlines'", "two\nlines\n"),
        ("echo $((6*7)) ${HOME:+x}$(echo sub)", "42 xsub\n"),
        ("bash -c 'echo nested $1' x arg", "nested arg\n"),
        ("bash <<'EOF'\necho from $0\nEOF", "from bash\n"),
        ("f() { echo in f; }; f", "in f\n"),
        ("echo 'a!b' \"c!d\" e!f", None),
        ("echo {1..3} *.json", "1 2 3 main.json\n"),
        ("# only a comment", ""),
        ("true", ""),
        ("echo -n no newline", "no newline"),
    ],
)  # fmt: skip
def test_commands_of_every_kind(shell: Any, command: str, shown: str | None) -> None:
    played = shell(command)
    assert played.result.status == "done", played.result.message
    if shown is not None:
        assert shown in played.text


def test_a_line_of_a_hundred_thousand_characters(shell: Any) -> None:
    text = "".join(chr(97 + i % 26) for i in range(100_000))
    played = shell(f'x={text}; echo ${{#x}} $(printf %s "$x" | md5sum)')
    import hashlib

    assert f"100000 {hashlib.md5(text.encode()).hexdigest()}" in played.text


def test_a_here_document_of_a_thousand_lines(shell: Any) -> None:
    lines = "\n".join(f"line {i} with 'quotes\" and $dollars" for i in range(1000))
    assert (
        "1000 " in shell(f"wc <<'EOF'\n{lines}\nEOF").text.split("EOF\n")[-1].replace("   ", " ")
        or "1000" in shell(f"wc -l <<'EOF'\n{lines}\nEOF").text
    )


def test_arguments_arrive_as_they_were_given(app: Any, play: Any) -> None:
    words = [
        "a'!b",
        "it's",
        '"q"',
        "a\tb",
        "$HOME",
        "`id`",
        "\\n",
        "x" * 5000,
        "é😀",
        "!!",
        "",
        " ",
        "*",
        "#x",
        "two\nlines",
        "\x1b[1mbold\x1b[0m",
        "a\x01\x1fb\x7f\x16",
    ]
    file = app.folder / "got"
    played = play(app.script(step({"_": ["sh", "-c", f"printf '%s\\0' \"$@\" > '{file}'", "sh", *words]})))
    assert played.result.status == "done", played.result.message
    assert file.read_bytes().decode().split("\0")[:-1] == words


@pytest.mark.parametrize("lang", ["C", "POSIX", "", "xx_YY.nothing"])
def test_unicode_does_not_need_a_locale(app: Any, play: Any, lang: str) -> None:
    file = app.folder / "got"
    played = play(
        app.script(step(f"printf %s 'é日😀' > '{file}'", **{"-env": ["LC_ALL", "LC_CTYPE"], "env": {"LANG": lang}}))
    )
    assert played.result.status == "done", played.result.message
    assert file.read_text("utf-8") == "é日😀"


# ---- the end of a command -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("exit 3", 3), ("exit 0", None), ("(exit 3)", 3), ("false", 1), ("exec true", None), ("exec false", 1), ("set -e; false; echo never", 1),
        ("set -e; true", None), ("no-such-command-xyz", 127), ("kill -9 $$", -9), ("kill -TERM $$; echo alive", None), ("trap 'echo bye' EXIT; exit 4", 4),
        ("bash -c 'exit 5'", 5), ("exit 300", 44), ("sleep 100 & exit 6", 6), ("set -u; echo $UNSET_XYZ", 1), ("exec bash -c 'exit 9'", 9),
    ],
)  # fmt: skip
def test_exit_codes(shell: Any, command: str, code: int | None) -> None:
    played = shell(command)
    assert played.result.status == "done", played.result.message
    assert codes(played) == ([] if code is None else [code])
    assert "never" not in played.text.replace("echo never", "")


def test_the_exit_code_of_an_earlier_line_is_not_the_lasts(shell: Any) -> None:
    assert codes(shell("false\ntrue")) == []
    assert codes(shell("true\nfalse")) == [1]


@pytest.mark.parametrize(
    "command",
    ["echo 'open", 'echo "open', "echo $(", "if true; then", "cat <<EOF\nline", "f() {", "echo \\", "(echo a"],
)
def test_what_is_never_closed_is_a_clear_error(shell: Any, command: str) -> None:
    played = shell(command)
    assert played.result.status == "error"
    assert "not closed" in played.result.message


@pytest.mark.parametrize("command", ["echo )", "if", "fi", "echo a; ; echo b", "!no-such-history-xyz"])
def test_what_bash_does_not_accept_ends(shell: Any, command: str) -> None:
    played = shell(command)
    assert played.result.status in ("done", "error")


@pytest.mark.parametrize(
    "change",
    [
        "PS1='> '", "PS1=''", "export PS1='$(date) \\w\\n$ '", "PROMPT_COMMAND=", "unset PROMPT_COMMAND", "PROMPT_COMMAND='echo mine'", "PS0=", "PS2=",
        "unset PS0 PS2 PROMPT_COMMAND", "set +o emacs", "bind 'set enable-bracketed-paste off'", "shopt -s extglob; set -o vi",
        "exec 2>/dev/null", "stty -echo", "trap 'true' DEBUG", "set -x", "set -o posix", "alias printf=false", "printf() { false; }", "IFS=x",
    ],
)  # fmt: skip
def test_a_shell_that_is_changed_still_ends(shell: Any, change: str) -> None:
    played = shell(f"{change}\necho next line")
    assert played.result.status == "done", played.result.message
    assert "next line" in played.text
    played = shell(f"{change}; true")
    assert played.result.status == "done"
    assert codes(played) == []


def test_a_startup_file_of_the_machine_may_change_the_prompt(app: Any, play: Any) -> None:
    app.write(
        "rc",
        "PS1='\\u@\\h:\\w\\$ '\nPROMPT_COMMAND='printf \"\\033]0;title\\007\"'\n[ -z \"$PS1\" ] && return\nalias ll='ls -l'\n",
    )
    played = play(app.script(step("source ./rc && echo sourced && false")))
    assert played.result.status == "done"
    assert "sourced" in played.text
    assert codes(played) == [1]


def test_without_params_only_the_activation_runs(app: Any, play: Any) -> None:
    assert play(app.script({"method": "shell.run"})).result.status == "done"


# ---- folders and programs ----------------------------------------------------------------------------------------
def test_a_missing_folder_is_made(app: Any, play: Any) -> None:
    played = play(app.script(step("pwd", path="a/b c/d")))
    assert f"{app.folder}/a/b c/d" in played.text
    assert (app.folder / "a/b c/d").is_dir()


def test_a_folder_that_is_a_file_is_a_clear_error(app: Any, play: Any) -> None:
    app.write("file", "x")
    for path in ("file", "file/below"):
        played = play(app.script(step("pwd", path=path)))
        assert played.result.status == "error"
        assert str(app.folder / path) in played.result.message
        assert "folder" in played.result.message
        assert "Errno" not in played.result.message


def test_a_folder_that_cannot_be_made_is_a_clear_error(app: Any, play: Any) -> None:
    played = play(app.script(step("pwd", path="/proc/no/such")))
    assert played.result.status == "error"
    assert "/proc/no" in played.result.message
    assert "Errno" not in played.result.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_without_permission_is_a_clear_error(app: Any, play: Any) -> None:
    (app.folder / "closed").mkdir(mode=0)
    played = play(app.script(step("pwd", path="closed")))
    assert played.result.status == "error"
    assert "closed" in played.result.message


@pytest.mark.parametrize("program", ["no-such-shell-xyz", "/no/such/bash", "/etc/passwd", "/tmp", "/no/such/sh"])
def test_a_shell_program_that_is_missing_is_a_clear_error(shell: Any, program: str) -> None:
    played = shell("echo hi", shell=program)
    assert played.result.status == "error"
    assert program in played.result.message


def test_sh(shell: Any) -> None:
    played = shell("echo in $0; exit 3", shell="sh")
    assert "in " in played.text
    assert codes(played) == [3]


def test_sh_sees_events_and_errors(app: Any, play: Any) -> None:
    script = app.script(
        step("echo ready at 7; sleep 100", shell="sh", on=[{"event": "/ready at (\\d)/", "done": True}]),
        {"method": "log", "params": {"raw": "got={{input.event[1]}}"}},
    )
    assert "got=7" in play(script).text
    assert play(app.script(step("echo 'error: no'", shell="sh"))).result.status == "error"


def test_another_bash_works_as_the_usual_one(shell: Any) -> None:
    played = shell("echo $((1+1))two", shell="/bin/bash")
    assert "2two" in played.text


# ---- stdin ----------------------------------------------------------------------------------------------------------
def stopped_while(with_engine: Any, until: Any, script: Path, shown: str) -> list[Event]:
    """Run a script until a text was printed, then stop it; give the events."""

    async def work(engine: Engine) -> list[Event]:
        events: list[Event] = []
        run = await engine.start(script, on_event=events.append)
        await until(lambda: shown in "".join(str(e.data["raw"]) for e in events if e.kind == "stream"))
        assert not run.finished
        result = await run.stop()
        assert result.status == "stopped"
        return events

    return with_engine(work)


def test_a_command_that_reads_waits_until_the_stop(app: Any, with_engine: Any, until: Any) -> None:
    stopped_while(with_engine, until, app.script(step("echo wait$((1)); read x; echo got $x")), "wait1")


def test_a_nested_shell_waits_until_the_stop(app: Any, with_engine: Any, until: Any) -> None:
    stopped_while(with_engine, until, app.script(step("bash --norc -c 'echo up$((1)); exec cat'")), "up1")


def typed(with_engine: Any, until: Any, script: Path, dialogue: list[tuple[str, str]], then: str) -> Any:
    """Run a script with ``input: true``: wait for each text, then type the answer; give what was printed by the stop."""

    async def work(engine: Engine) -> str:
        events: list[Event] = []

        def text() -> str:
            return "".join(str(e.data["raw"]) for e in events if e.kind == "stream")

        run = await engine.start(script, on_event=events.append)
        for wanted, answer in dialogue:
            await until(lambda wanted=wanted: wanted in text())
            (session,) = engine.shells.of(run.key)
            session.write(answer)
        await until(lambda: then in text())
        await run.stop()
        return text()

    return with_engine(work)


def test_what_is_typed_reaches_a_command_that_reads(app: Any, with_engine: Any, until: Any) -> None:
    script = app.script(step("read -p 'na''me? ' x; echo got-$x", input=True))
    typed(with_engine, until, script, [("name? ", "Jürgen\n")], "got-Jürgen")


def test_a_shell_with_input_stays_at_its_prompt(app: Any, with_engine: Any, until: Any) -> None:
    script = app.script(step("echo fir''st", input=True))
    typed(
        with_engine,
        until,
        script,
        [("first", "echo sec''ond\n"), ("second", "bash --norc -c 'read q; echo dee$q'\n"), ("echo dee$q", "per\n")],
        "deeper",
    )


def test_a_python_prompt_answers(app: Any, with_engine: Any, until: Any) -> None:
    script = app.script(step("python3 -q", input=True, env={"PYTHON_BASIC_REPL": "1"}))
    typed(
        with_engine,
        until,
        script,
        [(">>> ", "6*7000\n"), ("42000", "exit()\n"), ("SHELL>>", "echo af''ter\n")],
        "after",
    )


def test_control_c_reaches_the_command(app: Any, with_engine: Any, until: Any) -> None:
    script = app.script(step("echo st''art; sleep 100; echo ended-$?", input=True))
    typed(with_engine, until, script, [("start", "\x03"), ("^C", "echo go''on\n")], "goon")


def test_a_resize_reaches_the_program(app: Any, with_engine: Any, until: Any) -> None:
    async def work(engine: Engine) -> None:
        events: list[Event] = []
        script = app.script(
            step("sh -c 'trap \"stty size\" WINCH; stty size; while sleep 0.05; do :; done'", cols=77, rows=22)
        )
        run = await engine.start(script, on_event=events.append)
        await until(lambda: "22 77" in str(events))
        engine.shells.of(run.key)[0].resize(120, 40)
        await until(lambda: "40 120" in str(events))
        await run.stop()

    with_engine(work)


# ---- ids ---------------------------------------------------------------------------------------------------------------
def test_two_shells_with_one_id_both_end(app: Any, with_engine: Any, until: Any, left_over: Any, home: Path) -> None:
    ready = [{"event": "/up/", "done": True}]
    script = app.script(
        step("echo u''p; sleep 1000", id="same", on=ready),
        step("echo u''p; sleep 1000", id="same", on=ready),
        daemon=True,
    )

    async def work(engine: Engine) -> None:
        run = await engine.start(script)
        assert (await run.wait()).status == "daemon"
        assert len(engine.shells.of(run.key)) == 2
        await run.stop()
        assert left_over(f"PINOKIO_HOME={home}") == []

    with_engine(work)


def test_killed_from_outside(app: Any, with_engine: Any, until: Any) -> None:
    async def work(engine: Engine) -> tuple[str, list[int]]:
        events: list[Event] = []
        run = await engine.start(app.script(step("echo u''p; sleep 1000; echo af''ter $?")), on_event=events.append)
        await until(lambda: "up\\r\\n" in str(events))
        (session,) = engine.shells.of(run.key)
        os.kill(session.pid, signal.SIGKILL)
        return (await run.wait()).status, [e.data["code"] for e in events if e.kind == "exit"]

    assert with_engine(work) == ("done", [-9])


def test_a_child_that_is_killed_from_outside_gives_its_code(app: Any, with_engine: Any, until: Any) -> None:
    async def work(engine: Engine) -> tuple[str, list[int]]:
        events: list[Event] = []
        file = app.folder / "pid"
        run = await engine.start(app.script(step("sh -c 'echo $$ > pid; exec sleep 1000'")), on_event=events.append)
        await until(lambda: file.exists() and file.read_text().strip())
        await asyncio.sleep(0.05)
        os.kill(int(file.read_text()), signal.SIGKILL)
        return (await run.wait()).status, [e.data["code"] for e in events if e.kind == "exit"]

    assert with_engine(work) == ("done", [137])
