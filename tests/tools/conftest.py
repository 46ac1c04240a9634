from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud.tools.base import BaseEnvironment


@pytest.fixture
def make() -> Callable[[Path], BaseEnvironment]:
    """Give a function that makes the base environment of a home folder."""

    def go(home: Path) -> BaseEnvironment:
        return BaseEnvironment(home / "bin" / "miniforge", home / "bin", home / "cache" / "UV_CACHE_DIR")

    return go


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> BaseEnvironment:
    """A base environment that tests only look at."""
    home = tmp_path_factory.mktemp("made")
    base = BaseEnvironment(home / "bin" / "miniforge", home / "bin", home / "cache" / "UV_CACHE_DIR")
    base.ensure()
    return base


@pytest.fixture
def conda(made: BaseEnvironment) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give a function that runs the conda helper as a script's shell does."""

    def go(*arguments: str, base: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        env: dict[str, Any] = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "_PKC_BASE": str(base or made.prefix),
            **variables,
        }
        return subprocess.run(
            [str(made.conda), *arguments],
            env=env,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=60,
        )

    return go
