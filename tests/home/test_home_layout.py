"""The home folder: made once, cheap afterwards (spec §5.1)."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from pinokiocloud.errors import HomeError
from pinokiocloud.home import Home
from pinokiocloud.home.environment import SYSTEM_DEFAULTS, parse
from pinokiocloud.home.files import write_atomic


def test_what_is_in_a_new_home(tmp_path):
    home = Home.open(tmp_path / "a" / "home")
    assert home.root == tmp_path / "a" / "home"
    for folder in (home.api, home.bin, home.cache, home.drive, home.logs, home.plugin, home.history):
        assert folder.is_dir()
        assert folder.parent == home.root
    assert home.base == home.root / "bin" / "miniforge"
    assert (home.cache / "TMPDIR").is_dir()
    values = parse(home.environment_file.read_text())
    assert list(values) == list(SYSTEM_DEFAULTS)
    assert values == {key: value.strip() for key, value in SYSTEM_DEFAULTS.items()}
    assert home.pipconfig.read_text() == "[global]\ntimeout = 1000\n"
    assert f"  - {home.root}/bin/miniforge/envs\n" in home.condarc.read_text()


def test_which_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("PINOKIO_HOME", str(tmp_path / "from env"))
    monkeypatch.chdir(tmp_path)
    assert Home.open().root == tmp_path / "from env"
    assert Home.open("rel/../here").root == tmp_path / "here"
    assert Home.open("~/own").root == tmp_path / "user" / "own"
    assert Home.open(environ={"PINOKIO_HOME": " "}).root == tmp_path / "user" / "pinokio"
    assert Home.open(environ={"PINOKIO_HOME": "~/x"}).root == tmp_path / "user" / "x"


def test_the_second_open_writes_nothing_and_is_quick(tmp_path):
    home = Home.open(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert Home.open(tmp_path) == home
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    times = []
    for _ in range(50):
        start = time.perf_counter()
        Home.open(tmp_path)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.003


def test_what_the_user_wrote_stays(tmp_path):
    home = Home.open(tmp_path)
    home.gitconfig.write_text("[user]\n\tname = me\n")
    home.pipconfig.write_text("[global]\ntimeout = 5\n")
    home.environment_file.write_bytes(b"# mine \xe9\nTMP=/tmp\nHF_HOME=/big\n")
    home.drive.rmdir()
    Home.open(tmp_path)
    assert home.gitconfig.read_text() == "[user]\n\tname = me\n"
    assert home.pipconfig.read_text() == "[global]\ntimeout = 5\n"
    assert home.environment_file.read_bytes().startswith(b"# mine \xe9\nTMP=./cache/TMP\nHF_HOME=/big\nHOMEBREW_CACHE=")
    assert home.drive.is_dir()


def test_a_home_that_moved_gets_its_own_condarc(tmp_path):
    Home.open(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    home = Home.open(tmp_path / "new")
    assert "old" not in home.condarc.read_text().replace("threshold", "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(HomeError, match="cannot be used"):
        Home.open(tmp_path / "home")


def test_a_folder_that_is_read_only(tmp_path, monkeypatch):
    Home.open(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(HomeError, match="not writable") as caught:
        Home.open(tmp_path)
    assert "PINOKIO_HOME" in str(caught.value)
    assert caught.value.context == {"path": str(tmp_path)}


@pytest.mark.parametrize("kind", ["file", "dangling", "file below", "proc"])
def test_places_that_cannot_be_a_home(tmp_path, kind):
    root = tmp_path / "home"
    if kind == "file":
        root.write_text("")
    elif kind == "dangling":
        root.symlink_to(tmp_path / "missing")
    elif kind == "file below":
        root.mkdir()
        (root / "api").write_text("")
    else:
        root = Path("/proc/pinokio")
    with pytest.raises(HomeError, match="cannot be used") as caught:
        Home.open(root)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_names_that_are_no_folder(path):
    with pytest.raises(HomeError, match="not a folder"):
        Home.open(path)


def test_a_relative_home_is_refused():
    with pytest.raises(HomeError, match="absolute"):
        Home(Path("home"))


def test_paths_below_the_home(tmp_path):
    home = Home(tmp_path)
    assert home.path() == tmp_path
    assert home.path("api", "../bin") == home.bin
    assert home.path("api", "/etc") == Path("/etc")


def test_write_atomic_leaves_the_old_file_on_failure(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomic(file, "new")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_write_atomic_respects_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    write_atomic(tmp_path / "secret", "x", mode=0o600)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("installed", [False, True])
def test_large_files_pass_through_without_git_lfs(tmp_path, installed):
    home = Home.open(tmp_path / "home")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "sh", "cat"):
        (tools / name).symlink_to(shutil.which(name))
    source = tmp_path / "source"
    source.mkdir()
    env = {"PATH": str(tools), "GIT_CONFIG_GLOBAL": str(home.gitconfig), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*command):
        done = subprocess.run(["git", *command], env=env, cwd=source, capture_output=True, text=True, check=True)
        assert "error:" not in done.stderr

    (source / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (source / "it's a.bin").write_text("pointer")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    if installed:
        (tools / "git-lfs").write_text('#!/bin/sh\ncat\necho "+$1 $3"\n')
        (tools / "git-lfs").chmod(0o755)
    git("clone", "-q", ".", str(tmp_path / "clone"))
    expected = "pointer+smudge it's a.bin\n" if installed else "pointer"
    assert (tmp_path / "clone" / "it's a.bin").read_text() == expected
