"""What a shell runs before the message: conda and venv (spec §4.2.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pinokiocloud.errors import ShellError

__all__ = ["Activation", "activation", "portable"]

_HOOK = 'eval "$(conda shell.bash hook)"'
_DEACTIVATE = ["conda deactivate"] * 3
_PYTHON = "python=3.10.20"


@dataclass(frozen=True)
class Activation:
    """The activation of one shell.

    Attributes:
        commands: what is run, in order.
        env: variables that it sets.
        other_conda: whether a conda environment other than base is selected.
        needs_base: whether the managed base environment must be there.
    """

    commands: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    other_conda: bool = False
    needs_base: bool = True


_COMMON = {
    "CONDA_AUTO_ACTIVATE_BASE": "false",
    "PYTHONNOUSERSITE": "1",
    "UV_PYTHON_PREFERENCE": "only-managed",
    "UV_PYTHON_DOWNLOADS": "automatic",
}


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\"'\"'") + "'"


def _python(conda: Mapping[str, Any], fallback: Any) -> str:
    wanted = conda.get("python") or fallback
    if not wanted:
        return _PYTHON
    text = str(wanted)
    return f"python={text}" if text.replace(".", "").isdigit() else text


def _conda(params: Mapping[str, Any], cwd: Path, base: Path) -> Activation:
    conda = params.get("conda")
    plain = Activation([_HOOK, *_DEACTIVATE, "conda activate base"], {**_COMMON, "PIP_REQUIRE_VIRTUALENV": "true"})
    if not conda:
        return plain
    if isinstance(conda, str):
        conda = {"path": conda}
    if not isinstance(conda, Mapping):
        raise ShellError(f"conda is a path or an object, not {conda!r}")
    if conda.get("skip"):
        return Activation([], {}, other_conda=False, needs_base=False)
    path, name = conda.get("path"), conda.get("name")
    if not path and not name:
        raise ShellError("conda needs a path, a name or skip", hint='"conda": "env" or {"path": …} or {"name": …}')
    if not path and name == "base":
        return plain
    if path:
        prefix = cwd / str(path)
        target, option = _quoted(prefix), f"-p {_quoted(prefix)}"
    else:
        prefix = base / "envs" / str(name)
        target, option = str(name), f"-n {name}"
    activate = conda.get("activate")
    if isinstance(activate, list):
        return Activation([str(item) for item in activate], dict(_COMMON), other_conda=True)
    if activate == "minimal":
        return Activation([_HOOK, "conda activate base"], dict(_COMMON))
    commands = [_HOOK]
    if not prefix.exists():
        commands.append(
            f"conda create -y {option} {_python(conda, params.get('conda_python'))} {conda.get('args') or ''}"
        )
    return Activation([*commands, *_DEACTIVATE, f"conda activate {target}"], dict(_COMMON), other_conda=True)


def portable(active: Activation, base: Path) -> Activation:
    """Return an activation for a shell that has no ``conda`` function (``shell: "sh"``): by variables alone."""
    commands = [
        item.replace("source ", ". ", 1) if item.startswith("source ") else item
        for item in active.commands
        if not item.startswith(('eval "$(conda', "conda deactivate", "conda activate"))
    ]
    env = {**active.env, "CONDA_PREFIX": str(base), "CONDA_DEFAULT_ENV": "base"} if active.needs_base else active.env
    return Activation(commands, env, active.other_conda, active.needs_base)


def activation(params: Mapping[str, Any], cwd: Path, base: Path) -> Activation:
    """Return the activation of a ``shell.run`` (spec §4.2.5).

    Parameters:
        params: the step's params: ``conda``, ``conda_python``, ``venv``, ``venv_python``.
        cwd: the step's folder: relative environments are below it.
        base: prefix of the managed base environment.

    Raises:
        ShellError: a ``conda`` object without path, name or skip.
    """
    first = _conda(params, cwd, base)
    venv = params.get("venv")
    if not venv:
        return first
    python = params.get("venv_python")
    if isinstance(venv, Mapping):
        python = venv.get("python")
        venv = venv.get("path")
        if not venv:
            return first
    prefix = cwd / str(venv)
    quoted = str(prefix) if _plain(str(prefix)) else _quoted(prefix)  # the reference does not quote: spaces break there
    source = f"source {quoted}/bin/activate {quoted}"
    if prefix.exists():
        commands = [source]
    else:
        # uv makes both kinds (architecture §3). A venv without a wanted version is the base's Python and has pip, as
        # `python -m venv` gives it; the preference lets uv use a Python of the machine where none can be downloaded.
        create = (
            f"UV_PYTHON_PREFERENCE=managed uv venv {quoted} --python {python}"
            if python
            else f'UV_PYTHON_PREFERENCE=system uv venv --quiet --seed --python "$_PKC_BASE/bin/python" {quoted}'
        )
        commands = [create, source, "deactivate", source]
    return Activation([*first.commands, *commands], first.env, first.other_conda, first.needs_base)


def _plain(text: str) -> bool:
    return all(c.isalnum() or c in "/._-+@:%," for c in text)
