"""Google Colab (platforms §1.1 – §1.4).

Everything that asks the notebook page (``eval_js``, ``userdata``) waits for an answer on the kernel's stdin channel: it
is not thread-safe, waits forever where no page answers, and so is only done in the main thread while a cell runs. What
was asked once is kept for other threads.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.platforms.exposure import BaseExposer, Endpoint, ExposeError
from pinokiocloud.platforms.local import LocalExposer
from pinokiocloud.platforms.platform import Facts, Look, Notice, Platform
from pinokiocloud.platforms.secrets import Sealed, SecretError

if TYPE_CHECKING:
    from pinokiocloud.platforms.exposure import Exposer
    from pinokiocloud.platforms.secrets import SecretStore

__all__ = ["ColabExposer", "ColabStore", "evidence", "exposers", "in_cell", "platform", "secret_stores"]

NAME = "colab"
TITLE = "Google Colab"
ORDER = 30
ROOTS: Mapping[str, str] = {"/content": "work"}

#: The file that colabtools itself takes for the sign of a hosted machine; a local runtime lacks it.
HOSTNAME = "/var/colab/hostname"
#: What a child process must not get: empty or stale values broke uv (uv#12724, colabtools#5237).
SCRUB = ("UV_SYSTEM_PYTHON", "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT", "UV_PRERELEASE", "UV_INDEX_STRATEGY", "PYTHONPATH")
BINS = ("/opt/bin", "/tools/node/bin", "/usr/local/bin")

TERMS = Notice(
    "colab-terms",
    "Colab is for interactive work in the notebook. On free machines its terms forbid remote control and working "
    "mainly through a web UI, and such machines may be ended without warning; on all machines they forbid web services "
    "unrelated to interactive work, connecting to remote proxies, torrents, mining and deepfakes. Apps are therefore "
    "shown inside the notebook, and tunnels stay off until you turn them on.",
    "https://research.google.com/colaboratory/faq.html",
)


def evidence(look: Look) -> tuple[str, ...]:
    """Return what speaks for Colab: its release tag, confirmed by another variable or the hosted machine's file.

    The tag alone is part of Colab's public image, which also runs elsewhere.

    Parameters:
        look: what can be seen.
    """
    tag = look.present("COLAB_RELEASE_TAG")
    more = (*look.present("COLAB_JUPYTER_IP", "COLAB_BACKEND_VERSION"), *look.there(HOSTNAME))
    return (*tag, *more) if tag and more else ()


def platform(look: Look, evidence: tuple[str, ...]) -> Platform:
    """Return the platform; Drive counts as persistent where it is mounted.

    Parameters:
        look: what can be seen.
        evidence: what it was recognized by.
    """
    drive = "/content/drive/MyDrive"
    return Platform(
        NAME, TITLE, Path("/content"), (Path(drive),) if look.exists(drive) else (),
        (Path("/tmp"),), evidence,  # noqa: S108 - the folder itself
        Facts(
            persists="nothing, unless Google Drive is mounted",
            life="up to 12 hours on free machines, about 90 minutes when idle; nothing is guaranteed",
            hosted=look.exists(HOSTNAME), ui="pull", tunnels="ask", root=True, bins=BINS, scrub=SCRUB,
        ),
        (TERMS,),
    )  # fmt: skip


def exposers(platform: Platform, look: Look) -> Sequence[Exposer]:
    """Return Colab's own proxy; on a local runtime the machine is the user's own.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del look
    return (ColabExposer(),) if platform.facts.hosted else (LocalExposer(),)


def secret_stores(platform: Platform, look: Look) -> Sequence[SecretStore]:
    """Return the store behind the key icon of the notebook page.

    Parameters:
        platform: the platform.
        look: what can be seen.
    """
    del platform, look
    return (ColabStore(),)


def in_cell() -> bool:
    """Tell whether this is the main thread of a Colab kernel while a cell runs; nothing is imported."""
    if threading.current_thread() is not threading.main_thread():
        return False
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or "google.colab" not in str(shell):
        return False
    header = getattr(shell, "parent_header", None) or {}
    kind = (header.get("header") or {}).get("msg_type", "execute_request") if isinstance(header, dict) else ""
    return bool(kind == "execute_request")


class ColabStore(Sealed):
    """The user's secrets of Colab (``google.colab.userdata``).

    Parameters:
        userdata: the module; by default ``google.colab.userdata``, where that can be imported.
        cell: tells whether the page can be asked now.
    """

    name = "Colab secrets"

    def __init__(self, userdata: Any = None, *, cell: Callable[[], bool] = in_cell) -> None:
        self._userdata = userdata
        self._cell = cell
        self._values: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> str | None:
        """Return a secret, None if there is none of this name, or if the page cannot be asked from here.

        Parameters:
            name: its name on the notebook page.

        Raises:
            SecretError: the notebook may not read it, or the page does not answer.
        """
        with self._lock:
            if name in self._values:
                return self._values[name]
        if not self._cell():
            return None
        userdata = self._userdata if self._userdata is not None else _colab("userdata")
        if userdata is None:
            return None
        problem: SecretError | None = None
        value: object = None
        try:
            value = userdata.get(name)
        except Exception as error:  # noqa: BLE001 - the classes cannot be imported elsewhere; told by name
            kind = type(error).__name__
            if kind == "SecretNotFoundError":
                return None
            hint = {
                "NotebookAccessError": "click the key on the left and turn on the notebook's access to it",
                "TimeoutException": "keep the notebook page open and run the cell again",
            }.get(kind)
            problem = SecretError(f"Colab did not give the secret {name}: {kind}", hint=hint, name=name)
        if problem is not None:
            raise problem
        if not isinstance(value, str) or not value:
            return None
        with self._lock:
            self._values[name] = value
        return value

    def load(self, *names: str) -> list[str]:
        """Ask for secrets in a cell, so that other threads can have them afterwards.

        Parameters:
            names: their names.

        Returns:
            The names that were found.

        Raises:
            SecretError: as of ``get``.
        """
        return [name for name in names if self.get(name) is not None]

    def names(self) -> list[str]:
        """Return the names of the secrets that were asked for and found; Colab gives no list."""
        with self._lock:
            return sorted(self._values)


class ColabExposer(BaseExposer):
    """Colab's proxy: a URL that only the signed-in user can open while the notebook is open (platforms §1.3).

    Parameters:
        eval_js: runs JavaScript in the notebook page and returns its value; by default ``google.colab.output``'s.
        frame: shows a port as a frame in the cell's output; by default ``serve_kernel_port_as_iframe``.
        cell: tells whether the page can be asked now.
    """

    name = "colab"

    def __init__(
        self,
        eval_js: Callable[[str], Any] | None = None,
        *,
        frame: Callable[..., None] | None = None,
        cell: Callable[[], bool] = in_cell,
    ) -> None:
        super().__init__()
        self._eval_js = eval_js
        self._frame = frame
        self._cell = cell

    def available(self) -> bool:
        """Tell whether this is a Colab kernel."""
        return self._eval_js is not None or _colab("output") is not None

    def show(self, port: int, *, path: str = "/", height: int = 600) -> None:
        """Show a port as a frame in the output of the running cell: the way that Colab recommends.

        Parameters:
            port: the port.
            path: the page.
            height: of the frame in pixels.

        Raises:
            ExposeError: no cell is running, or this is not Colab.
        """
        self._ask(port)
        frame = self._frame
        if frame is None:
            output = _colab("output")
            if output is None:
                raise ExposeError("this is no Colab kernel", port=port)
            frame = output.serve_kernel_port_as_iframe
        frame(port, path=path, height=str(height))

    def _open(self, port: int) -> Endpoint:
        """Ask the page for the proxy's URL."""
        self._ask(port)
        run = self._eval_js
        if run is None:
            output = _colab("output")
            if output is None:
                raise ExposeError("this is no Colab kernel", port=port)
            run = output.eval_js
        try:
            url = run(f"google.colab.kernel.proxyPort({port})")
        except Exception as error:
            raise ExposeError(
                f"the notebook page gave no address for port {port}: {type(error).__name__}",
                hint="keep the notebook page open and run the cell again",
                port=port,
            ) from error
        if not isinstance(url, str) or not url.startswith("https://"):
            raise ExposeError(f"the notebook page gave no address for port {port}", port=port)
        return Endpoint(
            url, "colab-proxy", auth="account", public=False, expires="when the notebook page is closed",
            note="only for you, while the notebook is open; some apps need the frame in the notebook", port=port,
        )  # fmt: skip

    def _ask(self, port: int) -> None:
        """Refuse where the page cannot be asked: it would wait forever."""
        if not self._cell():
            raise ExposeError(
                f"Colab gives the address of port {port} only in the main thread of a running cell",
                hint=f"run a cell that opens port {port}; the address is kept for other threads",
                port=port,
            )


def _colab(name: str) -> Any:
    """Return a module of google.colab, None where it cannot be imported."""
    try:
        return importlib.import_module(f"google.colab.{name}")
    except ImportError:
        return None
