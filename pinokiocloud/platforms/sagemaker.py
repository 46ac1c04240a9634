"""SageMaker, other than Studio Lab: notebook instances and Studio (platforms §1.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.platforms.jupyter_proxy import JupyterProxyExposer
from pinokiocloud.platforms.platform import Facts, Look, Platform, temp_folder, user_home

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["evidence", "exposers", "platform", "secret_stores"]

NAME = "sagemaker"
TITLE = "Amazon SageMaker"
ORDER = 90
METADATA = "/opt/ml/metadata/resource-metadata.json"
INSTANCE = "/home/ec2-user/SageMaker"
STUDIO = "/home/sagemaker-user"
ROOTS: Mapping[str, str] = {INSTANCE: "work", STUDIO: "work"}


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for SageMaker: its file of metadata, or the folder of notebook instances.

    Parameters:
        look: what can be seen.
    """
    return look.there(METADATA, INSTANCE)


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform; a notebook instance keeps one folder, Studio the home folder.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    work = next((Path(folder) for folder in (INSTANCE, STUDIO) if look.exists(folder)), user_home(look.environ))
    return Platform(
        NAME, TITLE, work, (work,), temp_folder(look.environ), evidence,
        Facts(persists=str(work), life="until stopped; costs as long as it runs"),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return jupyter-server-proxy.

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
