"""JupyterHub: a Jupyter server that a hub started for one user (platforms §1.1, §1.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pinokiocloud.platforms.jupyter_proxy import JupyterProxyExposer
from pinokiocloud.platforms.platform import Facts, Look, Platform, temp_folder, user_home

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["evidence", "exposers", "platform", "secret_stores"]

NAME = "jupyterhub"
TITLE = "JupyterHub"
ORDER = 100
ROOTS: Mapping[str, str] = {"/home/jovyan": "work"}


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for a hub: the path that it gave to the server.

    Parameters:
        look: what can be seen.
    """
    prefix = look.present("JUPYTERHUB_SERVICE_PREFIX")
    return (*prefix, *look.present("JUPYTERHUB_USER", "JUPYTERHUB_API_URL")) if prefix else ()


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform: work is done in the user's home folder.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    home = user_home(look.environ)
    return Platform(
        NAME, TITLE, home, (home,), temp_folder(look.environ), evidence,
        Facts(persists="as the hub's administrator decided, mostly the home folder",
              life="the hub may end idle servers",
              base_url=look.environ.get("JUPYTERHUB_SERVICE_PREFIX", "")),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return jupyter-server-proxy, at the path that the hub gave.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform
    return (JupyterProxyExposer(look.environ),)


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return no store: the environment and files are all there is.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return ()
