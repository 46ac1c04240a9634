"""Lightning AI Studios (platforms §1.1 – §1.3). Secrets of the teamspace are plain variables of the environment."""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.platforms.exposure import BaseExposer, Endpoint, ExposeError, Health, answers
from pinokiocloud.platforms.platform import Facts, Look, Platform

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["LightningExposer", "evidence", "exposers", "platform", "secret_stores"]

NAME = "lightning"
TITLE = "Lightning Studio"
ORDER = 40
STUDIO = "/teamspace/studios/this_studio"
ROOTS: Mapping[str, str] = {STUDIO: "work", "/teamspace": "work"}

# A new port gets its address a moment after it was added.
_TRIES = 10
_PAUSE = 1.0


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for an interactive Studio: the test of ``lightning_sdk`` itself (``in_studio``).

    Parameters:
        look: what can be seen.
    """
    if not look.environ.get("LIGHTNING_CLOUD_SPACE_ID") or look.environ.get("LIGHTNING_INTERACTIVE") != "true":
        return ()
    return ("LIGHTNING_CLOUD_SPACE_ID is set", "LIGHTNING_INTERACTIVE=true", *look.there(STUDIO))


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    del look
    return Platform(
        NAME, TITLE, Path(STUDIO), (Path("/teamspace"),), (Path("/tmp"),), evidence,  # noqa: S108 - the folder itself
        Facts(
            persists="the whole Studio, when it is stopped and started; not /tmp",
            life="free Studios sleep when idle and after 4 hours with a GPU", root=False,
        ),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return the Studio's own ports.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return (LightningExposer(),)


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return no store: Lightning gives secrets as variables of the environment.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return ()


class LightningExposer(BaseExposer):
    """Ports of the Studio, by ``lightning_sdk``, whose credentials are in the Studio's environment.

    The SDK can add ports and list them, not take them away: a closed one stays in the Studio's list of ports.

    Parameters:
        studio: makes the Studio's object; by default ``lightning_sdk.Studio``.
        pause: seconds between two looks for the address of a new port.
    """

    name = "lightning"

    def __init__(self, studio: Callable[[], Any] | None = None, *, pause: float = _PAUSE) -> None:
        super().__init__()
        self._make = studio
        self._pause = pause
        self._studio: Any = None

    def available(self) -> bool:
        """Tell whether the SDK is there."""
        try:
            return self._make is not None or importlib.util.find_spec("lightning_sdk") is not None
        except (ImportError, ValueError):
            return False

    def _open(self, port: int) -> Endpoint:
        """Take the port that is in the Studio's list, or add it."""
        try:
            found = self._found(port)
            if found is None:
                added = self._sdk().add_ports({f"pinokiocloud-{port}": port})
                found = next((item for item in added if getattr(item, "urls", None)), None)
            tries = 0
            while found is None and tries < _TRIES:
                tries += 1
                time.sleep(self._pause)
                found = self._found(port)
        except ExposeError:
            raise
        except Exception as error:
            raise ExposeError(
                f"Lightning did not open port {port}: {type(error).__name__}",
                hint="open it by hand with the Port Viewer of the Studio",
                port=port,
            ) from error
        if found is None:
            raise ExposeError(f"Lightning gave no address for port {port}", hint="look at the Port Viewer", port=port)
        ports = [str(number) for number in getattr(found, "ports", None) or ()]
        place = ports.index(str(port)) if str(port) in ports else 0
        url = str(found.urls[place if place < len(found.urls) else 0])
        guarded = bool(getattr(getattr(found, "auth", None), "enabled", False))
        return Endpoint(
            url if "://" in url else f"https://{url}", "lightning-port", auth="token" if guarded else "none",
            public=True, expires="when the Studio stops", note="closing removes it from the Port Viewer by hand only",
            port=port,
        )  # fmt: skip

    def _health(self, endpoint: Endpoint) -> Health:
        """Ask the address."""
        return answers(endpoint.url)

    def _found(self, port: int) -> Any:
        """Return the Studio's endpoint of a port, None if there is none with an address."""
        for item in self._sdk().list_ports():
            if str(port) in [str(number) for number in getattr(item, "ports", None) or ()] and item.urls:
                return item
        return None

    def _sdk(self) -> Any:
        """Return the Studio's object."""
        if self._studio is None:
            make = self._make
            if make is None:
                try:
                    make = importlib.import_module("lightning_sdk").Studio
                except ImportError:
                    raise ExposeError("lightning_sdk is missing", hint="pip install lightning-sdk") from None
            self._studio = make()
        return self._studio
