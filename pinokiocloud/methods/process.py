"""process.wait: time, addresses, files, or until stopped (spec §4.8)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pinokiocloud.errors import StepError
from pinokiocloud.methods.context import StepContext
from pinokiocloud.methods.registry import method

_REQUEST = 5.0  # s, the least that one attempt may take


def _get(url: str, timeout: float, *, head: bool = False) -> bool:
    import requests  # noqa: PLC0415 - only where something is waited for

    try:
        with requests.Session() as session:
            session.trust_env = False
            with session.request("HEAD" if head else "GET", url, timeout=timeout, stream=True) as response:
                return 200 <= response.status_code < 300
    except requests.RequestException:
        return False


async def _open_port(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host or "127.0.0.1", port), _REQUEST)
    except (OSError, asyncio.TimeoutError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _check(resource: str, cwd: Path) -> Callable[[], Awaitable[bool]]:
    """Return the test of one ``wait-on`` resource.

    Raises:
        StepError: the resource is of an unknown kind.
    """
    kind, _, rest = resource.partition(":")
    if kind in ("http", "https", "http-get", "https-get"):
        scheme = kind.removesuffix("-get")
        head = not kind.endswith("-get")
        return lambda: asyncio.to_thread(_get, f"{scheme}:{rest}", _REQUEST, head=head)
    if kind == "tcp":
        host, _, port = rest.lstrip("/").rpartition(":")
        if not port.isdigit():
            raise StepError(f"process.wait: {resource!r} names no port")
        return lambda: _open_port(host, int(port))
    if kind == "socket":
        path = cwd / rest

        async def socket_there() -> bool:
            return path.is_socket()

        return socket_there
    file = cwd / (rest.removeprefix("//") if kind == "file" else resource)

    async def file_there() -> bool:
        return file.exists()

    return file_there


async def _poll(ctx: StepContext, test: Callable[[], Awaitable[bool]], interval: float, *, say: Any = None) -> None:
    while not ctx.stopping.is_set():
        if say:
            ctx.stream(f"\r\n{say}\r\n")
        if await test():
            return
        if not await ctx.sleep(interval):
            return


async def _wait_on(ctx: StepContext, options: dict[str, Any]) -> None:
    resources = options.get("resources") or []
    if isinstance(resources, str):
        resources = [resources]
    tests = [_check(str(item), ctx.cwd) for item in resources]
    interval = float(options.get("interval") or 250) / 1000
    limit = options.get("timeout")
    deadline = time.monotonic() + float(limit) / 1000 if isinstance(limit, (int, float)) and limit > 0 else None
    reverse = bool(options.get("reverse"))
    stable = float(options.get("window") or 0) / 1000
    if options.get("delay") and not await ctx.sleep(float(options["delay"]) / 1000):
        return
    since: float | None = None
    while not ctx.stopping.is_set():
        there = await asyncio.gather(*(test() for test in tests))
        if all(item is not reverse for item in there):
            since = since or time.monotonic()
            if time.monotonic() - since >= stable:
                return
        else:
            since = None
        if deadline is not None and time.monotonic() > deadline:
            missing = ", ".join(str(name) for name, item in zip(resources, there, strict=True) if item is reverse)
            raise StepError(f"Timed out waiting for: {missing}", script=ctx.run.path, index=ctx.index)
        await ctx.sleep(interval)


@method(
    "process.wait",
    summary="wait for time, an address, a file, or a stop",
    source="spec §4.8",
    sec="seconds",
    min="minutes",
    url="address",
    uri="address",
    on="{resources, interval, timeout}",
    interval="seconds",
)
async def process_wait(ctx: StepContext) -> None:
    """Wait (spec §4.8)."""
    params = ctx.params
    if params.get("app") or params.get("id") or params.get("name"):
        raise StepError(
            f"step {ctx.index}: waiting for a desktop program makes no sense here",
            script=ctx.run.path,
            index=ctx.index,
            hint="there is no desktop on this machine",
        )
    message = params.get("message") or params.get("description") or params.get("title")
    if params.get("sec") or params.get("min"):
        ctx.emit(
            "wait", {"seconds": float(params.get("sec") or 0) + 60 * float(params.get("min") or 0), "message": message}
        )
        await ctx.sleep(float(params.get("sec") or 0) + 60 * float(params.get("min") or 0))
        return
    url = params.get("uri") or params.get("url")
    if url:
        address = str(url)
        if urlsplit(address).scheme not in ("http", "https"):
            raise StepError(f"step {ctx.index}: {address!r} is no http address", script=ctx.run.path, index=ctx.index)
        interval = float(params.get("interval") or 1)
        await _poll(ctx, lambda: asyncio.to_thread(_get, address, max(interval, _REQUEST)), interval, say=message)
        return
    if isinstance(params.get("on"), dict):
        await _wait_on(ctx, params["on"])
        return
    ctx.emit("wait", {"message": message or "until stopped"})
    await ctx.stopping.wait()
