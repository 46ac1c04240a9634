"""Which platform this is: the modules of this package are asked in the order that the facts demand."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, cast

import pinokiocloud.platforms as package
from pinokiocloud.errors import UsageError
from pinokiocloud.platforms.platform import Look, Platform, PlatformModule, read_text
from pinokiocloud.platforms.secrets import DotenvStore, EnvironmentStore, FileStore, Redactor, Secrets, SecretStore

if TYPE_CHECKING:
    from pinokiocloud.home.layout import Home
    from pinokiocloud.platforms.exposure import Exposer

__all__ = ["OVERRIDE", "detect", "exposers_of", "module_of", "modules", "running_shell", "secrets_of"]

#: The variable that decides by name.
OVERRIDE = "PINOKIOCLOUD_PLATFORM"


def detect(
    environ: Mapping[str, str] | None = None,
    exists: Callable[[str], bool] = os.path.exists,
    read: Callable[[str], str] = read_text,
    shell: str = "",
) -> Platform:
    """Return the platform that this machine belongs to (platforms §1.1).

    The answer follows from the parameters alone. The first platform with evidence wins: Kaggle, Colab Enterprise,
    Colab, Lightning, RunPod, Vast, Paperspace, Studio Lab, SageMaker, JupyterHub, Jupyter, and "local", which always
    fits. ``PINOKIOCLOUD_PLATFORM`` overrides all.

    Parameters:
        environ: the environment, by default the process's own.
        exists: tells whether a path is there.
        read: returns the text of a file, "" if it cannot be read.
        shell: the class name of the running IPython shell, see ``running_shell``.

    Returns:
        The platform, with the evidence that spoke for it.

    Raises:
        UsageError: ``PINOKIOCLOUD_PLATFORM`` names no platform.
    """
    look = Look(os.environ if environ is None else environ, exists, read, shell)
    chosen = look.environ.get(OVERRIDE, "").strip()
    if chosen:
        module = module_of(chosen)
        evidence = (f"{OVERRIDE}={module.NAME}", *module.evidence(look))
        return replace(module.platform(look, evidence), forced=True)
    for module in modules():
        evidence = module.evidence(look)
        if evidence:
            return module.platform(look, evidence)
    raise AssertionError("the module of local machines always has evidence")


@cache
def modules() -> tuple[PlatformModule, ...]:
    """Return the modules that know a platform, in the order in which they are asked."""
    found = []
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        if hasattr(module, "ORDER") and hasattr(module, "evidence"):
            found.append(cast("PlatformModule", module))
    return tuple(sorted(found, key=lambda module: module.ORDER))


def module_of(name: str) -> PlatformModule:
    """Return the module of a platform.

    Parameters:
        name: the platform's name; case, blanks, dashes and underscores make no difference.

    Raises:
        UsageError: there is no such platform.
    """
    wanted = _plain(name)
    for module in modules():
        if _plain(module.NAME) == wanted:
            return module
    known = ", ".join(module.NAME for module in modules())
    raise UsageError(f"no platform of this name: {name}", hint=f"{OVERRIDE} can be one of {known}", name=name)


def exposers_of(platform: Platform, look: Look | None = None) -> list[Exposer]:
    """Return a platform's own ways to show a port, the best first; ask each whether it is ``available``.

    Parameters:
        platform: the platform.
        look: what can be seen, by default the process's environment.
    """
    return list(module_of(platform.name).exposers(platform, Look() if look is None else look))


def secrets_of(platform: Platform, home: Home, look: Look | None = None, redactor: Redactor | None = None) -> Secrets:
    """Return the chain of secrets: environment, ``.env`` and store of the home folder, then the platform's own.

    The platform comes last since it may ask the user or a service.

    Parameters:
        platform: the platform.
        home: the home folder; the store is ``config/secrets.json`` in it.
        look: what can be seen, by default the process's environment.
        redactor: learns every value that is given.
    """
    look = Look() if look is None else look
    stores: list[SecretStore] = [
        EnvironmentStore(look.environ), DotenvStore(home.path(".env")), FileStore(home.path("config", "secrets.json")),
    ]  # fmt: skip
    return Secrets([*stores, *module_of(platform.name).secret_stores(platform, look)], redactor)


def running_shell() -> str:
    """Return the class name of the running IPython shell, "" outside of IPython. Nothing is imported."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ if shell is not None else ""


def _plain(name: str) -> str:
    """Return a name as it is compared."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
