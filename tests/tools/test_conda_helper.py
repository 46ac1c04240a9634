"""``conda`` for scripts: micromamba is fetched once, checked, and asked; where it cannot be had, uv makes a Python."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

STAND_IN = Path(__file__).parents[1] / "conformance" / "micromamba.sh"
FAKE = b'#!/bin/sh\necho fake-micromamba "$@"\n'


class Release:
    """A web server that has one file."""

    def __init__(self) -> None:
        self.status, self.body, self.length = 200, FAKE, len(FAKE)
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.send_response(outer.status)
                self.send_header("Content-Length", str(outer.length))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def release() -> Iterator[Release]:
    served = Release()
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture
def fetch(conda: Callable[..., Any], release: Release, tmp_path: Path, made: Any) -> Callable[..., Any]:
    """Give a function that runs conda with a home of its own, in which micromamba is not yet."""
    base = tmp_path / "bin" / "miniforge"
    base.parent.mkdir(parents=True)
    base.symlink_to(made.prefix)

    def go(*arguments: str, **variables: str) -> Any:
        given = {
            "PINOKIOCLOUD_MICROMAMBA_URL": release.url,
            "PINOKIOCLOUD_MICROMAMBA_SHA256": hashlib.sha256(FAKE).hexdigest(),
        }
        return conda(*arguments, base=base, **{**given, **variables})

    return go


def fetched(folder: Path) -> list[str]:
    return sorted(item.name for item in (folder / "bin").rglob("micromamba*") if item.is_file())


def test_it_is_fetched_once_and_checked(fetch: Any, release: Release, tmp_path: Path) -> None:
    first = fetch("list")
    assert first.returncode == 0, first.stderr
    assert "fake-micromamba list" in first.stdout
    assert "fake-micromamba info" in fetch("info").stdout
    assert len(release.asked) == 1
    assert len(fetched(tmp_path)) == 1


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(fetch: Any, release: Release, tmp_path: Path) -> None:
    release.body = FAKE + b"# evil\n"
    release.length = len(release.body)
    done = fetch("list")
    assert done.returncode == 1
    assert "CondaError:" in done.stderr
    assert "checksum" in done.stderr
    assert "fake-micromamba" not in done.stdout
    assert fetched(tmp_path) == []


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_refusal_is_a_clear_error(fetch: Any, release: Release, tmp_path: Path, status: int) -> None:
    release.status = status
    done = fetch("list")
    assert done.returncode == 1
    assert "could not be fetched" in done.stderr
    assert str(status) in done.stderr
    assert "Traceback" not in done.stderr
    assert fetched(tmp_path) == []


def test_a_cut_off_file_is_a_clear_error(fetch: Any, release: Release, tmp_path: Path) -> None:
    release.length = len(FAKE) + 100
    done = fetch("list")
    assert done.returncode == 1
    assert "CondaError:" in done.stderr
    assert "Traceback" not in done.stderr
    assert fetched(tmp_path) == []


def test_nobody_at_the_address_is_a_clear_error(fetch: Any) -> None:
    done = fetch("list", PINOKIOCLOUD_MICROMAMBA_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "could not be fetched" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["-V"]])
def test_its_version_needs_nothing(conda: Any, arguments: list[str]) -> None:
    done = conda(*arguments, PINOKIOCLOUD_MICROMAMBA_URL="http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (0, "conda 26.5.3\n")


def test_a_python_alone_is_made_by_uv_where_there_is_no_micromamba(fetch: Any, tmp_path: Path, made: Any) -> None:
    import subprocess

    version = subprocess.run(
        [str(made.python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    done = fetch(
        "create",
        "-y",
        "-p",
        str(tmp_path / "env"),
        f"python={version}",
        PINOKIOCLOUD_MICROMAMBA_URL="http://127.0.0.1:1",
        UV_PYTHON_DOWNLOADS="never",
    )
    assert done.returncode == 0, done.stderr
    assert os.access(tmp_path / "env" / "bin" / "python", os.X_OK)
    assert (tmp_path / "env" / "conda-meta").is_dir()
    assert "micromamba is not available" in done.stdout
    assert (
        subprocess.run([str(tmp_path / "env" / "bin" / "python"), "-m", "pip", "--version"], check=False).returncode
        == 0
    )


def test_other_packages_need_micromamba(fetch: Any, tmp_path: Path) -> None:
    done = fetch(
        "create",
        "-y",
        "-p",
        str(tmp_path / "env"),
        "python=3.10",
        "ffmpeg",
        PINOKIOCLOUD_MICROMAMBA_URL="http://127.0.0.1:1",
    )
    assert done.returncode == 1
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["install", "-y", "ffmpeg"], "install -y ffmpeg -c conda-forge -p {base}"),
        (["install", "-c", "nvidia", "cuda"], "install -c nvidia cuda -p {base}"),
        (["install", "--channel=nvidia", "cuda"], "install --channel=nvidia cuda -p {base}"),
        (["install", "-n", "x", "ffmpeg"], "install -n x ffmpeg -c conda-forge"),
        (["remove", "ffmpeg"], "remove ffmpeg -c conda-forge -p {base}"),
        (["list"], "list"),
        (["info", "--json"], "info --json"),
        (["clean", "--all", "-y"], "clean --all -y"),
        (["run", "-n", "x", "python"], "run -n x python"),
    ],
)
def test_what_micromamba_is_asked(fetch: Any, tmp_path: Path, arguments: list[str], asked: str) -> None:
    done = fetch(*arguments)
    assert done.stdout.splitlines()[-1] == f"fake-micromamba {asked.format(base=tmp_path / 'bin' / 'miniforge')}"


def test_the_environment_that_is_active_is_the_one_that_is_filled(fetch: Any) -> None:
    assert "-p /some/env" in fetch("install", "ffmpeg", CONDA_PREFIX="/some/env").stdout


def test_the_exit_code_is_micromambas(fetch: Any, release: Release) -> None:
    body = b"#!/bin/sh\nexit 9\n"
    release.body, release.length = body, len(body)
    assert fetch("list", PINOKIOCLOUD_MICROMAMBA_SHA256=hashlib.sha256(body).hexdigest()).returncode == 9


# ---- from a script -----------------------------------------------------------------------------------------------------
@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINOKIOCLOUD_MICROMAMBA", str(STAND_IN))


def run(message: str, **params: Any) -> dict[str, Any]:
    return {"method": "shell.run", "params": {"message": message, **params}}


@pytest.mark.parametrize(
    ("conda", "prefix"),
    [
        ("env", "{app}/env"),
        ({"path": "sub/env"}, "{app}/sub/env"),
        ({"name": "pkc-test"}, "{home}/bin/miniforge/envs/pkc-test"),
    ],
)
@pytest.mark.usefixtures("stand_in")
def test_an_environment_is_made_and_activated(app: Any, play: Any, home: Path, conda: Any, prefix: str) -> None:
    played = play(
        app.script(
            run("echo at $CONDA_PREFIX; which python", conda=conda), run("echo again $CONDA_PREFIX", conda=conda)
        )
    )
    want = prefix.format(app=app.folder, home=home)
    assert played.result.status == "done", played.text
    assert f"at {want}\n" in played.text
    assert f"{want}/bin/python" in played.text
    assert f"again {want}\n" in played.text
    assert played.text.count("oracle-conda: created") == 1


@pytest.mark.usefixtures("stand_in")
def test_the_base_is_active_without_a_choice(app: Any, play: Any, home: Path) -> None:
    text = play(
        app.script(
            run(
                "echo $CONDA_DEFAULT_ENV $CONDA_PREFIX $CONDA_SHLVL; conda deactivate; echo off-$CONDA_SHLVL; conda activate; echo on-$CONDA_DEFAULT_ENV"
            )
        )
    ).text
    assert f"base {home}/bin/miniforge 1\n" in text
    assert "off-0\n" in text
    assert "on-base\n" in text


@pytest.mark.usefixtures("stand_in")
def test_an_environment_that_is_missing_cannot_be_activated(app: Any, play: Any) -> None:
    played = play(app.script(run("conda activate no-such-env && echo never-$((1))")))
    assert "Could not find conda environment: no-such-env" in played.text
    assert "never-1" not in played.text


def test_the_guard_leaves_the_base_alone(app: Any, play: Any) -> None:
    played = play(app.script(run("conda install -y python=3.9; echo ran-$((1))")))
    assert played.result.status == "done"
    assert "is not run" in played.text
    assert "ran-1" not in played.text


def test_an_error_of_the_helper_fails_the_step(app: Any, play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINOKIOCLOUD_MICROMAMBA_URL", "http://127.0.0.1:1")
    played = play(app.script(run("conda install -y ffmpeg")))
    assert played.result.status == "error"
    assert "could not be fetched" in played.text
