from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud.script.host import HOST_FOLDER, node_executable


class Node:
    """A Node process that evaluates code beside the host's modules."""

    def __init__(self) -> None:
        driver = str(Path(__file__).with_name("driver.js"))
        self.process = subprocess.Popen(
            [node_executable(), driver, str(HOST_FOLDER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def line(self, raw: bytes) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(raw + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def js(self, code: str, *args: Any) -> Any:
        """Give what a function body returns; it sees ``args`` and ``require`` (``./wire`` is the host's)."""
        answer = self.line(json.dumps({"code": code, "args": args}).encode())
        assert "error" not in answer, answer["error"]
        return answer["ok"]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    process = Node()
    yield process
    process.close()
