"""SageMaker Studio Lab (platforms §1.1 – §1.3): asked before the other kinds of SageMaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.platforms.jupyter_proxy import JupyterProxyExposer
from pinokiocloud.platforms.platform import Facts, Look, Platform

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["evidence", "exposers", "platform", "secret_stores"]

NAME = "studiolab"
TITLE = "SageMaker Studio Lab"
ORDER = 80
FOLDER = "/home/studio-lab-user"
ROOTS: Mapping[str, str] = {FOLDER: "work"}


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for Studio Lab: its user's folder.

    Parameters:
        look: what can be seen.
    """
    folder = look.there(FOLDER)
    return (*folder, *look.present("SAGEMAKER_INTERNAL_IMAGE_URI")) if folder else ()


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    del look
    return Platform(
        NAME, TITLE, Path(FOLDER), (Path(FOLDER),), (Path("/tmp"),), evidence,  # noqa: S108 - the folder itself
        Facts(persists="the home folder, 15 GB; /tmp is bigger and is lost", life="4 to 8 hours, 4 with a GPU",
              root=False, base_url="/studiolab/default/jupyter/"),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return jupyter-server-proxy, at the path that Studio Lab has.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    return (JupyterProxyExposer(look.environ, base_url=platform.facts.base_url),)


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return no store: the environment and files are all there is.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return ()
