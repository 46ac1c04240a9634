"""URIs of scripts and files (spec §2.11, §5.4)."""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinokiocloud.errors import ScriptNotFoundError, UsageError
from pinokiocloud.home.layout import Home
from pinokiocloud.home.uri import (
    GitUri,
    download_name,
    folder_name,
    installed,
    public,
    remote_of,
    remotes,
    resolve,
    same_remote,
)  # fmt: skip

HOME = Home(Path("/pinokio"))
BASE = Path("/pinokio/api/app")


def clone(api, name, url):
    git = api / name / ".git"
    git.mkdir(parents=True)
    (git / "config").write_text(f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {url}\n\tfetch = +refs/*\n')
    return api / name


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("run.js", "/pinokio/api/app/run.js"),
        ("./sub/../run.js", "/pinokio/api/app/run.js"),
        ("../outside.txt", "/pinokio/api/outside.txt"),
        ("../../../../../x", "/x"),
        ("", "/pinokio/api/app"),
        (".", "/pinokio/api/app"),
        ("sub/", "/pinokio/api/app/sub"),
        ("~/inhome.txt", "/pinokio/inhome.txt"),
        ("~/", "/pinokio"),
        ("~//etc", "/pinokio/etc"),
        ("~/../x", "/x"),
        ("~", "/pinokio/api/app/~"),
        ("~user/x", "/pinokio/api/app/~user/x"),
        ("/etc/../x", "/x"),
        ("//x", "/x"),
        ("/", "/"),
        ("http-server.js", "/pinokio/api/app/http-server.js"),
    ],
)
def test_paths(uri, path):
    assert resolve(uri, BASE, HOME) == Path(path)


@pytest.mark.parametrize("uri", ["run.js", "", "../x"])
def test_a_relative_path_needs_a_base(uri):
    with pytest.raises(UsageError, match="nothing to be relative to"):
        resolve(uri, None, HOME)


def test_other_paths_need_no_base():
    assert resolve("~/api/x/run.js", None, HOME) == Path("/pinokio/api/x/run.js")
    assert resolve("/x", None, HOME) == Path("/x")


def test_a_nul_is_no_path():
    with pytest.raises(UsageError):
        resolve("a\0b", BASE, HOME)


@given(st.text(string.ascii_letters + "./~é _-", max_size=30))
def test_paths_resolve_as_joining_does(uri):
    path = resolve(uri, BASE, HOME)
    assert path.is_absolute()
    assert ".." not in path.parts
    assert resolve(str(path), None, HOME) == path
    if not uri.startswith(("/", "~/")):
        assert str(path) == os.path.normpath(os.path.join(BASE, uri))
    if uri.startswith("~/"):
        assert path == resolve(uri[2:].lstrip("/"), HOME.root, HOME)


@pytest.mark.parametrize(
    ("uri", "remote", "path"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b.git", ""),
        ("https://github.com/a/b.git/", "https://github.com/a/b.git", ""),
        ("https://github.com/a/b.git/start.js", "https://github.com/a/b.git", "start.js"),
        ("https://github.com/a/b.git/sub/./x/../start.js", "https://github.com/a/b.git", "sub/start.js"),
        ("http://x.github.io:80/a.git/b.git/c", "http://x.github.io:80/a.git", "b.git/c"),
        ("https://my.git/a/b.git/x", "https://my.git/a/b.git", "x"),
    ],
)
def test_git_uris(uri, remote, path):
    git = GitUri.parse(uri)
    assert git == GitUri(remote, path)
    assert GitUri.parse(str(git)) == git


@pytest.mark.parametrize(
    "uri",
    ["https://github.com/a/b", "http://x", "https://x.github.io/a", "https://my.git/a", "https://h/a/.gitignore", "x"],
)
def test_git_uris_hold_git(uri):
    with pytest.raises(UsageError, match=r"a git repository URI must end with \.git"):
        GitUri.parse(uri)


@pytest.mark.parametrize("path", ["..", "../x", "a/../../x", "a\0b"])
def test_git_uris_stay_inside(path):
    with pytest.raises(UsageError, match="inside"):
        GitUri.parse(f"https://github.com/a/b.git/{path}")


@given(st.lists(st.text(string.ascii_letters + "-_", min_size=1, max_size=8), min_size=1, max_size=5))
def test_git_uris_survive_a_round_trip(parts):
    remote = "https://example.com/" + "/".join(parts) + ".git"
    git = GitUri.parse(f"{remote}/{'/'.join(parts)}")
    assert git == GitUri(remote, "/".join(parts))
    assert GitUri.parse(str(git)) == git


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/a/b.git",
        "https://github.com/a/b",
        "https://github.com/A/B/",
        "https://user:secret@github.com/a/b.git",
        "git@github.com:a/b.git",
        "ssh://git@github.com/a/b",
        "https://mirror.example/https://github.com/a/b.git",
    ],
)
def test_git_uris_of_installed_apps(tmp_path, url):
    home = Home(tmp_path)
    clone(home.api, "a-other", "https://github.com/a/bb.git")
    clone(home.api, "b-other", "https://github.com/x/b.git")
    folder = clone(home.api, "mine", url)
    assert resolve("https://github.com/a/b.git/sub/x.js", None, home) == folder / "sub" / "x.js"
    assert resolve("https://github.com/a/b.git", None, home) == folder
    assert installed("https://github.com/a/b", home) == folder


def test_a_real_clone_goes_before_one_through_a_mirror(tmp_path):
    home = Home(tmp_path)
    clone(home.api, "a", "https://mirror.example/https://github.com/a/b")
    assert installed("https://github.com/a/b.git", home) == home.api / "a"
    clone(home.api, "b", "https://github.com/a/b")
    assert installed("https://github.com/a/b.git", home) == home.api / "b"


def test_git_uris_of_missing_apps(tmp_path):
    with pytest.raises(ScriptNotFoundError, match="not installed") as caught:
        resolve("https://github.com/a/b.git/x.js", BASE, Home(tmp_path))
    assert caught.value.context == {"uri": "https://github.com/a/b.git/x.js"}
    with pytest.raises(UsageError, match=r"must end with \.git"):
        resolve("https://github.com/a/b", BASE, Home(tmp_path))


def test_case_matters_elsewhere():
    assert same_remote("https://GitHub.com/A/b.git", "https://github.com/a/B")
    assert not same_remote("https://huggingface.co/A/b", "https://huggingface.co/a/b")
    assert not same_remote("https://[bad", "https://github.com/a/b")


def test_remotes(tmp_path):
    api = tmp_path / "api"
    assert remotes(api) == {}
    clone(api, "z", "https://github.com/a/z.git")
    clone(api, "a.git", "https://github.com/a/a")
    (api / "plain").mkdir()
    (api / "file").write_text("")
    (api / "empty" / ".git").mkdir(parents=True)
    (api / "broken" / ".git" / "config").mkdir(parents=True)
    assert remotes(api) == {"a.git": "https://github.com/a/a", "z": "https://github.com/a/z.git"}
    assert list(remotes(api)) == ["a.git", "z"]


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ('[remote "origin"]\nurl=x', "x"),
        ('[REMOTE "origin"] URL = x ; why', "x"),
        ('[remote "origin"]\r\n\turl = "x # y" # z\r\n', "x # y"),
        ('[remote "origin"]\n\turl = a\\\nb\n', "ab"),
        ('[remote "origin"]\n\turl = C:\\\\x\\"y\n', 'C:\\x"y'),
        ('[remote "origin"]\n\turl = one\n\turl = two\n', "one"),
        ("[remote.origin]\n\turl = x\n", "x"),
        ('# [remote "origin"]\n[remote "Origin"]\n\turl = y\n[remote "up"]\n\turl = z\n', None),
        ('[remote "origin"]\n\tfetch = x\n\turl\n[branch "origin"]\n\turl = y', "true"),
        ('[remote "origin"]\n\turl =\n', None),
        ("\0\xff[", None),
    ],
)
def test_config_files(tmp_path, config, url):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(config.encode())
    assert remote_of(tmp_path) == url


def test_a_git_file_points_to_the_repository(tmp_path):
    real = clone(tmp_path, "real", "https://github.com/a/b.git") / ".git"
    for name, pointer in (("sub", "gitdir: ../real/.git\n"), ("absolute", f"gitdir: {real}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".git").write_text(pointer)
        assert remote_of(tmp_path / name) == "https://github.com/a/b.git"
    tree = real / "worktrees" / "tree"
    tree.mkdir(parents=True)
    (tree / "commondir").write_text("../..\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / ".git").write_text(f"gitdir: {tree}\n")
    assert remote_of(tmp_path / "tree") == "https://github.com/a/b.git"
    (tmp_path / "tree" / ".git").write_text("nonsense")
    assert remote_of(tmp_path / "tree") is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/a/b.git", "github_com_a_b_git"),
        ("http://h:8080/a-b_c.git", "h_8080_a-b_c_git"),
        ("https://user:secret@github.com/a/b.git", "github_com_a_b_git"),
        ("https://huggingface.co/é/ü.git", "huggingface_co_____git"),
    ],
)
def test_folder_names_of_scripts(url, name):
    assert folder_name(url) == name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/a/b", "b.git"),
        ("https://github.com/a/b.git", "b.git"),
        ("https://github.com/a/b/?x=1#y", "b.git"),
        ("git@github.com:a/b.git", "b.git"),
        ("git@host:b", "b.git"),
    ],
)
def test_folder_names_of_downloads(url, name):
    assert download_name(url) == name


@pytest.mark.parametrize("url", ["", "https://github.com", "https://github.com/", "https://h/a/..", "https://h/.git"])
def test_no_folder_name(url):
    with pytest.raises(UsageError, match="not a URL"):
        download_name(url)


def test_no_folder_name_for_scripts():
    with pytest.raises(UsageError, match="not a URL"):
        folder_name("https://")


def test_passwords_are_taken_away():
    assert public("https://user:pa@ss@github.com/a/b") == "https://github.com/a/b"
    assert public("git@github.com:a/b.git") == "git@github.com:a/b.git"
