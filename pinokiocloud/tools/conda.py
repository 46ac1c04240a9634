"""``conda`` for scripts: creates and fills environments with micromamba (spec §4.2.5; architecture §3).

Run as a file of its own, by scripts' shells; it imports nothing of the package. micromamba is fetched once, when a
command first needs it, and checked against a pinned checksum. Where it cannot be had, an environment that asks for
Python alone is made by uv.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["MICROMAMBA", "main"]

_VERSION = "2.3.3-0"
#: Release file and its SHA-256, by (system, machine).
MICROMAMBA = {
    ("Linux", "x86_64"): ("micromamba-linux-64", "9496f94a8b78c536573c93d946ec9bba74bd9ff79ee55aaa4b546e30db8f511b"),
    ("Darwin", "x86_64"): ("micromamba-osx-64", "d61b4b752be3464e7162688f568327888cd826c5ec14462e44f42816660e77fd"),
}
_URL = "https://github.com/mamba-org/micromamba-releases/releases/download"
_PYTHON_ONLY = re.compile(r"\Apython(?:[=<>!~ ]*([\d.]+)[\d.*]*)?\Z")
_CONNECT = 10  # s
_READ = 60  # s


class CondaError(Exception):
    """What the user is told; printed behind ``CondaError:``."""


def _home_bin() -> Path:
    return Path(os.environ["_PKC_BASE"]).parent


def micromamba() -> Path:
    """Return micromamba, fetched and checked on first need.

    Raises:
        CondaError: there is none for this machine, it cannot be fetched, or its checksum is wrong.
    """
    target = _home_bin() / "micromamba" / f"micromamba-{_VERSION}"
    override = os.environ.get("PINOKIOCLOUD_MICROMAMBA")
    if override:
        return Path(override)
    if target.exists():
        return target
    release = MICROMAMBA.get((platform.system(), platform.machine()))
    if release is None:
        raise CondaError(
            f"there is no micromamba for {platform.system()} {platform.machine()}: "
            "set PINOKIOCLOUD_MICROMAMBA to the path of one"
        )
    name, checksum = release
    url = f"{os.environ.get('PINOKIOCLOUD_MICROMAMBA_URL', _URL)}/{_VERSION}/{name}"
    import requests  # noqa: PLC0415 - most conda commands do not get here

    print(f"fetching {url}", file=sys.stderr, flush=True)  # noqa: T201 - stdout is the command's own: info --json
    try:
        with requests.get(url, timeout=(_CONNECT, _READ), stream=True) as response:
            response.raise_for_status()
            data = response.content
    except requests.RequestException as error:
        raise CondaError(f"micromamba could not be fetched from {url}: {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != os.environ.get("PINOKIOCLOUD_MICROMAMBA_SHA256", checksum):
        raise CondaError(f"micromamba from {url} has the checksum {found}, not {checksum}: it is not used")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.chmod(0o755)
    temporary.replace(target)
    return target


def _prefix(arguments: list[str]) -> Path | None:
    """Return the environment that -p or -n names."""
    for i, word in enumerate(arguments):
        value = arguments[i + 1] if i + 1 < len(arguments) else ""
        if word in ("-p", "--prefix") and value:
            return Path(value).absolute()
        if word in ("-n", "--name") and value:
            return Path(os.environ["_PKC_BASE"]) / "envs" / value if value != "base" else Path(os.environ["_PKC_BASE"])
    return None


def _packages(arguments: list[str]) -> list[str]:
    """Return the package specifications of a create command, without options and their values."""
    packages = []
    skip = False
    for word in arguments:
        if skip:
            skip = False
        elif word in ("-p", "--prefix", "-n", "--name", "-c", "--channel", "--solver", "-f", "--file"):
            skip = True
        elif not word.startswith("-"):
            packages.append(word)
    return packages


def _create_python(prefix: Path, spec: str) -> int:
    """Make an environment that holds Python alone, without conda."""
    match = _PYTHON_ONLY.match(spec)
    version = ".".join(match.group(1).split(".")[:2]) if match and match.group(1) else "3.10"
    uv = str(Path(os.environ["_PKC_BASE"]) / "bin" / "uv")
    env = {**os.environ, "UV_PYTHON_PREFERENCE": "managed", "UV_HTTP_RETRIES": "1"}
    code = 1
    attempts = [
        (wanted, seed)
        for wanted in (version, str(Path(os.environ["_PKC_BASE"]) / "bin" / "python"))
        for seed in (True, False)
    ]
    for wanted, seed in attempts:  # seeding takes pip from the index, which may be out of reach
        code = subprocess.run(
            [uv, "venv", "--quiet", "--allow-existing", *(["--seed"] if seed else []), "--python", wanted, str(prefix)],
            env=env,
            check=False,
            stderr=None if (wanted, seed) == attempts[-1] else subprocess.DEVNULL,
        ).returncode
        if code == 0:
            if not seed:
                subprocess.run(
                    [str(prefix / "bin" / "python"), "-m", "ensurepip"],
                    check=False,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            (prefix / "conda-meta").mkdir(exist_ok=True)
            print(f"created {prefix} with Python alone (micromamba is not available)")  # noqa: T201
            return 0
    return code


def _run(arguments: list[str]) -> int:
    command = arguments[0] if arguments else "--help"
    if command in ("--version", "-V"):
        print("conda 26.5.3")  # noqa: T201
        return 0
    prefix = _prefix(arguments)
    if command == "create" and prefix is not None:
        packages = _packages(arguments[1:])
        only_python = len(packages) == 1 and _PYTHON_ONLY.match(packages[0])
        try:
            program = micromamba()
        except CondaError:
            if only_python:
                return _create_python(prefix, packages[0])
            raise
    else:
        program = micromamba()
    base = os.environ["_PKC_BASE"]
    env = {**os.environ, "MAMBA_ROOT_PREFIX": base, "MAMBA_NO_BANNER": "1"}
    env.pop("CONDARC", None)
    rest = list(arguments)
    if command in ("create", "install", "update", "upgrade", "remove", "uninstall"):
        if not any(word in ("-c", "--channel") or word.startswith("--channel=") for word in rest):
            rest += ["-c", "conda-forge"]
        if prefix is None:
            rest += ["-p", os.environ.get("CONDA_PREFIX", base)]
    return subprocess.run([str(program), *rest], env=env, check=False).returncode


def main() -> int:
    """Answer one conda command; return its exit code."""
    if "_PKC_BASE" not in os.environ:
        os.environ["_PKC_BASE"] = os.environ.get("CONDA_PREFIX", "")
    try:
        return _run(sys.argv[1:])
    except CondaError as error:
        print(f"CondaError: {error}", file=sys.stderr)  # noqa: T201 - "error:" stops the script, as it should
        return 1


if __name__ == "__main__":
    sys.exit(main())
