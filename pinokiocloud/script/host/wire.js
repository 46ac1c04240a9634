'use strict'
// Values between the host and Python: JSON, with the tag key "$" for what JSON lacks.
// Python's half is script/wire.py; both must change together.

/** A Python-side value that stays opaque to scripts keeps its tag (never made by the host). */
function encode (value, seen = new Set()) {
  switch (typeof value) {
    case 'undefined': return { $: 'undef' }
    case 'string': case 'boolean': return value
    case 'number': return Number.isFinite(value) ? value : { $: 'num', v: String(value) }
    case 'bigint': return { $: 'big', v: String(value) }
    case 'function': return { $: 'fn', v: value.name || 'anonymous' }
    case 'symbol': return { $: 'sym', v: String(value) }
  }
  if (value === null) return null
  if (ArrayBuffer.isView(value)) return { $: 'buf', v: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
  if (value instanceof Date) return { $: 'date', v: Number.isNaN(value.getTime()) ? null : value.toISOString() }
  if (value instanceof RegExp) return { $: 'regexp', s: value.source, f: value.flags }
  if (value instanceof Error) return { $: 'error', n: value.name, m: value.message, c: value.code === undefined ? null : value.code }
  if (seen.has(value)) return { $: 'circular' }
  if (seen.size > 200) return { $: 'deep' }
  seen.add(value)
  let out
  if (Array.isArray(value)) {
    out = value.map(x => encode(x, seen))
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
    const name = value.constructor && value.constructor.name
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
  if (value instanceof Error) return { $error: value.name, message: value.message, code: value.code }
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
