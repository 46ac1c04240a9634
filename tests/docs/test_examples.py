"""The examples of README and documentation do what the text says: every runnable block is run, page by page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from docs_markdown import ROOT, Block, blocks, pages, same, steps

if TYPE_CHECKING:
    from pathlib import Path

CODE = {"console", "python", "bash", "sh", "js", "json"}
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_MARK = "@@the-next-command@@"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("docs") / "home"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder as a clone's reader has it: with the examples in it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("env", "node_modules"))
    return tmp_path


def _environment(home: Path) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PINOKIO")}
    env["PINOKIO_HOME"] = str(home)
    env["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), env.get("PATH", "")])
    env["COLUMNS"] = "100"
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path and path != os.path.dirname(__file__))
    return env


def _execute(command: list[str], place: Path, home: Path) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=place,
        env=_environment(home),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=150,
    )
    text = _ESCAPES.sub("", (done.stdout + done.stderr).decode("utf-8", "replace")).replace("\r\n", "\n")
    return text.replace(str(place), "/home/you").replace(str(home), "/home/you/pinokio")


def _console(block: Block, place: Path, home: Path) -> None:
    wanted = steps(block)
    lines = []
    for command, _ in wanted:
        lines += [f"{{ {command}", "} 2>&1", "__status=$?", f"printf '{_MARK}'", "(exit $__status)"]
    printed = _execute(["bash", "-c", "\n".join(lines)], place, home).split(_MARK)
    for (command, expected), actual in zip(wanted, printed, strict=False):
        assert same(expected, actual), f"{block}: $ {command}\nexpected:\n{expected}\nprinted:\n{actual}"


def _python(block: Block, expected: Block | None, place: Path, home: Path) -> None:
    actual = _execute([sys.executable, "-c", block.text], place, home)
    wanted = expected.text if expected else ""
    assert same(wanted, actual), f"{block}\nexpected:\n{wanted}\nprinted:\n{actual}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, place: Path, home: Path) -> None:
    found = blocks(page)
    for at, block in enumerate(found):
        following = found[at + 1] if at + 1 < len(found) else None
        if block.mark.startswith("file: "):
            file = place / block.mark.removeprefix("file: ")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, "utf-8")
        elif block.mark == "run" and block.language == "console":
            _console(block, place, home)
        elif block.mark == "run":
            assert block.language == "python", f"{block}: only console and python blocks can be run"
            _python(block, following if following and following.mark == "output" else None, place, home)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_is_run_or_says_why_not(page: Path) -> None:
    unmarked = [
        str(block)
        for block in blocks(page)
        if block.language in CODE and not re.match(r"run\Z|output\Z|file: \S|not run: \S", block.mark)
    ]
    assert not unmarked


@pytest.mark.parametrize(
    ("expected", "actual", "answer"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n...\nc\n", "a\nb\nb\nc\n", True),
        ("a\n...\nc\n", "a\nc\n", True),
        ("a\n...\nc\n", "a\nb\n", False),
        ("took ... s\n", "took 1.5 s\n", True),
        ("took ... s\n", "took 1\n.5 s\n", False),
        ("", "\n", True),
        ("", "a\n", False),
    ],
)
def test_outputs_are_compared(expected: str, actual: str, answer: bool) -> None:
    assert same(expected, actual) is answer
