"""The base environment: made once, complete, and apart from the Python that runs this."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinokiocloud.errors import ToolError
from pinokiocloud.tools.base import BaseEnvironment, uv_executable

Make = Callable[[Path], BaseEnvironment]


def out(base: BaseEnvironment, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{base.prefix}/bin:/usr/bin:/bin", "HOME": "/nonexistent", **variables}
    return subprocess.run(
        [str(base.prefix / "bin" / argv[0]), *argv[1:]],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_is_complete(made: BaseEnvironment) -> None:
    assert made.ready()
    for name in ("python", "pip", "pip3", "uv", "uvx", "node", "npm", "npx", "conda", "hf"):
        assert os.access(made.prefix / "bin" / name, os.X_OK), name
    assert (made.prefix / "envs").is_dir()


@pytest.mark.parametrize("argv", [["python", "--version"], ["pip", "--version"], ["uv", "--version"], ["node", "--version"], ["npm", "--version"], ["conda", "--version"], ["hf", "version"]])  # fmt: skip
def test_its_tools_run(made: BaseEnvironment, argv: list[str]) -> None:
    done = out(made, *argv)
    assert done.returncode == 0, done.stderr


def test_its_python_is_another_one_than_this(made: BaseEnvironment) -> None:
    got = out(made, "python", "-c", "import sys; print(sys.prefix); print(sys.path)").stdout
    assert str(made.prefix) in got.splitlines()[0]
    assert f"{sys.prefix}/lib" not in got


def test_a_variable_of_the_kernel_does_not_lead_back(made: BaseEnvironment) -> None:
    assert out(made, "hf", "version", PYTHONPATH="/nonexistent", PYTHONHOME="/nonexistent").returncode == 0
    assert out(made, "conda", "--version", PYTHONHOME="/nonexistent").returncode == 0


def test_it_is_made_once(made: BaseEnvironment, make: Make) -> None:
    stamp = made.prefix / ".pinokiocloud.json"
    before = stamp.stat().st_mtime_ns
    said: list[str] = []
    again = make(made.bin_folder.parent)
    again.ensure(said.append)
    assert (stamp.stat().st_mtime_ns, said) == (before, [])


def test_threads_make_it_once(tmp_path: Path, make: Make) -> None:
    base = make(tmp_path)
    said: list[str] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            base.ensure(said.append)
            assert base.python.exists()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(said) == 1


def test_processes_make_it_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pinokiocloud.tools.base import BaseEnvironment\n"
        "home = Path(sys.argv[1]); b = BaseEnvironment(home/'bin'/'miniforge', home/'bin', home/'cache')\n"
        "b.ensure(lambda text: print('said', text)); assert b.python.exists()\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    results = [(process.communicate(timeout=60)[0], process.returncode) for process in started]
    assert [code for _, code in results] == [0] * 4
    assert sum(text.count("said") for text, _ in results) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 0}', "\x00\xff"])
def test_a_broken_stamp_is_repaired(made: BaseEnvironment, make: Make, text: str) -> None:
    stamp = made.prefix / ".pinokiocloud.json"
    whole = stamp.read_text()
    stamp.write_bytes(text.encode("latin-1"))
    again = make(made.bin_folder.parent)
    assert not again.ready()
    again.ensure()
    assert stamp.read_text() == whole


def test_what_was_taken_away_is_made_again(tmp_path: Path, make: Make) -> None:
    make(tmp_path).ensure()
    prefix = tmp_path / "bin" / "miniforge"
    (prefix / "bin" / "python").unlink()
    (prefix / "bin" / "pip").unlink()
    (prefix / "bin" / "uv").unlink()
    again = make(tmp_path)
    assert not again.ready()
    again.ensure()
    assert out(again, "pip", "--version").returncode == 0
    assert out(again, "uv", "--version").returncode == 0


def test_an_interrupted_making_is_completed(tmp_path: Path, make: Make) -> None:
    prefix = tmp_path / "bin" / "miniforge"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib" / "python3.11").mkdir(parents=True)
    (prefix / "pyvenv.cfg").write_text("half")
    base = make(tmp_path)
    base.ensure()
    assert out(base, "pip", "--version").returncode == 0


@pytest.mark.parametrize("what", ["bin", "miniforge"])
def test_a_home_that_cannot_be_written_is_a_clear_error(tmp_path: Path, make: Make, what: str) -> None:
    if what == "bin":
        (tmp_path / "bin").write_text("a file")
    else:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "miniforge").write_text("a file")
    with pytest.raises(ToolError, match="base environment cannot be made"):
        make(tmp_path).ensure()


def test_a_home_without_permission_is_a_clear_error(make: Make) -> None:
    with pytest.raises(ToolError, match="base environment cannot be made"):
        make(Path("/proc/no/such")).ensure()


def test_the_interpreter_may_be_chosen(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINOKIOCLOUD_BASE_PYTHON", sys.executable)
    base = make(tmp_path)
    base.ensure()
    version = out(base, "python", "-c", "import sys; print(*sys.version_info[:3])").stdout.split()
    assert version == [str(part) for part in sys.version_info[:3]]


def test_a_chosen_interpreter_that_is_missing_is_a_clear_error(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINOKIOCLOUD_BASE_PYTHON", "/no/such/python")
    with pytest.raises(ToolError, match="/no/such/python") as caught:
        make(tmp_path).ensure()
    assert "PINOKIOCLOUD_BASE_PYTHON" in str(caught.value)


def test_uv_is_found() -> None:
    assert os.access(uv_executable(), os.X_OK)


# ---- pip ---------------------------------------------------------------------------------------------------------------
def wheel(folder: Path, name: str = "pkc_probe") -> Path:
    """Make a package that needs no index."""
    import zipfile

    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", "VALUE = 42\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def here() -> list[str]:
    import importlib.metadata

    return sorted(f"{item.metadata['Name']} {item.version}" for item in importlib.metadata.distributions())


@pytest.mark.parametrize(
    "command",
    ["pip install {}", "pip3 install {}", "python -m pip install {}", "pip download {}", "pip uninstall -y pip"],
)
def test_pip_refuses_without_a_venv(app: Any, play: Any, command: str) -> None:
    played = play(app.script({"method": "shell.run", "params": {"message": command.format(wheel(app.folder))}}))
    assert played.result.status == "error"
    assert "virtualenv" in played.text


def test_pip_that_only_looks_works_without_a_venv(app: Any, play: Any) -> None:
    played = play(
        app.script(
            {"method": "shell.run", "params": {"message": "pip --version && python -m pip --version && pip list"}}
        )
    )
    assert played.result.status == "done", played.text
    assert played.of("exit") == []


def test_pip_in_a_venv_installs_there_and_nowhere_else(app: Any, play: Any, home: Path) -> None:
    before, prefix = here(), sys.prefix
    script = app.script(
        {"method": "shell.run", "params": {"venv": "env", "message": f"pip install --no-index {wheel(app.folder)} && python -c 'import pkc_probe, sys; print(\"in\", sys.prefix)'"}}
    )  # fmt: skip
    played = play(script)
    assert played.result.status == "done", played.text
    assert f"in {app.folder}/env" in played.text
    assert (here(), sys.prefix) == (before, prefix)
    assert not list((home / "bin" / "miniforge").rglob("pkc_probe*"))


def test_uv_pip_in_a_venv_installs_there(app: Any, play: Any) -> None:
    script = app.script(
        {
            "method": "shell.run",
            "params": {
                "venv": "env",
                "message": f"uv pip install --no-index {wheel(app.folder)} && python -c 'import pkc_probe'",
            },
        }
    )
    assert play(script).result.status == "done"
    assert list((app.folder / "env").rglob("pkc_probe.py"))


def test_what_is_forced_into_the_base_stays_in_the_base(app: Any, play: Any, home: Path) -> None:
    before, prefix = here(), sys.prefix
    command = f"PIP_REQUIRE_VIRTUALENV= pip install --no-index {wheel(app.folder, 'pkc_forced')} && python -c 'import pkc_forced'"
    played = play(app.script({"method": "shell.run", "params": {"message": command}}))
    assert played.result.status == "done", played.text
    assert list((home / "bin" / "miniforge").rglob("pkc_forced.py"))
    assert (here(), sys.prefix) == (before, prefix)


def test_the_kernels_variables_do_not_reach_a_script(app: Any, play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "PYTHONPATH": "/k",
        "UV_CONSTRAINT": "/k",
        "UV_PRERELEASE": "allow",
        "CUDA_VISIBLE_DEVICES": "0",
        "VIRTUAL_ENV": "/k",
        "CONDA_PREFIX_9": "/k",
        "SSH_AUTH_SOCK": "/k",
    }
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    played = play(app.script({"method": "shell.run", "params": {"message": "env > dump", "conda": {"skip": True}}}))
    assert played.result.status == "done"
    dump = dict(line.partition("=")[::2] for line in (app.folder / "dump").read_text().splitlines())
    assert not set(names) & set(dump)


def test_the_stamp_says_what_it_was_made_with(made: BaseEnvironment) -> None:
    stamp = json.loads((made.prefix / ".pinokiocloud.json").read_text())
    assert stamp["interpreter"] == sys.executable
    assert stamp["uv"] == uv_executable()
