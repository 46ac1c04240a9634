"""The portal of Vast.ai instances: Caddy in front of the apps, with a token (platforms §1.3).

``/etc/portal.yaml`` says which app has which port; Caddy reads it when it starts. Ports are fixed when the instance is
made, so an app gets one of those that are free. Facts: vast-ai/base-image, ``base.md`` §5 – §7,
``caddy_config_manager.py``.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pinokiocloud.home.files import write_atomic
from pinokiocloud.platforms.exposure import BaseExposer, Endpoint, ExposeError, Health, fetched, listens
from pinokiocloud.platforms.ports import is_free

__all__ = ["VastPortalExposer", "declared_ports"]

_FILE = "/etc/portal.yaml"
_MANAGER = "http://127.0.0.1:11111"
_START = 30.0  # s: Caddy's start script makes certificates and hashes first
_SSH = 22


class VastPortalExposer(BaseExposer):
    """An entry in the instance's portal for each port; the app itself only has to listen on 127.0.0.1.

    Opening and closing restart Caddy: connections through it, to other apps too, are cut for a moment.

    Parameters:
        environ: the instance's environment. Only the names of tokens are given on, never their values.
        file: the portal's file.
        restart: restarts Caddy; by default ``supervisorctl restart caddy``.
        manager: the address of the portal's own interface.
        wait: seconds until Caddy has to be back.
    """

    name = "vast-portal"

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        file: str | os.PathLike[str] = _FILE,
        restart: Callable[[], None] | None = None,
        manager: str = _MANAGER,
        wait: float = _START,
    ) -> None:
        super().__init__()
        self._environ = environ
        self._file = Path(file)
        self._restart = restart
        self._manager = manager
        self._wait = wait
        self._outer: dict[int, int] = {}
        self._labels: dict[int, str] = {}

    def available(self) -> bool:
        """Tell whether the instance has a portal, an address and a way to restart Caddy."""
        restart = self._restart is not None or shutil.which("supervisorctl") is not None
        return bool(restart and self._environ.get("PUBLIC_IPADDR") and self._file.is_file())

    def tunnels(self) -> dict[int, str]:
        """Return the quick tunnels that the instance made by itself: their addresses by the portal's port.

        They lead to Caddy, so the token is asked for there too.
        """
        status, body = fetched(f"{self._manager}/get-all-quick-tunnels")
        found: dict[int, str] = {}
        try:
            told = json.loads(body) if status == 200 else []
            for item in told:
                port = urlsplit(str(item["targetUrl"])).port
                if port is not None:
                    found[port] = str(item["tunnelUrl"])
        except (ValueError, KeyError, TypeError):
            return found
        return found

    def _open(self, port: int) -> Endpoint:
        """Add an entry, or take the one that is there."""
        address = self._environ.get("PUBLIC_IPADDR", "").strip()
        if not address:
            raise ExposeError("PUBLIC_IPADDR is not set: the instance has no address", port=port)
        declared = declared_ports(self._environ)
        portal, entries = self._read()
        outer = next((entry["external_port"] for entry in entries.values() if _serves(entry, port, declared)), None)
        if outer is None:
            outer = self._free(port, entries, declared)
            label = f"PinokioCloud {port}"
            entries[label] = {
                "hostname": "localhost", "external_port": outer, "internal_port": port, "open_path": "/", "name": label,
            }  # fmt: skip
            self._write({**portal, "applications": entries})
            self._labels[port] = label
            try:
                self._start(outer)
            except BaseException:
                self._remove([port])
                raise
        self._outer[port] = outer
        secure = self._environ.get("ENABLE_HTTPS", "false").lower() == "true"
        guarded = self._guarded(outer)
        note = (
            "asks for the instance's token, or user vastai with it as the password"
            if guarded
            else ("the instance's own settings turned the password off: open to everybody")
        )
        if secure:
            note += "; the browser warns of the certificate, which the instance signed itself"
        return Endpoint(
            f"{'https' if secure else 'http'}://{address}:{declared[outer]}/", "vast-portal",
            auth="token" if guarded else "none", public=True, expires="when the instance is recycled", note=note,
            port=port, token=self._token() if guarded else "",
        )  # fmt: skip

    def _health(self, endpoint: Endpoint) -> Health:
        """Ask the app through Caddy, on this machine."""
        outer = self._outer[endpoint.port]
        value = self._environ.get(endpoint.token, "") if endpoint.token else ""
        headers = {"Authorization": f"Bearer {value}"} if value else {}
        scheme = "https" if endpoint.url.startswith("https:") else "http"
        status, _ = fetched(f"{scheme}://127.0.0.1:{outer}/", headers)
        if not status:
            return Health(ok=False, detail="Caddy does not answer")
        if status in {502, 503, 504}:
            return Health(ok=False, detail=f"HTTP {status}: the app on port {endpoint.port} does not answer")
        return Health(status < 500, f"HTTP {status}")

    def _close(self, endpoints: list[Endpoint]) -> None:
        """Take our entries away; those that were there before stay."""
        self._remove([endpoint.port for endpoint in endpoints])
        for endpoint in endpoints:
            self._outer.pop(endpoint.port, None)

    def _remove(self, ports: list[int]) -> None:
        """Take entries of ours out of the file."""
        labels = [self._labels[port] for port in ports if port in self._labels]
        if labels:
            portal, entries = self._read()
            self._write({**portal, "applications": {key: entries[key] for key in entries if key not in labels}})
            self._start(None)
        for port in ports:
            self._labels.pop(port, None)

    def _free(self, port: int, entries: Mapping[str, Mapping[str, Any]], declared: Mapping[int, int]) -> int:
        """Return a declared port that nobody has."""
        taken = {entry.get(key) for entry in entries.values() for key in ("external_port", "internal_port")}
        for number in sorted(declared):
            # Caddy only gets an entry whose two ports differ.
            if number not in {port, _SSH} and number <= 65535 and number not in taken and is_free(number):
                return number
        raise ExposeError(
            "this instance has no free port; they are fixed when an instance is made",
            hint="close another app, use a tunnel, or make an instance with more ports",
            port=port,
        )

    def _start(self, outer: int | None) -> None:
        """Restart Caddy, and wait until it listens on a port."""
        try:
            (self._restart or _supervisorctl)()
        except (OSError, subprocess.SubprocessError) as error:
            raise ExposeError(
                f"Caddy could not be restarted: {type(error).__name__}", hint="supervisorctl restart caddy"
            ) from error
        end = time.monotonic() + self._wait
        while outer is not None and not listens(outer):
            if time.monotonic() > end:
                raise ExposeError(f"Caddy did not open port {outer}", hint="look at /var/log/portal/caddy.log")
            time.sleep(0.1)

    def _guarded(self, outer: int) -> bool:
        """Return whether Caddy asks for the token."""
        excluded = re.split(r"[\s,]+", self._environ.get("AUTH_EXCLUDE", ""))
        return self._environ.get("ENABLE_AUTH", "true").lower() != "false" and str(outer) not in excluded

    def _token(self) -> str:
        """Return the name of the variable that holds the token."""
        return (
            "WEB_PASSWORD"
            if not self._environ.get("OPEN_BUTTON_TOKEN") and self._environ.get("WEB_PASSWORD")
            else ("OPEN_BUTTON_TOKEN")
        )

    def _read(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Return the file and its entries."""
        try:
            told = _yaml().safe_load(self._file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ExposeError(f"{self._file} cannot be read: {error.strerror}", path=str(self._file)) from error
        except _yaml().YAMLError as error:
            raise ExposeError(f"{self._file} is not valid YAML", path=str(self._file)) from error
        told = {} if told is None else told
        entries = told.get("applications") if isinstance(told, dict) else None
        entries = {} if entries is None and isinstance(told, dict) else entries
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise ExposeError(f"{self._file} does not look like a portal's file", path=str(self._file))
        return told, dict(entries)

    def _write(self, portal: Mapping[str, Any]) -> None:
        """Write the file as the portal itself does."""
        try:
            write_atomic(self._file, str(_yaml().safe_dump(dict(portal), default_flow_style=False, sort_keys=False)))
        except OSError as error:
            raise ExposeError(f"{self._file} cannot be written: {error.strerror}", path=str(self._file)) from error


def declared_ports(environ: Mapping[str, str]) -> dict[int, int]:
    """Return the instance's TCP ports: the number outside by the number inside.

    Parameters:
        environ: the instance's environment.
    """
    found = {}
    for name, value in environ.items():
        match = re.fullmatch(r"VAST_TCP_PORT_(\d{1,6})", name)
        if match and re.fullmatch(r"\d{1,5}", value.strip()):
            found[int(match[1])] = int(value)
    return found


def _serves(entry: Mapping[str, Any], port: int, declared: Mapping[int, int]) -> bool:
    """Tell whether Caddy leads to a port by this entry."""
    outer = entry.get("external_port")
    return entry.get("internal_port") == port and outer != port and outer in declared


def _supervisorctl() -> None:
    """Restart Caddy."""
    subprocess.run(
        ["supervisorctl", "restart", "caddy"], check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60
    )


def _yaml() -> Any:
    """Return PyYAML, which huggingface-hub brings along."""
    try:
        return importlib.import_module("yaml")
    except ImportError:
        raise ExposeError("Vast's portal file needs PyYAML", hint="pip install pyyaml") from None
