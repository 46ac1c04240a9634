"""Whatever a command leaves behind is ended: by the end of its step, by a stop, by the end of the engine."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud import Engine
from pinokiocloud.shell.tree import ProcessIdentity, end_tree, identity, tree

SKIP = {"skip": True}
DAEMONIZE = (
    "import os, time, sys\n"
    "if os.fork(): os._exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "sys.stdout.flush(); n = os.open('/dev/null', os.O_RDWR); [os.dup2(n, i) for i in range(3)]\n"
    "open('pid', 'w').write(str(os.getpid()) + '\\n')\n"
    "time.sleep(1000)\n"
)
LEFT_BEHIND = {
    "background": "sleep 1000 & echo $! > pid",
    "nohup": "nohup sleep 1000 > /dev/null 2>&1 & echo $! > pid",
    "disown": "sleep 1000 & echo $! > pid; disown",
    "setsid": "setsid sh -c 'echo $$ > pid; exec sleep 1000' &",
    "setsid-fork": "setsid -f sh -c 'echo $$ > pid; exec sleep 1000'",
    "double-fork": "python3 daemonize.py",
    "ignores-hangup": "(trap '' HUP; echo $BASHPID > pid; exec sleep 1000) &",
    "ignores-term-int": "sh -c 'trap \"\" TERM INT HUP; echo $$ > pid; while :; do sleep 1; done' &",
    "grandchildren": "sh -c 'sh -c \"sleep 1000 & echo \\$! > pid; wait\" & wait' &",
    "orphan": "sh -c 'sleep 1000 & echo $! > pid'",
    "without-marker": "env -u _PKC_SHELL sh -c 'echo $$ > pid; exec sleep 1000' &",
}


def shell_step(message: str, **params: Any) -> dict[str, Any]:
    return {"method": "shell.run", "params": {"message": message, "conda": SKIP, **params}}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def pid_in(file: Path, until: Any) -> int:
    return int(await until(lambda: file.exists() and file.read_text().endswith("\n") and file.read_text()))


@pytest.mark.parametrize("kind", LEFT_BEHIND)
def test_the_end_of_the_step_ends_it(app: Any, with_engine: Any, until: Any, kind: str) -> None:
    app.write("daemonize.py", DAEMONIZE)
    script = app.script(shell_step(f"{LEFT_BEHIND[kind]}\nwhile [ ! -s pid ]; do sleep 0.01; done"))

    async def work(engine: Engine) -> None:
        run = await engine.start(script)
        assert (await run.wait()).status == "done"
        assert not alive(await pid_in(app.folder / "pid", until))

    with_engine(work)


@pytest.mark.parametrize("kind", LEFT_BEHIND)
def test_a_stop_ends_it(app: Any, with_engine: Any, until: Any, kind: str) -> None:
    app.write("daemonize.py", DAEMONIZE)
    script = app.script(shell_step(f"{LEFT_BEHIND[kind]}\nsleep 1000"))

    async def work(engine: Engine) -> None:
        run = await engine.start(script)
        pid = await pid_in(app.folder / "pid", until)
        assert alive(pid)
        assert (await run.stop()).status == "stopped"
        assert not alive(pid)

    with_engine(work)


def test_the_end_of_the_engine_ends_it(app: Any, with_engine: Any, until: Any) -> None:
    app.write("daemonize.py", DAEMONIZE)
    script = app.script(shell_step("python3 daemonize.py; sleep 1000"))

    async def work(engine: Engine) -> int:
        await engine.start(script)
        return await pid_in(app.folder / "pid", until)

    assert not alive(with_engine(work))


@pytest.mark.parametrize("kind", ["background", "double-fork", "setsid"])
def test_a_failing_step_ends_it(app: Any, play: Any, kind: str) -> None:
    app.write("daemonize.py", DAEMONIZE)
    wait = "while [ ! -s pid ]; do sleep 0.01; done"
    played = play(app.script(shell_step(f"{LEFT_BEHIND[kind]}\n{wait}; echo 'error: x'")))
    assert played.result.status == "error"
    assert not alive(int((app.folder / "pid").read_text()))


def test_a_foreground_program_that_ignores_signals_is_stopped(app: Any, with_engine: Any, until: Any) -> None:
    script = app.script(
        shell_step("trap '' INT TERM HUP; sh -c 'trap \"\" INT TERM HUP; echo $$ > pid; while :; do sleep 1; done'")
    )

    async def work(engine: Engine) -> None:
        run = await engine.start(script)
        pid = await pid_in(app.folder / "pid", until)
        assert (await run.stop()).status == "stopped"
        assert not alive(pid)

    with_engine(work)


def test_a_stopped_program_is_ended(app: Any, with_engine: Any, until: Any) -> None:
    async def work(engine: Engine) -> None:
        run = await engine.start(app.script(shell_step("sh -c 'echo $$ > pid; kill -STOP $$; sleep 1000'")))
        pid = await pid_in(app.folder / "pid", until)
        await run.stop()
        assert not alive(pid)

    with_engine(work)


def test_a_fork_storm_is_ended(app: Any, with_engine: Any, until: Any, left_over: Any, home: Path) -> None:
    app.write("storm.sh", "echo x > started\nwhile :; do (setsid sleep 1000 &); sleep 0.005; done\n")

    async def work(engine: Engine) -> None:
        run = await engine.start(app.script(shell_step("bash storm.sh")))
        await until(lambda: len(left_over(f"PINOKIO_HOME={home}")) > 15)
        await run.stop()
        assert left_over(f"PINOKIO_HOME={home}") == []

    with_engine(work)


def test_a_server_that_is_done_lives_until_the_run_is_stopped(app: Any, with_engine: Any) -> None:
    ready = [{"event": "/up-[0-9]/", "done": True}]
    script = app.script(shell_step("echo $$ > pid; echo up-$((1)); sleep 1000", on=ready), daemon=True)

    async def work(engine: Engine) -> None:
        run = await engine.start(script)
        assert (await run.wait()).status == "daemon"
        pid = int((app.folder / "pid").read_text())
        assert alive(pid)
        await run.stop()
        assert not alive(pid)

    with_engine(work)


def test_a_killing_event_ends_the_whole_tree(app: Any, play: Any) -> None:
    script = app.script(
        shell_step(
            "setsid sleep 1000 & echo $! > pid; echo up-$((1)); sleep 1000", on=[{"event": "/up-1/", "kill": True}]
        )
    )
    assert play(script).result.status == "done"
    assert not alive(int((app.folder / "pid").read_text()))


@pytest.mark.parametrize("kind", ["step", "shell", "stream"])
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 50])
def test_a_stop_at_any_moment_of_the_start_leaves_nothing(
    app: Any, with_engine: Any, kind: str, turns: int, left_over: Any, home: Path
) -> None:
    async def work(engine: Engine) -> None:
        begun = asyncio.Event()
        script = app.script(shell_step("setsid sleep 1000 & echo started; sleep 1000"))
        run = await engine.start(script, on_event=lambda event: begun.set() if event.kind == kind else None)
        await begun.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert (await run.stop()).status == "stopped"
        assert left_over(f"PINOKIO_HOME={home}") == []

    with_engine(work)


def test_exec_is_ended_by_a_stop(app: Any, with_engine: Any, until: Any) -> None:
    script = app.script(
        {"method": "exec", "params": {"message": "setsid sh -c 'echo $$ > pid; sleep 1000' & sleep 1000"}}
    )

    async def work(engine: Engine) -> None:
        run = await engine.start(script)
        pid = await pid_in(app.folder / "pid", until)
        assert (await run.stop()).status == "stopped"
        assert not alive(pid)

    with_engine(work)


def test_what_another_run_started_lives_on(app: Any, with_engine: Any) -> None:
    ready = [{"event": "/up-1/", "done": True}]
    server = app.script(
        shell_step("echo $$ > pid; echo up-$((1)); sleep 1000", on=ready), daemon=True, name="server.json"
    )
    other = app.script(shell_step("sleep 0.01"), name="other.json")

    async def work(engine: Engine) -> None:
        run = await engine.start(server)
        await run.wait()
        second = await engine.start(other)
        assert (await second.wait()).status == "done"
        assert alive(int((app.folder / "pid").read_text()))
        await run.stop()

    with_engine(work)


def test_two_shells_with_one_id_do_not_end_each_others_processes(app: Any, with_engine: Any, until: Any) -> None:
    server = app.script(
        shell_step("echo up-$((1)); while [ ! -e go ]; do sleep 0.01; done; sh -c 'echo $$ > pid; exec sleep 1000'", id="s", on=[{"event": "/up-1/", "done": True}]),
        shell_step("touch go; while [ ! -s pid ]; do sleep 0.01; done", id="s"),
        daemon=True,
    )  # fmt: skip

    async def work(engine: Engine) -> None:
        run = await engine.start(server)
        await run.wait()
        assert alive(await pid_in(app.folder / "pid", until))
        await run.stop()

    with_engine(work)


# ---- the tree itself -------------------------------------------------------------------------------------------------
def started(code: str, mark: str, folder: Path) -> int:
    """Start a program with the mark of a shell; it runs when this returns."""
    up = folder / f"up-{time.monotonic_ns()}"
    code = f"{code.rpartition(';;')[0] or 'true'}; : > {up}; {code.rpartition(';;')[2]}"
    pid = os.spawnve(
        os.P_NOWAIT, "/usr/bin/env", ["env", "setsid", "sh", "-c", code], {**os.environ, "_PKC_SHELL": mark}
    )
    while not up.exists():
        time.sleep(0.005)
    return pid


def test_no_process_of_somebody_else_is_in_a_tree() -> None:
    assert tree(2**22 - 7, "no-such-shell") == []
    assert os.getpid() not in tree(os.getpid(), "no-such-shell")
    assert tree(os.getppid(), "x-no-such") == [] or os.getpid() not in tree(os.getppid(), "x-no-such")


def test_a_process_with_a_lower_pid_is_found_by_its_mark(tmp_path: Path) -> None:
    """Pids wrap around: a child may have a lower one than its shell."""
    low = started("exec sleep 1000", "wrapped-1", tmp_path)
    try:
        root = started("exec sleep 1000", "wrapped-1", tmp_path)
        os.kill(root, signal.SIGKILL)
        os.waitpid(root, 0)
        assert low in tree(root, "wrapped-1")
    finally:
        os.kill(low, signal.SIGKILL)
        os.waitpid(low, 0)


def test_a_stranger_that_got_the_pid_of_a_shell_is_left_alone(tmp_path: Path) -> None:
    stranger = started("exec sleep 1000", "another", tmp_path)
    try:
        assert tree(stranger, "gone-1") == []
        assert tree(stranger, "another") == [stranger]
    finally:
        os.kill(stranger, signal.SIGKILL)
        os.waitpid(stranger, 0)


def test_grace_lets_a_program_end_by_itself(tmp_path: Path) -> None:
    pid = started(
        f"trap 'echo clean > {tmp_path}/end; exit 0' TERM;; while :; do sleep 0.01; done", "graceful-1", tmp_path
    )
    assert asyncio.run(end_tree(pid, "graceful-1", grace=5)) == []
    os.waitpid(pid, 0)
    assert (tmp_path / "end").read_text() == "clean\n"


def test_grace_ends_in_force(tmp_path: Path) -> None:
    pid = started("trap '' TERM;; while :; do sleep 0.01; done", "graceful-2", tmp_path)
    assert asyncio.run(end_tree(pid, "graceful-2", grace=0.1)) == []
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_an_identity_is_pid_and_start() -> None:
    here = identity(os.getpid())
    assert here == identity(os.getpid())
    assert here is not None
    assert here.pid == os.getpid()
    assert here.started < time.time()
    assert here != ProcessIdentity(os.getpid(), here.started + 1)
    assert identity(2**22 - 7) is None
