"""Paperspace notebooks (platforms §1.1 – §1.3). Tunnels are reported to be against its terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.platforms.exposure import BaseExposer, Endpoint, ExposeError, Health, answers
from pinokiocloud.platforms.jupyter_proxy import JupyterProxyExposer
from pinokiocloud.platforms.platform import Facts, Look, Platform

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["PaperspaceExposer", "evidence", "exposers", "platform", "secret_stores"]

NAME = "paperspace"
TITLE = "Paperspace"
ORDER = 70
ROOTS: Mapping[str, str] = {"/notebooks": "work", "/storage": "persistent"}
#: The port that the platform forwards for TensorBoard.
PORT = 6006


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for Paperspace: its host name, or another of its variables with its folder.

    Variables alone are not enough: ``PAPERSPACE_API_KEY`` is a setting of its client elsewhere.

    Parameters:
        look: what can be seen.
    """
    names = sorted(name for name in look.environ if name.startswith("PAPERSPACE_"))
    folders = look.there("/notebooks", "/storage")
    if "PAPERSPACE_FQDN" in names or (names and "/notebooks exists" in folders):
        return (*look.present(*names), *folders)
    return ()


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    name = look.environ.get("PAPERSPACE_FQDN", "")
    persistent = tuple(Path(folder) for folder in ("/storage", "/notebooks") if look.exists(folder))
    return Platform(
        NAME, TITLE, Path("/notebooks"), persistent or (Path("/notebooks"),),
        (Path("/tmp"),), evidence,  # noqa: S108 - the folder itself
        Facts(persists="/storage and /notebooks", life="6 hours on free machines", tunnels="no", root=True,
              public_url=f"https://{name}" if name else ""),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return TensorBoard's forwarding, and jupyter-server-proxy where it is installed.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    return (
        PaperspaceExposer(look.environ.get("PAPERSPACE_FQDN", "")),
        JupyterProxyExposer(look.environ, public_url=platform.facts.public_url),
    )


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return no store: Paperspace gives secrets as variables of the environment.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return ()


class PaperspaceExposer(BaseExposer):
    """The forwarding that Paperspace has for TensorBoard: port 6006, and no other.

    Parameters:
        fqdn: the notebook's host name, ``PAPERSPACE_FQDN``.
        template: the address, with ``{fqdn}``.
    """

    name = "paperspace"

    def __init__(self, fqdn: str, *, template: str = "https://tensorboard-{fqdn}/") -> None:
        super().__init__()
        self._fqdn = fqdn
        self._template = template

    def available(self) -> bool:
        """Tell whether the host name is known."""
        return bool(self._fqdn)

    def _open(self, port: int) -> Endpoint:
        """Name the address."""
        if not self._fqdn:
            raise ExposeError("PAPERSPACE_FQDN is not set", port=port)
        if port != PORT:
            raise ExposeError(
                f"Paperspace forwards port {PORT} only, not {port}",
                hint=f"let the app listen on port {PORT}",
                port=port,
            )
        return Endpoint(
            self._template.format(fqdn=self._fqdn), "paperspace-tensorboard", auth="none", public=True,
            expires="when the notebook stops", note="no password: everybody who knows the address can open it",
            port=port,
        )  # fmt: skip

    def _health(self, endpoint: Endpoint) -> Health:
        """Ask the address."""
        return answers(endpoint.url)
