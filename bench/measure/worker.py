"""Our engine as a process that is measured: ``python worker.py HOME``; requests and replies are lines of JSON.

What it does beside the engine is counting output and noting when Python executes a step.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from pinokiocloud.engine import Engine

if TYPE_CHECKING:
    from pinokiocloud.events import Event


def _reply(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


class Worker:
    """Runs scripts one after the other."""

    def __init__(self, home: str) -> None:
        self.engine = Engine(home)
        self.streamed = 0
        self.steps: list[list[Any]] = []
        self.begun = 0.0

    def _event(self, event: Event) -> None:
        if event.kind == "stream" and isinstance(event.data, dict):
            self.streamed += len(event.data.get("raw") or "")

    def _watch_steps(self) -> None:
        execute = self.engine.execute

        async def timed(run: Any, call: Any) -> Any:
            step = [call.method, self._now(), 0.0]
            self.steps.append(step)
            try:
                return await execute(run, call)
            finally:
                step[2] = self._now()

        self.engine.execute = timed  # type: ignore[method-assign]

    def _now(self) -> float:
        return (time.perf_counter() - self.begun) * 1000

    async def run(self, script: str) -> dict[str, Any]:
        """Run a script to its end."""
        self.streamed = 0
        self.steps = []
        self.begun = time.perf_counter()
        run = await self.engine.start(script)
        result = await run.wait_finished()
        taken = self._now()
        steps = self.steps if len(self.steps) <= 1000 else []
        return {
            "ms": taken,
            "status": result.status,
            "error": result.message or None,
            "steps": steps,
            "streamed": self.streamed,
        }

    async def serve(self) -> None:
        """Answer requests until there are no more."""
        async with self.engine:
            self.engine.callbacks.append(self._event)
            self._watch_steps()
            requests = asyncio.StreamReader()
            await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(requests), sys.stdin
            )
            host = self.engine._host
            assert host is not None
            _reply({"pids": [os.getpid(), host.pid]})
            while line := await requests.readline():
                request = json.loads(line)
                if request["op"] == "quit":
                    break
                _reply(
                    await self.run(request["script"])
                    if request["op"] == "run"
                    else {"error": f"unknown request {request['op']}"}
                )


if __name__ == "__main__":
    asyncio.run(Worker(sys.argv[1]).serve())
