"""An app of our own through its whole life: cloned, installed, started, opened, stopped, updated, reset."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
import zipfile
from pathlib import Path

import pytest

from pinokiocloud.api import evaluate_menu
from pinokiocloud.engine import Engine
from pinokiocloud.home import Home

SHAPE = Path(__file__).parents[1] / "apps_shape" / "hello-pinokio"
URL = re.compile(r"http://127\.0\.0\.1:\d+")
_GIT = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *_GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def wheel(folder: Path, name: str, version: str) -> None:
    """Make an empty package, so that an installation needs no index."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        for path, text in files.items():
            file.writestr(path, text)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A git repository that holds the app."""
    folder = tmp_path / "remote" / "hello-pinokio"
    shutil.copytree(SHAPE, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "hello")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return Home.open(tmp_path / "home").root


@pytest.fixture
def offline(tmp_path: Path, home: Path) -> None:
    """Everything that the installation wants comes from a folder."""
    wheels = tmp_path / "wheels"
    for name in ("pip", "setuptools", "wheel", "itsdangerous"):
        wheel(wheels, name, "999.0")
    with (home / "ENVIRONMENT").open("a") as file:
        file.write(f"UV_FIND_LINKS={wheels}\nUV_OFFLINE=1\n")


@pytest.fixture
def app(remote: Path, home: Path) -> Path:
    folder = home / "api" / "hello-pinokio"
    git(home, "clone", "--quiet", remote.as_uri(), str(folder))
    return folder


def get(url: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return answer.status, answer.read().decode()


def is_open(url: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", int(url.rstrip("/").rpartition(":")[2]))) == 0


def shells(home: Path) -> list[str]:
    """The processes that any shell of this home left."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            if f"PINOKIO_HOME={home}".encode() in variables and any(v.startswith(b"_PKC_SHELL=") for v in variables):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


async def menu_of(engine: Engine, app: Path) -> list[str]:
    menu = await evaluate_menu(
        app,
        home=engine.home.root,
        running=[run.path for run in engine.runs.values()],
        local={run.path: run.local for run in engine.runs.values() if isinstance(run.local, dict)},
    )
    assert menu.default is not None
    assert menu.default is menu.items[0]
    return [item.text for item in menu.items]


async def whole_life(home: Path, app: Path, remote: Path, version: str | None) -> None:
    async with Engine(home) as engine:
        assert await menu_of(engine, app) == ["Install"]

        install = await engine.start(app / "install.js")
        assert await menu_of(engine, app) == ["Installing"]
        result = await install.wait()
        assert result.ok, result.message
        assert (app / "env" / "bin" / "python").exists()
        assert await menu_of(engine, app) == ["Start", "Update", "Install", "Reset Back to before the installation"]

        start = await engine.start(app / "start.js")
        assert await menu_of(engine, app) == ["Terminal"]
        result = await start.wait()
        assert result.status == "daemon", result.message
        url = result.url
        assert url is not None
        assert URL.fullmatch(url), "colours are no part of an address"
        assert await menu_of(engine, app) == ["Open Web UI", "Terminal", "Stop"]
        status, page = await asyncio.to_thread(get, url)
        assert status == 200
        assert "<title>Hello Pinokio</title>" in page
        assert version is None or f"itsdangerous {version}" in page
        assert len(shells(home)) >= 2, "the shell and its server"

        result = await (await engine.start(app / "stop.js")).wait()
        assert result.ok, result.message
        result = await start.wait_finished()
        assert result.status == "stopped"
        assert not is_open(url)
        assert shells(home) == []
        assert (await menu_of(engine, app))[0] == "Start"

        (remote / "NEWS.md").write_text("news\n")
        git(remote, "add", ".")
        git(remote, "commit", "--quiet", "-m", "news")
        result = await (await engine.start(app / "update.js")).wait()
        assert result.ok, result.message
        assert (app / "NEWS.md").read_text() == "news\n"

        again = await (await engine.start(app / "start.js")).wait()
        assert again.url is not None
        assert (await asyncio.to_thread(get, again.url))[0] == 200
        await engine.stop(str(app / "start.js"))
        assert not is_open(again.url)

        result = await (await engine.start(app / "reset.js")).wait()
        assert result.ok, result.message
        assert not (app / "env").exists()
        assert await menu_of(engine, app) == ["Install"]
    assert shells(home) == []


@pytest.mark.usefixtures("offline")
def test_whole_life(home: Path, app: Path, remote: Path) -> None:
    asyncio.run(whole_life(home, app, remote, "999.0"))


@pytest.mark.network
def test_whole_life_with_pypi(home: Path, app: Path, remote: Path) -> None:
    asyncio.run(whole_life(home, app, remote, None))


@pytest.mark.usefixtures("offline")
def test_start_that_was_never_installed_fails(home: Path, app: Path) -> None:
    (app / "app" / "server.py").write_text("import sys\nsys.exit('ModuleNotFoundError: no itsdangerous')\n")

    async def attempt() -> None:
        async with Engine(home) as engine:
            result = await (await engine.start(app / "start.js")).wait()
            assert result.status == "error"
            assert not result.ok
            assert str(app / "start.js") not in engine.runs
        assert shells(home) == []

    asyncio.run(attempt())


def command(script: Path, home: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "pinokiocloud", "run", str(script), "--home", str(home), "--unattended", *more]


def once(script: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(script, home), check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.usefixtures("offline")
def test_command_line(home: Path, app: Path, tmp_path: Path) -> None:
    done = once(app / "install.js", home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "notice: Installed. Click 'Start'." in done.stdout

    trace = tmp_path / "start.trace"
    with subprocess.Popen(
        command(app / "start.js", home, "--trace", str(trace)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        alarm = threading.Timer(120, process.kill)
        alarm.start()
        assert process.stdout is not None
        output = ""
        url = ""
        for line in process.stdout:
            output += line
            if line.startswith("address: "):
                url = line.removeprefix("address: ").rstrip("\n")
                break
        assert URL.fullmatch(url), output
        assert get(url)[0] == 200
        process.send_signal(signal.SIGINT)
        output += process.stdout.read()
        assert process.wait() == 130, output
        alarm.cancel()
    assert not is_open(url)
    assert shells(home) == []
    end = json.loads(trace.read_text().splitlines()[-1])
    assert end["type"] == "end"
    assert end["status"] == "daemon"
    assert end["local"] == {"url": url}

    done = once(app / "reset.js", home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (app / "env").exists()
