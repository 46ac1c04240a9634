"""Values between Python and the Node host, both ways."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinokiocloud.script import wire
from pinokiocloud.script.wire import UNDEFINED, JSError, JSValue, Match, RegExp

THERE_AND_BACK = "const w = require('./wire'); return w.encode(w.decode(args[0]))"
texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)  # lone surrogates too
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
leaves = st.none() | st.booleans() | numbers | texts | st.just(UNDEFINED) | st.binary(max_size=20)
leaves |= st.builds(RegExp, st.sampled_from(["a", "^x+$", "[{}]", "\\d"]), st.sampled_from(["", "g", "gi", "m"]))
leaves |= st.builds(JSError, texts.filter(bool), texts, st.none() | texts | st.integers(0, 99))
keys = texts | st.sampled_from(["$", "v", "c", "constructor", "toString", "length", "$$"])
keys = keys.filter(lambda k: k != "__proto__")
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.builds(
            Match, st.lists(texts, min_size=1, max_size=3), st.integers(0, 99), st.none() | st.dictionaries(keys, texts)
        )
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equality that tells true from 1, -0 from 0, and a match from a list."""
    if type(left) in (int, float) and type(right) in (int, float):
        return float(left) == float(right) and math.copysign(1, left) == math.copysign(1, right)
    if type(left) is not type(right):
        return False
    if isinstance(left, Match):
        return left.index == right.index and same(left.groups, right.groups) and same([*left], [*right])
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def through_json(value: Any) -> Any:
    return wire.loads(wire.dumps(value))


def there_and_back(node: Any, value: Any) -> Any:
    line = wire.dumps({"code": THERE_AND_BACK, "args": [wire.encode(value)]}).rstrip(b"\n")
    assert b"\n" not in line
    answer = node.line(line)
    assert "error" not in answer, answer["error"]
    return wire.decode(answer["ok"])


@given(value=values)
def test_python_understands_what_it_encodes(value: Any) -> None:
    assert same(wire.decode(through_json(wire.encode(value))), value)


@given(value=values)
def test_every_value_survives_the_way_to_javascript_and_back(node: Any, value: Any) -> None:
    assert same(there_and_back(node, value), value)


@pytest.mark.parametrize(
    "value",
    [
        {"$": "undef"}, {"$": "fn", "v": "x"}, {"$": None}, {"$": {"$": {"$": 1}}},
        [{"$": "obj", "c": "Object", "v": {}}],
        {"a": {"$": "buf", "v": "!!"}}, {"$": UNDEFINED}, {"$": 7, "other": {"$": "num", "v": "NaN"}},
    ],
)  # fmt: skip
def test_a_key_named_dollar_is_only_a_key(node: Any, value: Any) -> None:
    assert same(wire.decode(through_json(wire.encode(value))), value)
    assert same(there_and_back(node, value), value)


def test_undefined_and_null_are_two_things(node: Any) -> None:
    value = {"u": UNDEFINED, "n": None, "list": [UNDEFINED, None]}
    back = there_and_back(node, value)
    assert back["u"] is UNDEFINED
    assert back["n"] is None
    assert back["list"] == [UNDEFINED, None]
    assert not UNDEFINED
    assert wire.plain(value) == {"u": None, "n": None, "list": [None, None]}


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinities_survive(node: Any, value: float) -> None:
    assert there_and_back(node, [value]) == [value]


def test_nan_survives(node: Any) -> None:
    assert math.isnan(there_and_back(node, math.nan))


def test_minus_zero_survives(node: Any) -> None:
    assert math.copysign(1, there_and_back(node, -0.0)) == -1
    assert wire.decode(node.js("return require('./wire').encode(-0)")) == 0
    assert math.copysign(1, wire.decode(node.js("return require('./wire').encode(-0)"))) == -1


@pytest.mark.parametrize("value", [2**53 + 1, -(2**60), 2**64, 10**30])
def test_integers_beyond_doubles_become_the_nearest_double(node: Any, value: int) -> None:
    assert float(there_and_back(node, value)) == float(value)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc00\ud800", "ok\u2028\u2029\x00\x7f"])
def test_lone_surrogates_and_line_separators_survive(node: Any, text: str) -> None:
    assert there_and_back(node, {"text": text, text: 1}) == {"text": text, text: 1}


JS_ONLY = {
    "10n ** 40n": JSValue("big", str(10**40)),
    "function named () {}": JSValue("fn", "named"),
    "() => 1": JSValue("fn", "anonymous"),
    "Symbol('s')": JSValue("sym", "Symbol(s)"),
    "new Date(0)": JSValue("date", "1970-01-01T00:00:00.000Z"),
    "new Date(NaN)": JSValue("date", None),
    "new Set([1, undefined])": JSValue("set", [1, UNDEFINED]),
    "new Map([['a', {$: 1}]])": JSValue("map", [["a", {"$": 1}]]),
    "new (class Box { constructor () { this.x = undefined } })()": JSValue("Box", {"x": UNDEFINED}),
    "Promise.resolve(1)": JSValue("Promise", {}),
    "new Uint8Array([1, 2])": b"\x01\x02",
    "Buffer.from('hi').subarray(1)": b"i",
    "Object.create(null)": {},
    "({constructor: {name: 'Evil'}})": {"constructor": {"name": "Evil"}},
    "({constructor: 5, $: 1})": {"constructor": 5, "$": 1},
    "Object.assign([1], {extra: 1})": [1],
    "[, 1]": [UNDEFINED, 1],
    "({get bad () { throw new Error() }})": {"bad": UNDEFINED},
    "Object.assign(new Error('m'), {code: 'E'})": JSError("Error", "m", "E"),
    "/a(?<g>b)?/d": RegExp("a(?<g>b)?", "d"),
}


@pytest.mark.parametrize(("source", "value"), JS_ONLY.items(), ids=JS_ONLY)
def test_what_only_javascript_has_arrives_as_something_of_its_own(node: Any, source: str, value: Any) -> None:
    got = wire.decode(node.js(f"return require('./wire').encode({source})"))
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    "source", ["10n ** 40n", "new Date(5)", "new Date(NaN)", "new Set([1, {$: 2}])", "new Map([[1, new Date(1)]])"]
)
def test_dates_sets_maps_and_big_integers_come_back_as_what_they_were(node: Any, source: str) -> None:
    encoded = node.js(f"return require('./wire').encode({source})")
    again = through_json(wire.encode(wire.decode(encoded)))
    code = (
        f"const w = require('./wire'); const util = require('util');"
        f"return [util.inspect(w.decode(args[0])), util.inspect({source})]"
    )
    got, wanted = node.js(code, again)
    assert got == wanted


def test_a_match_keeps_index_groups_and_unmatched_groups(node: Any) -> None:
    got = wire.decode(node.js("return require('./wire').encode(/(?<a>x)|(y)/.exec('..x'))"))
    assert [*got] == ["x", "x", UNDEFINED]
    assert isinstance(got, Match)
    assert got.index == 2
    assert got.groups == {"a": "x"}


def test_circular_javascript_values_end_in_a_mark(node: Any) -> None:
    got = wire.decode(node.js("const o = {n: 1}; o.me = o; o.list = [o]; return require('./wire').encode(o)"))
    assert got == {"n": 1, "me": JSValue("circular"), "list": [JSValue("circular")]}


def test_a_value_that_occurs_twice_is_not_circular(node: Any) -> None:
    got = wire.decode(node.js("const o = {n: 1}; return require('./wire').encode([o, o, {o}])"))
    assert got == [{"n": 1}, {"n": 1}, {"o": {"n": 1}}]


def test_circular_python_values_end_in_a_mark() -> None:
    value: dict[str, Any] = {"n": 1}
    value["me"] = value
    value["list"] = [value]
    assert wire.decode(through_json(wire.encode(value))) == {
        "n": 1, "me": JSValue("circular"), "list": [JSValue("circular")],
    }  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = "core"
    for _ in range(depth):
        value = [value]
    return value


def test_deep_values_survive_down_to_a_bound_and_end_in_a_mark_below(node: Any) -> None:
    assert there_and_back(node, nested(150)) == nested(150)
    text = json.dumps(wire.plain(there_and_back(node, nested(5000))))
    assert "deep" in text
    text = json.dumps(
        wire.plain(
            wire.decode(
                node.js("let v = 1; for (let i = 0; i < 5000; i++) v = {v}; return require('./wire').encode(v)")
            )
        )
    )
    assert "deep" in text


def test_errors_with_odd_names_codes_and_messages_are_still_json(node: Any) -> None:
    code = """
    const e = new Error('m'); e.code = 10n; e.name = {toString () { throw new Error() }}
    const f = new Error('m'); f.code = f; f.message = f
    return JSON.stringify(require('./wire').encode([e, f])) && JSON.stringify(require('./wire').trace([e, f])) && true
    """
    assert node.js(code) is True


def test_values_of_other_python_kinds_become_json_like() -> None:
    assert wire.encode((1, {2})) == [1, [2]]
    assert wire.encode(Path("/x")) == "/x"
    assert wire.encode({1: "a"}) == {"1": "a"}
    assert wire.decode(wire.encode(memoryview(b"ab"))) == b"ab"


def test_plain_shows_everything_to_people() -> None:
    value = {
        "re": RegExp("a", "g"), "error": JSError("E", "m"), "fn": JSValue("fn", "f"), "obj": JSValue("Box", {"x": 1}),
        "bytes": b"abc", "match": Match(["a"]),
    }  # fmt: skip
    assert wire.plain(value) == {
        "re": "/a/g", "error": {"name": "E", "message": "m", "code": None}, "fn": "[fn]", "obj": {"x": 1},
        "bytes": "<3 bytes>", "match": ["a"],
    }  # fmt: skip
    json.dumps(wire.plain(value))
