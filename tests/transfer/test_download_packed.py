"""Answers that the server compresses although asked not to."""

from __future__ import annotations

import asyncio
import zlib
from gzip import compress
from typing import TYPE_CHECKING

import pytest
from loopback import Request, Server, blob

from pinokiocloud.errors import DownloadError
from pinokiocloud.transfer.download import Download, DownloadEvent, download

if TYPE_CHECKING:
    from pathlib import Path


def get(url: str, path: Path | None = None, **options) -> Download:
    return asyncio.run(download(url, path=path, **options))


def failing(url: str, path: Path | None = None, **options) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        get(url, path, **options)
    return caught.value


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", compress),
        ("x-gzip", lambda data: compress(data[:1000]) + compress(data[1000:])),
        ("GZIP", lambda data: compress(data) + b"\0" * 100),
        ("deflate", zlib.compress),
        ("deflate", bare),
    ],
)
def test_compressed_answers(server: Server, tmp_path: Path, encoding: str, pack) -> None:
    data = blob(100_000) + b"\0" * 5_000_000
    sent = pack(data)
    url = server.route("/f.txt", lambda r: r.answer(200, sent, Content_Encoding=encoding, ETag='"v"'))
    events: list[DownloadEvent] = []
    result = get(url, directory=tmp_path, on_event=events.append)
    assert result.path.read_bytes() == data
    assert result.size == len(data)
    assert (events[-1].done, events[-1].total, events[-1].size) == (len(sent), len(sent), len(data))
    # The size on the wire says nothing about the file: no skipping by it.
    result.path.write_bytes(b"x" * len(sent))
    assert not get(url, directory=tmp_path).skipped
    assert result.path.read_bytes() == data


@pytest.mark.parametrize("fault", ["cut", "chunked", "damaged"])
def test_compressed_answer_that_breaks(server: Server, tmp_path: Path, fault: str) -> None:
    data = blob(100_000)
    sent = compress(data)
    calls: list[int] = []

    def answer(request: Request) -> None:
        calls.append(1)
        if len(calls) == 2:
            request.answer(200, sent, Content_Encoding="gzip", ETag='"v"')
        elif fault == "damaged":
            request.answer(200, sent[:5000] + b"\xff" * 100 + sent[5100:], Content_Encoding="gzip", ETag='"v"')
        else:
            length = len(sent) if fault == "cut" else None
            request.answer(200, sent[:50_000], length, Content_Encoding="gzip", ETag='"v"')

    result = get(server.route("/f", answer), tmp_path / "x")
    assert result.path.read_bytes() == data
    assert server.asked("range") == [None, None]


def test_archive_that_is_called_an_encoding_stays_packed(server: Server, tmp_path: Path) -> None:
    sent = compress(b"inside")
    for path, kind in (("/a.tar.gz", "application/octet-stream"), ("/b", "application/gzip"), ("/c.TGZ", "")):
        url = server.route(path, lambda r, kind=kind: r.answer(200, sent, Content_Encoding="gzip", Content_Type=kind))
        assert get(url, directory=tmp_path).path.read_bytes() == sent


def test_other_encodings(server: Server, tmp_path: Path) -> None:
    url = server.route("/a", lambda r: r.answer(200, b"raw", Content_Encoding="utf-8"))
    assert get(url, directory=tmp_path).path.read_bytes() == b"raw"
    url = server.route("/b", lambda r: r.answer(200, b"raw", Content_Encoding="br"))
    assert "br" in failing(url, directory=tmp_path).message
