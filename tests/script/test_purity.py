"""Which scripts are loaded once: only those whose loading has no effect and always gives the same (spec §1.3)."""

from __future__ import annotations

from typing import Any

import pytest

PURE = [
    "module.exports = {run: [{method: 'log', params: {raw: 'hi'}}]}",
    "'use strict'; module.exports = {run: []}; ",
    "#!/usr/bin/env node\nmodule.exports = {run: []}",
    "const path = require('path'); module.exports = {run: [{method: 'log', params: {raw: path.join('a', __dirname)}}]}",
    "const name = 'x'; const all = [1, 2].map(n => ({n, name})); module.exports = {run: [...all], daemon: !0}",
    "const {a, b = 2} = {a: 1}; const [c, ...d] = [1, 2]; module.exports = {run: [{id: `${a}${b}${c}${d}`}]}",
    "module.exports = {run: [{message: `a ${1 + 1} b`, when: '{{x}}', on: [{event: /x/g, done: true}]}]}",
    "const a = {b: null}; module.exports = {x: a?.b?.c, y: a.b ?? 1, z: a && a.b, t: a ? 1 : 2, u: typeof a}",
    "module.exports = {run: Object.keys({a: 1}).concat('x').filter(Boolean).join('').split('')}",
    "module.exports = {n: -1, s: (1, 2), list: [, 1], 'a-b': 1, 5: 2, ['a' + 1]: 3, v: void 0, nested: {deep: [{}]}}",
    "const big = 10n ** 2n; module.exports = {run: [], json: JSON.stringify({a: [1]}), up: 'a'.toUpperCase()}",
    "var a = 1, b; let c; module.exports = [{a, b, c}]",
    "const make = (n, {m} = {m: 1}) => { if (n > m) { return [n] } return [m] }; module.exports = {run: make(2)}",
    "module.exports = {run: (() => { switch (1) { case 1: return [1]; default: return [] } })()}",
    "const o = {x: [1, 2]}; module.exports = {first: o.x[0], last: o['x'][1]}",
]

IMPURE = {
    "no statement but the export": "console.log('x'); module.exports = {run: []}",
    "the time": "module.exports = {run: [], at: Date.now()}",
    "the time, by new": "module.exports = {run: [], at: new Date()}",
    "the time, as text": "module.exports = {run: [], at: Date()}",
    "performance": "module.exports = {at: performance.now()}",
    "chance": "module.exports = {run: [], r: Math.random()}",
    "chance by a computed name": "module.exports = {r: Math['random']()}",
    "chance by a built name": "module.exports = {r: Math['ran' + 'dom']()}",
    "chance by a variable name": "const k = 'random'; module.exports = {r: Math[k]()}",
    "chance by a template name": "module.exports = {r: Math[`random`]()}",
    "chance taken out of its object": "const {random} = Math; module.exports = {r: random()}",
    "chance taken out under another name": "const {random: r} = Math; module.exports = {r: r()}",
    "chance as a default": "const {x = Math.random()} = {}; module.exports = {x}",
    "chance as a callback": "module.exports = {r: [1].map(Math.random)}",
    "chance by optional chaining": "module.exports = {r: Math?.random?.()}",
    "chance by a parameter": "module.exports = {r: (({random}) => random())(Math)}",
    "chance by its descriptor": "module.exports = {r: Object.getOwnPropertyDescriptor(Math, 'ran' + 'dom').value()}",
    "chance by all names": "module.exports = {r: Object.getOwnPropertyNames(Math).map(k => Math[k])}",
    "crypto": "module.exports = {r: crypto.randomUUID()}",
    "files": "const fs = require('fs'); module.exports = {run: fs.readdirSync('/')}",
    "files by node:": "module.exports = {run: require('node:fs').readdirSync('/')}",
    "files by module.require": "module.exports = {run: module.require('fs').readdirSync('/')}",
    "files by the module's constructor": "module.exports = {run: module.constructor._load('fs')}",
    "files by a taken-out require": "const {require: r} = module; module.exports = {run: r('fs')}",
    "the module cache": "module.exports = {run: Object.keys(module.children), n: module.children.length}",
    "what other files did to exports": "module.exports = {run: [], old: exports.x}",
    "a sibling": "const c = require('./config'); module.exports = {run: []}",
    "a computed require": "const p = 'path'; module.exports = {p: require(p)}",
    "require as a value": "const r = require; module.exports = {run: r('fs')}",
    "a require without a name": "module.exports = {run: require()}",
    "process": "module.exports = {run: [], home: process.env.HOME}",
    "process by optional chaining": "module.exports = {home: process?.env?.HOME}",
    "a global": "module.exports = {x: globalThis.x}",
    "this": "module.exports = {x: this.x}",
    "an unknown name": "module.exports = {x: something}",
    "a typeof of an unknown name": "module.exports = {x: typeof something}",
    "a getter": "module.exports = {get run () { return [] }}",
    "a setter": "module.exports = {set run (x) {}}",
    "an exported function": "module.exports = kernel => ({run: []})",
    "an exported async function": "module.exports = async kernel => ({run: []})",
    "an exported class": "module.exports = class { run = [] }",
    "an exported call": "module.exports = (() => ({run: []}))()",
    "an exported variable": "const all = {run: []}; module.exports = all",
    "exports by name": "exports.run = []",
    "exports by part": "module.exports.run = []",
    "an assignment": "const o = {}; o.x = 1; module.exports = o",
    "an assignment in an expression": "let x; module.exports = {y: (x = 1)}",
    "an assignment in a default": "let x; const {y = (x = 5)} = {}; module.exports = {y}",
    "an assignment in a parameter's default": "let x; const f = (y = (x = 5)) => y; module.exports = {z: f()}",
    "an assignment in a comma expression": "let x; module.exports = {y: (x = 1, 2)}",
    "a counter": "let n = 0; module.exports = {run: [], n: n++}",
    "a counter in a function": "let n = 0; module.exports = {run: [{method: () => { n += 1; return n }}]}",
    "a list that a function fills": "const all = []; module.exports = {run: [{method: () => all.push(1)}]}",
    "a list that a function fills by index": "const all = []; module.exports = {run: [{method: () => { all[0] = 1 }}]}",
    "a computed push": "const all = []; module.exports = {run: [{method: () => all['push'](1)}]}",
    "a defined getter": "const o = {}; o.__defineGetter__('x', () => 1); module.exports = {o}",
    "an assigned property": "module.exports = {o: Object.assign({}, {a: 1})}",
    "delete": "const o = {a: 1}; module.exports = {d: delete o.a}",
    "eval": "module.exports = {x: eval('1')}",
    "a made function": "module.exports = {x: Function('return 1')()}",
    "a made function by constructor": "module.exports = {x: (() => {}).constructor('return 1')()}",
    "a made function by a computed constructor": "module.exports = {x: (() => {})['constructor']('return 1')()}",
    "a function made by a taken-out maker": "const {constructor: F} = () => {}; module.exports = {x: F('return 1')()}",
    "call": "module.exports = {x: Math.max.call(null, 1)}",
    "a tagged template": "module.exports = {x: String.raw`a`}",
    "await": "module.exports = {run: [{method: async () => { await 1 }}]}",
    "a dynamic import": "module.exports = {x: import('fs')}",
    "a loop": "const all = []; for (const x of [1]) all.push(x); module.exports = {all}",
    "a try": "let x; try { x = 1 } catch (e) {}; module.exports = {x}",
    "a throw": "throw new Error('x')",
    "a class": "class A {}; module.exports = {run: []}",
    "a function": "function f () { return [] }; module.exports = {run: f()}",
    "a condition": "if (1) module.exports = {run: []}",
    "an ES module": "export default {run: []}",
    "a syntax error": "module.exports = {",
    "a const without a value, later": "module.exports = {x}; const x = 1",
    "arguments": "module.exports = {x: arguments[1]}",
    "import.meta": "module.exports = {x: import.meta}",
    "a spread of a call": "module.exports = {...Object.values(globalThis)}",
    "a hidden environment": "module.exports = {x: `${process.env.HOME}`}",
}


def pure(node: Any, source: str) -> bool:
    return bool(node.js("return require('./purity').isPureScript(args[0])", source))


@pytest.mark.parametrize("source", PURE)
def test_a_script_of_plain_data_is_pure(node: Any, source: str) -> None:
    assert pure(node, source)


@pytest.mark.parametrize("source", IMPURE.values(), ids=IMPURE)
def test_whatever_may_differ_or_do_something_is_impure(node: Any, source: str) -> None:
    assert not pure(node, source)


def test_a_very_long_script_is_impure_without_a_look(node: Any) -> None:
    assert not pure(node, "module.exports = {run: []}" + " " * 2_000_001)


def test_deeply_nested_text_is_no_crash(node: Any) -> None:
    assert pure(node, "module.exports = {x: " + "[" * 20000 + "]" * 20000 + "}") in (True, False)
