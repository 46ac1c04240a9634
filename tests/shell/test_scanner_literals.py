"""The literal by which Python decides whether a text is looked at: every text that matches holds it (scanner.js)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

Pair = tuple[str, str]  # a piece of a regular expression, and a text that it matches

ASK = """
const { compile, required } = require('./scanner')
const [source, flags, texts] = args
const regex = compile(new RegExp(source, flags))
return { literal: required(regex), matching: texts.filter(t => { regex.lastIndex = 0; return regex.test(t) }) }
"""


@st.composite
def literal(draw: Any) -> Pair:
    text = draw(st.text("abchtpsk:/-_ .()[]{}|?*+^$\\<>=!,0", min_size=1, max_size=6))
    return "".join(f"\\{c}" if c in ".()[]{}|?*+^$\\/" else c for c in text), text


ATOMS = st.sampled_from(
    [
        ("[abc]", "b"), ("[^x]", "q"), ("[\\]|]", "|"), ("[(?]", "("), ("[|]", "|"), ("[[]", "["), ("[\\\\]", "\\"),
        ("[)abc]", ")"), ("[a-z?*]", "*"), ("[^]", "]"), (".", "x"), ("\\d", "7"), ("\\w", "w"), ("\\s", " "),
        ("\\S", "s"), ("\\b", ""), ("\\B", ""), ("^", ""), ("$", ""), ("\\x41", "A"), ("\\u0041", "A"), ("\\t", "\t"),
        ("\\n", "\n"), ("\\0", "\0"), ("\\cA", "\x01"), ("\\1", ""), ("\\2", "a"), ("\\/", "/"), ("\\-", "-"),
        ("\\k<n>", ""), ("\\p{L}", "l"), ("]", "]"), ("}", "}"), ("a{", "a{"), ("x{,3}", "x{,3}"), ("{a}", "{a}"),
        ("(?=abc)abc", "abc"), ("(?<=a)", ""), ("(?!zzz)", ""), ("\\(?<abc>", "<abc>"), ("\\[?", ""), ("()", ""),
        ("é", "é"), ("😀", "😀"), ("[[a]bc]", "abc]"), ("[a--b]", "a"), ("(?i:abc)", "ABC"),
    ]
)  # fmt: skip
QUANTIFIERS = st.sampled_from(
    [("?", 0), ("*", 0), ("+", 1), ("{0}", 0), ("{00}", 0), ("{0,}", 0), ("{0,2}", 0), ("{1}", 1), ("{2}", 2), ("{1,3}", 1),
     ("{01}", 1), ("??", 0), ("*?", 0), ("+?", 1), ("{0,1}?", 0)]
)  # fmt: skip
NAMES = iter(range(1 << 60))


@st.composite
def quantified(draw: Any, inner: st.SearchStrategy[Pair]) -> Pair:
    source, text = draw(inner)
    mark, least = draw(QUANTIFIERS)
    times = draw(st.integers(least, max(least, 1)))
    return source + mark, text * times


@st.composite
def grouped(draw: Any, inner: st.SearchStrategy[Pair]) -> Pair:
    source, text = draw(inner)
    start = draw(st.sampled_from(["(", "(", "(?:", "(?<n>", f"(?<n{next(NAMES) % 1000}>"]))
    return f"{start}{source})", text


@st.composite
def sequence(draw: Any, inner: st.SearchStrategy[Pair]) -> Pair:
    parts = draw(st.lists(inner, min_size=1, max_size=4))
    return "".join(part[0] for part in parts), "".join(part[1] for part in parts)


@st.composite
def alternatives(draw: Any, inner: st.SearchStrategy[Pair]) -> Pair:
    parts = draw(st.lists(inner, min_size=2, max_size=3))
    return "|".join(part[0] for part in parts), draw(st.sampled_from(parts))[1]


PATTERNS = st.recursive(
    st.one_of(literal(), literal(), ATOMS),
    lambda inner: st.one_of(
        sequence(inner),
        sequence(inner),
        grouped(inner),
        quantified(grouped(inner)),
        quantified(inner),
        alternatives(inner),
    ),
    max_leaves=10,
)


@settings(max_examples=1500, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(
    PATTERNS,
    st.sampled_from(["", "i", "s", "m", "u", "iu", "v", "iv"]),
    st.sampled_from(["", "xx", "\n"]),
    st.booleans(),
)
@example(("(abc\\x41)?", ""), "", "", False)
@example(("\\(?<abc>http", "<abc>http"), "", "", False)
@example(("(abc){00}d", "d"), "", "", False)
@example(("[[a]bcd]", "b"), "v", "", False)
@example(("sks", "ſKſ"), "iu", "", False)
def test_whatever_matches_holds_the_literal(host_modules: Any, pair: Pair, flags: str, around: str, swap: bool) -> None:
    source, text = pair
    valid = host_modules("try { new RegExp(args[0], args[1]); return true } catch (e) { return false }", source, flags)
    assume(valid)
    texts = [around + text + around, text]
    if "i" in flags and swap:
        texts.append(text.swapcase().replace("s", "ſ").replace("K", "K"))
    answer = host_modules(ASK, source, flags, texts)
    event(f"literal {answer['literal'] is not None}, matches {bool(answer['matching'])}")
    if answer["literal"] is None:
        return
    assert answer["literal"] == answer["literal"].lower()
    for matched in answer["matching"]:
        assert answer["literal"] in matched.lower(), (source, flags, answer["literal"])


@pytest.mark.parametrize(
    ("source", "literal"),
    [
        ("http:\\/\\/\\S+", "http://"),
        ("(http:\\/\\/[0-9.:]+)", "http://"),
        ("Running on local URL:\\s+(http:\\/\\/\\S+)", "running on local url:"),
        ("https?:\\/\\/127", "://127"),
        ("Uvicorn running", "uvicorn running"),
        ("done", "done"),
        ("server(ed)?", None),
        ("a|b", None),
        ("\\d+", None),
        (".*", None),
        ("ab", None),
        ("(?<url>http:\\/\\/\\S+)", "http://"),
        ("ready: (yes)+", "ready: "),
        ("To see the GUI go to:", "to see the gui go to:"),
    ],
)
def test_the_usual_events_have_the_literal_that_is_expected(
    host_modules: Any, source: str, literal: str | None
) -> None:
    answer = host_modules(ASK, source, "", [])
    if literal is None:
        return  # nothing is known of it, or less than might be: both are right
    assert answer["literal"] == literal


@pytest.mark.parametrize(
    ("event_", "source", "flags"),
    [
        ("/a.b/", "a.b", "g"), ("/a/i", "a", "gi"), ("/a/gi", "a", "gi"), ("/a\\/b/", "a\\/b", "g"), ("/a/b/", "a\\/b", "g"),
        ("plain", "plain", "g"), ("http://x", "http:\\/\\/x", "g"), ("/(?<n>a)/d", "(?<n>a)", "dg"), ("/a/ims", "a", "gims"),
    ],
)  # fmt: skip
def test_an_event_becomes_a_global_expression(host_modules: Any, event_: str, source: str, flags: str) -> None:
    got = host_modules("const r = require('./scanner').compile(args[0]); return [r.source, r.flags]", event_)
    assert got == [source, flags]


def test_an_event_that_is_an_expression_keeps_its_flags(host_modules: Any) -> None:
    assert host_modules("const r = require('./scanner').compile(/a/im); return [r.source, r.flags]") == ["a", "gim"]
    assert (
        host_modules("const { compile } = require('./scanner'); return [null, 5, {}, true].map(compile)") == [None] * 4
    )
