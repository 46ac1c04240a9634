"""Writes what the documentation takes from the code: the methods, and the options of the commands.

``python tests/docs/docs_generate.py`` brings docs/methods.md and docs/cli.md up to date; a test sees to it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

from typer.models import ArgumentInfo

from pinokiocloud.cli.app import app
from pinokiocloud.methods.registry import Method, load_methods

DOCS = Path(__file__).resolve().parents[2] / "docs"

NAMESPACES = {
    "shell": "Shells",
    "fs": "Files",
    "json": "JSON files",
    "local": "Variables of the run",
    "global": "Variables that outlive the run",
    "self": "The script's own JSON files",
    "script": "Scripts",
    "net": "Network",
    "process": "Waiting",
    "env": "The app's ENVIRONMENT file",
    "hf": "Hugging Face",
    "input": "Questions",
    "show": "Notices and links",
    "other": "Everything else",
}

_SAME = {
    "exec": "shell",
    "input": "input", "modal": "input", "htmlmodal": "input", "filepicker": "input",
    "notify": "show", "push": "show", "web": "show", "browser": "show", "tab": "show", "uri": "show",
    "clipboard": "show", "loading": "show", "log": "show",
    "jump": "script", "goto": "script",
}  # fmt: skip


_VALUE = {"home": "FOLDER", "args": "JSON", "action": "NAME"}


def namespace(name: str) -> str:
    """Give the section that a method belongs to."""
    first = name.partition(".")[0]
    found = _SAME.get(first, first)
    return found if found in NAMESPACES else "other"


def cell(text: str) -> str:
    """Give a text that can stand in a table's cell."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def parameters(item: Method) -> str:
    """Give a method's parameters as a cell."""
    parts = [
        f"`{key}` {cell(what)}" if key else f"the params themselves: {cell(what)}" for key, what in item.params.items()
    ]
    return ", ".join(parts)


def methods() -> str:
    """Give the tables of docs/methods.md."""
    sections: dict[str, list[Method]] = {key: [] for key in NAMESPACES}
    for name, item in sorted(load_methods().items()):
        sections[namespace(name)].append(item)
    lines = []
    for key, title in NAMESPACES.items():
        lines += [f"## {title}", "", "| Method | What it does | Params |", "|---|---|---|"]
        for item in sections[key]:
            added = " (added)" if item.source.startswith("systems") else ""
            lines.append(f"| `{item.name}`{added} | {cell(item.summary)} | {parameters(item)} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def commands() -> dict[str, Callable[..., Any]]:
    """Give the commands' functions by name."""
    found = [
        (item.name or item.callback.__name__.strip("_").replace("_", "-"), item.callback)
        for item in app.registered_commands
    ]
    return dict(sorted(found))


def options(command: Callable[..., Any]) -> str:
    """Give the table of a command's arguments and options, from the annotations that typer reads."""
    lines = ["| Argument or option | What it does |", "|---|---|"]
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        kind, info = get_args(parameter.annotation)[:2]
        told = cell(info.help or "")
        if isinstance(info, ArgumentInfo):
            word = info.metavar or name.upper()
            shown = word if parameter.default is inspect.Parameter.empty else f"[{word}]"
        else:
            flag = kind is bool
            names = [
                info.default,
                *(info.param_decls or ()),
            ]  # in an annotation the first name stands where a default would
            decls = ", ".join(text.partition("/")[0] for text in names if isinstance(text, str))
            shown = decls if flag else f"{decls} {info.metavar or _VALUE.get(name, name.upper())}"
            if get_origin(kind) is list or any(get_origin(one) is list for one in get_args(kind)):
                told += " May be given several times."
            if not flag and parameter.default not in (None, inspect.Parameter.empty):
                told += f" Default: `{parameter.default}`."
        lines.append(f"| `{shown.replace('|', '/')}` | {told} |")
    return "\n".join(lines)


def insert(page: str, name: str, text: str) -> str:
    """Replace what stands between the marks of this name."""
    begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(re.escape(begin) + r"\n.*?" + re.escape(end), re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no marks for {name!r}: {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n{text}\n{end}", page)


def pages() -> dict[Path, str]:
    """Give every generated page with its content as it must be."""
    made = {DOCS / "methods.md": insert((DOCS / "methods.md").read_text("utf-8"), "methods", methods())}
    text = (DOCS / "cli.md").read_text("utf-8")
    for name, command in commands().items():
        text = insert(text, name, options(command))
    made[DOCS / "cli.md"] = text
    return made


if __name__ == "__main__":
    for path, content in pages().items():
        path.write_text(content, "utf-8")
