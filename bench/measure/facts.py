"""What the machine is, and whether it is quiet."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

__all__ = ["load", "machine", "quiet", "said"]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def said(*command: str, cwd: Path | None = None) -> str:
    """Return what a command prints, empty when there is no such command."""
    try:
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=20).stdout.strip()
    except OSError:
        return ""


def load() -> list[float]:
    """Return the load average of 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def machine(python: str, node: str, package: Path, folder: Path) -> dict[str, Any]:
    """Return the facts of this machine and of what is measured."""
    return {
        "date": dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": said(python, "--version").removeprefix("Python "),
        "node": said(node, "--version"),
        "bash": said("bash", "-c", "echo $BASH_VERSION"),
        "curl": said("curl", "--version").split(" (")[0],
        "folder": _filesystem(folder),
        "commit": said("git", "describe", "--always", "--dirty", cwd=package) or "unknown",
        "load_before": load(),
    }


def _filesystem(folder: Path) -> str:
    best = max(
        (part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)),
        key=lambda part: len(part.mountpoint),
        default=None,
    )
    return f"{best.fstype} {best.mountpoint}" if best else "unknown"


def quiet(limit: float, patience: float, look: float = 1.0) -> dict[str, Any]:
    """Wait, at most ``patience`` s, until others use less than ``limit`` percent of the processors; tell how it was."""
    deadline = time.monotonic() + patience
    while True:
        busy = psutil.cpu_percent(look)
        if busy < limit or time.monotonic() > deadline:
            return {"load": load(), "busy_percent": round(busy)}
