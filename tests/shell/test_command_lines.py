"""From ``message`` to the text that is typed (spec §4.2.2)."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pinokiocloud.script import wire
from pinokiocloud.shell.command import argv_line, javascript_text, joiner, lines_of, with_activation

# What no argument can hold (NUL), what is no text (surrogates), and what means something to argv_line itself.
TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20).filter(
    lambda text: not re.fullmatch(r"\{\{.+\}\}", text, re.DOTALL) and not text.startswith("__PINOKIO_ENVARG_")
)
NASTY = st.sampled_from(
    ["'", '"', "\\", "$", "`", "!", "\n", " ", "", "-", "--x", "*", "~", "$(id)", "'\"'", "é", "😀", "\t", "#"]
)
WORDS = st.one_of(TEXTS, st.lists(NASTY, max_size=6).map("".join))


def arguments(line: str) -> list[str]:
    """Give the arguments that bash makes of a line."""
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True
    )
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


@settings(max_examples=80)
@given(st.lists(WORDS, min_size=1, max_size=5))
@example(["it's", "a 'b' \"c\"", "$HOME `id` \\ !x", "", "two\nlines"])
def test_bash_gets_the_positionals_that_were_given(words: list[str]) -> None:
    assert arguments(argv_line({"_": words})) == words


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.text("abc-", min_size=2, max_size=6), st.one_of(WORDS, st.integers(), st.lists(WORDS)), max_size=4
    )
)
def test_bash_gets_the_options_that_were_given(options: dict[str, Any]) -> None:
    want = []
    for key, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            want += [f"--{key}", str(item)]
    assert arguments(argv_line({"_": ["x"], **options})) == ["x", *want]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ({"_": ["echo", "a b"], "flag": True, "noflag": False, "x": "y z", "arr": [1, 2]},
         "'echo' 'a b' '--flag' '--no-noflag' '-x' 'y z' '--arr' '1' '--arr' '2'"),
        ({"_": "echo"}, "'echo'"),
        ({"_": 5}, "'5'"),
        ({"_": []}, ""),
        ({}, ""),
        ({"_": ["a"], "x": None}, "'a'"),
        ({"_": ["a", None, "b"]}, "'a' 'b'"),
        ({"_": ["a"], "x": "{{local.nope}}", "y": ["{{b}}", "c"]}, "'a' '-y' 'c'"),
        ({"_": ["{{local.nope}}", "a"]}, "'a'"),
        ({"_": ["x {{local.nope}}"]}, "'x {{local.nope}}'"),
        ({"_": ["a"], "x": 1.0, "y": 0.5, "z": True}, "'a' '-x' '1' '-y' '0.5' '-z'"),
        ({"_": ["a"], "o": {"k": "v", "n": 1}}, "'a' '--o.k' 'v' '--o.n' '1'"),
        ({"_": ["a", "__PINOKIO_ENVARG_3__"]}, "'a' \"$PINOKIO_ARG_3\""),
        ({"_": ["a"], "text": "__PINOKIO_ENVARG_0__"}, "'a' '--text' \"$PINOKIO_ARG_0\""),
        ({"_": ["it's"]}, "'it'\"'\"'s'"),
    ],
)  # fmt: skip
def test_an_object_is_an_argument_list(message: dict[str, Any], line: str) -> None:
    assert argv_line(message) == line


@pytest.mark.parametrize(
    ("message", "chain", "lines"),
    [
        ("echo hi", None, ["echo hi"]),
        ("", None, [None]),
        (None, None, [None]),
        (False, None, [None]),
        (0, None, [None]),
        (5, None, ["5"]),
        (True, None, ["true"]),
        ("a\nb", None, ["a\nb"]),
        ({"_": ["a", "b c"]}, None, ["'a' 'b c'"]),
        (["a", "b"], None, ["a", "b"]),
        (["a", "", None, False, 0, "b"], None, ["a", "b"]),
        (["", None], None, []),
        ([], None, []),
        (["a", {"_": ["b c"]}], None, ["a", "'b c'"]),
        (["{{local.nope}}", "a"], None, ["a"]),
        (["a", "b"], "&", ["a && b"]),
        (["a", "b"], "*", ["a ; b"]),
        (["a", "b"], "|", ["a || b"]),
        (["a", "b"], True, ["a && b"]),
        (["a", "  ", "", {"_": ["b"]}], "&", ["a && 'b'"]),
        (["", None], "&", [None]),
        ([], "*", [None]),
        ("a", "*", ["a"]),
    ],
)  # fmt: skip
def test_lines_of_a_message(message: Any, chain: Any, lines: list[str | None]) -> None:
    assert lines_of(message, chain) == lines


@pytest.mark.parametrize(
    ("chain", "text"),
    [(None, " && "), ("&", " && "), ("*", " ; "), ("|", " || "), (True, " && "), ("x", " && "), (1, " && ")],
)
def test_what_joins_commands(chain: Any, text: str) -> None:
    assert joiner(chain) == text


@pytest.mark.parametrize(
    ("line", "chain", "text"),
    [
        ("m", None, "A ; B && m"),
        ("m", "*", "A ; B ; m"),
        ("m", "|", "A ; B || m"),
        (None, None, "A ; B"),
        ("", None, "A ; B"),
    ],
)
def test_activation_comes_first(line: str | None, chain: Any, text: str) -> None:
    assert with_activation(["A", "B"], line, chain) == text


def test_without_activation_there_is_only_the_message() -> None:
    assert with_activation([], "m", None) == "m"
    assert with_activation([], None, None) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (False, "false"), (None, "null"), (wire.UNDEFINED, "undefined"), (5, "5"), (-0.0, "0"), (1.0, "1"),
        (0.1, "0.1"), (1e-5, "0.00001"), (1e-6, "0.000001"), (1e-7, "1e-7"), (2.5e-9, "2.5e-9"), (1e20, "100000000000000000000"),
        (1e21, "1e+21"), (1.5e300, "1.5e+300"), (123456789012345680000.0, "123456789012345680000"), (float("nan"), "NaN"),
        (float("inf"), "Infinity"), (float("-inf"), "-Infinity"), ([1, None, "a"], "1,,a"), ([], ""), ([[1, 2], [3]], "1,2,3"),
        ({"a": 1}, "[object Object]"), ("text", "text"),
    ],
)  # fmt: skip
def test_text_of_a_value_is_javascripts(value: Any, text: str) -> None:
    assert javascript_text(value) == text


@settings(max_examples=200)
@given(st.floats())
def test_text_of_a_number_is_javascripts(host_modules: Any, number: float) -> None:
    want = host_modules("return String(require('./wire').decode(args[0]))", wire.encode(number))
    assert javascript_text(number) == want
