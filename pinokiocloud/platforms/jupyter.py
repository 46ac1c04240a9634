"""A plain Jupyter server, or a notebook in VS Code (platforms §1.1, §1.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pinokiocloud.platforms.jupyter_proxy import JupyterProxyExposer
from pinokiocloud.platforms.local import LocalExposer
from pinokiocloud.platforms.platform import Facts, Look, Platform, temp_folder, user_home

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["evidence", "exposers", "platform", "secret_stores"]

NAME = "jupyter"
TITLE = "Jupyter"
ORDER = 110
ROOTS: Mapping[str, str] = {}


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for a notebook: the variables that a server gives to kernels, or the kernel's shell.

    ``VSCODE_PID`` alone says nothing: every terminal of VS Code has it.

    Parameters:
        look: what can be seen.
    """
    found = look.present("JPY_PARENT_PID", "JPY_SESSION_NAME")
    if look.shell == "ZMQInteractiveShell":
        found += ("the shell is a ZMQInteractiveShell",)
    return (*found, *look.present("VSCODE_PID")) if found else ()


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform: work is done in the user's home folder.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    home = user_home(look.environ)
    title = f"{TITLE} in VS Code" if "VSCODE_PID" in look.environ else TITLE
    return Platform(
        NAME, title, home, (home,), temp_folder(look.environ), evidence, Facts(persists="everything", hosted=False),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return jupyter-server-proxy, then the machine itself, which a browser beside it can reach.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform
    return (JupyterProxyExposer(look.environ), LocalExposer())


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return no store: the environment and files are all there is.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return ()
