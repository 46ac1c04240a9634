"""Plain text of terminal output does not depend on how the output was cut into chunks."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pinokiocloud.shell.text import PlainText, strip_ansi

PIECES = st.sampled_from(
    [b"\x1b", b"[", b"]", b"(", b"B", b"P", b"\\", b"\x07", b"31", b";", b"m", b"K", b"?25", b"h", b" ", b"q", b"0;t",
     b"\r", b"\n", b"\r\n", b"\0", b"\x08", b"\t", b"abc", "é".encode(), "😀".encode(), b"\xff", b"\xe2", b"\x82"]
)  # fmt: skip
STREAMS = st.lists(PIECES, max_size=30).map(b"".join)


def whole(data: bytes) -> str:
    return PlainText().feed(data, final=True)


def in_chunks(data: bytes, cuts: list[int]) -> str:
    plain = PlainText()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = [plain.feed(data[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    return "".join(out) + plain.feed(b"", final=True)


@given(STREAMS, st.lists(st.integers(0, 200), max_size=12))
@example(b"\x1b[31mred", [3])
@example(b"\x1b]0;title\x07text", [6])
@example(b"\x1b]0;title\x1b\\text", [10])
@example(b"\x1b\x1b[0m[31m", [5])
@example(b"a\r\nb", [2])
def test_chunks_give_the_text_of_the_whole(data: bytes, cuts: list[int]) -> None:
    assert in_chunks(data, cuts) == whole(data)


@given(STREAMS)
def test_single_bytes_give_the_text_of_the_whole(data: bytes) -> None:
    assert in_chunks(data, list(range(len(data)))) == whole(data)


@given(STREAMS)
def test_no_escape_is_left(data: bytes) -> None:
    assert "\x1b" not in whole(data)
    assert "\r" not in whole(data)


@given(st.text(st.characters(blacklist_characters="\x1b\r", blacklist_categories=["Cs"])))
def test_text_without_sequences_stays_as_it_is(text: str) -> None:
    assert whole(text.encode()) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x1b[1;31merror:\x1b[0m no", "error: no"),
        (b"\x1b[38;2;1;2;3mx\x1b[m", "x"),
        (b"\x1b[38:2::1:2:3mx", "x"),
        (b"\x1b[?25l\x1b[2K\x1b[1Gx\x1b[?25h", "x"),
        (b"\x1b[5;10Hx\x1b[3Ay\x1b[2Jz", "xyz"),
        (b"\x1b[2 qx", "x"),
        (b"\x1b]0;title\x07x", "x"),
        (b"\x1b]0;title\x1b\\x", "x"),
        (b"\x1b]8;;http://a.b/\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1bP1$r0m\x1b\\x", "x"),
        (b"\x1b(B\x1b)0x\x1b=\x1b>\x1b7\x1b8\x1bM", "x"),
        (b"\x1b#8x\x1b%Gy", "xy"),
        (b"10%\r20%\r\n", "10%\n20%\n"),
        (b"a\r\r\nb", "a\n\nb"),
        (b"a\0b", "a\0b"),
        (b"\xff\xfea", "��a"),
        ("日本語 é😀".encode(), "日本語 é😀"),
        (b"tab\there", "tab\there"),
    ],
)  # fmt: skip
def test_sequences_are_taken_out(data: bytes, text: str) -> None:
    assert whole(data) == text
    assert in_chunks(data, list(range(len(data)))) == text


def test_a_string_that_is_never_ended_hides_nothing_behind_its_line() -> None:
    assert "http://127.0.0.1:7860" in whole(b"\x1b]0;title\nhttp://127.0.0.1:7860\n")
    assert "http://127.0.0.1:7860" in whole(b"\x1bPq\nhttp://127.0.0.1:7860\n")
    assert "http://127.0.0.1:7860" in in_chunks(b"\x1b[\nhttp://127.0.0.1:7860\n", [1, 2, 3])


def test_an_unfinished_sequence_is_not_waited_for_without_end() -> None:
    plain = PlainText()
    out = "".join(plain.feed(b"\x1b]0;" + b"x" * 100 if i == 0 else b"x" * 1000) for i in range(20))
    assert len(out) > 10_000


def test_a_whole_megabyte_without_a_line_end_comes_through_in_chunks() -> None:
    plain = PlainText()
    chunk = b"0123456789" * 6554
    got = sum(len(plain.feed(chunk)) for _ in range(160)) + len(plain.feed(b"", final=True))
    assert got == len(chunk) * 160  # 10 MB


def test_text_goes_on_after_a_final_chunk() -> None:
    plain = PlainText()
    assert plain.feed(b"\xe2\x82", final=True) == "�"
    assert plain.feed("€\x1b[".encode()) == "€"
    assert plain.feed(b"", final=True) == ""
    assert plain.feed(b"1m") == "1m"


def test_strip_ansi_leaves_other_text_alone() -> None:
    assert strip_ansi("a\r\nb\x1b[1mc\x1b[0m") == "a\r\nbc"
    assert strip_ansi("plain") == "plain"
