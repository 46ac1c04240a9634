"""The conda guard: keeps scripts from replacing the managed base environment's Python or conda (spec §4.2.5)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

__all__ = ["harms_base"]

_SEGMENTS = re.compile(r"&&|\|\||[;|&\n]")
_COMMANDS = {"install", "update", "upgrade", "remove", "uninstall", "create"}
_PACKAGES = {"python", "conda", "conda-libmamba-solver"}
_ALL = {"--all", "--update-all", "--revision", "--file"}
_NAME = re.compile(r"\A(?:[\w.-]+::)?([A-Za-z0-9_.-]+?)(?:[=<>!~\[].*)?\Z")


def _words(segment: str) -> list[str]:
    try:
        return shlex.split(segment)
    except ValueError:
        return segment.split()


def _named(words: list[str]) -> str | None:
    """Return the environment that -n or -p names."""
    for i, word in enumerate(words):
        if word in ("-n", "--name", "-p", "--prefix") and i + 1 < len(words):
            return words[i + 1]
        if word.startswith(("--name=", "--prefix=")):
            return word.split("=", 1)[1]
    return None


def _packages(words: list[str]) -> list[str]:
    """Return what is neither an option nor a channel."""
    channels = {i + 1 for i, word in enumerate(words) if word in ("-c", "--channel")}
    return [word for i, word in enumerate(words) if i not in channels and not word.startswith("-")]


def harms_base(message: str, *, base: Path, other_selected: bool) -> bool:
    """Return whether a command line would change python or conda of the managed base.

    Parameters:
        message: the command line.
        base: prefix of the managed base environment.
        other_selected: whether the step itself selects an environment other than base.
    """
    for segment in _SEGMENTS.split(message):
        words = _words(segment)
        while words and (
            ("=" in words[0] and not words[0].startswith("-")) or words[0] in ("sudo", "command", "env", "time")
        ):
            words = words[1:]
        if len(words) < 2 or Path(words[0]).name not in ("conda", "mamba", "micromamba"):
            continue
        rest = words[1:]
        of_env = rest[0] == "env" and len(rest) > 1 and rest[1] in ("update", "create", "remove")
        if not of_env and rest[0] not in _COMMANDS:
            continue
        named = _named(rest)
        is_base = named == "base" or (named is not None and Path(named) == base)
        if not is_base and (named is not None or other_selected or (of_env and rest[1] != "update")):
            continue  # `conda env create` without a name makes the one that its file names
        if of_env or any(word in _ALL or word.split("=", 1)[0] in _ALL for word in rest):
            return True
        for word in _packages(rest[1:]):
            name = _NAME.match(word)
            if name and name.group(1).lower() in _PACKAGES:
                return True
    return False
