"""Apps made of a few files, in a home of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud.apps.check import CheckResult, check_app
from pinokiocloud.apps.plan import Plan, plan_script
from pinokiocloud.platforms.machine import Machine

LINUX = Machine(platform="linux", arch="x64", ram=13)


class App:
    """An app in ``HOME/api/app``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "api" / "app"
        self.root.mkdir(parents=True)

    def write(self, **files: str) -> App:
        """Write files; ``__`` in a name stands for a folder, ``_js`` and ``_json`` for the suffix."""
        for name, text in files.items():
            stem, _, suffix = name.replace("__", "/").rpartition("_")
            self.put(f"{stem}.{suffix}", text)
        return self

    def put(self, name: str, text: str = "") -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def check(self, name: str = "") -> CheckResult:
        return asyncio.run(check_app(self.root / name, home=self.home))

    def plan(self, name: str, machine: Machine = LINUX, **more: Any) -> Plan:
        return asyncio.run(plan_script(self.root / name, home=self.home, machine=machine, **more))


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path / "home")
