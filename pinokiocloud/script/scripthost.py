"""The script host as a library: renders templates and loads scripts, without running anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pinokiocloud.errors import ScriptLoadError, TemplateError
from pinokiocloud.script import wire
from pinokiocloud.script.host import HostProcess, HostSettings

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

__all__ = ["ScriptHost"]

_NO_MACHINE: dict[str, Any] = {
    "platform": "linux",
    "arch": "x64",
    "gpu": "none",
    "gpus": [],
    "gpu_model": None,
    "gpu_driver": None,
    "gpu_target": None,
    "vram": 0,
    "ram": 0,
}


async def _refuse(what: str, _body: Any, _data: Any) -> Any:
    raise TemplateError(f"'{what}' needs an engine")


class ScriptHost:
    """A script host of one's own: ``async with ScriptHost() as host: await host.render("{{1 + 1}}")``.

    Parameters:
        home: what ``kernel.homedir`` is.
        machine: what ``platform``, ``gpu`` … are; by default a Linux machine without a GPU.
        settings: bounds of the process.
    """

    def __init__(
        self,
        *,
        home: str | os.PathLike[str] = "/nonexistent",
        machine: dict[str, Any] | None = None,
        settings: HostSettings | None = None,
    ) -> None:
        self._home = os.fspath(home)
        self._machine = {**_NO_MACHINE, **(machine or {})}
        self._process = HostProcess(settings or HostSettings(), lambda _: None, _refuse)
        #: What was left as it is in the last rendering, and why: [{"template", "reason"}].
        self.warnings: list[dict[str, str]] = []

    async def __aenter__(self) -> Self:
        await self._process.start()
        await self._process.call(
            "init",
            home=self._home,
            machine=self._machine,
            env={},
            searchPath=os.environ.get("PATH", "").split(":"),
            python=[],
            cloudPlatform="local",
            remotes={},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._process.close()

    async def render(
        self, template: Any, variables: dict[str, Any] | None = None, *, allow_undefined: bool = False
    ) -> Any:
        """Render a template, or every template in an object, as a step is rendered (spec §3.2-3.5).

        Parameters:
            template: a string, list or object.
            variables: further variables: ``args``, ``local``, ``input`` …
            allow_undefined: whether ``undefined`` is a result instead of leaving the text.

        Raises:
            TemplateError: a template outside of any object does not compile.
        """
        answer = await self._process.call(
            "render",
            template=wire.encode(template),
            vars=wire.encode(variables or {}),
            allowUndefined=allow_undefined,
        )
        if "error" in answer:
            raise TemplateError(answer["error"], template=str(template))
        seen = {(item["template"], item["reason"]): item for item in answer["warnings"]}
        self.warnings = list(seen.values())
        return wire.decode(answer["value"])

    async def load(self, path: Path) -> Any:
        """Load a script as a run would (spec §1.2) and return what it exports.

        Raises:
            ScriptLoadError: it cannot be loaded.
        """
        answer = await self._process.call("load", path=str(path))
        if not answer["ok"]:
            raise ScriptLoadError(f"{path} cannot be loaded: {answer['reason']}", path=str(path))
        return wire.decode(answer["value"])
