"""The base environment at ``HOME/bin/miniforge``: what ``conda activate base`` gives a script (spec §4.2.5, §5.9).

It is a virtual environment of its own, so nothing that a script installs reaches the notebook kernel's Python. Its
Python is 3.10 where uv finds or downloads it, since scripts and their wheels assume it, else the nearest that the
machine has.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from pinokiocloud.errors import ToolError
from pinokiocloud.script.host import node_executable

__all__ = ["VERSION", "BaseEnvironment", "uv_executable"]

#: Changes whenever what is made here changes: an older base environment is then completed.
VERSION = 3
_WANTED = "3.10"
_CONDA = Path(__file__).with_name("conda.py")  # by path: the package may be importable only from here
_OTHERS = ("3.11", "3.12", "3.13")
_PIP = """#!/bin/sh
# pip of the base environment: refuses to install outside of a virtual environment, as the reference's does.
if [ -n "$PIP_REQUIRE_VIRTUALENV" ] && [ -z "$VIRTUAL_ENV" ]; then
  case "$1" in install|uninstall|download|wheel)
    echo "ERROR: Could not find an activated virtualenv (required)." >&2
    exit 3 ;;
  esac
fi
exec "{python}" -m pip "$@"
"""
_PNPM = """#!/bin/sh
# pnpm: one that a script installed goes first; else the reference's version, fetched when a command first needs it.
own="$NPM_CONFIG_PREFIX/bin/{name}"
[ -n "$NPM_CONFIG_PREFIX" ] && [ -x "$own" ] && exec "$own" "$@"
if [ ! -x "{folder}/bin/{name}" ]; then
  new="{folder}.$$"
  "{npm}" install --global --prefix "$new" --no-fund --no-audit --loglevel error pnpm@{version} >&2 || {{
    rm -rf "$new"; echo "pnpm {version} could not be installed from the npm registry" >&2; exit 127; }}
  mv -T "$new" "{folder}" 2>/dev/null || rm -rf "$new"
fi
exec "{folder}/bin/{name}" "$@"
"""
_PNPM_VERSION = "11.9.0"
# `python -m pip` in base must refuse as well; pip looks whether prefix and base_prefix differ.
_GUARD = """import os, sys
if os.environ.get("PIP_REQUIRE_VIRTUALENV") and getattr(sys, "orig_argv", ["", "", ""])[1:3] == ["-m", "pip"]:
    sys.base_prefix = sys.prefix
"""


def uv_executable() -> str:
    """Return the path of uv: the one of the PyPI wheel, else the machine's.

    Raises:
        ToolError: there is none.
    """
    spec = importlib.util.find_spec("uv")
    if spec is not None:
        from uv import find_uv_bin  # noqa: PLC0415 - only where a shell is needed

        with contextlib.suppress(FileNotFoundError):
            return os.fspath(find_uv_bin())
    found = shutil.which("uv")
    if found is None:
        raise ToolError("uv is missing", hint="pip install uv")
    return found


def _script(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.write_text(text)
    temporary.chmod(0o755)
    temporary.replace(path)


def _link(path: Path, target: str | Path) -> None:
    if path.is_symlink() and os.readlink(path) == str(target):  # noqa: PTH115 - the text itself is compared
        return
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    path.symlink_to(target)


def _downloads_possible() -> bool:
    """Whether uv could fetch a Python: without a name server its retries would only cost time."""
    try:
        socket.getaddrinfo("github.com", 443)
    except OSError:
        return False
    return True


class BaseEnvironment:
    """The base environment of one home folder.

    Parameters:
        prefix: ``HOME/bin/miniforge``.
        bin_folder: ``HOME/bin``.
        uv_cache: folder of uv's cache.
    """

    def __init__(self, prefix: Path, bin_folder: Path, uv_cache: Path) -> None:
        self.prefix = prefix
        self.bin_folder = bin_folder
        self._uv_cache = uv_cache
        self._lock = threading.Lock()
        self._ready = False

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.prefix / "bin" / "python"

    @property
    def conda(self) -> Path:
        """The command that answers ``conda`` in scripts."""
        return self.prefix / "bin" / "conda"

    @property
    def _stamp(self) -> Path:
        return self.prefix / ".pinokiocloud.json"

    def _expected(self) -> dict[str, object]:
        return {"version": VERSION, "interpreter": sys.executable, "uv": uv_executable(), "node": node_executable()}

    def ready(self) -> bool:
        """Return whether it is there and complete."""
        if self._ready:
            return True
        try:
            found = json.loads(self._stamp.read_text())
        except (OSError, ValueError):
            return False
        self._ready = found == self._expected() and self.python.exists()
        return self._ready

    def ensure(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Make the base environment unless it is there; safe against other threads and processes.

        Parameters:
            say: gets lines of progress.

        Raises:
            ToolError: it cannot be made.
        """
        if self.ready():
            return
        try:
            with self._lock, self._exclusive():
                if not self.ready():
                    self._make(say)
                    self._ready = True
        except OSError as error:
            raise ToolError(f"the base environment cannot be made: {error}", path=str(self.prefix)) from error

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        self.bin_folder.mkdir(parents=True, exist_ok=True)
        with (self.bin_folder / ".base.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _uv(self, *arguments: str, downloads: bool) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "CONDA", "VIRTUAL_ENV", "PYTHON"))}
        for key in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL"):
            if os.environ.get(key):
                env[key] = os.environ[key]
        env |= {
            "UV_CACHE_DIR": str(self._uv_cache),
            "UV_PYTHON_PREFERENCE": "managed",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "automatic" if downloads else "never",
            "UV_PYTHON_INSTALL_DIR": str(self.bin_folder / "python"),
            "UV_PYTHON_INSTALL_BIN": "0",
        }
        return subprocess.run(
            [uv_executable(), *arguments],
            env=env,
            cwd=self.bin_folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def _make(self, say: Callable[[str], None]) -> None:
        (self.prefix / "bin").mkdir(parents=True, exist_ok=True)
        (self.prefix / "envs").mkdir(exist_ok=True)
        self._stamp.unlink(missing_ok=True)
        if not self.python.exists():
            say("preparing the base Python environment (once)")
            self._make_python()
        site = next((self.prefix / "lib").glob("python*/site-packages"))
        (site / "_pinokiocloud_base.py").write_text(_GUARD)
        (site / "_pinokiocloud_base.pth").write_text("import _pinokiocloud_base\n")
        if not (site / "pip").is_dir():
            self._make_pip(say)
        for name in ("pip", "pip3"):
            _script(self.prefix / "bin" / name, _PIP.format(python=self.python))
        self._make_tools()
        temporary = self._stamp.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._expected()))
        temporary.replace(self._stamp)

    def _make_python(self) -> None:
        """Make the virtual environment with the best Python there is."""
        wanted = os.environ.get("PINOKIOCLOUD_BASE_PYTHON", "")
        online = None
        problems = []
        for version in [wanted] if wanted else [_WANTED, *_OTHERS, getattr(sys, "_base_executable", sys.executable)]:
            done = self._uv(
                "venv", "--quiet", "--allow-existing", "--python", version, str(self.prefix), downloads=False
            )
            if done.returncode and version == (wanted or _WANTED):
                online = _downloads_possible() if online is None else online
                if online:
                    done = self._uv(
                        "venv", "--quiet", "--allow-existing", "--python", version, str(self.prefix), downloads=True
                    )
            if done.returncode == 0 and self.python.exists():
                return
            problems.append(
                f"{version}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'not found'}"
            )
        raise ToolError(
            "no Python could be found for the base environment: " + "; ".join(problems),
            hint="install Python 3.10, or set PINOKIOCLOUD_BASE_PYTHON to an interpreter's path",
        )

    def _make_pip(self, say: Callable[[str], None]) -> None:
        """Put pip into it: from the interpreter's own bundle when it has one, else from the index."""
        ask = subprocess.run(
            [
                str(self.python),
                "-c",
                "import ensurepip, os; print(os.path.join(os.path.dirname(ensurepip.__file__), '_bundled'))",
            ],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        bundle = Path(ask.stdout.strip() or "/nonexistent")
        arguments = ["pip", "install", "--quiet", "--python", str(self.python), "pip"]
        if any(bundle.glob("pip-*.whl")):
            done = self._uv(*arguments, "--no-index", "--find-links", str(bundle), downloads=False)
            if done.returncode == 0:
                return
        done = self._uv(*arguments, downloads=False)
        if done.returncode:
            say(f"pip could not be installed into the base environment: {done.stderr.strip()}")

    def _make_tools(self) -> None:
        folder = self.prefix / "bin"
        uv = Path(uv_executable())
        _link(folder / "uv", uv)
        if uv.with_name("uvx").exists():
            _link(folder / "uvx", uv.with_name("uvx"))
        node = Path(node_executable())
        _link(folder / "node", node)
        npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin"
        for name in ("npm", "npx"):
            if (npm / f"{name}-cli.js").exists():
                _link(folder / name, npm / f"{name}-cli.js")
                (npm / f"{name}-cli.js").chmod(0o755)
        for name in ("pnpm", "pnpx"):
            _script(
                folder / name,
                _PNPM.format(name=name, npm=folder / "npm", folder=self.bin_folder / "pnpm", version=_PNPM_VERSION),
            )
        if importlib.util.find_spec("huggingface_hub") is not None:
            code = "from huggingface_hub.cli.hf import main; main()"
            _script(
                folder / "hf", f'#!/bin/sh\nunset PYTHONPATH PYTHONHOME\nexec "{sys.executable}" -c "{code}" "$@"\n'
            )
        _script(self.conda, f'#!/bin/sh\nunset PYTHONPATH PYTHONHOME\nexec "{sys.executable}" "{_CONDA}" "$@"\n')
