from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud.script.host import HOST_FOLDER, node_executable

# Answers lines of JSON {code, args}: the code is a function's body that sees args and the host's `require`.
_DRIVER = """
const { createRequire } = require('module')
const require_ = createRequire(process.argv[1] + '/main.js')
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const { code, args } = JSON.parse(line)
  let answer
  try { answer = { ok: new Function('require', 'args', code)(require_, args) } } catch (e) { answer = { error: String(e && e.stack) } }
  process.stdout.write(JSON.stringify(answer) + '\\n')
})
"""


class HostModules:
    """A Node process beside the engine's: evaluates code with the script host's modules."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [node_executable(), "-e", _DRIVER, str(HOST_FOLDER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __call__(self, code: str, *args: Any) -> Any:
        """Give what a function's body returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"code": code, "args": args}).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer.get("ok")

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="session")
def host_modules() -> Iterator[HostModules]:
    process = HostModules()
    yield process
    process.close()


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test of this folder may leave a process of a shell behind."""
    if "app" not in request.fixturenames and "home" not in request.fixturenames:
        yield
        return
    home: Path = request.getfixturevalue("home")
    left_over: Callable[[str], list[int]] = request.getfixturevalue("left_over")
    yield
    deadline = time.monotonic() + 5
    while (left := left_over(f"PINOKIO_HOME={home}")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []
