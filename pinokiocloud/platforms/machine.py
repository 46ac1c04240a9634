"""The machine: platform, architecture, graphics cards and memory, as scripts see them (spec §3.6.3).

The reference asks ``lspci``, which notebook machines often lack, and which does not see what a container was given.
Here the drivers are asked: ``nvidia-smi``, then ``rocm-smi``, then the files of NVIDIA's kernel module.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    #: Runs a command and returns what it prints. Raises OSError or subprocess.SubprocessError if it cannot be started,
    #: fails, or does not end in time.
    Run = Callable[[Sequence[str]], str]

__all__ = ["Gpu", "Machine", "detect_machine"]

_TIMEOUT = 5.0

# Where notebook platforms keep the tool without putting it on every PATH (Colab: /opt/bin, Kaggle: /usr/local/nvidia,
# WSL: /usr/lib/wsl).
_NVIDIA_FOLDERS = (
    "/opt/bin", "/usr/bin", "/usr/local/bin", "/usr/local/nvidia/bin", "/usr/lib64-nvidia", "/usr/lib/wsl/lib",
)
_NVIDIA_LIBRARIES = ("/usr/lib64-nvidia", "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib")
_ROCM_FOLDERS = ("/opt/rocm/bin", "/usr/bin")

_NVIDIA_FIELDS = "name,memory.total,driver_version,compute_cap,pci.bus_id"
# Drivers before 495 do not know compute_cap, and answer nothing if it is asked for.
_NVIDIA_OLD_FIELDS = "name,memory.total,driver_version"

_NVIDIA_VENDOR = "nvidia corporation"
_AMD_VENDOR = "advanced micro devices, inc. [amd/ati]"

# Node's names, process.arch.
_ARCHITECTURES = {
    "x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64", "i386": "ia32", "i686": "ia32",
    "armv7l": "arm", "armv6l": "arm", "ppc64le": "ppc64", "loongarch64": "loong64",
}


@dataclass(frozen=True)
class Gpu:
    r"""A graphics card; the texts are in lower case, as the reference has them.

    Parameters:
        name: the vendor, ``nvidia corporation``.
        model: its model with the marketing name in brackets, ``nvidia [geforce rtx 5090]``. Scripts test it with
            patterns such as ``/ 50.+/`` and ``rtx\s*20``.
        driver: the version of the driver, None if unknown.
    """

    name: str
    model: str
    driver: str | None = None


@dataclass(frozen=True)
class Machine:
    """What scripts can know about the machine (spec §3.6.3).

    Of several cards the single values speak of the most capable one, which is also what CUDA uses first.

    Parameters:
        platform: ``linux``, ``darwin`` or ``win32``.
        arch: Node's name of the architecture, ``x64``, ``arm64`` …
        gpu: ``nvidia``, ``amd`` or ``none``.
        gpus: all graphics cards of that kind.
        gpu_model: the model of the card; None stands for JavaScript's ``undefined``.
        gpu_driver: the version of its driver, None if there is none or it is unknown.
        gpu_target: what compilers build for, ``sm_75`` or ``gfx942``, None if there is none or it is unknown.
        vram: its memory in GB, 0 if there is none or it is unknown.
        ram: the machine's memory in GB, rounded.
    """

    platform: str
    arch: str
    gpu: str = "none"
    gpus: tuple[Gpu, ...] = ()
    gpu_model: str | None = None
    gpu_driver: str | None = None
    gpu_target: str | None = None
    vram: int = 0
    ram: int = 0

    def variables(self) -> dict[str, Any]:
        """Return the engine-wide variables of templates and of ``kernel``, JSON-like (spec §3.6.3).

        Without a card ``gpu_model`` is left out, since the reference has ``undefined`` there.
        """
        values = asdict(self)
        values["gpus"] = list(values["gpus"])
        if self.gpu_model is None:
            del values["gpu_model"]
        return values


@dataclass(frozen=True)
class _Card:
    """A card, and what only single variables tell of it."""

    gpu: Gpu
    target: str | None = None
    vram: int = 0


_cached: Machine | None = None
_lock = threading.Lock()


def detect_machine(
    *,
    run: Run | None = None,
    environ: Mapping[str, str] | None = None,
    root: Path = Path("/"),
    refresh: bool = False,
) -> Machine:
    """Return what scripts can know about this machine.

    The result is kept for the process, unless one of the first three parameters is given. A tool that hangs is given
    up after five seconds; nothing raises.

    Parameters:
        run: runs a command and returns what it prints, raises OSError or subprocess.SubprocessError otherwise.
        environ: the environment, for PATH; by default the process's own.
        root: the folder that stands for ``/``, for the files of the kernel.
        refresh: look again.
    """
    global _cached  # noqa: PLW0603 - one machine a process
    if run is not None or environ is not None or root != Path("/"):
        environ = os.environ if environ is None else environ
        return _detect(run or _runner(environ), environ, root)
    with _lock:
        if _cached is None or refresh:
            _cached = _detect(_runner(os.environ), os.environ, root)
        return _cached


def _detect(run: Run, environ: Mapping[str, str], root: Path) -> Machine:
    """Ask one source after the other."""
    gpu, cards = "nvidia", _nvidia(run, environ, root)
    if not cards:
        gpu, cards = "amd", _amd(run, environ, root)
    if not cards:
        gpu, cards = "nvidia", _nvidia_files(root)
    best = max(cards, key=_capability, default=None)
    machine = platform.machine().lower()
    return Machine(
        platform="linux" if sys.platform.startswith("linux") else sys.platform,
        arch=_ARCHITECTURES.get(machine, machine),
        gpu=gpu if best else "none",
        gpus=tuple(card.gpu for card in cards),
        gpu_model=best.gpu.model if best else None,
        gpu_driver=best.gpu.driver if best else None,
        gpu_target=best.target if best else None,
        vram=best.vram if best else 0,
        ram=_ram(root),
    )


def _capability(card: _Card) -> tuple[int, int]:
    """Return what cards are ranked by; of equal ones ``max`` takes the first."""
    sm = re.fullmatch(r"sm_(\d+)", card.target or "")
    return (int(sm[1]) if sm else 0, card.vram)


def _nvidia(run: Run, environ: Mapping[str, str], root: Path) -> list[_Card]:
    """Return the cards that ``nvidia-smi`` tells of."""
    for tool in _tools("nvidia-smi", _NVIDIA_FOLDERS, environ, root):
        for fields in (_NVIDIA_FIELDS, _NVIDIA_OLD_FIELDS):
            try:
                text = run([tool, f"--query-gpu={fields}", "--format=csv,noheader,nounits"])
            except subprocess.TimeoutExpired:
                # A driver that hangs does so for every tool that asks it.
                return []
            except (OSError, subprocess.SubprocessError):
                continue
            cards = [card for line in text.splitlines() if (card := _nvidia_card(line, fields.count(","))) is not None]
            if cards:
                return cards
    return []


def _nvidia_card(line: str, commas: int) -> _Card | None:
    """Return the card of one line of ``nvidia-smi``; other lines are warnings."""
    values = [value.strip() for value in line.rsplit(",", commas)]
    if len(values) != commas + 1 or not values[0]:
        return None
    name, memory, driver, capability = (*values, "")[:4]
    # "[N/A]", "[Not Supported]", "[Unknown Error]": some cards do not tell.
    target = re.fullmatch(r"(\d+)\.(\d+)", capability)
    return _Card(
        Gpu(_NVIDIA_VENDOR, _model("nvidia", name), driver if driver and not driver.startswith("[") else None),
        target=f"sm_{target[1]}{target[2]}" if target else None,
        vram=_rounded(float(memory), 1024) if re.fullmatch(r"\d+(\.\d+)?", memory) else 0,
    )


def _nvidia_files(root: Path) -> list[_Card]:
    """Return the cards that NVIDIA's kernel module tells of: without ``nvidia-smi``, or when it hangs."""
    # In a container /proc shows the cards of the host; those that can be used have a device file.
    usable = {match[1] for path in _listed(root / "dev") if (match := re.fullmatch(r"nvidia(\d+)", path.name))}
    version = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", _text(root / "proc/driver/nvidia/version"))
    cards = []
    for folder in _listed(root / "proc/driver/nvidia/gpus"):
        text = _text(folder / "information")
        name = re.search(r"^Model:\s*(\S.*?)\s*$", text, re.MULTILINE)
        minor = re.search(r"^Device Minor:\s*(\d+)", text, re.MULTILINE)
        if name and minor and minor[1] in usable:
            cards.append(_Card(Gpu(_NVIDIA_VENDOR, _model("nvidia", name[1]), version[1] if version else None)))
    return cards


def _amd(run: Run, environ: Mapping[str, str], root: Path) -> list[_Card]:
    """Return the cards that ``rocm-smi`` tells of."""
    for tool in _tools("rocm-smi", _ROCM_FOLDERS, environ, root):
        try:
            text = run([tool, "--showproductname", "--showmeminfo", "vram", "--showdriverversion", "--json"])
            # Warnings may stand before the object.
            told = json.loads(text[text.index("{") :])
        except subprocess.TimeoutExpired:
            return []
        except (OSError, ValueError, subprocess.SubprocessError):
            continue
        if not isinstance(told, dict):
            continue
        system = _lower(told.get("system"))
        targets = list(_amd_targets(root))
        numbers = sorted(int(key[4:]) for key in told if re.fullmatch(r"card\d+", key))
        cards = []
        for place, number in enumerate(numbers):
            card = _lower(told[f"card{number}"])
            known = targets[place] if place < len(targets) else None
            target = card.get("gfx version", "").lower()
            memory = card.get("vram total memory (b)", "")
            name = next((card[key] for key in ("card series", "card model", "card sku") if _named(card.get(key))), "")
            cards.append(
                _Card(
                    Gpu(_AMD_VENDOR, _model("amd", name), system.get("driver version") or None),
                    target=target if target.startswith("gfx") else known,
                    vram=_rounded(int(memory), 1024**3) if memory.isdecimal() else 0,
                )
            )
        if cards:
            return cards
    return []


def _amd_targets(root: Path) -> Iterator[str]:
    """Give the targets of AMD cards by the kernel: ROCm before 6 does not print them."""
    for folder in _listed(root / "sys/class/kfd/kfd/topology/nodes"):
        found = re.search(r"^gfx_target_version (\d+)$", _text(folder / "properties"), re.MULTILINE)
        version = int(found[1]) if found else 0
        if version:
            # 90402 is 9.4.2, gfx942; 90010 is 9.0.10, gfx90a.
            yield f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"


def _model(vendor: str, name: str) -> str:
    """Return the model text of a card, in the form that ``lspci`` gives: ``nvidia [geforce rtx 5090]``."""
    text = " ".join(name.lower().split())
    return f"{vendor} [{text.removeprefix(vendor).strip() or 'gpu'}]"


def _named(value: str | None) -> bool:
    """Tell whether a text is a card's name, not its number or a gap."""
    return bool(value) and not re.fullmatch(r"0x[0-9a-f]+|n/a|unknown", value or "", re.IGNORECASE)


def _lower(told: object) -> dict[str, str]:
    """Return an object of ``rocm-smi`` with keys in lower case: their case differs between versions."""
    return {str(key).lower(): str(value).strip() for key, value in told.items()} if isinstance(told, dict) else {}


def _rounded(amount: float, unit: int) -> int:
    """Return an amount in a larger unit, rounded as ``Math.round`` does."""
    return int(amount / unit + 0.5)


def _ram(root: Path) -> int:
    """Return the memory in GB: of the machine, or less if the container may use less."""
    found = re.search(r"^MemTotal:\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    total = int(found[1]) * 1024 if found else 0
    if not total:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = _text(root / file).strip()
        if limit.isdecimal() and int(limit):
            total = min(total, int(limit)) if total else int(limit)
    return _rounded(total, 1024**3)


def _tools(name: str, folders: Sequence[str], environ: Mapping[str, str], root: Path) -> Iterator[str]:
    """Give where a tool is: on PATH, then in the folders."""
    found = shutil.which(name, path=environ.get("PATH", ""))
    if found:
        yield found
    for folder in folders:
        file = root / folder.lstrip("/") / name
        if str(file) != found and os.access(file, os.X_OK) and file.is_file():
            yield str(file)


def _runner(environ: Mapping[str, str]) -> Run:
    """Return a ``run`` that starts real processes, with NVIDIA's libraries where they can be found."""
    paths = [*environ.get("LD_LIBRARY_PATH", "").split(":"), *_NVIDIA_LIBRARIES]
    env = {**environ, "LD_LIBRARY_PATH": ":".join(path for path in paths if path), "LC_ALL": "C"}

    def run(command: Sequence[str]) -> str:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        try:
            text, _ = process.communicate(timeout=_TIMEOUT)
        except BaseException:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.stdout is not None:
                process.stdout.close()
            # One that waits for the driver cannot be killed, so nobody may wait for it but a thread of its own.
            threading.Thread(target=process.wait, daemon=True, name="reap").start()
            raise
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        return text

    return run


def _listed(folder: Path) -> list[Path]:
    """Return what is in a folder, numbers in order; [] if it cannot be read."""
    try:
        return sorted(folder.iterdir(), key=lambda path: (int(path.name) if path.name.isdecimal() else 0, path.name))
    except OSError:
        return []


def _text(file: Path) -> str:
    """Return the text of a file of the kernel, "" if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
