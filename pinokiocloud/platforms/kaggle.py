"""Kaggle notebooks (platforms §1.1, §1.2).

Kaggle's image is built from Colab's, so ``google.colab`` can be imported there and ``COLAB_*`` may be set: Kaggle is
asked first, and by the environment, never by an import. Kaggle has no way of its own to show a port.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.platforms.platform import Facts, Look, Platform
from pinokiocloud.platforms.secrets import Sealed, SecretError

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["KaggleStore", "evidence", "exposers", "platform", "secret_stores"]

NAME = "kaggle"
TITLE = "Kaggle"
ORDER = 10
ROOTS: Mapping[str, str] = {"/kaggle/working": "work", "/kaggle/tmp": "temp", "/kaggle/temp": "temp"}

# Without internet every question to the service takes 40 seconds.
_PAUSE = 60.0


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for Kaggle: its variables, confirmed by its folder.

    The variables alone are not enough, since ``KAGGLE_URL_BASE`` is also a setting of Kaggle's client elsewhere.

    Parameters:
        look: what can be seen.
    """
    variables = look.present("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_URL_BASE")
    folder = look.there("/kaggle/working")
    return (*variables, *folder) if variables and folder else ()


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    temp = [Path("/tmp")]  # noqa: S108 - the folder itself
    temp += [Path(folder) for folder in ("/kaggle/tmp", "/kaggle/temp") if look.exists(folder)]
    batch = look.environ.get("KAGGLE_KERNEL_RUN_TYPE") == "Batch"
    return Platform(
        NAME, TITLE, Path("/kaggle/working"), (Path("/kaggle/working"),), tuple(temp), evidence,
        Facts(
            persists="/kaggle/working, 20 GB, and only as a saved version",
            life="9 hours with a GPU in a batch run" if batch else "12 hours a session, about 30 GPU hours a week",
            root=True,
            scrub=("UV_SYSTEM_PYTHON", "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT"),
        ),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return no way to show a port: Kaggle has none, only a tunnel does (platforms §1.3).

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return ()


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return the store of Kaggle's "Add-ons → Secrets".

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return (KaggleStore(),)


class KaggleStore(Sealed):
    """The secrets that the user attached to the notebook (``kaggle_secrets``).

    Each question is an HTTP request with a limit of 40 seconds, so values are kept, and a service that cannot be
    reached (internet is off) is left alone for a minute.

    Parameters:
        client: makes the client; by default ``kaggle_secrets.UserSecretsClient``, where that can be imported.
        clock: the time in seconds, for the pause.
    """

    name = "Kaggle secrets"

    def __init__(self, client: Callable[[], Any] | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._values: dict[str, str] = {}
        self._closed_until = float("-inf")
        self._lock = threading.Lock()

    def get(self, name: str) -> str | None:
        """Return a secret, None if there is none of this name, or no such service here.

        Parameters:
            name: its label.

        Raises:
            SecretError: the service cannot be reached or refuses; the message is ours and never holds an answer.
        """
        with self._lock:
            if name in self._values:
                return self._values[name]
            if self._clock() < self._closed_until:
                return None
            make = self._client or _kaggle_client()
            if make is None:
                return None
            problem: SecretError | None = None
            value: object = None
            try:
                value = make().get_secret(name)
            except Exception as error:  # noqa: BLE001 - the classes cannot be imported elsewhere; told by name
                problem = self._problem(name, error)
            if problem is not None:
                raise problem
            if isinstance(value, str) and value:
                self._values[name] = value
                return value
            return None

    def names(self) -> list[str]:
        """Return the names of the secrets that were asked for and found; Kaggle gives no list."""
        return sorted(self._values)

    def _problem(self, name: str, error: Exception) -> SecretError | None:
        """Return what to tell, None if there is only no such secret."""
        kind = type(error).__name__
        if kind in {"BackendError", "ValidationError"}:
            return None  # the service answers so for labels that are not attached
        # An error of HTTP is a ConnectionError there too, but then the service did answer.
        if isinstance(error, ConnectionError) and getattr(error.__cause__, "code", None) is None:
            self._closed_until = self._clock() + _PAUSE
            hint = "turn on Settings → Internet"
        elif kind == "CredentialError":
            self._closed_until = self._clock() + _PAUSE
            hint = "attach the secret to this notebook under Add-ons → Secrets"
        else:
            hint = None
        return SecretError(f"Kaggle did not give the secret {name}: {kind}", hint=hint, name=name)


def _kaggle_client() -> Callable[[], Any] | None:
    """Return what makes a client, None outside of Kaggle."""
    try:
        module = importlib.import_module("kaggle_secrets")
    except ImportError:
        return None
    client: Callable[[], Any] = module.UserSecretsClient
    return client
