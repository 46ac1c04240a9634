"""The table of methods: each is declared once, with its parameters, and says where it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pinokiocloud.methods.context import StepContext

__all__ = ["HOST_METHODS", "METHODS", "WITHOUT_PARAMS", "Method", "load_methods", "method"]

Handler = Callable[["StepContext"], Awaitable[Any]]


@dataclass(frozen=True)
class Method:
    """A method of scripts.

    Attributes:
        name: as steps call it.
        params: its parameters, with what each is.
        summary: what it does, in one line.
        handler: executes it; None when the script host does (``script/host/methods``).
        source: where its behaviour is described.
    """

    name: str
    summary: str
    params: dict[str, str] = field(default_factory=dict)
    handler: Handler | None = None
    source: str = ""


METHODS: dict[str, Method] = {}

#: Methods that can do without params; the others fail then, as in the reference (spec §4.1, at its end).
WITHOUT_PARAMS = frozenset(
    [
        "shell.run",
        "shell.start",
        "shell.enter",
        "shell.stop",
        "process.wait",
        "push",
        "notify",
        "hf.login",
        "hf.logout",
        "input",
        "modal",
        "htmlmodal",
        "htmlmodal.open",
        "htmlmodal.close",
        "loading.start",
        "loading.end",
        "filepicker.open",
        "web.close",
        "browser.close",
        "web.expose",
        "terminal.upload",
        "proxy.start",
        "proxy.stop",
        "clipboard.paste",
        "app.search",
        "app.refresh",
        "key.get",
        "key.set",
        "script.restart",
        "browser",
    ]
)


def method(*names: str, summary: str, source: str = "", **params: str) -> Callable[[Handler], Handler]:
    """Declare the decorated coroutine function as a method under one or more names.

    Parameters:
        names: the names that steps use.
        summary: what it does, in one line.
        source: where its behaviour is described (``spec §4.3``).
        params: its parameters, with what each is.
    """

    def declare(handler: Handler) -> Handler:
        for name in names:
            METHODS[name] = Method(name, summary, params, handler, source)
        return handler

    return declare


#: Methods whose meaning is JavaScript values: the script host executes them (``script/host/methods``).
HOST_METHODS: dict[str, Method] = {
    item.name: item
    for item in [
        Method(
            "log",
            "print text or JSON",
            {"raw": "text", "text": "text", "json": "value", "json2": "value, indented"},
            source="spec §4.9",
        ),
        Method(
            "jump",
            "go on at another step",
            {"index": "number", "id": "step id", "params": "the next input"},
            source="spec §2.5",
        ),
        Method(
            "goto",
            "the same as jump",
            {"index": "number", "id": "step id", "params": "the next input"},
            source="spec §2.5",
        ),
        Method("script.return", "give a value to the caller", {"": "any value"}, source="spec §2.9.2"),
        Method("load", "load JSON and JS files", {"<name>": "path"}, source="spec §4.5"),
        Method("import", "always fails, as in the reference", {}, source="spec §4.1"),
        Method("local.set", "set local variables", {"<dot.path>": "value"}, source="spec §4.5"),
        Method("local.rm", "remove local variables", {"": "list of dot paths"}, source="spec §4.5"),
        Method("local.import", "take other scripts' local variables", {"<name>": "script path"}, source="spec §4.5"),
        Method("global.set", "set variables that outlive the run", {"<dot.path>": "value"}, source="spec §4.5"),
        Method("global.rm", "remove them", {"": "list of dot paths"}, source="spec §4.5"),
        Method("self.set", "change JSON files", {"<file.json>": "{dot path: value}"}, source="spec §4.5"),
        Method("self.rm", "remove from JSON files", {"<file.json>": "list of dot paths"}, source="spec §4.5"),
        Method("json.get", "read JSON files into local variables", {"<name>": "file.json"}, source="spec §4.5"),
        Method("json.set", "change JSON files", {"<file.json>": "{dot path: value}"}, source="spec §4.5"),
        Method("json.rm", "remove from JSON files", {"<file.json>": "list of dot paths"}, source="spec §4.5"),
        Method("json.read", "read a JSON file", {"path": "file"}, source="systems §1"),
        Method("json.write", "write a JSON file", {"path": "file", "data": "value"}, source="systems §1"),
        Method("json.merge", "merge into a JSON file", {"path": "file", "data": "object"}, source="systems §1"),
        Method(
            "set",
            "set local, global, self, json or key",
            {"local": "{path: value}", "key": "{host: value}"},
            source="spec §4.5",
        ),
        Method("rm", "remove from local, global, self or json", {"local": "list of dot paths"}, source="spec §4.5"),
        Method(
            "fs.write",
            "write a file",
            {"path": "file", "text": "text", "json": "value", "json2": "value, indented", "buffer": "bytes"},
            source="spec §4.4",
        ),
        Method("fs.append", "append to a file", {"path": "file", "text": "text", "json": "value"}, source="spec §4.4"),
        Method(
            "fs.read",
            "read a file",
            {"path": "file", "encoding": "utf8, base64 …; none gives bytes"},
            source="spec §4.4",
        ),
        Method("fs.cat", "print a file", {"path": "file"}, source="spec §4.4"),
        Method("fs.rm", "remove a file or folder", {"path": "path"}, source="spec §4.4"),
        Method("fs.remove", "the same as fs.rm", {"path": "path"}, source="spec §4.4"),
        Method("fs.rmdir", "the same as fs.rm", {"path": "path"}, source="systems §1"),
        Method("fs.make", "make a folder", {"path": "folder"}, source="spec §4.4"),
        Method("fs.mkdir", "the same as fs.make", {"path": "folder"}, source="systems §1"),
        Method("fs.move", "move a file or folder", {"src": "path", "dest": "path"}, source="systems §1"),
        Method("fs.exists", "tell whether a path exists", {"path": "path"}, source="systems §1"),
        Method("fs.readdir", "list a folder", {"path": "folder"}, source="systems §1"),
        Method(
            "net",
            "make an HTTP request",
            {"url": "address", "method": "get, post …", "headers": "object", "data": "body"},
            source="spec §4.9",
        ),
        Method("net.request", "the same as net", {"url": "address"}, source="systems §1"),
        Method(
            "net.upload",
            "upload a file",
            {"url": "address", "path": "file", "field": "form field"},
            source="systems §1",
        ),
    ]
}


def load_methods() -> dict[str, Method]:
    """Return every method by name, those of the host included."""
    import importlib  # noqa: PLC0415 - the methods import much; they are needed only to run
    import pkgutil  # noqa: PLC0415

    package = str(Path(__file__).parent)
    for info in pkgutil.iter_modules([package]):
        if info.name not in ("registry", "context"):
            importlib.import_module(f"pinokiocloud.methods.{info.name}")
    return {**HOST_METHODS, **METHODS}
