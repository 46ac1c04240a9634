"""Templates (spec §3.2-3.5), rendered by the host without a run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinokiocloud import UNDEFINED, ScriptHost
from pinokiocloud.errors import TemplateError
from pinokiocloud.script.wire import JSValue

Render = Callable[..., Any]


class Renderer:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.host = ScriptHost()
        self.loop.run_until_complete(self.host.__aenter__())

    def __call__(self, template: Any, allow_undefined: bool = False, **variables: Any) -> Any:
        return self.loop.run_until_complete(self.host.render(template, variables, allow_undefined=allow_undefined))

    @property
    def reasons(self) -> str:
        return "\n".join(f"{item['template']}: {item['reason']}" for item in self.host.warnings)

    def close(self) -> None:
        self.loop.run_until_complete(self.host.__aexit__())
        self.loop.close()


@pytest.fixture(scope="module")
def render() -> Iterator[Renderer]:
    renderer = Renderer()
    yield renderer
    renderer.close()


no_braces = st.text(st.characters(codec="utf-8", exclude_characters="{}"), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | no_braces
scalars |= st.floats(-1e15, 1e15)  # larger ones are written as integers
names = no_braces.filter(lambda k: k != "__proto__")
data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)


@given(text=st.text(max_size=40).filter(lambda t: "{{" not in t))
def test_a_string_without_double_braces_is_returned_unchanged(render: Render, text: str) -> None:
    assert render(text) == text
    assert render({"key": [text]}) == {"key": [text]}


@given(value=data)
def test_a_pure_template_keeps_the_type(render: Render, value: Any) -> None:
    got = render("{{value}}", value=value)
    assert got == value
    assert isinstance(got, bool) == isinstance(value, bool)


@given(value=data, before=no_braces.filter(bool), after=no_braces)
def test_a_mixed_template_is_the_text_that_string_gives(render: Render, value: Any, before: str, after: str) -> None:
    wanted = render("{{String(value)}}", value=value)
    if "$" in wanted or "{{" in wanted:
        return
    assert render(f"{before}{{{{value}}}}{after}", value=value) == before + wanted + after


@given(name=no_braces, value=data)
def test_data_without_templates_passes_through(render: Render, name: str, value: Any) -> None:
    if name != "__proto__":
        assert render({name: value}) == {name: value}


@given(text=st.text("{}ab1+'", max_size=14))
def test_any_jumble_of_braces_ends_and_at_worst_stays_as_it_is(render: Render, text: str) -> None:
    try:
        got = render({"x": text}, a=1, b=2)
    except TemplateError:
        return
    if got == {}:
        return
    assert "x" in got


@given(
    text=no_braces.filter(lambda t: t and "\n" not in t and "\r" not in t and "\u2028" not in t and "\u2029" not in t)
)
def test_triple_braces_around_anything_become_double_ones(render: Render, text: str) -> None:
    assert render(f"{{{{{{{text}}}}}}}") == f"{{{{{text}}}}}"
    assert render({"on": [f"{{{{{{{text}}}}}}}"]}) == {"on": [f"{{{{{text}}}}}"]}


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{{1 + 1}}", 2), ("{{ 'a' }}", "a"), ("{{null}}", None), ("{{false}}", False), ("{{0}}", 0), ("{{''}}", ""),
        ("{{[1, [2]]}}", [1, [2]]), ("{{({a: {b: 1}})}}", {"a": {"b": 1}}), ("{{/x/gi.source}}", "x"),
        ("{{`a${1}b`}}", "a1b"), ("{{[1,2,3].map(x => x * 2)}}", [2, 4, 6]), ("{{args?.b?.c ?? 'none'}}", "none"),
        ("{{1 /* comment */}}", 1), ("{{1 // comment}}", 1), ("{{typeof missing}}", "undefined"),
        ("{{_.capitalize('abc')}}", "Abc"), ("{{path.join('a', '..', 'b')}}", "b"), ("{{os.EOL}}", "\n"),
        ("{{encodeURIComponent('a b')}}", "a%20b"), ("{{Buffer.from('hi')}}", b"hi"), ("{{-0}}", 0),
        ("{{Infinity}}", math.inf),
        ("{{(() => { let n = 0; for (const x of [1, 2]) n += x; return n })()}}", 3), ("{{1, 2}}", 2), ("{{'}'}}", "}"),
        ("{{'{'}}", "{"), ("{{args = 5}}", 5),
    ],
)  # fmt: skip
def test_an_expression_is_javascript(render: Render, template: str, wanted: Any) -> None:
    assert render(template, args={}) == wanted


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("a{{null}}b", "anullb"), ("{{true}} ", "true "), (" {{[1,[2,3]]}}", " 1,2,3"),
        ("x{{({})}}", "x[object Object]"),
        ("{{1}}{{2}} ", "12 "), ("-{{1.50}}-", "-1.5-"), ("x {{missing}} {{1}}", "x {{missing}} 1"),
        ("{{1}} {{1}} {{1}} ", "1 1 1 "), ("x{{undefined}}", "x{{undefined}}"), ("a\n{{1}}\nb", "a\n1\nb"),
        ("x {{1 +}} {{1}}", "x {{1 +}} {{1}}"), ("{{1\n}}", "{{1\n}}"), ("{{}}", "{{}}"), ("x{{ }}", "x{{ }}"),
        ("x {{'$$'}} y", "x $ y"), ("x {{'$&'}} y", "x {{'$&'}} y"), ("x{{(m => m.length)}}", "x19"),
        ("a {{1}", "a {{1}"),
    ],
)  # fmt: skip
def test_a_mixed_template_follows_javascripts_replacement(render: Render, template: str, wanted: str) -> None:
    assert render(template) == wanted


def test_two_templates_that_fill_a_string_are_one_wrong_expression(render: Render) -> None:
    with pytest.raises(TemplateError, match="does not compile"):
        render("{{1}}/{{2}}")
    assert render({"x": "{{1}}/{{2}}", "y": "{{1}}"}) == {"x": "{{1}}/{{2}}", "y": "{{1}}"}


def test_a_compile_error_unrenders_only_the_innermost_object(render: Render) -> None:
    template = {
        "good": "{{1}}",
        "inner": {"bad": "{{1 +}}", "sibling": "{{2}}", "deeper": {"fine": "{{3}}"}},
        "list": [{"bad": "{{)}}", "sibling": "{{4}}"}, {"fine": "{{5}}"}, ["{{6}}"]],
    }
    got = render(template)
    assert got["good"] == 1
    assert got["inner"] == template["inner"]
    assert got["list"][0] == template["list"][0]
    assert got["list"][1:] == [{"fine": 5}, [6]]
    assert "does not compile" in render.reasons  # type: ignore[attr-defined]


def test_a_compile_error_in_a_list_unrenders_the_object_around_the_list(render: Render) -> None:
    template = {"outer": {"list": ["{{1}}", ["{{(}}"]], "sibling": "{{1}}"}, "good": "{{1}}"}
    assert render(template) == {**template, "good": 1}


def test_a_template_that_throws_stays_and_says_why(render: Render) -> None:
    assert render({"x": "{{args.a.b}}", "y": "{{1}}"}, args={}) == {"x": "{{args.a.b}}", "y": 1}
    assert "TypeError" in render.reasons  # type: ignore[attr-defined]
    assert render({"x": "{{(() => { throw {odd: 1} })()}}"}) == {"x": "{{(() => { throw {odd: 1} })()}}"}


def test_undefined_stays_as_text_unless_it_is_allowed(render: Render) -> None:
    assert render("{{args.x}}", args={}) == "{{args.x}}"
    assert "undefined" in render.reasons  # type: ignore[attr-defined]
    assert render("{{args.x}}", True, args={}) is UNDEFINED


def test_a_template_that_stays_is_evaluated_four_times_and_no_more(render: Render) -> None:
    render({"x": "{{globalThis.counted = (globalThis.counted || 0) + 1, undefined}}"})
    assert render("{{globalThis.counted}}") == 4


def test_values_that_are_templates_again_are_rendered_at_most_four_times(render: Render) -> None:
    levels = {f"v{n}": f"{{{{v{n + 1}}}}}" for n in range(6)}
    assert render({"x": "{{v0}}"}, v6="end", **levels) == {"x": "{{v4}}"}
    assert render({"x": "{{v3}}"}, v6="end", **levels) == {"x": "end"}
    assert render({"x": "{{v}}"}, v="{{v}}") == {"x": "{{v}}"}
    assert render({"x": "{{v}}"}, v="a{{v}}") == {"x": "aaaa{{v}}"}


def test_strings_in_lists_ask_for_no_further_pass(render: Render) -> None:
    assert render({"x": ["{{v}}"]}, v="{{1}}") == {"x": ["{{1}}"]}
    assert render({"x": ["{{v}}"], "y": "{{v}}"}, v="{{1}}") == {"x": [1], "y": 1}


def test_keys_are_templates_and_null_or_false_drops_the_entry(render: Render) -> None:
    got = render({"{{'a'}}": 1, "{{null}}": 2, "{{false}}": 3, "{{0}}": 4, "k{{1}}": 5, "{{[1,2]}}": 6})
    assert got == {"a": 1, "0": 4, "k1": 5, "1,2": 6}


def test_a_list_drops_what_is_undefined_and_keeps_null(render: Render) -> None:
    assert render(["{{undefined}}", None, "{{null}}", 1], True) == [None, None, 1]


def test_triple_braces_hand_a_template_on(render: Render) -> None:
    assert render("{{{event.matches[0][0]}}}") == "{{event.matches[0][0]}}"
    assert render({"a": "x {{{b}}} y", "{{{k}}}": 1}) == {"a": "x {{b}} y", "{{k}}": 1}
    assert render({"a": "{{{b}}}", "c": "{{1}}"}) == {"a": "{{b}}", "c": 1}


def test_other_objects_than_plain_ones_pass_by_reference(render: Render) -> None:
    assert render({"d": "{{new Date(0)}}", "f": "{{() => '{{1}}'}}"}) == {
        "d": JSValue("date", "1970-01-01T00:00:00.000Z"), "f": JSValue("fn", "anonymous"),
    }  # fmt: skip


def test_a_getter_or_proxy_that_throws_does_not_end_the_host(render: Render) -> None:
    for value in ("({get a () { throw new Error('no') }})", "new Proxy({}, {ownKeys () { throw new Error('no') }})"):
        with pytest.raises(TemplateError, match="no"):
            render(f"{{{{{value}}}}}")
    assert render("{{1}}") == 1


def test_a_circular_value_is_rendered_and_handed_over(render: Render) -> None:
    got = render("{{(() => { const o = {n: 1}; o.me = o; return o })()}}")
    assert got["n"] == 1
    assert JSValue("circular") in (got["me"], got["me"]["me"])


def test_a_huge_value_is_an_error_and_no_hang(render: Render) -> None:
    with pytest.raises(Exception, match=r"string length|too large|memory"):
        render("{{Array(12).fill('x'.repeat(2 ** 26))}}")
    assert render("{{1}}") == 1


def test_prototypes_are_not_reached_through_names_in_data(render: Render) -> None:
    assert render({"constructor": "{{1}}", "toString": "{{2}}"}) is not None
    assert render("{{({}).polluted}}", True) is UNDEFINED
