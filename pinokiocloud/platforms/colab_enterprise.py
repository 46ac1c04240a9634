"""Colab Enterprise, on Vertex AI: Colab's image without Colab's page.

``drive.mount`` and ``userdata`` raise there, and no way to show a port is known (platforms §1.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.platforms.colab import BINS, SCRUB
from pinokiocloud.platforms.platform import Facts, Look, Platform

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["evidence", "exposers", "platform", "secret_stores"]

NAME = "colab_enterprise"
TITLE = "Colab Enterprise"
ORDER = 20
ROOTS: Mapping[str, str] = {}


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for Colab Enterprise.

    Parameters:
        look: what can be seen.
    """
    if look.environ.get("VERTEX_PRODUCT") != "COLAB_ENTERPRISE":
        return ()
    return ("VERTEX_PRODUCT=COLAB_ENTERPRISE", *look.present("COLAB_RELEASE_TAG"))


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    del look
    return Platform(
        NAME, TITLE, Path("/content"), (), (Path("/tmp"),), evidence,  # noqa: S108 - the folder itself
        Facts(
            persists="not known; keep results in Cloud Storage", life="as the runtime template says",
            ui="pull", tunnels="ask", root=True, bins=BINS, scrub=SCRUB,
        ),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return no way to show a port: none is known.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return ()


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return no store: ``userdata`` raises there.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return ()
