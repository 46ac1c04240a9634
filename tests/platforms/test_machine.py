"""What scripts can know about the machine (spec §3.6.3), with the answers that the tools give on real machines."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pinokiocloud.platforms import machine as module
from pinokiocloud.platforms.machine import Gpu, Machine, detect_machine

T4 = "Tesla T4, 15360, 550.54.15, 7.5, 00000000:00:04.0\n"
A100 = "NVIDIA A100-SXM4-40GB, 40960, 535.104.05, 8.0, 00000000:00:04.0\n"
H200 = "NVIDIA H200, 143771, 570.133.20, 9.0, 00000000:4E:00.0\n"
RTX5090 = "NVIDIA GeForce RTX 5090, 32607, 570.86.15, 12.0, 00000000:01:00.0\n"
RTX2080 = "NVIDIA GeForce RTX 2080 Ti, 11264, 535.54.03, 7.5, 00000000:01:00.0\n"
GT710 = "NVIDIA GeForce GT 710, 2048, 470.256.02, 3.5, 00000000:01:00.0\n"
MI300 = {
    "card0": {
        "Card Series": "AMD Instinct MI300X OAM", "Card Model": "0x74a1", "Card Vendor":
        "Advanced Micro Devices, Inc. [AMD/ATI]", "Card SKU": "M3000100", "Subsystem ID": "0x74a1",
        "Device Rev": "0x00", "Node ID": "2", "GUID": "28851", "GFX Version": "gfx942",
        "VRAM Total Memory (B)": "206141652992", "VRAM Total Used Memory (B)": "297222144",
    },
    "system": {"Driver version": "6.10.5"},
}  # fmt: skip
OLD_ROCM = {
    "card0": {"Card series": "N/A", "Card model": "0x66af", "Card SKU": "D16317", "VRAM Total Memory (B)": "536870912"},
    "card1": {"Card series": "AMD Radeon RX 7900 XTX", "Card model": "0x744c", "VRAM Total Memory (B)": "25753026560"},
    "system": {"Driver version": "5.16.9"},
}


class Tools:
    """Answers instead of real tools; ``calls`` is what was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.calls = []

    def __call__(self, command):
        self.calls.append(list(command))
        answer = self.answers.get(os.path.basename(command[0]).replace("-", "_"), FileNotFoundError("no such tool"))
        if callable(answer):
            answer = answer(command)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    put(folder, "proc/meminfo", "MemTotal:       13290460 kB\nMemFree:         1 kB\n")
    return folder


def put(root, name, text, mode=0o644):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def detect(root, **answers):
    """Detect with these tools on PATH."""
    folder = root.parent / "bin"
    for name in answers:
        put(folder, name.replace("_", "-"), "#!/bin/sh\n", 0o755)
    tools = Tools(**answers)
    return detect_machine(run=tools, environ={"PATH": str(folder)}, root=root), tools


@pytest.mark.parametrize(
    ("answer", "models", "values"),
    [
        (T4, ["nvidia [tesla t4]"], ("550.54.15", "sm_75", 15)),
        (A100, ["nvidia [a100-sxm4-40gb]"], ("535.104.05", "sm_80", 40)),
        (H200, ["nvidia [h200]"], ("570.133.20", "sm_90", 140)),
        (RTX5090, ["nvidia [geforce rtx 5090]"], ("570.86.15", "sm_120", 32)),
        (T4 + T4.replace("04.0", "05.0"), ["nvidia [tesla t4]"] * 2, ("550.54.15", "sm_75", 15)),
        ("\nWARNING: infoROM is corrupted\n" + T4, ["nvidia [tesla t4]"], ("550.54.15", "sm_75", 15)),
        ("NVIDIA GB10, [N/A], 580.95.05, 12.1, 0000000F:01:00.0", ["nvidia [gb10]"], ("580.95.05", "sm_121", 0)),
        ("GRID, T4-16Q, 16384, [N/A], [N/A], 0", ["nvidia [grid, t4-16q]"], (None, None, 16)),
    ],
)
def test_nvidia(root, answer, models, values):
    found, tools = detect(root, nvidia_smi=answer)
    assert found.gpu == "nvidia"
    assert [gpu.model for gpu in found.gpus] == models
    assert {gpu.name for gpu in found.gpus} == {"nvidia corporation"}
    assert found.gpu_model == models[0]
    assert (found.gpu_driver, found.gpu_target, found.vram) == values
    assert tools.calls == [
        [
            str(root.parent / "bin/nvidia-smi"),
            "--query-gpu=name,memory.total,driver_version,compute_cap,pci.bus_id",
            "--format=csv,noheader,nounits",
        ]
    ]


@pytest.mark.parametrize(
    ("answer", "pattern", "matches"),
    [
        (RTX5090, " 50.+", True), (RTX5090, r"rtx\s*20", False),
        (RTX2080, " 50.+", False), (RTX2080, r"rtx\s*20", True),
        (T4, " 50.+", False), (T4, "tesla t4", True), (A100, " 50.+", False), (A100, r"[ \[]a100", True),
        (H200, " 50.+", False),
    ],
)  # fmt: skip
def test_patterns_of_real_scripts(root, answer, pattern, matches):
    found, _ = detect(root, nvidia_smi=answer)
    assert bool(re.search(pattern, found.gpu_model)) is matches
    assert bool(re.search(pattern, found.gpus[0].model)) is matches


def test_the_variables(root):
    found, _ = detect(root, nvidia_smi=T4)
    variables = found.variables()
    assert json.loads(json.dumps(variables)) == {
        "platform": found.platform, "arch": found.arch, "gpu": "nvidia",
        "gpus": [{"name": "nvidia corporation", "model": "nvidia [tesla t4]", "driver": "550.54.15"}],
        "gpu_model": "nvidia [tesla t4]", "gpu_driver": "550.54.15", "gpu_target": "sm_75", "vram": 15, "ram": 13,
    }  # fmt: skip
    assert Machine("linux", "x64").variables() == {
        "platform": "linux", "arch": "x64", "gpu": "none", "gpus": [], "gpu_driver": None, "gpu_target": None,
        "vram": 0, "ram": 0,
    }  # fmt: skip


def test_of_several_cards_the_most_capable_counts(root):
    found, _ = detect(root, nvidia_smi=GT710 + RTX5090 + RTX2080)
    assert [gpu.model for gpu in found.gpus] == [
        "nvidia [geforce gt 710]", "nvidia [geforce rtx 5090]", "nvidia [geforce rtx 2080 ti]",
    ]  # fmt: skip
    assert (found.gpu_model, found.gpu_target, found.vram) == ("nvidia [geforce rtx 5090]", "sm_120", 32)


def test_old_drivers_do_not_know_the_capability(root):
    def answer(command):
        if "compute_cap" in command[1]:
            return subprocess.CalledProcessError(2, command)
        return "Tesla K80, 11441, 470.82.01\n"

    found, _ = detect(root, nvidia_smi=answer)
    assert (found.gpu_model, found.gpu_driver, found.gpu_target, found.vram) == (
        "nvidia [tesla k80]", "470.82.01", None, 11,
    )  # fmt: skip


@pytest.mark.parametrize("folder", ["opt/bin", "usr/lib64-nvidia", "usr/local/nvidia/bin"])
def test_nvidia_smi_off_the_path(root, folder):
    put(root, f"{folder}/nvidia-smi", "", 0o755)
    tools = Tools(nvidia_smi=T4)
    found = detect_machine(run=tools, environ={}, root=root)
    assert found.gpu == "nvidia"
    assert tools.calls[0][0] == str(root / folder / "nvidia-smi")


def test_a_second_nvidia_smi_is_asked_when_the_first_fails(root):
    put(root, "opt/bin/nvidia-smi", "", 0o755)
    found, _ = detect(root, nvidia_smi=lambda command: T4 if "opt" in command[0] else PermissionError())
    assert found.gpu_target == "sm_75"


@pytest.mark.parametrize(
    "answer",
    [
        subprocess.CalledProcessError(9, "nvidia-smi"), PermissionError(), "", "No devices were found\n",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
    ],
)  # fmt: skip
def test_nvidia_smi_without_a_card(root, answer):
    found, _ = detect(root, nvidia_smi=answer)
    assert (found.gpu, found.gpus, found.gpu_model, found.vram) == ("none", (), None, 0)
    assert "gpu_model" not in found.variables()


def test_a_tool_that_hung_is_not_asked_twice(root):
    put(root, "opt/bin/nvidia-smi", "", 0o755)
    found, tools = detect(root, nvidia_smi=subprocess.TimeoutExpired("nvidia-smi", 5))
    assert found.gpu == "none"
    assert len(tools.calls) == 1


def test_no_tool_at_all(root):
    found, tools = detect(root)
    assert (found.gpu, found.ram) == ("none", 13)
    assert tools.calls == []


def test_amd(root):
    found, _ = detect(root, rocm_smi="WARNING: AMD GPU device(s) is/are in a low-power state.\n" + json.dumps(MI300))
    assert found.gpus == (Gpu("advanced micro devices, inc. [amd/ati]", "amd [instinct mi300x oam]", "6.10.5"),)
    assert (found.gpu, found.gpu_model, found.gpu_driver, found.gpu_target, found.vram) == (
        "amd", "amd [instinct mi300x oam]", "6.10.5", "gfx942", 192,
    )  # fmt: skip


def test_amd_before_rocm_6(root):
    for node, version in (("0", 0), ("1", 90010), ("2", 110000), ("10", 90402)):
        put(root, f"sys/class/kfd/kfd/topology/nodes/{node}/properties", f"x 1\ngfx_target_version {version}\n")
    found, _ = detect(root, rocm_smi=json.dumps(OLD_ROCM))
    assert [gpu.model for gpu in found.gpus] == ["amd [d16317]", "amd [radeon rx 7900 xtx]"]
    assert (found.gpu_model, found.gpu_target, found.vram) == ("amd [radeon rx 7900 xtx]", "gfx1100", 24)
    assert list(module._amd_targets(root)) == ["gfx90a", "gfx1100", "gfx942"]


@pytest.mark.parametrize("answer", ["", "no JSON", "{", "[]", "{}", '{"system": 1}', '{"card0": []}', OSError()])
def test_odd_answers_of_rocm_smi(root, answer):
    found, _ = detect(root, rocm_smi=answer)
    assert found.gpu in {"none", "amd"}
    assert found.gpu_target is None


def test_nvidia_before_amd(root):
    found, tools = detect(root, nvidia_smi=T4, rocm_smi=json.dumps(MI300))
    assert found.gpu == "nvidia"
    assert len(tools.calls) == 1


@pytest.fixture
def driver_files(root):
    put(
        root,
        "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
        "GCC version:  gcc version 12.2.0 (Ubuntu 12.2.0-3ubuntu1)\n",
    )
    for place, minor in (("0000:00:04.0", 0), ("0000:00:05.0", 1)):
        put(
            root,
            f"proc/driver/nvidia/gpus/{place}/information",
            f"Model: \t\t Tesla T4\nIRQ:   \t\t 33\nGPU UUID: \t GPU-x\nDevice Minor: \t {minor}\n",
        )


@pytest.mark.usefixtures("driver_files")
def test_the_kernel_module_answers_for_a_tool_that_hangs(root):
    put(root, "dev/nvidia1", "")
    put(root, "dev/nvidiactl", "")
    found, _ = detect(root, nvidia_smi=subprocess.TimeoutExpired("nvidia-smi", 5))
    assert found.gpus == (Gpu("nvidia corporation", "nvidia [tesla t4]", "550.54.15"),)
    assert (found.gpu, found.gpu_target, found.vram) == ("nvidia", None, 0)


@pytest.mark.usefixtures("driver_files")
def test_cards_of_the_host_that_a_container_was_not_given(root):
    put(root, "dev/null", "")
    assert detect(root)[0].gpu == "none"


@pytest.mark.parametrize(
    ("files", "ram"),
    [
        ({}, 13),
        ({"sys/fs/cgroup/memory.max": "max\n"}, 13),
        ({"sys/fs/cgroup/memory.max": "8589934592\n"}, 8),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 13),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "4294967296\n"}, 4),
        ({"proc/meminfo": "MemTotal: 1572864 kB\n"}, 2),
    ],
)
def test_memory(root, files, ram):
    for name, text in files.items():
        put(root, name, text)
    assert detect(root)[0].ram == ram


def test_memory_without_proc(tmp_path):
    assert detect_machine(run=Tools(), environ={}, root=tmp_path).ram > 0


@pytest.mark.parametrize(
    ("machine", "system", "names"),
    [
        ("x86_64", "linux", ("x64", "linux")),
        ("AMD64", "linux", ("x64", "linux")),
        ("aarch64", "linux", ("arm64", "linux")),
        ("arm64", "darwin", ("arm64", "darwin")),
        ("riscv64", "linux2", ("riscv64", "linux")),
    ],
)
def test_names_of_node(root, monkeypatch, machine, system, names):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("sys.platform", system)
    found, _ = detect(root)
    assert (found.arch, found.platform) == names


def test_the_machine_is_detected_once(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "_cached", None)
    monkeypatch.setattr(module, "_detect", lambda *_: seen.append(1) or Machine("linux", "x64", ram=len(seen)))
    assert detect_machine() is detect_machine()
    assert detect_machine(environ={}).ram == 2
    assert detect_machine().ram == 1
    assert detect_machine(refresh=True).ram == detect_machine().ram == 3


def test_this_machine():
    found = detect_machine(refresh=True)
    assert found.arch
    assert found.ram > 0
    assert json.dumps(found.variables())


# Real processes.


def test_a_real_tool(root):
    text = '#!/bin/sh\necho noise >&2\nprintf "$LD_LIBRARY_PATH, 1024, 1, 7.5, 0"\n'
    put(root, "opt/bin/nvidia-smi", text, 0o755)
    found = detect_machine(environ={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": "/mine"}, root=root)
    assert found.gpu_model == "nvidia [/mine:/usr/lib64-nvidia:/usr/local/nvidia/lib64:/usr/lib/wsl/lib]"


@pytest.mark.parametrize("text", ["exit 9", "kill -9 $$"])
def test_a_real_tool_that_fails(root, text):
    put(root, "opt/bin/nvidia-smi", f"#!/bin/sh\n{text}\n", 0o755)
    assert detect_machine(environ={"PATH": os.environ["PATH"]}, root=root).gpu == "none"


def test_a_real_tool_that_cannot_be_started(root):
    put(root, "opt/bin/nvidia-smi", "\x7fELF nonsense", 0o755)
    assert detect_machine(environ={"PATH": os.environ["PATH"]}, root=root).gpu == "none"


def test_a_real_tool_that_hangs(root, monkeypatch, tmp_path):
    """Its children, which hold the pipe, are ended too."""
    monkeypatch.setattr(module, "_TIMEOUT", 0.5)
    pids = tmp_path / "pids"
    put(root, "opt/bin/nvidia-smi", f"#!/bin/sh\nsleep 60 &\necho $! $$ > {pids}\nwait\n", 0o755)
    start = time.monotonic()
    assert detect_machine(environ={"PATH": os.environ["PATH"]}, root=root).gpu == "none"
    assert time.monotonic() - start < 5
    for pid in map(int, pids.read_text().split()):
        deadline = time.monotonic() + 10
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not _alive(pid)


def test_a_tool_that_cannot_be_killed_is_not_waited_for(root, monkeypatch, tmp_path):
    """A process that waits for the driver takes no signal."""
    monkeypatch.setattr(module, "_TIMEOUT", 0.5)
    killed = []
    monkeypatch.setattr(os, "killpg", lambda pid, number: killed.append(pid))
    put(root, "opt/bin/nvidia-smi", "#!/bin/sh\nexec sleep 60\n", 0o755)
    start = time.monotonic()
    try:
        assert detect_machine(environ={"PATH": os.environ["PATH"]}, root=root).gpu == "none"
        assert time.monotonic() - start < 5
    finally:
        monkeypatch.undo()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
    assert len(killed) == 1


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
