"""A machine of one's own: no platform was recognized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pinokiocloud.platforms.exposure import BaseExposer, Endpoint, Health, answers
from pinokiocloud.platforms.platform import Facts, Look, Platform, temp_folder, user_home

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["LocalExposer", "evidence", "exposers", "platform", "secret_stores"]

NAME = "local"
TITLE = "this machine"
ORDER = 1000
ROOTS: Mapping[str, str] = {}


def evidence(look: Look) -> tuple[str, ...]:
    """Return that nothing else fits, which is always true of the last that is asked.

    Parameters:
        look: what can be seen.
    """
    del look
    return ("no other platform was recognized",)


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform: work is done in the user's home folder.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    home = user_home(look.environ)
    return Platform(
        NAME, TITLE, home, (home,), temp_folder(look.environ), evidence, Facts(persists="everything", hosted=False),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return the way to the machine itself.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return (LocalExposer(),)


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return no store: the environment and files are all there is.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return ()


class LocalExposer(BaseExposer):
    """The machine's own address: for a browser on the same machine, or behind an SSH forwarding."""

    name = "local"

    def available(self) -> bool:
        """Tell that it is: a port of this machine can always be reached from it."""
        return True

    def _open(self, port: int) -> Endpoint:
        """Name the address."""
        return Endpoint(
            f"http://127.0.0.1:{port}/", "local", auth="none", public=False,
            note=f"for a browser on this machine, or after ssh -L {port}:127.0.0.1:{port}", port=port,
        )  # fmt: skip

    def _health(self, endpoint: Endpoint) -> Health:
        """Ask the app."""
        return answers(endpoint.url)
