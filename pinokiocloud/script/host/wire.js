'use strict'
// Values between the host and Python: JSON, with the tag key "$" for what JSON lacks.
// Python's half is script/wire.py; both must change together.

/** The class of an object, whatever keys it has of its own. */
function className (value) {
  const proto = Object.getPrototypeOf(value)
  const name = proto && typeof proto.constructor === 'function' && proto.constructor.name
  return typeof name === 'string' ? name : ''
}

/** Name, message and code of an error: scripts put anything there. */
function errorParts (error) {
  const text = v => { try { return String(v) } catch (e) { return 'Error' } }
  const { code } = error
  return { n: text(error.name), m: text(error.message), c: code === undefined || code === null ? null : typeof code === 'number' && Number.isFinite(code) ? code : text(code) }
}

/** A Python-side value that stays opaque to scripts keeps its tag (never made by the host). */
function encode (value, seen = new Set()) {
  switch (typeof value) {
    case 'undefined': return { $: 'undef' }
    case 'string': case 'boolean': return value
    case 'number': return Number.isFinite(value) && !Object.is(value, -0) ? value : { $: 'num', v: Object.is(value, -0) ? '-0' : String(value) }
    case 'bigint': return { $: 'big', v: String(value) }
    case 'function': return { $: 'fn', v: value.name || 'anonymous' }
    case 'symbol': return { $: 'sym', v: String(value) }
  }
  if (value === null) return null
  if (ArrayBuffer.isView(value)) return { $: 'buf', v: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
  if (value instanceof Date) return { $: 'date', v: Number.isNaN(value.getTime()) ? null : value.toISOString() }
  if (value instanceof RegExp) return { $: 'regexp', s: value.source, f: value.flags }
  if (value instanceof Error) return { $: 'error', ...errorParts(value) }
  if (seen.has(value)) return { $: 'circular' }
  if (seen.size > 200) return { $: 'deep' }
  seen.add(value)
  let out
  if (Array.isArray(value)) {
    out = []
    for (let i = 0; i < value.length; i++) out.push(encode(value[i], seen)) // holes too: they are undefined
    if (typeof value.index === 'number' && 'input' in value) out = { $: 'match', v: out, i: value.index, g: value.groups ? encode({ ...value.groups }, seen) : null }
  } else if (value instanceof Set) out = { $: 'set', v: [...value].map(x => encode(x, seen)) }
  else if (value instanceof Map) out = { $: 'map', v: [...value].map(x => encode(x, seen)) }
  else {
    out = {}
    for (const key of Object.keys(value)) {
      let item
      try { item = value[key] } catch (e) { item = undefined }
      out[key] = encode(item, seen)
    }
    const name = className(value)
    if (Object.prototype.hasOwnProperty.call(out, '$') || (name && name !== 'Object')) out = { $: 'obj', c: name || 'Object', v: out }
  }
  seen.delete(value)
  return out
}

function decode (value) {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) { for (let i = 0; i < value.length; i++) value[i] = decode(value[i]); return value }
  if (!Object.prototype.hasOwnProperty.call(value, '$')) {
    for (const key of Object.keys(value)) value[key] = decode(value[key])
    return value
  }
  switch (value.$) {
    case 'undef': return undefined
    case 'num': return Number(value.v)
    case 'big': return BigInt(value.v)
    case 'buf': return Buffer.from(value.v, 'base64')
    case 'date': return new Date(value.v === null ? NaN : value.v)
    case 'regexp': return new RegExp(value.s, value.f)
    case 'error': { const e = new Error(value.m); if (value.n) e.name = value.n; if (value.c !== null && value.c !== undefined) e.code = value.c; return e }
    case 'match': { const m = decode(value.v); m.index = value.i; m.input = value.t === undefined ? '' : value.t; m.groups = value.g ? Object.assign(Object.create(null), decode(value.g)) : undefined; return m }
    case 'set': return new Set(decode(value.v))
    case 'map': return new Map(decode(value.v))
    case 'obj': { const out = value.v; for (const key of Object.keys(out)) out[key] = decode(out[key]); return out }
    default: return { $: value.$ }
  }
}

/** The encoding of traces: readable, for comparing runs (tests/conformance). */
function trace (value, seen = new Set(), depth = 0) {
  switch (typeof value) {
    case 'undefined': return { $undef: true }
    case 'string': case 'boolean': return value
    case 'number': return Number.isFinite(value) ? value : { $num: String(value) }
    case 'bigint': return { $bigint: String(value) }
    case 'function': return { $function: value.name || 'anonymous' }
    case 'symbol': return { $symbol: String(value) }
  }
  if (value === null) return null
  if (Buffer.isBuffer(value)) return value.length > 4096 ? { $buffer_len: value.length } : { $buffer: value.toString('base64') }
  if (value instanceof Date) return { $date: Number.isNaN(value.getTime()) ? null : value.toISOString() }
  if (value instanceof RegExp) return { $regexp: String(value) }
  if (value instanceof Error) { const { n, m, c } = errorParts(value); return { $error: n, message: m, code: c === null ? undefined : c } }
  if (seen.has(value)) return { $circular: true }
  if (depth > 12) return { $deep: true }
  seen.add(value)
  let out
  if (Array.isArray(value)) {
    out = value.map(x => trace(x, seen, depth + 1))
    if (typeof value.index === 'number' && 'input' in value) out = { $match: out, index: value.index, groups: value.groups ? trace({ ...value.groups }, seen, depth + 1) : null }
  } else if (value instanceof Set) out = { $set: [...value].map(x => trace(x, seen, depth + 1)) }
  else if (value instanceof Map) out = { $map: [...value].map(x => trace(x, seen, depth + 1)) }
  else {
    out = {}
    const name = value.constructor && value.constructor.name
    if (name && name !== 'Object') out.$class = name
    for (const key of Object.keys(value)) {
      try { out[key] = trace(value[key], seen, depth + 1) } catch (e) { out[key] = { $throws: String(e && e.message) } }
    }
  }
  seen.delete(value)
  return out
}

module.exports = { encode, decode, trace }
