"""Vast.ai instances (platforms §1.1 – §1.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.platforms.exposure import BaseExposer, Endpoint, ExposeError
from pinokiocloud.platforms.platform import Facts, Look, Platform, temp_folder
from pinokiocloud.platforms.secrets import DotenvStore
from pinokiocloud.platforms.vast_portal import VastPortalExposer, declared_ports

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["VastDirectExposer", "evidence", "exposers", "platform", "secret_stores"]

NAME = "vast"
TITLE = "Vast.ai"
ORDER = 60
#: Where the instance's variables are.
ENVIRONMENT = "/etc/environment"
#: What the instance knows about itself, in JSON.
CAPABILITIES = "/etc/vast_capabilities.json"
ROOTS: Mapping[str, str] = {"/workspace": "work"}


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for Vast: its variables, in the environment or in ``/etc/environment``, or its files.

    Parameters:
        look: what can be seen.
    """
    known = look.with_file(ENVIRONMENT)
    files = look.there("/etc/vast_agents", "/etc/portal.yaml", "/.launch")
    found: tuple[str, ...] = known.present("VAST_CONTAINERLABEL")
    port = next((name for name in sorted(known.environ) if name.startswith("VAST_TCP_PORT_")), None)
    if "CONTAINER_ID" in known.environ and port is not None:
        found += known.present("CONTAINER_ID", port)
    if not found and "/etc/vast_agents exists" not in files and len(files) < 2:
        return ()
    return (*found, *files)


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform; the work folder is only persistent where it is a volume.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    chosen = look.with_file(ENVIRONMENT).environ.get("WORKSPACE", "")
    work = Path(chosen if chosen.startswith("/") and chosen.strip("/") else "/workspace")
    volume = _volume(look.read(CAPABILITIES))
    told = "a volume: it stays" if volume else "no volume" if volume is False else "perhaps a volume"
    return Platform(
        NAME, TITLE, work, (work,) if volume else (), temp_folder(look.environ), evidence,
        Facts(
            persists=f"everything when it is stopped and started; recycling and destroying wipe all; {work} is {told}",
            life="billed until stopped", root=True, bins=("/opt/instance-tools/bin",),
        ),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return the instance's portal, which asks for a token, then its bare ports.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform
    environ = look.with_file(ENVIRONMENT).environ
    return (VastPortalExposer(environ), VastDirectExposer(environ))


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return the file of variables that Vast's own services read, ``$WORKSPACE/.env``.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del look
    return (DotenvStore(platform.work_dir / ".env"),)


class VastDirectExposer(BaseExposer):
    """The ports that were declared when the instance was made; nothing asks for a password there.

    A port up to 65535 is forwarded from another number outside. One above 70000 is only the name of a port that is
    the same inside and outside: the app listens on the value of ``VAST_TCP_PORT_<name>``.

    Parameters:
        environ: the instance's environment.
    """

    name = "vast-direct"

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._address = environ.get("PUBLIC_IPADDR", "").strip()
        self._ports = declared_ports(environ)

    def available(self) -> bool:
        """Tell whether the instance has an address and ports."""
        return bool(self._address and self._ports)

    @property
    def ports(self) -> list[int]:
        """The ports on which an app can listen to be reached, SSH's left out."""
        return sorted(number if number <= 65535 else outside for number, outside in self._ports.items() if number != 22)

    def _open(self, port: int) -> Endpoint:
        """Name the address."""
        outside = self._ports.get(port)
        if outside is None and any(number > 65535 and value == port for number, value in self._ports.items()):
            outside = port
        if not self._address or outside is None:
            known = ", ".join(map(str, self.ports)) or "none"
            raise ExposeError(
                f"port {port} was not declared when this instance was made",
                hint=f"let the app listen on a declared one ({known}), or use the instance's portal",
                port=port,
            )
        return Endpoint(
            f"http://{self._address}:{outside}/", "vast-direct", auth="none", public=True,
            note="not encrypted, no password, open to everybody; the app must listen on 0.0.0.0", port=port,
        )  # fmt: skip


def _volume(text: str) -> bool | None:
    """Return whether the work folder is a volume, None if it is not known."""
    try:
        value = json.loads(text)["instance"]["workspace_is_volume"]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, bool) else None
