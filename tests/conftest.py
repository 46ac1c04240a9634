from __future__ import annotations

import asyncio
import json
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest

from pinokiocloud import Engine, Event, RunResult
from pinokiocloud.platforms.machine import Machine

hypothesis.settings.register_profile("project", deadline=None, max_examples=60)
hypothesis.settings.load_profile("project")

T = TypeVar("T")
MACHINE = Machine("linux", "x64")
LIMIT = 40.0  # s: a hang is a failure with a trace, long before pytest's own limit


class App:
    """A folder with scripts below ``HOME/api``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, content: Any) -> Path:
        """Write a file: a list is the steps of a script, an object is JSON, text and bytes are themselves."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = {"run": content}
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    def script(self, *steps: Any, name: str = "main.json", **keys: Any) -> Path:
        """Write a JSON script of these steps."""
        return self.write(name, {**keys, "run": list(steps)})

    def js(self, text: str, name: str = "main.js") -> Path:
        """Write a JavaScript file."""
        return self.write(name, text)


@dataclass
class Played:
    """What a run did."""

    result: RunResult
    events: list[Event]

    def of(self, kind: str) -> list[Any]:
        """Give the data of the events of one kind."""
        return [event.data for event in self.events if event.kind == kind]

    @property
    def text(self) -> str:
        """Everything that was printed, with plain line ends."""
        return printed(self.events)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def warnings(self) -> str:
        return "\n".join(data["message"] for data in self.of("warning"))


def printed(events: list[Event]) -> str:
    """Give the text of the stream events."""
    return "".join(str(e.data["raw"]) for e in events if e.kind == "stream").replace("\r\n", "\n")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all tests: its base environment is made once, by the first shell."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def app(home: Path) -> Iterator[App]:
    folder = home / "api" / f"app-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    yield App(folder)
    shutil.rmtree(folder, ignore_errors=True)


WithEngine = Callable[..., Any]


@pytest.fixture
def with_engine(home: Path) -> WithEngine:
    """Give a function that opens an engine, does some work with it, and closes it."""

    def go(work: Callable[[Engine], Awaitable[T]], *, limit: float = LIMIT, **options: Any) -> T:
        async def main() -> T:
            async with Engine(home, **{"machine": MACHINE, **options}) as engine:
                return await asyncio.wait_for(work(engine), limit)

        return asyncio.run(main())

    return go


@pytest.fixture
def play(with_engine: WithEngine) -> Callable[..., Played]:
    """Give a function that runs one script to its end in an engine of its own."""

    def go(script: Path, *, engine: dict[str, Any] | None = None, **options: Any) -> Played:
        async def work(opened: Engine) -> Played:
            events: list[Event] = []
            opened.callbacks.append(events.append)
            run = await opened.start(script, **options)
            result = await run.wait()
            await asyncio.sleep(0)
            return Played(result, events)

        return with_engine(work, **(engine or {}))

    return go


def processes(needle: str) -> list[int]:
    """Give the processes whose environment holds a text: those that a run's shells left behind."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    environ = file.read()
            except OSError:
                continue
            if needle.encode() in environ and b"_PKC_SHELL=" in environ:
                found.append(int(entry))
    return found


@pytest.fixture
def left_over() -> Callable[[str], list[int]]:
    return processes


async def _until(condition: Callable[[], Any], limit: float = 10.0) -> Any:
    """Wait until a condition holds, and give its value; without it, fail."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while not (value := condition()):
        if loop.time() > end:
            raise AssertionError("what was waited for did not happen")
        await asyncio.sleep(0.01)
    return value


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    return _until
