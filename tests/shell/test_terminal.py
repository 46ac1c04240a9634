"""A program on a pseudo terminal: all of its output, its end, and typing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud.errors import ShellError
from pinokiocloud.shell.terminal import PtyTerminal


class Program:
    """A program on a terminal, what it printed, and how it ended."""

    def __init__(self, *argv: str, **options: Any) -> None:
        self.output = bytearray()
        self.code: int | None = None
        self.ended = asyncio.Event()
        self.terminal = PtyTerminal(
            argv,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            cwd=options.pop("cwd", "/"),
            on_data=options.pop("on_data", self.output.extend),
            on_exit=self._exited,
            **options,
        )

    def _exited(self, code: int) -> None:
        assert self.code is None, "the end is told once"
        self.code = code
        self.ended.set()

    async def end(self) -> int | None:
        await asyncio.wait_for(self.ended.wait(), 20)
        return self.code

    async def until(self, text: bytes) -> None:
        for _ in range(4000):
            if text in self.output:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{text!r} was not printed")


def run(work: Callable[[], Any]) -> Any:
    return asyncio.run(work())


def bash(script: str, **options: Any) -> Program:
    return Program("bash", "-c", script, **options)


@pytest.mark.parametrize("size", [1, 4095, 4096, 65536, 1 << 20, 20_000_000])
def test_every_byte_arrives_once(size: int) -> None:
    async def work() -> None:
        program = bash(f"head -c {size} /dev/zero | tr '\\0' x")
        assert await program.end() == 0
        assert program.output.count(b"x") == len(program.output) == size

    run(work)


def test_the_order_of_lines_stays() -> None:
    async def work() -> None:
        program = bash("seq 1 200000")
        assert await program.end() == 0
        assert bytes(program.output).split() == [b"%d" % i for i in range(1, 200001)]

    run(work)


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_the_exit_code(code: int) -> None:
    async def work() -> None:
        assert await bash(f"exit {code}").end() == code

    run(work)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGHUP])
def test_a_signal_is_a_negative_code(number: signal.Signals) -> None:
    async def work() -> None:
        program = bash("echo ready; exec sleep 100")
        await program.until(b"ready")
        os.kill(program.terminal.pid, number)
        assert await program.end() == -number

    run(work)


def test_the_end_does_not_wait_for_a_child_that_keeps_the_terminal() -> None:
    async def work() -> None:
        program = bash("trap '' HUP; sleep 100 & echo $!; exit 7")
        assert await program.end() == 7
        os.kill(int(program.output), signal.SIGKILL)

    run(work)


def test_a_flood_before_the_end_is_read_whole_while_a_child_keeps_the_terminal() -> None:
    async def work() -> None:
        program = bash("trap '' HUP; sleep 100 & echo $!; head -c 3000000 /dev/zero | tr '\\0' x; exit 7")
        assert await program.end() == 7
        assert program.output.count(b"x") == 3_000_000
        os.kill(int(bytes(program.output).partition(b"\r\n")[0]), signal.SIGKILL)

    run(work)


def test_a_pause_holds_the_program_back_and_loses_nothing() -> None:
    async def work() -> None:
        program = bash("trap '' HUP; sleep 100 & echo $!; head -c 300000 /dev/zero | tr '\\0' x; echo end; exit 4")
        program.terminal.pause()
        await asyncio.sleep(0.2)
        assert not program.output
        assert program.terminal.poll() is None
        program.terminal.pause()
        program.terminal.resume()
        program.terminal.resume()
        assert await program.end() == 4
        assert program.output.count(b"x") == 300_000
        assert b"end" in program.output
        os.kill(int(bytes(program.output).partition(b"\r\n")[0]), signal.SIGKILL)

    run(work)


def test_output_that_was_paused_over_the_end_is_read() -> None:
    async def work() -> None:
        program = bash("trap '' HUP; sleep 100 & echo $!; echo last words; exit 4")
        program.terminal.pause()
        while program.terminal.poll() is None:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        program.terminal.resume()
        assert await program.end() == 4
        assert b"last words" in program.output
        os.kill(int(bytes(program.output).partition(b"\r\n")[0]), signal.SIGKILL)

    run(work)


def test_without_pidfd_the_end_is_found_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> int:
        raise OSError(38, "not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)

    async def work() -> None:
        program = bash("trap '' HUP; sleep 100 & echo $!; exit 5")
        assert await program.end() == 5
        os.kill(int(program.output), signal.SIGKILL)
        assert await bash("exit 6").end() == 6

    run(work)


def test_the_program_has_a_terminal_and_a_session_of_its_own() -> None:
    async def work() -> None:
        program = bash(
            "test -t 0 -a -t 1 -a -t 2 && echo tty; ps -o sid= -p $$ | grep -qw $$ && echo leader; echo x > /dev/tty"
        )
        assert await program.end() == 0
        assert bytes(program.output).split() == [b"tty", b"leader", b"x"]

    run(work)


def test_size_and_resize() -> None:
    async def work() -> None:
        program = bash(
            "trap 'stty size' WINCH; stty size; while read -t 20 -n 1 x; do [ $x = q ] && break; done", cols=77, rows=22
        )
        await program.until(b"22 77")
        program.terminal.resize(120, 40)
        await program.until(b"40 120")
        program.terminal.write(b"q")
        assert await program.end() == 0
        program.terminal.resize(1, 1)  # after the end: no effect

    run(work)


def test_what_is_typed_arrives_whole_also_when_it_is_long() -> None:
    async def work() -> None:
        program = bash("stty raw -echo; echo ready; head -c 1000000 | md5sum; echo")
        await program.until(b"ready")
        program.terminal.write(b"y" * 600_000)
        program.terminal.write(b"y" * 400_000)
        assert await program.end() == 0
        assert hashlib.md5(b"y" * 1_000_000).hexdigest().encode() in program.output

    run(work)


def test_typing_after_the_end_is_an_error() -> None:
    async def work() -> None:
        program = bash("true")
        await program.end()
        with pytest.raises(ShellError, match="has ended"):
            program.terminal.write(b"x")

    run(work)


def test_typing_to_a_program_that_just_went_away_does_no_harm() -> None:
    async def work() -> None:
        program = bash("sleep 100")
        os.kill(program.terminal.pid, signal.SIGKILL)
        program.terminal.write(b"x" * 100_000)
        assert await program.end() == -9

    run(work)


def test_letting_go_hangs_the_program_up() -> None:
    async def work() -> None:
        program = bash("echo ready; sleep 100")
        await program.until(b"ready")
        program.terminal.close()
        program.terminal.close()
        assert await program.terminal.reap(10) == -signal.SIGHUP
        assert program.code is None

    run(work)


def test_a_folder_that_is_missing_is_an_error_and_leaks_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        before = len(os.listdir("/proc/self/fd"))
        for cwd in (tmp_path / "missing", Path("/etc/passwd")):
            with pytest.raises(ShellError, match="could not be started"):
                bash("true", cwd=str(cwd))
        assert len(os.listdir("/proc/self/fd")) == before

    run(work)


def test_no_descriptor_is_left_after_the_end() -> None:
    async def work() -> None:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            assert await bash("echo x").end() == 0
        assert len(os.listdir("/proc/self/fd")) == before

    run(work)


def test_the_program_inherits_no_descriptors() -> None:
    async def work() -> None:
        read, write = os.pipe()
        os.set_inheritable(write, True)
        program = bash("ls /proc/self/fd | tr '\\n' ' '")
        assert await program.end() == 0
        os.close(read)
        os.close(write)
        assert program.output.split() == [b"0", b"1", b"2", b"3"]

    run(work)
