"""Virtual drives (spec §5.8)."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
from pathlib import Path

import pytest

from pinokiocloud.errors import UsageError
from pinokiocloud.home import drive as drive_module
from pinokiocloud.home.drive import Conflict, DriveResult, Link, drive_home, link

OWN = "https://github.com/oracle/y.git"
PEER = "https://github.com/oracle/peer.git"


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "api" / "app"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def run(tmp_path, app):
    times = iter(range(1000, 9000))

    def run(routes, **options):
        given = {"drive": tmp_path / "drive", "cwd": app, "own": OWN, "clock": lambda: next(times), **options}
        return link(routes, **given)

    return run


def put(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def registry(tmp_path):
    return json.loads((tmp_path / "drive" / "drives.json").read_text())


def test_case_fs_link(tmp_path, app, run):
    put(app / "app" / "lora", **{"l.bin": "L"})
    put(app / "app" / "models", **{"m.bin": "M"})
    result = run({"models": "app/models", "loras": ["app/lora", "app/lyco"]})
    folder = tmp_path / "drive" / "drives" / "peers" / "d1000000"
    for name, route in (("lora", "loras"), ("lyco", "loras"), ("models", "models")):
        assert os.readlink(app / "app" / name) == f"../../../drive/drives/peers/d1000000/{route}"
    assert (app / "app" / "lyco" / "l.bin").read_text() == "L"
    assert (folder / "models" / "m.bin").read_text() == "M"
    assert not (folder / "models" / "m.bin").is_symlink()
    assert registry(tmp_path) == {OWN: {"models": f"{folder}/models", "loras": f"{folder}/loras"}}
    assert result == DriveResult(
        links=(
            Link(app / "app/models", folder / "models", "models", created=True, moved=1),
            Link(app / "app/lora", folder / "loras", "loras", created=True, moved=1),
            Link(app / "app/lyco", folder / "loras", "loras", created=True, moved=0),
        )
    )
    assert sorted(os.listdir(app / "app")) == ["lora", "lyco", "models"]


def test_a_second_run_leaves_everything(tmp_path, app, run):
    first = run({"models": "models"})
    before = registry(tmp_path), (tmp_path / "drive" / "drives.json").stat().st_ino
    second = run({"models": "models"})
    assert second.links == (Link(app / "models", first.links[0].folder, "models", created=False),)
    assert not second.problems
    assert (registry(tmp_path), (tmp_path / "drive" / "drives.json").stat().st_ino) == before


def test_a_reinstalled_app_finds_its_files(tmp_path, app, run):
    put(app / "models", a="A")
    run({"models": "models"})
    shutil.rmtree(app)
    put(app / "models", b="B")
    run({"models": "models"})
    assert sorted(os.listdir(app / "models")) == ["a", "b"]
    assert len(os.listdir(tmp_path / "drive/drives/peers")) == 1


def test_peers_share(tmp_path, app, run):
    """What the reference engine recorded for these two steps."""
    run({"models": "m", "deep/route": "d"}, peers=[PEER])
    run({"other": "o", "models": ["second"]}, peers=[PEER])
    folder = tmp_path / "drive/drives/peers/d1000000"
    routes = {route: f"{folder}/{route}" for route in ("models", "deep/route", "other")}
    assert registry(tmp_path) == {PEER: routes, OWN: routes}
    assert os.readlink(app / "second") == os.readlink(app / "m")
    assert os.readlink(app / "d") == "../../drive/drives/peers/d1000000/deep/route"
    peer = put(tmp_path / "api" / "peer")
    run({"models": "models", "new": "new"}, own=PEER, cwd=peer)
    assert os.path.samefile(peer / "models", app / "m")
    assert registry(tmp_path)[PEER]["new"] == f"{folder}/new"
    assert "new" not in registry(tmp_path)[OWN]


def test_the_folder_of_a_peer_goes_before_the_apps_own(tmp_path, run):
    run({"models": "m"})
    run({"models": "m2"}, own=PEER)
    result = run({"models": "m3"}, peers=[PEER])
    assert str(result.links[0].folder) == registry(tmp_path)[PEER]["models"] == registry(tmp_path)[OWN]["models"]


def test_a_drive_is_found_behind_a_nested_route(tmp_path, run):
    run({"deep/route": "d"})
    assert str(run({"x/y": "e"}).links[0].folder) == f"{tmp_path}/drive/drives/peers/d1000000/x/y"


def test_without_a_remote_nothing_is_recorded(tmp_path, app, run):
    result = run({"models": "m", "loras": ["l", "l2"]}, own=None, peers=[PEER])
    assert not (tmp_path / "drive" / "drives.json").exists()
    assert sorted(os.listdir(tmp_path / "drive/drives/peers")) == ["d1000000", "d1000001"]
    assert not result.problems
    assert os.path.samefile(app / "l", app / "l2")


def test_remotes_are_compared_by_what_they_name_and_recorded_without_passwords(tmp_path, run):
    first = run({"models": "m"}, own="https://user:token@github.com/oracle/y")
    second = run({"models": "m2"}, own="git@github.com:Oracle/Y.git")
    assert first.links[0].folder == second.links[0].folder
    assert list(registry(tmp_path)) == ["https://github.com/oracle/y"]


def test_the_file_on_the_drive_wins_and_the_other_is_kept(tmp_path, app, run):
    put(app / "one" / "sub", same="equal", mine="first")
    put(app / "two" / "sub", same="equal", mine="second", other="x")
    put(app / "three" / "sub", mine="third")
    result = run({"models": ["one", "two", "three"]}, clock=lambda: 1.5)
    folder = result.links[0].folder
    assert {path.name: path.read_text() for path in (folder / "sub").iterdir()} == {
        "same": "equal", "mine": "first", "other": "x", "mine.conflict-1501": "second", "mine.conflict-1502": "third",
    }  # fmt: skip
    assert [conflict.path for conflict in result.conflicts] == [app / "two/sub/mine", app / "three/sub/mine"]
    assert all(conflict.kept.is_file() for conflict in result.conflicts)
    assert [made.moved for made in result.links] == [2, 2, 1]
    assert not result.problems


def test_a_folder_and_a_file_of_one_name(app, run):
    put(app / "one", thing="file")
    put(app / "one" / "other", x="in the drive")
    put(app / "two" / "thing", x="in a folder")
    put(app / "two", other="file")
    result = run({"models": ["one", "two"]})
    folder = result.links[0].folder
    kept = {conflict.path: conflict.kept for conflict in result.conflicts}
    assert (folder / "thing").read_text() == "file"
    assert (kept[app / "two/thing"] / "x").read_text() == "in a folder"
    assert (folder / "other" / "x").read_text() == "in the drive"
    assert kept[app / "two/other"].read_text() == "file"
    assert isinstance(result.conflicts[0], Conflict)


def test_links_inside_lead_where_they_led(tmp_path, app, run):
    put(tmp_path / "outside", x="outside")
    put(app / "hf" / "blobs", abc="blob")
    snapshot = put(app / "hf" / "snapshots")
    (snapshot / "model").symlink_to("../blobs/abc")
    (snapshot / "out").symlink_to("../../../../outside/x")
    (snapshot / "absolute").symlink_to(tmp_path / "outside")
    (snapshot / "dangling").symlink_to("../blobs/none")
    shutil.copytree(app / "hf", app / "copy", symlinks=True)
    result = run({"cache": ["hf", "copy"]})
    assert not result.conflicts
    assert not result.problems
    moved = result.links[0].folder / "snapshots"
    assert os.readlink(moved / "model") == "../blobs/abc"
    assert (moved / "model").read_text() == "blob"
    assert (moved / "out").read_text() == "outside"
    assert (moved / "absolute" / "x").read_text() == "outside"
    assert os.readlink(moved / "dangling") == "../blobs/none"


def test_a_link_that_is_there_is_left_alone(tmp_path, app, run):
    put(tmp_path / "own", x="X")
    (app / "models").symlink_to("../../own")
    (app / "gone").symlink_to("nowhere")
    result = run({"models": ["models", "gone"]})
    assert os.readlink(app / "models") == "../../own"
    assert result.links[0] == Link(app / "models", tmp_path / "own", "models", created=False)
    assert result.problems == (f"{app}/gone is a link to nowhere, which does not exist",)


@pytest.mark.parametrize("name", ["./models", "../app/models", "x/../models", "{app}/models", "models/"])
def test_links_are_relative_to_the_script(app, run, name):
    put(app / "models", x="X")
    run({"models": name.format(app=app)})
    assert (app / "models").is_symlink()
    assert (app / "models" / "x").read_text() == "X"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file", "not a folder"),
        (".", "the script's folder is in it"),
        ("..", "the script's folder is in it"),
        ("{drive}", "is in it"),
        ("{drive}/drives", "is in it"),
        ("/", "is in it"),
        ("file/below", "Not a directory"),
    ],
)
def test_what_cannot_be_moved_stays(tmp_path, app, run, name, reason):
    put(app, file="F", keep="K")
    result = run({"models": [name.format(drive=tmp_path / "drive"), "fine"]})
    assert [made.path for made in result.links] == [app / "fine"]
    assert len(result.problems) == 1
    assert re.search(reason, result.problems[0])
    assert (app / "keep").read_text() == "K"


def test_a_folder_below_one_that_is_linked(app, run):
    put(app / "models" / "loras", x="X")
    result = run({"models": "models", "loras": "models/loras", "self": "models"})
    assert not result.problems
    assert (app / "models" / "loras" / "x").read_text() == "X"
    assert (result.links[1].folder / "x").read_text() == "X"
    again = run({"other": str(result.links[1].folder)})
    assert "on the drive already" in again.problems[0]


@pytest.mark.parametrize("route", ["", ".", "..", "../x", "/x", "a\0b"])
def test_routes_stay_on_the_drive(app, run, route):
    result = run({route: "models", "fine": "fine"})
    assert [made.route for made in result.links] == ["fine"]
    assert "not the name of a folder" in result.problems[0]
    assert not (app / "models").exists()


def test_a_drive_reached_through_links(tmp_path, app, run):
    """A home on mounted storage: the text of a link is seen from where its folder really is."""
    disk = tmp_path / "disk" / "far" / "away"
    disk.mkdir(parents=True)
    (tmp_path / "drive").symlink_to(disk)
    put(tmp_path / "real" / "app" / "models", x="X")
    (tmp_path / "linked").symlink_to("real/app")
    result = run({"models": "models", "more": "more"}, cwd=tmp_path / "linked")
    assert not result.problems
    assert (tmp_path / "real" / "app" / "models" / "x").read_text() == "X"
    assert os.readlink(tmp_path / "real/app/models") == "../../drive/drives/peers/d1000000/models"
    assert (disk / "drives/peers/d1000000/models/x").is_file()
    run({"models": "models"})
    assert os.readlink(app / "models") == "../../drive/drives/peers/d1000000/models"


def test_a_drive_that_moved_is_found_again(tmp_path, app, run):
    put(app / "models", x="X")
    run({"models": "models", "deep/route": "deep"})
    (tmp_path / "drive").rename(tmp_path / "mounted")
    result = run({"models": ["models", "second"], "new": "new"}, drive=tmp_path / "mounted")
    assert not result.problems
    assert (app / "models" / "x").read_text() == "X"
    assert (app / "second" / "x").read_text() == "X"
    assert not (tmp_path / "drive").exists()
    recorded = json.loads((tmp_path / "mounted" / "drives.json").read_text())[OWN]
    assert recorded["models"] == f"{tmp_path}/mounted/drives/peers/d1000000/models"
    assert recorded["new"] == f"{tmp_path}/mounted/drives/peers/d1000000/new"


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"1"])
def test_a_broken_registry_is_put_aside(tmp_path, run, content):
    file = put(tmp_path / "drive") / "drives.json"
    file.write_bytes(content)
    result = run({"models": "models"})
    assert len(result.links) == 1
    assert "put aside" in result.problems[0]
    assert (tmp_path / "drive" / "drives.json.broken-1000000").read_bytes() == content


def test_what_others_recorded_stays(tmp_path, run):
    put(tmp_path / "drive", **{"drives.json": json.dumps({"x": 1, "pip": {"a": 2}, OWN: {"old": "/x", "odd": 3}})})
    run({"models": "models"})
    assert registry(tmp_path) == {
        "x": 1, "pip": {"a": 2}, OWN: {"old": "/x", "models": f"{tmp_path}/drive/drives/peers/d1000000/models"},
    }  # fmt: skip


def test_an_empty_registry_is_fine(tmp_path, run):
    put(tmp_path / "drive", **{"drives.json": ""})
    assert not run({"models": "models"}).problems


def test_storage_without_links_loses_nothing(app, run, monkeypatch):
    put(app / "models", x="X")

    def fail(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", fail)
    result = run({"models": "models"})
    assert result.links == ()
    assert "Operation not permitted" in result.problems[0]
    assert (app / "models" / "x").read_text() == "X"


@pytest.fixture
def other_disk(monkeypatch):
    rename = Path.rename

    def across(self, target):
        if "drives" in str(target) and "drives" not in str(self):
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)


@pytest.mark.usefixtures("other_disk")
def test_another_disk(app, run):
    put(app / "one", a="A", c="C")
    put(app / "two", a="B")
    put(app / "two" / "c", x="X")
    (app / "one" / "a").chmod(0o755)
    os.utime(app / "one" / "a", (1e9, 1e9))
    result = run({"models": ["one", "two"]})
    folder = result.links[0].folder
    assert not result.problems
    assert (folder / "a").stat().st_mtime == 1e9
    assert os.access(folder / "a", os.X_OK)
    assert result.conflicts[0].kept.read_text() == "B"
    assert (result.conflicts[1].kept / "x").read_text() == "X"
    assert len(os.listdir(folder)) == 4


@pytest.mark.usefixtures("other_disk")
def test_a_full_disk_loses_nothing(app, run, monkeypatch):
    put(app / "models", a="A", b="B", c="C")
    copy = drive_module._copy

    def full(old, new):
        copy(old, new)
        if Path(old).name == "b":
            raise OSError(errno.ENOSPC, "No space left on device", str(new))

    monkeypatch.setattr(drive_module, "_copy", full)
    result = run({"models": "models"})
    assert result.links == ()
    assert "No space left on device" in result.problems[0]
    assert sorted(os.listdir(app / "models")) == ["b", "c"]
    assert os.listdir(app) == ["models"]
    monkeypatch.setattr(drive_module, "_copy", copy)
    result = run({"models": "models"})
    assert not result.problems
    assert sorted(os.listdir(app / "models")) == ["a", "b", "c"]


@pytest.mark.usefixtures("other_disk")
def test_sockets_stay(tmp_path, app, run, monkeypatch):
    put(app / "m", a="A")
    monkeypatch.chdir(app / "m")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
    result = run({"models": "m"})
    assert result.links == ()
    assert len(result.problems) == 1
    assert os.listdir(app / "m") == ["s"]


def test_a_drive_that_cannot_be_used(tmp_path, app, run):
    put(app / "models", x="X")
    (tmp_path / "drive").write_text("a file")
    result = run({"models": "models"})
    assert result.links == ()
    assert "cannot be used" in result.problems[0]
    assert (app / "models" / "x").is_file()


def test_mounted_folders_stay(app, run, monkeypatch):
    put(app / "models", x="X")
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == app / "models")
    assert "mounted" in run({"models": "models"}).problems[0]
    assert (app / "models" / "x").is_file()


@pytest.mark.parametrize(
    ("routes", "peers"),
    [
        ("models", []), ([], []), ({"a": 1}, []), ({"a": [1]}, []), ({"a": ["\0"]}, []), ({"a": [""]}, []),
        ({"a": "b"}, "x"), ({"a": "b"}, [1]),
    ],
)  # fmt: skip
def test_wrong_types(run, routes, peers):
    with pytest.raises(UsageError, match=r"fs\.link"):
        run(routes, peers=peers)


def test_where_the_drive_is(tmp_path):
    app = tmp_path / "app"
    assert drive_home({}, app, tmp_path / "drive") == tmp_path / "drive"
    assert drive_home({"PINOKIO_DRIVE": " "}, app, tmp_path / "drive") == tmp_path / "drive"
    assert drive_home({"PINOKIO_DRIVE": "/mnt/x/"}, app, tmp_path) == Path("/mnt/x")
    assert drive_home({"PINOKIO_DRIVE": "../shared"}, app, tmp_path) == tmp_path / "shared"
