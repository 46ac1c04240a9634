from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback import DATE, File, Request, Server, blob

from pinokiocloud.errors import DownloadError
from pinokiocloud.transfer.download import Download, DownloadEvent, download

DATA = blob(300_000, seed=1)
OTHER = blob(300_000, seed=2)


def get(url: str, path: Path | None = None, **options) -> Download:
    return asyncio.run(download(url, path=path, **options))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupted(url: str, dest: Path, **options) -> None:
    """Run a download that breaks off and may not try again."""
    with pytest.raises(DownloadError):
        get(url, dest, attempts=1, **options)


def ranges(server: Server) -> list[str | None]:
    return server.asked("range")


# Going on


@pytest.mark.parametrize("reset", [True, False])
def test_second_call_goes_on(server: Server, tmp_path: Path, reset: bool) -> None:
    url = server.file("/f", DATA, cuts=[100_000], reset=reset)
    dest = tmp_path / "x"
    interrupted(url, dest)
    assert left(tmp_path) == ["x.part", "x.part.json"]
    have = (tmp_path / "x.part").stat().st_size
    events: list[DownloadEvent] = []
    result = get(url, dest, on_event=events.append)
    assert dest.read_bytes() == DATA
    assert result.resumed_from == have
    assert (result.attempts, result.skipped) == (1, False)
    assert ranges(server) == [None, f"bytes={have}-"]
    assert next(event for event in events if event.kind == "started").done == have
    assert left(tmp_path) == ["x"]


def test_second_call_goes_on_in_a_directory(server: Server, tmp_path: Path) -> None:
    headers = {"Content-Disposition": 'attachment; filename="named.bin"'}
    url = server.file("/f", DATA, cuts=[100_000], headers=headers)
    with pytest.raises(DownloadError):
        get(url, directory=tmp_path, attempts=1)
    result = get(url, directory=tmp_path)
    assert result.path.read_bytes() == DATA
    assert result.resumed_from == 100_000
    # The name is in the first answer, so that answer is let go and the rest is asked for.
    assert ranges(server) == [None, None, "bytes=100000-"]
    assert left(tmp_path) == ["named.bin"]


def test_date_alone_is_a_validator(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000], validators=False, headers={"Last-Modified": DATE})
    interrupted(url, tmp_path / "x")
    assert get(url, tmp_path / "x").resumed_from == 100_000
    assert server.asked("if-range") == [None, DATE]
    assert (tmp_path / "x").read_bytes() == DATA


def test_weak_etag_alone_is_none(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000], validators=False, headers={"ETag": 'W/"v"'})
    interrupted(url, tmp_path / "x")
    assert left(tmp_path) == []
    assert get(url, tmp_path / "x").resumed_from == 0


def test_without_validators_only_the_same_call_goes_on(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000, 200_000], validators=False)
    assert get(url, tmp_path / "x").path.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", "bytes=200000-"]
    server.requests.clear()
    server.file("/f", DATA, cuts=[100_000], validators=False)
    interrupted(url, tmp_path / "y")
    assert left(tmp_path) == ["x"]


def test_complete_but_unnamed(server: Server, tmp_path: Path) -> None:
    """The process ended between the last byte and the final name."""
    url = server.file("/f", DATA, cuts=[100_000])
    interrupted(url, tmp_path / "x")
    (tmp_path / "x.part").write_bytes(DATA)
    assert get(url, tmp_path / "x").resumed_from == len(DATA)
    assert ranges(server) == [None, None]
    assert (tmp_path / "x").read_bytes() == DATA
    assert left(tmp_path) == ["x"]


# Starting over


@pytest.mark.parametrize("ignore_if_range", [False, True])
@pytest.mark.parametrize("size", [300_000, 100_000, 50_000, 400_000])
def test_other_version_starts_over(server: Server, tmp_path: Path, size: int, ignore_if_range: bool) -> None:
    url = server.file("/f", DATA, cuts=[100_000])
    interrupted(url, tmp_path / "x")
    changed = blob(size, seed=3)
    server.file("/f", changed, ignore_if_range=ignore_if_range)
    result = get(url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == changed
    assert result.resumed_from == 0
    assert left(tmp_path) == ["x"]


def test_other_version_within_one_call(server: Server, tmp_path: Path) -> None:
    first, second = File(DATA, cuts=[100_000]), File(OTHER, cuts=[250_000])

    def answer(request: Request) -> None:
        (first if len(server.requests) == 1 else second)(request)

    url = server.route("/f", answer)
    assert get(url, tmp_path / "x").path.read_bytes() == OTHER
    assert ranges(server) == [None, "bytes=100000-", "bytes=250000-"]


def test_server_without_range(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000], ranges=False)
    assert get(url, tmp_path / "x").path.read_bytes() == DATA
    # "Accept-Ranges: none" is believed ...
    assert ranges(server) == [None, None]
    # ... and a server that says nothing is asked, answers with everything, and that is taken.
    server.requests.clear()
    plain = File(DATA, cuts=[100_000], ranges=False, headers={})
    plain.headers["Accept-Ranges"] = "bytes"
    url = server.route("/g", plain)
    assert get(url, tmp_path / "y").path.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-"]


def test_other_address_starts_over(server: Server, tmp_path: Path) -> None:
    interrupted(server.file("/f", DATA, cuts=[100_000], etag='"v"'), tmp_path / "x")
    get(server.file("/g", OTHER, etag='"v"'), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == OTHER
    assert ranges(server) == [None, None]


@pytest.mark.parametrize("status", [416, 206])
@pytest.mark.parametrize("content_range", ["bytes 0-299999/300000", "bytes 7-9/300000", "nonsense", ""])
def test_nonsense_for_the_rest_is_asked_for_once(
    server: Server, tmp_path: Path, status: int, content_range: str
) -> None:
    interrupted(server.file("/f", DATA, cuts=[100_000]), tmp_path / "x")
    whole = File(DATA)

    def answer(request: Request) -> None:
        if "Range" in request.headers:
            request.answer(status, DATA[:1000], Content_Range=content_range)
        else:
            whole(request)

    get(server.route("/f", answer), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", None]


def test_a_part_unasked_is_no_file(server: Server, tmp_path: Path) -> None:
    url = server.route("/f", lambda r: r.answer(206, b"part", Content_Range="bytes 3-6/10"))
    with pytest.raises(DownloadError, match="unasked"):
        get(url, tmp_path / "x")
    assert left(tmp_path) == []


@pytest.mark.parametrize("token", ["?token=secret", ""])
def test_note_holds_no_secrets(server: Server, tmp_path: Path, token: str) -> None:
    url = server.file("/f", DATA, cuts=[100_000]).replace("//", "//me:secret@") + token
    interrupted(url, tmp_path / "x")
    note = json.loads((tmp_path / "x.part.json").read_text())
    assert "secret" not in str(note)
    assert note["url"] == server.url + "/f"
    assert note["size"] == 300_000


@pytest.mark.parametrize("text", ["", "{}", "[]", "not json", '{"pinokiocloud": 1}', '{"pinokiocloud": 1, "key": 3}'])
def test_damaged_or_foreign_note(server: Server, tmp_path: Path, text: str) -> None:
    url = server.file("/f", DATA)
    (tmp_path / "x.part").write_bytes(b"mine")
    (tmp_path / "x.part.json").write_text(text)
    assert get(url, tmp_path / "x").resumed_from == 0
    assert (tmp_path / "x").read_bytes() == DATA
    # An empty note is one we had just made; anything else is not ours to remove.
    assert left(tmp_path) == (["x", "x.part", "x.part.json"] if text else ["x"])


def test_foreign_part_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"mine")
    url = server.file("/f", DATA, cuts=[100_000])
    interrupted(url, tmp_path / "x")
    assert left(tmp_path) == ["x.1.part", "x.1.part.json", "x.part"]
    assert get(url, tmp_path / "x").resumed_from == 100_000
    assert left(tmp_path) == ["x", "x.part"]
    assert (tmp_path / "x.part").read_bytes() == b"mine"


def test_part_that_is_a_link_is_not_followed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "x.part").symlink_to("victim")
    (tmp_path / "y.part.json").symlink_to("victim")
    for name in ("x", "y"):
        get(server.file("/f", DATA), tmp_path / name)
        assert (tmp_path / name).read_bytes() == DATA
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_longest_names(server: Server, tmp_path: Path) -> None:
    url = server.file("/f", DATA, cuts=[100_000])
    name = "n" * 255
    interrupted(url, tmp_path / name)
    assert get(url, tmp_path / name).resumed_from == 100_000
    assert left(tmp_path) == [name]


# Any cut at any byte


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(0, 70_000),
    cuts=st.lists(st.integers(0, 70_000), max_size=8),
    reset=st.booleans(),
    ranges=st.booleans(),
    validators=st.booleans(),
    new_call=st.booleans(),
)
def test_any_cuts_give_the_same_bytes(
    server: Server, *, size: int, cuts: list[int], reset: bool, ranges: bool, validators: bool, new_call: bool
) -> None:
    data = blob(size, seed=size)
    url = server.file("/f", data, cuts=list(cuts), reset=reset, ranges=ranges, validators=validators)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(len(cuts) + 1):
            with contextlib.suppress(DownloadError):
                assert not get(url, folder / "x", attempts=1 if new_call else 20).skipped
                break
            assert not (folder / "x").exists()
        assert (folder / "x").read_bytes() == data
        assert left(folder) == ["x"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=3000), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=30), cut=st.booleans())
def test_any_chunks_give_the_same_bytes(server: Server, data: bytes, sizes: list[int], cut: bool) -> None:
    begun: list[bool] = []

    def chunked(request: Request) -> None:
        begun.append(True)
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        rest, number = data, 0
        while rest:
            piece, rest = rest[: sizes[number % len(sizes)]], rest[sizes[number % len(sizes)] :]
            request.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            number += 1
            if cut and len(begun) == 1 and number == len(sizes):
                request.close_connection = True
                return
        request.wfile.write(b"0\r\n\r\n")

    with tempfile.TemporaryDirectory() as name:
        result = get(server.route("/f", chunked), Path(name) / "x")
        assert result.path.read_bytes() == data
