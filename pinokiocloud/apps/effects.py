"""What a rendered step would do: commands, files, downloads, links, questions (spec §4)."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pinokiocloud.errors import PinokioError
from pinokiocloud.home.uri import folder_name, resolve
from pinokiocloud.script import wire
from pinokiocloud.shell.command import argv_line, javascript_text, lines_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pinokiocloud.home import Home

__all__ = ["Command", "Download", "Effects", "FileChange", "Link", "Question", "effects_of"]

_SHELLS = ("shell.run", "shell.start", "shell.enter", "shell.write")
_LINKS = ("web.open", "browser.open", "tab.open", "uri.open")
_MEMORY = {"local.set": "local", "global.set": "global", "env.set": "env", "env.switch": "env"}
_JSON_FILES = ("json.set", "json.rm", "self.set", "self.rm")
_INTERPRETERS = {".py": "python -u", ".sh": "bash"}
_FILES = {
    "fs.write": ("write", ("path",)),
    "fs.append": ("append to", ("path",)),
    "fs.make": ("make", ("path",)),
    "fs.mkdir": ("make", ("path",)),
    "fs.rm": ("remove", ("path",)),
    "fs.remove": ("remove", ("path",)),
    "fs.rmdir": ("remove", ("path",)),
    "fs.read": ("read", ("path",)),
    "fs.cat": ("print", ("path",)),
    "fs.copy": ("copy", ("src", "dest")),
    "fs.move": ("move", ("src", "dest")),
    "json.write": ("write", ("path",)),
    "json.merge": ("change", ("path",)),
    "json.read": ("read", ("path",)),
}


@dataclass(frozen=True)
class Command:
    """A command line in a shell of its own.

    Attributes:
        line: the command; None when the shell is only set up.
        folder: where it runs.
        env: the variables that the step adds.
        venv: the virtual environment, ``{path, python, exists}``; ``exists`` is None when that is not known yet.
        conda: the conda environment, ``{path, name, python}``; None for the base environment.
        events: what its output is watched for, ``{event, then}``.
        shell: id of the shell that it is typed into; None for a new one.
        sudo: whether it runs without any activation.
    """

    line: str | None
    folder: str
    env: dict[str, str] = field(default_factory=dict)
    venv: dict[str, Any] | None = None
    conda: dict[str, Any] | None = None
    events: tuple[dict[str, str], ...] = ()
    shell: str | None = None
    sudo: bool = False


@dataclass(frozen=True)
class FileChange:
    """A file or folder that is touched: what is done, to which path, with which second path (``copy``, ``move``)."""

    action: str
    path: str
    to: str | None = None


@dataclass(frozen=True)
class Download:
    """A download: the addresses, and the folder or file that they go to; None for the hub's own cache."""

    urls: tuple[str, ...]
    target: str | None


@dataclass(frozen=True)
class Link:
    """A link or notice that is shown."""

    url: str | None
    text: str = ""


@dataclass(frozen=True)
class Question:
    """A question: its title, and the fields of its form as ``{key, title, type, default, items}``."""

    kind: str
    title: str
    fields: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Effects:
    """What a step would do.

    Attributes:
        commands: commands, in order.
        files: files and folders.
        downloads: downloads.
        links: links and notices.
        questions: questions.
        sets: variables: ``{"local": {name: value}}``.
        waits: what it waits for; None when it does not wait.
        prints: text for the log; None when there is none.
        stops: the scripts that it stops.
    """

    commands: tuple[Command, ...] = ()
    files: tuple[FileChange, ...] = ()
    downloads: tuple[Download, ...] = ()
    links: tuple[Link, ...] = ()
    questions: tuple[Question, ...] = ()
    sets: dict[str, Any] = field(default_factory=dict)
    waits: str | None = None
    prints: str | None = None
    stops: tuple[str, ...] = ()


class _Step:
    """One rendered step.

    Parameters:
        method: its method.
        params: its params, decoded.
        cwd: the script's folder.
        home: the home folder.
    """

    def __init__(self, method: str, params: Any, cwd: Path, home: Home) -> None:
        self.method = method
        self.raw = params
        self.params: dict[str, Any] = params if isinstance(params, dict) else {}
        self.cwd = cwd
        self.home = home

    def path(self, value: Any) -> str:
        """Return an absolute path; a template that is not known yet stays as it is."""
        text = str(wire.plain(value))
        if "{{" in text:
            return text
        try:
            return os.path.normpath(resolve(text, self.cwd, self.home))
        except PinokioError:
            return text

    def folder(self) -> str:
        """Return the folder of a shell step."""
        given = self.params.get("path") or self.params.get("cwd")
        return self.path(given) if given else str(self.cwd)

    def text(self, key: str) -> str:
        """Return a parameter as text."""
        value = self.params.get(key)
        return "" if value is None or value is wire.UNDEFINED else javascript_text(wire.plain(value))


def _lines(message: Any, chain: Any) -> list[str | None]:
    """Return the command lines, as ``lines_of``; texts that are not known yet are kept."""
    if isinstance(message, list) and not chain:
        out: list[str | None] = []
        for item in message:
            if isinstance(item, str) and item:
                out.append(item)
            elif item:
                out += lines_of([wire.plain(item)], None)
        return out
    return lines_of(wire.plain(message), chain)


def _events(params: Mapping[str, Any]) -> tuple[dict[str, str], ...]:
    on = params.get("on")
    out = []
    for item in on if isinstance(on, list) else []:
        if not isinstance(item, dict):
            continue
        event = item.get("event")
        text = "the prompt" if event is None else str(wire.plain(event))
        then = "remembered"
        if item.get("done"):
            then = "the step is done"
        elif item.get("kill"):
            then = "the shell is ended"
        elif "break" in item:
            then = "the step fails" if item["break"] else "no error"
        elif item.get("trigger"):
            then = f"'{item['trigger']}' is run"
        elif "return" in item:
            then = "its result"
        out.append({"event": text, "then": then})
    return tuple(out)


def _venv(params: Mapping[str, Any], told: Mapping[str, Any] | None, folder: str) -> dict[str, Any] | None:
    venv = params.get("venv")
    if not venv:
        return None
    python = params.get("venv_python")
    if isinstance(venv, dict):
        python, venv = venv.get("python"), venv.get("path")
    if not isinstance(venv, str) or not venv:
        return None
    path = venv if "{{" in venv else os.path.normpath(os.path.join(folder, venv))  # noqa: PTH118
    return {"path": path, "python": wire.plain(python), "exists": told.get("exists") if told else None}


def _conda(params: Mapping[str, Any]) -> dict[str, Any] | None:
    conda = params.get("conda")
    if not conda:
        return None
    if isinstance(conda, str):
        return {"path": conda}
    return {str(key): wire.plain(value) for key, value in conda.items()} if isinstance(conda, dict) else None


def _variable(value: Any) -> str:
    """Return a variable's text: a list is joined, and goes before what the variable holds already (spec §4.2.6)."""
    plain = wire.plain(value)
    return ":".join(javascript_text(item) for item in plain) if isinstance(plain, list) else javascript_text(plain)


def _commands(step: _Step, venv: Mapping[str, Any] | None) -> tuple[Command, ...]:
    params, method = step.params, step.method
    folder = step.folder()
    given = params.get("env")
    env = {str(key): _variable(value) for key, value in given.items()} if isinstance(given, dict) else {}
    if method in _SHELLS:
        sudo = bool(params.get("sudo"))
        typed = method in ("shell.enter", "shell.write")
        lines = _lines(params.get("message"), params.get("chain") or ("&" if sudo or method == "shell.start" else None))
        known = {} if sudo or typed else {"venv": _venv(params, venv, folder), "conda": _conda(params)}
        shell = step.text("id") or str(step.cwd) if typed or method == "shell.start" else None
        made = [
            Command(line, folder, env, events=_events(params), shell=shell, sudo=sudo, **known)
            for line in (lines if lines or method != "shell.start" else [None])
        ]
        return tuple(made)
    if method == "exec":
        return (Command(step.text("message"), folder, env),)
    if method in ("hf.download", "hf.upload"):
        flags = {key: wire.plain(value) for key, value in params.items() if key not in ("path", "env", "_")}
        words = params.get("_", [])
        argv = ["hf", method.split(".")[1], *(wire.plain(words) if isinstance(words, list) else [words])]
        return (Command(argv_line({"_": argv, **flags}), folder, env),)
    return ()


def _clone(step: _Step) -> tuple[Command, ...]:
    """Return the commands with which a script's repository is fetched (spec §4.9)."""
    uri = step.text("uri")
    remote = uri[: uri.index(".git") + 4]
    return (Command(f"git clone {remote} {folder_name(remote)}", str(step.home.api)),)


def _script(step: _Step, target: str | None) -> tuple[Command, ...]:
    uri = step.text("uri") or step.text("path")
    if target is None and uri.startswith(("http://", "https://")) and ".git" in uri:
        return _clone(step)
    suffix = os.path.splitext(target or "")[1]  # noqa: PTH122 - a text
    if target is None or suffix not in _INTERPRETERS:
        return ()
    words = step.params.get("args", step.params.get("params"))
    more = [shlex.quote(javascript_text(word)) for word in words] if isinstance(words, list) else []
    line = " ".join([_INTERPRETERS[suffix], shlex.quote(target), *more])
    return (Command(line, os.path.dirname(target)),)  # noqa: PTH120 - a text


def _files(step: _Step) -> tuple[FileChange, ...]:
    params, method = step.params, step.method
    if method in _FILES:
        action, keys = _FILES[method]
        values = [params.get(key, params.get({"src": "from", "dest": "to"}.get(key, key))) for key in keys]
        paths = [step.path(value) for value in values if isinstance(value, str) and value]
        return (FileChange(action, paths[0], paths[1] if len(paths) > 1 else None),) if paths else ()
    if method in _JSON_FILES:
        return tuple(FileChange("change", step.path(name)) for name in params if str(name).endswith(".json"))
    if method == "json.get":
        return tuple(FileChange("read", step.path(value)) for value in params.values() if isinstance(value, str))
    if method in ("set", "rm"):
        files = [name for key in ("self", "json") for name in (params.get(key) or ())]
        return tuple(FileChange("change", step.path(name)) for name in files if isinstance(name, str))
    if method in ("fs.link", "fs.share") and isinstance(params.get("drive"), dict):
        return tuple(
            FileChange("share", step.path(link), f"drive:{route}")
            for route, links in params["drive"].items()
            for link in (links if isinstance(links, list) else [links])
            if isinstance(link, str)
        )
    if method in ("env.set", "env.switch"):
        return (FileChange("change", str(step.cwd / "ENVIRONMENT")),)
    return ()


def _downloads(step: _Step) -> tuple[Download, ...]:
    params = step.params
    if step.method in ("fs.download", "net.download"):
        urls = params.get("uri", params.get("url"))
        found = tuple(str(url) for url in (urls if isinstance(urls, list) else [urls]) if isinstance(url, str))
        target = params.get("dir") or params.get("path")
        return (Download(found, step.path(target) if isinstance(target, str) else None),) if found else ()
    if step.method == "hf.download":
        words = params.get("_")
        names = [str(word) for word in words] if isinstance(words, list) else []
        target = params.get("local-dir")
        if not names:
            return ()
        where = os.path.normpath(os.path.join(step.folder(), target)) if isinstance(target, str) else None  # noqa: PTH118
        url = f"https://huggingface.co/{names[0]}"
        return (Download(tuple(f"{url}/{name}" for name in names[1:]) or (url,), where),)
    return ()


def _questions(step: _Step) -> tuple[Question, ...]:
    if step.method not in ("input", "filepicker.open", "hf.login"):
        return ()
    form = step.params.get("form")
    fields = [item for item in form if isinstance(item, dict)] if isinstance(form, list) else []
    wanted = ("key", "title", "type", "default", "items", "required")
    shown = tuple({key: wire.plain(item[key]) for key in wanted if key in item} for item in fields)
    title = step.text("title") or step.text("message") or step.text("description") or step.method
    return (Question(step.method, title, shown),)


def effects_of(
    method: str, params: Any, *, cwd: Path, home: Home, venv: Mapping[str, Any] | None = None, target: str | None = None
) -> Effects:
    """Return what a rendered step would do.

    Parameters:
        method: its method.
        params: its params, decoded; templates that are not known yet are still texts.
        cwd: the script's folder.
        home: the home folder.
        venv: what is known of its virtual environment.
        target: the script that it starts.
    """
    step = _Step(method, params, cwd, home)
    commands = _commands(step, venv)
    if method in ("script.start", "script.run", "script.download"):
        commands = _script(step, target)
    elif method == "app.download" and step.text("uri"):
        commands = (Command(argv_line({"_": ["git", "clone", step.text("uri")]}), str(home.api)),)
    links: tuple[Link, ...] = ()
    if method in _LINKS:
        links = (Link(step.text("uri") or step.text("url")),)
    elif method in ("notify", "push", "modal", "htmlmodal.open"):
        text = step.text("html") or step.text("message") or step.text("description") or step.text("title")
        links = (Link(step.text("href") or None, text),)
    elif method == "cloudflare.tunnel":
        links = (Link(step.text("uri"), "made public by a tunnel"),)
    sets = {_MEMORY[method]: wire.plain(step.raw)} if method in _MEMORY else {}
    if method == "set":
        sets = {key: wire.plain(step.params[key]) for key in ("local", "global") if key in step.params}
    waits = None
    if method == "process.wait":
        waits = ", ".join(f"{key} {wire.plain(value)}" for key, value in step.params.items()) or "until it is stopped"
    prints = None
    if method == "log":
        shown = next(
            (step.params[key] for key in ("raw", "text", "json", "json2", "message") if key in step.params), ""
        )
        prints = shown if isinstance(shown, str) else str(wire.plain(shown))
    stops: tuple[str, ...] = ()
    if method == "script.stop":
        uris = step.params.get("uri", step.params.get("path"))
        stops = tuple(step.path(uri) for uri in (uris if isinstance(uris, list) else [uris]) if isinstance(uri, str))
    return Effects(commands, _files(step), _downloads(step), links, _questions(step), sets, waits, prints, stops)
