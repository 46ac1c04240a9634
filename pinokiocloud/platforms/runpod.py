"""RunPod pods (platforms §1.1 – §1.3).

Secrets of the account are variables: a template names them, or they come as ``RUNPOD_SECRET_<name>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.platforms.exposure import BaseExposer, Endpoint, ExposeError, Health, answers
from pinokiocloud.platforms.platform import Facts, Look, Platform, temp_folder
from pinokiocloud.platforms.secrets import EnvironmentStore

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["RunPodExposer", "evidence", "exposers", "platform", "secret_stores"]

NAME = "runpod"
TITLE = "RunPod"
ORDER = 50
#: Where the pod's variables are; a kernel that the pod's start script did not start lacks them.
ENVIRONMENT = "/etc/rp_environment"
ROOTS: Mapping[str, str] = {"/workspace": "work"}


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for RunPod: the pod's id, in the environment or in the pod's file.

    Parameters:
        look: what can be seen.
    """
    if "RUNPOD_POD_ID" in look.environ:
        return ("RUNPOD_POD_ID is set", *look.there(ENVIRONMENT))
    if "RUNPOD_POD_ID" in look.with_file(ENVIRONMENT).environ:
        return (f"RUNPOD_POD_ID is in {ENVIRONMENT}",)
    return ()


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    work = Path(_absolute(look.with_file(ENVIRONMENT).environ.get("RP_WORKSPACE", "")) or "/workspace")
    return Platform(
        NAME, TITLE, work, (work,), temp_folder(look.environ), evidence,
        Facts(persists=f"{work}, if it is a volume; the container's disk is wiped by a restart", life="until stopped",
              root=True, scrub=("PIP_BREAK_SYSTEM_PACKAGES",)),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return the pod's own ports.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform
    return (RunPodExposer(look.with_file(ENVIRONMENT).environ),)


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return the pod's variables, also under the names that RunPod gives to secrets.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform
    environ = look.with_file(ENVIRONMENT).environ
    return (EnvironmentStore(environ, prefixes=("RUNPOD_SECRET_",), name="RunPod secrets"),)


class RunPodExposer(BaseExposer):
    """RunPod's HTTP proxy, and its public TCP ports.

    Which ports are on the pod's HTTP list (ten at most) cannot be read from inside: ``health`` tells whether it works.

    Parameters:
        environ: the pod's environment.
        template: the proxy's address, with ``{pod}`` and ``{port}``.
    """

    name = "runpod"

    def __init__(self, environ: Mapping[str, str], *, template: str = "https://{pod}-{port}.proxy.runpod.net/") -> None:
        super().__init__()
        names = ("RUNPOD_POD_ID", "RUNPOD_PUBLIC_IP")
        self._values = {
            key: value for key, value in environ.items() if key in names or key.startswith("RUNPOD_TCP_PORT_")
        }
        self._template = template

    def available(self) -> bool:
        """Tell whether the pod's id is known."""
        return bool(self._values.get("RUNPOD_POD_ID"))

    def _open(self, port: int) -> Endpoint:
        """Name the address."""
        pod, address = self._values.get("RUNPOD_POD_ID"), self._values.get("RUNPOD_PUBLIC_IP")
        outside = self._values.get(f"RUNPOD_TCP_PORT_{port}", "")
        if address and outside.isdecimal():
            return Endpoint(
                f"http://{address}:{outside}/", "runpod-tcp", auth="none", public=True,
                note="not encrypted, no password, open to everybody; the app must listen on 0.0.0.0", port=port,
            )  # fmt: skip
        if not pod:
            raise ExposeError("this is no RunPod pod: RUNPOD_POD_ID is not set", port=port)
        return Endpoint(
            self._template.format(pod=pod, port=port), "runpod-proxy", auth="none", public=True,
            note=f"no password; works if {port} is one of the pod's HTTP ports and the app listens on 0.0.0.0; the "
                 "proxy ends requests after 100 seconds", port=port,
        )  # fmt: skip

    def _health(self, endpoint: Endpoint) -> Health:
        """Ask the address; 404 is also what a port gives that is not on the pod's list."""
        found = answers(endpoint.url)
        if found.detail == "HTTP 404":
            return Health(ok=False, detail=f"HTTP 404: add {endpoint.port} to the HTTP ports of the pod")
        return found


def _absolute(path: str) -> str:
    """Return a path if it is absolute, else nothing."""
    return path.rstrip("/") if path.startswith("/") else ""
