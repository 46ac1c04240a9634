"""Writes what the documentation takes from the code: the methods, and the options of the commands.

``python tests/docs/docs_generate.py`` brings docs/methods.md and docs/cli.md up to date; a test sees to it that they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from typer.main import get_command

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
    parts = [f"`{key}` {cell(what)}" if key else f"the params themselves: {cell(what)}" for key, what in item.params.items()]
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


def commands() -> dict[str, Any]:
    """Give the commands by name."""
    return dict(sorted(get_command(app).commands.items()))  # type: ignore[attr-defined]


def options(command: Any) -> str:
    """Give the table of a command's arguments and options."""
    lines = ["| Argument or option | What it does |", "|---|---|"]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = parameter.name.upper() if parameter.required else f"[{parameter.name.upper()}]"
            shown = f"`{name}`"
        else:
            value = "" if parameter.is_flag else f" {parameter.metavar or parameter.type.name.upper()}"
            shown = f"`{', '.join(parameter.opts)}{value}`"
        told = cell(parameter.help or "")
        if parameter.multiple:
            told += " May be given several times."
        default = parameter.default
        if default not in (None, False, [], ()) and not callable(default) and not parameter.required:
            told += f" Default: `{default}`."
        lines.append(f"| {shown} | {told} |")
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
