"""The marks of bashrc are found however the output is cut, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pinokiocloud.shell.marks import Marks

TOKEN = "0123456789abcdef"
START = b"\x1b]698;0123456789abcdef\x07"
MORE = b"\x1b]699;0123456789abcdef\x07"


def prompt(code: int) -> bytes:
    return b"\x1b]697;0123456789abcdef;%d\x07" % code


REAL = {START: ("start", None), MORE: ("more", None), prompt(0): ("prompt", 0), prompt(130): ("prompt", 130)}
FORGED = [
    b"\x1b]698;0123456789abcdeX\x07",
    b"\x1b]697;;0\x07",
    b"\x1b]697;0123456789abcdef\x07",
    b"\x1b]697;fedcba9876543210;0\x07",
    b"\x1b]696;0123456789abcdef\x07",
    b"\x1b]69",
    b"\x1b]",
    b"\x1b",
    b"\x1b[31m",
    b"text",
    b"\n",
    b"\0\xff",
]
STREAMS = st.lists(st.sampled_from([*REAL, *FORGED]), max_size=12)


def joined(items: list[tuple[str, object]]) -> list[tuple[str, object]]:
    out: list[tuple[str, object]] = []
    for kind, value in items:
        if kind == "data" and out and out[-1][0] == "data":
            out[-1] = ("data", out[-1][1] + value)  # type: ignore[operator]
        else:
            out.append((kind, value))
    return out


def fed(marks: Marks, chunks: list[bytes]) -> list[tuple[str, object]]:
    out = [item for chunk in chunks for item in marks.feed(chunk)]
    rest = marks.rest()
    return joined([*out, ("data", rest)] if rest else out)


@given(STREAMS, st.lists(st.integers(0, 400), max_size=12))
@example([b"\x1b", START], [1])
def test_chunks_give_what_the_whole_gives(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    assert fed(Marks(TOKEN), chunks) == fed(Marks(TOKEN), [data])


@given(STREAMS)
def test_marks_are_found_and_everything_else_is_data(pieces: list[bytes]) -> None:
    want = joined([REAL.get(piece, ("data", piece)) for piece in pieces])
    assert fed(Marks(TOKEN), [b"".join(pieces)]) == want


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_mark_is_text(forged: bytes) -> None:
    assert fed(Marks(TOKEN), [b"a" + forged + b"b"]) == [("data", b"a" + forged + b"b")]


@pytest.mark.parametrize("code", [b"", b"abc", b"-1", b"1;2", b"9" * 100])
def test_a_prompt_mark_without_a_code_ends_nothing(code: bytes) -> None:
    data = b"\x1b]697;0123456789abcdef;" + code + b"\x07rest"
    assert fed(Marks(TOKEN), [data]) == [("data", data)]


def test_a_mark_that_never_ends_is_given_out_in_the_end() -> None:
    marks = Marks(TOKEN)
    data = b"\x1b]697;0123456789abcdef;" + b"1" * 4000
    assert b"".join(value for kind, value in marks.feed(data) if kind == "data") == data


def test_what_ends_as_a_mark_begins_is_not_lost() -> None:
    marks = Marks(TOKEN)
    assert marks.feed(b"abc\x1b]69") == [("data", b"abc")]
    assert marks.rest() == b"\x1b]69"
    assert marks.rest() == b""
