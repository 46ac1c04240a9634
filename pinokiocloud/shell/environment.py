"""The environment of a shell, layer by layer (spec §4.2.6)."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pinokiocloud.errors import ShellError
from pinokiocloud.shell.command import javascript_text

__all__ = ["engine_environment", "login_path", "managed_path", "shell_environment", "tool_variables"]

_NAME = re.compile(r"\A[A-Za-z_][A-Za-z0-9_]*\Z")
_BREAKS = re.compile(r"[\r\n]+")
_CONDA_STATE = re.compile(
    r"\A(?:CONDA_EXE|CONDA_PREFIX.*|CONDA_DEFAULT_ENV|CONDA_SHLVL|CONDA_PROMPT_MODIFIER|CONDA_PYTHON_EXE|_CE_.*)\Z"
)
# What a notebook's kernel sets for itself must not reach an app (architecture §3; platforms.md §1.2: uv on Colab).
_KERNEL = re.compile(
    r"\A(?:UV_.*|VIRTUAL_ENV.*|PIP_BREAK_SYSTEM_PACKAGES|JPY_.*|IPY.*|MPLBACKEND|PYTHONHOME|NODE_OPTIONS|NODE_PATH|ENV|BASH_ENV|PROMPT_COMMAND|PS0|npm_.*|PYENV_.*)\Z"
)
_KEPT = {"UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_NATIVE_TLS", "UV_FIND_LINKS"}
_CONSTANTS = {
    "CONDA_SHORTCUTS": "0",
    "CMAKE_OBJECT_PATH_MAX": "1024",
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
}
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def engine_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the engine's own environment without what must not reach a script (spec §4.2.6, 1), with the constants."""
    env = {}
    for key, value in (os.environ if environ is None else environ).items():
        if key in _KEPT:
            env[key] = value
        elif (
            key.startswith(("CUDA", "BLUEFAIRY_"))
            or "SSH" in key
            or "SSL" in key
            or (
                key in ("PYTHONPATH", "CMAKE_MAKE_PROGRAM", "CMAKE_GENERATOR")
                or _CONDA_STATE.match(key)
                or _KERNEL.match(key)
            )
        ):
            continue
        else:
            env[key] = value
    source = os.environ if environ is None else environ
    if source.get("SSL_CERT_FILE"):
        env.setdefault("UV_SYSTEM_CERTS", "1")  # the variable itself is taken away (spec §4.2.6, 1)
        for key in ("NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE"):
            env.setdefault(key, source["SSL_CERT_FILE"])
    return {**env, **_CONSTANTS}


def login_path(environ: Mapping[str, str] | None = None) -> str:
    """Return the PATH that a login would have: the machine's, without the kernel's own virtual environment."""
    env = os.environ if environ is None else environ
    kernel = env.get("VIRTUAL_ENV")
    folders = [f for f in env.get("PATH", _DEFAULT_PATH).split(":") if f and not (kernel and f == f"{kernel}/bin")]
    for folder in ("/usr/local/bin", "/usr/bin", "/bin", "/opt/bin"):
        if folder not in folders and Path(folder).is_dir():
            folders.append(folder)
    return ":".join(folders)


def managed_path(home: Path) -> list[str]:
    """Return the managed folders that go before the login PATH (spec §4.2.6, 5)."""
    base = home / "bin" / "miniforge"
    npm = home / "bin" / "npm"
    brew = home / "bin" / "homebrew"
    folders = [
        npm,
        npm / "bin",
        base / "etc" / "profile.d",
        base / "bin",
        base / "condabin",
        base / "lib",
        base / "Library" / "bin",
        base / "pkgs",
        base,
        brew / "bin",
        brew / "Cellar",
    ]
    return [str(folder) for folder in folders]


def tool_variables(home: Path) -> dict[str, str]:
    """Return the variables of the managed tools (spec §4.2.6, 4–5)."""
    base = home / "bin" / "miniforge"
    npm = home / "bin" / "npm"
    brew = home / "bin" / "homebrew"
    variables = {
        "HISTFILE": str(home / "history" / "bash_history"),
        "PINOKIO_HOME": str(home),
        "CONDA_ENVS_PATH": str(base / "envs"),
        "CONDA_PKGS_DIRS": str(base / "pkgs"),
        "PYTHON": str(base / "python"),
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GH_CONFIG_DIR": str(home / "config" / "gh"),
        "NPM_CONFIG_PREFIX": str(npm),
        "npm_config_prefix": str(npm),
        "npm_config_cache": str(home / "cache" / "npm_config_cache"),
        "PNPM_HOME": str(npm),
        "pnpm_home": str(npm),
        "HOMEBREW_PREFIX": str(brew),
        "HOMEBREW_CELLAR": str(brew / "Cellar"),
        "HOMEBREW_REPOSITORY": str(brew),
        "HOMEBREW_CACHE": str(brew / "cache"),
        "HOMEBREW_NO_ASK": "1",
        "BLUEFAIRY_HOME": str(home / "bin" / "bluefairy"),
    }
    compiler = shutil.which("g++")
    if compiler:
        variables["NVCC_PREPEND_FLAGS"] = f"-ccbin {compiler}"
    toolkit = next((p for p in (Path("/usr/local/cuda"), base) if (p / "bin" / "nvcc").exists()), None)
    if toolkit is not None:
        variables["CUDA_HOME"] = str(toolkit)
    return variables


def _apply(env: dict[str, str], given: Mapping[str, Any]) -> None:
    """Add a step's own ``env`` (spec §4.2.6, 6)."""
    for key, value in given.items():
        if key.upper() == "PATH":
            if not isinstance(value, list):
                raise ShellError(
                    f"env.{key} must be a list of folders, not {value!r}",
                    hint=f'"{key}": ["/folder"]: they go before the PATH',
                )
            env["PATH"] = ":".join([*(javascript_text(item) for item in value), env.get("PATH", "")])
        elif isinstance(value, list):
            parts = [javascript_text(item) for item in value]
            if env.get(key):
                parts.append(env[key])
            env[key] = ":".join(parts)
        else:
            env[key] = javascript_text(value)


def shell_environment(
    *,
    home: Path,
    merged: Mapping[str, str],
    params: Mapping[str, Any],
    activation: Mapping[str, str],
    login: str,
    token_path: Path | None = None,
) -> dict[str, str]:
    """Return the whole environment of one shell (spec §4.2.6).

    Parameters:
        home: the home folder.
        merged: layers 1–3: ``engine_environment`` with the ENVIRONMENT files on top.
        params: the step's params: ``env`` and ``-env``.
        activation: variables of the activation.
        login: the login PATH.
        token_path: file of the Hugging Face token, None when nobody is logged in.

    Raises:
        ShellError: ``env.PATH`` is no list.
    """
    env = dict(merged)
    env.update(tool_variables(home))
    env["PATH"] = ":".join([*managed_path(home), login, str(home / "bin")])
    env.setdefault("PS1", "<<PINOKIO_SHELL>>")
    given = params.get("env")
    if isinstance(given, Mapping):
        _apply(env, given)
    if not env.get("HF_HUB_DISABLE_UPDATE_CHECK"):
        env["HF_HUB_DISABLE_UPDATE_CHECK"] = "1"
    if not env.get("HF_TOKEN_PATH"):
        env["HF_TOKEN_PATH"] = str(token_path or home / "cache" / "HF_AUTH" / "anonymous")
    env["TERM"] = "xterm-color"
    clean = {}
    for key, value in env.items():
        if not _NAME.match(key):
            continue
        text = value if key.startswith("PINOKIO_ARG_") else _BREAKS.sub(" ", value)
        clean[key] = text.replace("\0", "")
    removed = params.get("-env")
    if isinstance(removed, Sequence) and not isinstance(removed, str):
        for key in removed:
            clean.pop(str(key), None)
    for key, value in activation.items():
        if key.startswith("UV_") and (key in merged or (isinstance(given, Mapping) and key in given)):
            continue  # a choice of the person or the script goes before the default
        clean[key] = value
    return clean
