"""Secrets do not stand in texts, whatever their spelling and however they are cut."""

from __future__ import annotations

import base64
import copy
import html
import io
import json
import logging
import pickle
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinokiocloud.errors import PinokioError
from pinokiocloud.platforms.redaction import MARK, RedactingFilter, RedactingStream, Redactor

TOKEN = 'hf_Ab/c+d "é" 9=x&<y>'
PLAIN = "hf_0123456789abcdef"


@pytest.mark.parametrize(
    "spelled",
    [TOKEN, quote(TOKEN), quote(TOKEN, safe=""), quote_plus(TOKEN),
     quote(TOKEN, safe="").lower().replace("hf_ab", "hf_Ab"),
     html.escape(TOKEN), json.dumps(TOKEN), json.dumps(TOKEN, ensure_ascii=False), repr(TOKEN),
     base64.b64encode(TOKEN.encode()).decode(), base64.urlsafe_b64encode(TOKEN.encode()).decode()],
)  # fmt: skip
def test_every_spelling_is_found(spelled):
    clean = Redactor([TOKEN]).redact(f"before {spelled} after")
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert MARK in clean
    assert "Ab" not in clean or "hf_Ab" not in clean


@pytest.mark.parametrize("user", ["u", "us", "use", "user", "oauth2"])
def test_a_token_inside_a_longer_base64_text_is_found(user):
    coded = base64.b64encode(f"{user}:{PLAIN}".encode()).decode()
    clean = Redactor([PLAIN]).redact(f"Authorization: Basic {coded}")
    assert MARK in clean
    left = clean.removeprefix("Authorization: Basic ").partition(MARK)[0]
    assert PLAIN[3:9].encode() not in base64.b64decode(
        left + "=" * (-len(left) % 4) if len(left) % 4 != 1 else left[:-1]
    )


def test_short_values_are_left_alone():
    redactor = Redactor()
    assert not redactor.register("12345")
    assert not redactor.register("  abc  ")
    assert redactor.register("123456")
    assert redactor.redact("12345 123456") == f"12345 {MARK}"
    assert len(redactor) == 1


def test_containers_keep_their_kind():
    class Pair(NamedTuple):
        a: str
        b: int

    @dataclass(frozen=True)
    class Event:
        kind: str
        data: dict

    redactor = Redactor([PLAIN])
    thing = {PLAIN: [PLAIN, (PLAIN, 1), {PLAIN}, None, True], "e": Event("x", {"t": PLAIN}), "p": Pair(PLAIN, 2)}
    clean = redactor.redact(thing)
    assert PLAIN not in repr(clean)
    assert PLAIN in repr(thing)
    assert clean["p"] == Pair(MARK, 2)
    assert clean["e"] == Event("x", {"t": MARK})
    assert clean[MARK] == [MARK, (MARK, 1), {MARK}, None, True]
    assert redactor.redact(b"\xff" + PLAIN.encode()) == b"\xff" + MARK.encode()
    same = Event("x", {"t": 1})
    assert redactor.redact(same) is same


def test_errors_lose_secrets_with_everything_that_led_to_them():
    redactor = Redactor([PLAIN])
    try:
        try:
            raise OSError(2, f"no {PLAIN}", f"/tmp/{PLAIN}")  # noqa: TRY301
        except OSError as cause:
            raise PinokioError(f"failed with {PLAIN}", hint=PLAIN, url=f"https://u:{PLAIN}@h") from cause
    except PinokioError as caught:
        error = caught
    if hasattr(error, "add_note"):
        error.add_note(PLAIN)
    assert redactor.redact(error) is error
    shown = (
        f"{error!r} {error} {error.to_dict()} {error.__cause__!r} {error.__cause__} {getattr(error, '__notes__', '')}"
    )
    assert PLAIN not in shown
    assert MARK in str(error)


def test_logs_and_tracebacks_are_redacted():
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactingFilter(Redactor([PLAIN])))
    log = logging.Logger("t")  # noqa: LOG001
    log.addHandler(handler)
    log.info("token %s", PLAIN)
    try:
        raise ValueError(PLAIN)  # noqa: TRY301
    except ValueError:
        log.exception("at %s", {"t": PLAIN}, stack_info=True)
    assert PLAIN not in out.getvalue()
    assert "ValueError: " + MARK in out.getvalue()


def test_lines_of_a_key_are_secrets_of_their_own():
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----"
    redactor = Redactor([key])
    assert redactor.redact(key) == MARK
    assert redactor.redact(key.replace("\n", "\r\n")) == MARK
    assert redactor.redact("x AQEFAASCBKcwggSjAgEAAoIB y") == f"x {MARK} y"
    assert redactor.redact("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


def test_secrets_that_overlap_leave_nothing():
    assert Redactor(["abcdefgh", "efghijkl"]).redact("1abcdefghijkl2") == f"1{MARK}2"
    assert Redactor(["abcdef", "abcdefghi"]).redact("abcdefghi abcdefg") == f"{MARK} {MARK}g"


@given(
    values=st.lists(st.text("ab", min_size=6, max_size=9), max_size=4),
    pieces=st.lists(st.text("abc", max_size=7), max_size=12),
)
def test_a_stream_gives_the_same_as_the_whole_text(values, pieces):
    redactor = Redactor(values)
    stream = redactor.stream()
    given = [stream.feed(piece) for piece in pieces]
    assert "".join([*given, stream.flush()]) == redactor.redact("".join(pieces))


def test_a_stream_never_gives_a_part_of_a_secret_and_holds_back_little():
    stream = Redactor([PLAIN]).stream()
    out = "".join(stream.feed(character) for character in f"hello {PLAIN} bye ")
    assert out == f"hello {MARK} bye "
    assert stream.feed("plain text\n") == "plain text\n"
    assert stream.feed("hf_01") == ""
    assert stream.flush() == "hf_01"


def test_a_stream_learns_of_later_secrets():
    redactor = Redactor()
    stream = redactor.stream()
    assert stream.feed(PLAIN) == PLAIN
    redactor.register(PLAIN)
    assert stream.feed(PLAIN) == MARK


@pytest.mark.parametrize("make", [lambda: Redactor([PLAIN]), lambda: RedactingStream(Redactor([PLAIN])),
                                  lambda: RedactingFilter(Redactor([PLAIN]))])  # fmt: skip
def test_what_knows_secrets_neither_shows_nor_gives_them_away(make):
    thing = make()
    assert PLAIN not in f"{thing!r} {thing!s}"
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            way(thing)
        assert PLAIN not in str(caught.value)


@given(value=st.text(min_size=6), before=st.text(max_size=5), after=st.text(max_size=5))
def test_a_registered_value_is_never_left(value, before, after):
    redactor = Redactor()
    if redactor.register(value):
        assert value.strip() not in redactor.redact(before + value + after).replace(MARK, "")
