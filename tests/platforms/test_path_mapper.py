"""Paths of other machines become paths of this one, and nothing leads out of the allowed folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinokiocloud.home import Home
from pinokiocloud.platforms.paths import PathError, PathMapper
from pinokiocloud.platforms.platform import Facts, Platform


def machine(tmp, **changes):
    for name in ("work", "keep", "tmp", "work/pinokios/api/app", "outside", "work/x"):
        (tmp / name).mkdir(parents=True, exist_ok=True)
    values = {
        "name": "test", "title": "Test", "work_dir": tmp / "work", "persistent": (tmp / "keep",),
        "temp": (tmp / "tmp",),
        "evidence": (), "facts": Facts(persists="")} | changes  # fmt: skip
    return Platform(**values)


@pytest.fixture
def tmp(tmp_path):
    return Path(os.path.realpath(tmp_path))


@pytest.fixture
def mapper(tmp):
    return PathMapper(Home(tmp / "work/pinokios"), machine(tmp))


H, W = "work/pinokios", "work"
TABLE = [
    ("~", H),
    ("~/api/a.js", f"{H}/api/a.js"),
    ("api/app", f"{H}/api/app"),
    ("./api//app/../b", f"{H}/api/b"),
    (r"api\app\start.js", f"{H}/api/app/start.js"),
    ("~name/x", f"{H}/~name/x"),
    (r"C:\pinokio\api\app", f"{H}/api/app"),
    ("c:/Pinokio/api/app", f"{H}/api/app"),
    (r"D:\pinokio\drive", f"{H}/drive"),
    (r"C:\Users\Ann\pinokio\api", f"{H}/api"),
    (r"C:\Users\Ann\Downloads\m.bin", f"{W}/Downloads/m.bin"),
    (r"C:\Users\Ann", W),
    (r"C:\Users\Ann\AppData\Local\Temp\a.txt", "tmp/a.txt"),
    (r"C:\Windows\Temp\a", "tmp/a"),
    (r"C:\models\m.bin", f"{W}/models/m.bin"),
    (r"D:\models\m.bin", f"{W}/d/models/m.bin"),
    (r"C:\..\..\etc\passwd", f"{W}/etc/passwd"),
    ("C:", W),
    (r"\\?\C:\models\m.bin", f"{W}/models/m.bin"),
    (r"\\nas\share\m.bin", f"{W}/nas/share/m.bin"),
    (r"\\?\UNC\nas\share\..\..\..\m", f"{W}/m"),
    ("/Users/ann/pinokio/api/a", f"{H}/api/a"),
    ("/Users/ann/Documents/a", f"{W}/Documents/a"),
    ("/private/tmp/a", "tmp/a"),
    ("/var/folders/ab/cdef/T/a", "tmp/a"),
    ("/content/models/a", f"{W}/models/a"),
    ("/content", W),
    ("/content/pinokios/api/a", f"{H}/api/a"),
    ("/content/drive/MyDrive/a", f"{W}/drive/MyDrive/a"),
    ("/workspace/a", f"{W}/a"),
    ("/teamspace/studios/this_studio/a", f"{W}/a"),
    ("/kaggle/working/a", f"{W}/a"),
    ("/kaggle/tmp/a", "tmp/a"),
    ("/notebooks/a", f"{W}/a"),
    ("/storage/a", "keep/a"),
    ("/home/studio-lab-user/a", f"{W}/a"),
]


@pytest.mark.parametrize(("text", "path"), TABLE)
def test_what_a_text_in_a_script_stands_for(tmp, mapper, text, path):
    assert mapper.map(text) == tmp / path


def test_relative_paths_are_relative_to_the_base(tmp, mapper):
    base = tmp / H / "api/app"
    assert mapper.map("a.txt", base) == base / "a.txt"
    assert mapper.map(r"..\b", base) == tmp / H / "api/b"


def test_a_platform_s_own_folders_are_left_alone(tmp):
    vast = PathMapper(Home(Path("/workspace/pinokios")), machine(tmp, work_dir=Path("/workspace"), persistent=()))
    assert vast.map("/workspace/a") == Path("/workspace/a")
    assert vast.map("/content/a") == Path("/workspace/a")
    assert vast.map("/storage/a") == Path("/workspace/a")


@pytest.mark.parametrize(
    "text",
    ["/etc/passwd", "/content/../etc/passwd", "~/../../../etc/passwd", "../../outside", r"..\..\outside", "/",
     "/contents/a", "/root/.ssh/id_rsa", "/proc/self/environ", "//etc/passwd", "", "a\0b"],
)  # fmt: skip
def test_ways_out_are_refused(mapper, text):
    with pytest.raises(PathError) as caught:
        mapper.map(text)
    assert caught.value.code == "path"
    assert not mapper.allowed("/etc/passwd")


def test_a_link_in_an_allowed_folder_opens_no_way_out(tmp, mapper):
    (tmp / "work/link").symlink_to(tmp / "outside")
    (tmp / "work/etc").symlink_to("/etc")
    for text in (f"{tmp}/work/link", f"{tmp}/work/link/new.txt", "/content/etc/passwd"):
        with pytest.raises(PathError, match="outside of the folders") as caught:
            mapper.map(text)
        assert "resolved" in caught.value.context
    (tmp / "work/inner").symlink_to(tmp / "keep")
    assert mapper.map(f"{tmp}/work/inner/a") == tmp / "keep/a"


def test_links_that_lead_in_circles_do_no_harm(tmp, mapper):
    (tmp / "work/a").symlink_to("b")
    (tmp / "work/b").symlink_to("a")
    assert mapper.allowed(tmp / "work/c")
    assert str(mapper.map(f"{tmp}/work/a/x")).startswith(str(tmp / "work"))


def test_a_root_that_is_itself_behind_a_link_works(tmp):
    platform = machine(tmp)
    (tmp / "alias").symlink_to(tmp / "work")
    mapper = PathMapper(Home(tmp / "alias/pinokios"), machine(tmp, work_dir=tmp / "alias"))
    assert mapper.map(f"{tmp}/alias/a") == platform.work_dir / "a"
    assert mapper.map("~/a") == platform.work_dir / "pinokios/a"


def test_a_setting_adds_roots(tmp, mapper):
    outside = tmp / "outside"
    assert not mapper.allowed(outside / "a")
    wide = PathMapper(Home(tmp / H), machine(tmp), [outside])
    assert wide.check(outside / "a") == outside / "a"
    assert not wide.allowed(f"{outside}2/a")


def test_a_home_folder_that_is_the_whole_disk_allows_nothing_more(tmp):
    mapper = PathMapper(Home(tmp / H), machine(tmp, work_dir=Path("/"), persistent=(Path("/"),)))
    assert not mapper.allowed("/etc/passwd")
    assert PathMapper(Home(tmp / H), machine(tmp), ["/"]).allowed("/etc/passwd")


def test_relative_paths_are_judged_below_the_home(mapper, monkeypatch):
    monkeypatch.chdir("/")
    assert mapper.allowed("api")
    assert not mapper.allowed("../../../etc")


PIECES = st.sampled_from(
    ["..", ".", "a", "b c", "~", "/", "//", "\\", "\\\\", "C:", "D:\\", "link", "x", "etc", "passwd", "/content",
     "/storage", "/workspace", "/Users/me", "\\\\?\\", "UNC", "pinokio", "api", "/tmp", "/kaggle/tmp", "Users",
     "é", " ", "%2e%2e"]
)  # fmt: skip


@given(pieces=st.lists(PIECES, max_size=10), join=st.sampled_from(["/", "\\", ""]), other=st.text(max_size=20))
def test_nothing_ever_escapes_the_roots(tmp_path_factory, pieces, join, other):
    tmp = Path(os.path.realpath(tmp_path_factory.getbasetemp())) / "escape"
    platform = machine(tmp)
    link = tmp / "work/link"
    if not link.is_symlink():
        link.symlink_to(tmp / "outside")
    mapper = PathMapper(Home(tmp / H), platform)
    for text in (join.join(pieces), other, join.join([*pieces, other])):
        try:
            path = mapper.map(text)
        except PathError:
            continue
        real = Path(os.path.realpath(path))
        assert real == path
        assert any(root == real or root in real.parents for root in (tmp / "work", tmp / "keep", tmp / "tmp"))
        assert tmp / "outside" not in (real, *real.parents)
