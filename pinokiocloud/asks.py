"""What scripts ask the engine for from JavaScript: ``kernel.port()``, ``kernel.exec()`` … (spec §3.8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pinokiocloud.errors import UsageError
from pinokiocloud.methods.context import StepContext
from pinokiocloud.methods.process import process_wait
from pinokiocloud.methods.shell import run_shell, shell_enter, shell_start, shell_write
from pinokiocloud.platforms.ports import free_ports, is_free
from pinokiocloud.script import wire
from pinokiocloud.script.run import Call, Run, RunRequest

if TYPE_CHECKING:
    from pinokiocloud.engine import Engine

__all__ = ["Asks"]

Data = Callable[[Any], None]


class Asks:
    """Answers what scripts ask.

    Parameters:
        engine: the engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._values: dict[str, Any] = {}
        self._answers: dict[str, Callable[[dict[str, Any], Data], Awaitable[Any]]] = {
            "port": self._port,
            "port.free": self._port_free,
            "ports": self._ports,
            "env": self._env,
            "exec": self._exec,
            "shell.start": self._shell(shell_start),
            "shell.enter": self._shell(shell_enter),
            "shell.write": self._shell(shell_write),
            "shell.kill": self._shell_kill,
            "shell.get": self._shell_get,
            "shell.reset": self._shell_reset,
            "script.start": self._script_start,
            "script.stop": self._script_stop,
            "wait": self._wait,
            "download": self._download,
            "kv.get": self._kv_get,
            "kv.set": self._kv_set,
            "engine.shutdown": self._shutdown,
            "import": self._import,
        }

    async def answer(self, what: str, body: Any, data: Data) -> Any:
        """Answer one question.

        Raises:
            UsageError: nobody knows the answer.
        """
        handler = self._answers.get(what)
        if handler is None:
            raise UsageError(f"scripts cannot ask for '{what}'")
        return await handler(body if isinstance(body, dict) else {}, data)

    def _context(self, method: str, params: Any, data: Data) -> StepContext:
        """Return a context outside of any step: its shells belong to no run (spec §3.8, exec)."""
        engine = self._engine
        run = Run(RunRequest(path=str(engine.home.root / "kernel"), uri="kernel", id=f"kernel:{id(params)}"), engine)
        run.callbacks.append(lambda event: data(event.data) if event.kind == "stream" else None)
        cwd = engine.home.root
        if isinstance(params, dict) and params.get("path"):
            cwd = engine.home.path(str(params["path"]))
        return StepContext(engine, run, Call(method, params, True, 0, cwd, {}))

    async def _port(self, _body: dict[str, Any], _data: Data) -> int:
        return free_ports(1)[0]

    async def _port_free(self, body: dict[str, Any], _data: Data) -> bool:
        return is_free(int(body["port"]))

    async def _ports(self, body: dict[str, Any], _data: Data) -> list[int]:
        return free_ports(int(body.get("count") or 1))

    async def _env(self, body: dict[str, Any], _data: Data) -> dict[str, str]:
        engine = self._engine
        return engine.place.merged_environment(engine.place.environment.app_of(str(body.get("path"))))

    async def _exec(self, body: dict[str, Any], data: Data) -> Any:
        params = dict(body.get("params") or {})
        return await run_shell(self._context("shell.run", params, data), params)

    def _shell(
        self, handler: Callable[[StepContext], Awaitable[Any]]
    ) -> Callable[[dict[str, Any], Data], Awaitable[Any]]:
        async def answer(body: dict[str, Any], data: Data) -> Any:
            return await handler(self._context("shell", body.get("params") or {}, data))

        return answer

    async def _shell_kill(self, body: dict[str, Any], _data: Data) -> None:
        params = body.get("params") or {}
        if params.get("group"):
            await self._engine.end_shells_of(str(params["group"]))
        shell = self._engine.shell(str(params.get("id")))
        if shell is not None:
            await self._engine.end_shell(shell)

    async def _shell_get(self, body: dict[str, Any], _data: Data) -> Any:
        shell = self._engine.shell(str((body.get("params") or {}).get("id")))
        return None if shell is None else {"id": shell.id, "pid": shell.pid, "done": not shell.alive}

    async def _shell_reset(self, _body: dict[str, Any], _data: Data) -> None:
        await self._engine.shells.end_all()

    async def _script_start(self, body: dict[str, Any], _data: Data) -> Any:
        request = body.get("params") or {}
        run = await self._engine.start(str(request.get("uri")), args=request.get("input", wire.UNDEFINED))
        return (await run.wait()).to_dict()

    async def _script_stop(self, body: dict[str, Any], _data: Data) -> None:
        params = body.get("params") or {}
        await self._engine.stop(str(params.get("uri") or params.get("id")))

    async def _wait(self, body: dict[str, Any], data: Data) -> None:
        await process_wait(self._context("process.wait", body.get("params") or {}, data))

    async def _download(self, body: dict[str, Any], data: Data) -> Any:
        from pinokiocloud.transfer.download import download  # noqa: PLC0415 - heavy, and seldom asked for
        from pinokiocloud.transfer.progress import render_event  # noqa: PLC0415

        params = body.get("params") or {}
        folder = self._engine.home.path(str(params.get("path") or "."))
        name = params.get("filename")
        got = await download(
            str(params.get("uri") or params.get("url")),
            directory=None if name else folder,
            path=folder / str(name) if name else None,
            on_event=lambda event: data({"raw": render_event(event)}),
        )
        return str(got.path)

    async def _kv_get(self, body: dict[str, Any], _data: Data) -> Any:
        return self._values.get(str(body.get("key")), wire.UNDEFINED)

    async def _kv_set(self, body: dict[str, Any], _data: Data) -> None:
        self._values[str(body.get("key"))] = body.get("value")

    async def _shutdown(self, _body: dict[str, Any], _data: Data) -> None:
        asyncio.get_running_loop().call_soon(self._engine.request_shutdown)

    async def _import(self, _body: dict[str, Any], _data: Data) -> None:
        raise UsageError("kernel.import does not work in the reference either")
