"""Machines that a script may find itself on: for looking at what it would do there (spec §3.6.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pinokiocloud.platforms.machine import Gpu, Machine

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MACHINES", "with_gpu"]

_T4 = Gpu("nvidia corporation", "nvidia [tesla t4]", "550.54.15")
_RTX = Gpu("nvidia corporation", "nvidia [geforce rtx 5090]", "580.88")
_RADEON = Gpu("advanced micro devices, inc. [amd/ati]", "amd [radeon rx 7900 xtx]", "6.3.6")
_APPLE = Gpu("apple", "apple m2 pro")


def _machine(platform: str, arch: str, ram: int, gpu: str, card: Gpu | None, target: str | None, vram: int) -> Machine:
    return Machine(
        platform=platform,
        arch=arch,
        gpu=gpu,
        gpus=(card,) if card else (),
        gpu_model=card.model if card else None,
        gpu_driver=card.driver if card else None,
        gpu_target=target,
        vram=vram,
        ram=ram,
    )


#: The machines that ``check`` tries, by a name for reports. One card is of the 50 series,
#: which scripts tell apart.
MACHINES: Mapping[str, Machine] = {
    "linux/nvidia": _machine("linux", "x64", 13, "nvidia", _T4, "sm_75", 15),
    "linux/no gpu": _machine("linux", "x64", 13, "none", None, None, 0),
    "linux/amd": _machine("linux", "x64", 64, "amd", _RADEON, "gfx1100", 24),
    "darwin/arm64": _machine("darwin", "arm64", 16, "apple", _APPLE, None, 0),
    "win32/nvidia": _machine("win32", "x64", 64, "nvidia", _RTX, "sm_120", 32),
}


def with_gpu(machine: Machine, kind: str) -> Machine:
    """Return a machine with another graphics card: what ``--gpu`` asks for.

    Parameters:
        machine: the machine.
        kind: ``nvidia``, ``amd`` or ``none``; a machine that has such a card keeps its own.

    Raises:
        KeyError: an unknown kind.
    """
    if machine.gpu == kind:
        return machine
    like = MACHINES[{"nvidia": "linux/nvidia", "amd": "linux/amd", "none": "linux/no gpu"}[kind]]
    return replace(
        machine,
        gpu=like.gpu,
        gpus=like.gpus,
        gpu_model=like.gpu_model,
        gpu_driver=like.gpu_driver,
        gpu_target=like.gpu_target,
        vram=like.vram,
    )
