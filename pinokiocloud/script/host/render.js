'use strict'
// Templates: {{ }} in the strings of a step (spec §3.2–3.5).

const RAW = /^\{\{\{(.+)\}\}\}$/
const PURE = /^\{\{.+\}\}$/
const MIXED = /\{\{(.*?)\}\}/g
const ANY = /\{\{.*\}\}/
const ESCAPED = /\{\{\{(.+?)\}\}\}/g
const PASSES = 4

/** A template that does not compile: it un-renders the innermost object around it (spec §3.4). */
class CompileError extends Error {
  constructor (template, cause) {
    super(`the template ${template} does not compile: ${cause.message}`)
    this.name = 'CompileError'
    this.template = template
    this.cause = cause
  }
}

/** Compiled expressions, by the names of their variables and their text. */
class Compiler {
  constructor (limit = 5000) { this.limit = limit; this.caches = new Map() }

  compile (names, expression) {
    let cache = this.caches.get(names)
    if (!cache) this.caches.set(names, cache = new Map())
    let fn = cache.get(expression)
    if (fn === undefined) {
      if (cache.size >= this.limit) cache.clear()
      try { fn = new Function(...names, 'return ' + expression) } catch (e) { fn = e }
      cache.set(expression, fn)
    }
    return fn
  }
}
const compiler = new Compiler()

function isPlain (value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return false
  const ctor = value.constructor
  return ctor === undefined || ctor === Object || (typeof ctor === 'function' && ctor.name === 'Object')
}

/** Whether another pass is due: a template in a key, or in a string that is directly a value of an object. */
function holdsTemplate (value, above = []) {
  if (above.includes(value)) return false // it contains itself
  if (Array.isArray(value)) {
    above.push(value)
    for (const item of value) if (typeof item === 'object' && holdsTemplate(item, above)) return true
    above.pop()
    return false
  }
  if (!isPlain(value)) return false
  above.push(value)
  for (const key of Object.keys(value)) {
    if (key.length > 3 && ANY.test(key)) return true
    const item = value[key]
    if (typeof item === 'string') { if (item.length > 3 && ANY.test(item)) return true } else if (item && typeof item === 'object' && holdsTemplate(item, above)) return true
  }
  above.pop()
  return false
}

/** `{{{x}}}` → `{{x}}`, in keys and strings at any depth. */
function unescape (value, seen = new Set()) {
  if (typeof value === 'string') return value.includes('{{{') ? value.replace(ESCAPED, '{{$1}}') : value
  // Arrays and plain objects are copied, as in the reference: a match array becomes an ordinary one here.
  if (Array.isArray(value)) {
    if (seen.has(value)) return value
    seen.add(value)
    const out = value.map(item => unescape(item, seen))
    seen.delete(value)
    return out
  }
  if (!isPlain(value) || seen.has(value)) return value
  seen.add(value)
  const out = {}
  for (const key of Object.keys(value)) out[unescape(key)] = unescape(value[key], seen)
  seen.delete(value)
  return out
}

const literals = new Map()

/** Whether an expression reads nothing at all: what it gives is text that the script itself holds. */
function isLiteral (expression) {
  let known = literals.get(expression)
  if (known === undefined) {
    const pure = node => node.type !== 'Identifier' && !/Function|Class|This|MetaProperty|Import/.test(node.type) &&
      Object.values(node).every(item => !item || typeof item !== 'object' || (Array.isArray(item) ? item : [item]).every(part => !part || typeof part.type !== 'string' || pure(part)))
    try { known = pure(require('acorn').parseExpressionAt(expression, 0, { ecmaVersion: 'latest' })) } catch (e) { known = false }
    literals.set(expression, known)
  }
  return known
}

/** One rendering: the variables, and what may be evaluated. */
class Renderer {
  /**
   * @param {string[]} names  the variables' names; the same array for the same set, since it keys the cache
   * @param {any[]} values    their values
   * @param {(template: string) => boolean} [trusted]  whether a template found in a *rendered* value is the script's own
   * @param {(template: string, reason: string) => void} [warn]
   * @param {(text: string) => void} [learn]  gets text that an expression made of nothing but literals: the script's own
   */
  constructor (names, values, trusted, warn, learn) {
    this.names = names; this.values = values
    this.trusted = trusted || (() => true)
    this.warn = warn || (() => {})
    this.learn = learn || (() => {})
    this.pass = 0
    this.allowUndefined = false
    this.threw = null
  }

  /** Whether this template may be evaluated in this pass: the first pass sees only what the script wrote. */
  allowed (template) { return this.pass === 0 || this.trusted(template) }

  evaluate (expression, template) {
    const fn = compiler.compile(this.names, expression)
    if (typeof fn !== 'function') throw new CompileError(template, fn)
    try {
      const value = fn.apply(globalThis, this.values)
      if (typeof value === 'string' && value.includes('{{') && isLiteral(expression)) this.learn(value)
      return { value }
    } catch (e) {
      this.threw = { template, error: e }
      this.warn(template, `it throws ${e && e.message !== undefined ? (e.name || 'Error') + ': ' + e.message : String(e)}`)
      return null
    }
  }

  string (text) {
    if (text.length < 4 || !text.includes('{{')) return text
    if (RAW.test(text)) return text
    if (PURE.test(text)) {
      if (!this.allowed(text)) return text
      const got = this.evaluate(text.slice(2, -2), text)
      if (got === null) return text
      if (got.value === undefined) {
        if (this.allowUndefined) return undefined
        this.warn(text, 'its value is undefined')
        return text
      }
      return got.value
    }
    const found = text.match(MIXED)
    if (!found) return text
    let out = text
    try {
      for (const template of found) {
        if (!this.allowed(template)) continue
        const got = this.evaluate(template.slice(2, -2), template)
        if (got === null) continue
        if (got.value === undefined) { this.warn(template, 'its value is undefined'); continue }
        try { out = out.replaceAll(template, got.value) } catch (e) { this.warn(template, `its value has no text: ${e.message}`) }
      }
    } catch (e) {
      if (!(e instanceof CompileError)) throw e
      this.warn(e.template, e.message)
      return text
    }
    return out
  }

  value (value, above = []) {
    if (typeof value === 'string') return this.string(value)
    if (value === null || typeof value !== 'object' || above.includes(value)) return value
    if (!Array.isArray(value) && !isPlain(value)) return value
    above.push(value)
    try { return this.container(value, above) } finally { above.pop() }
  }

  container (value, above) {
    if (Array.isArray(value)) {
      const out = []
      for (const item of value) { const next = this.value(item, above); if (next !== undefined) out.push(next) }
      return out
    }
    try {
      const out = {}
      for (const key of Object.keys(value)) {
        const nextKey = this.string(key)
        const next = this.value(value[key], above)
        if (nextKey === null || nextKey === false) continue
        out[nextKey] = next
      }
      return out
    } catch (e) {
      if (!(e instanceof CompileError)) throw e
      this.warn(e.template, e.message)
      return value
    }
  }

  /**
   * All passes and the final unescaping of triple braces (spec §3.5).
   * @param {number} [first] the first pass: 1 for a value that was rendered before, and may hold text from outside
   */
  render (value, allowUndefined = false, first = 0) {
    this.allowUndefined = allowUndefined
    let out = value
    for (this.pass = first; this.pass < first + PASSES; this.pass++) {
      out = this.value(out)
      if (!holdsTemplate(out)) break
      if (this.pass + 1 < first + PASSES && !this.progress(out)) break
    }
    this.pass = 0
    return unescape(out)
  }

  /** Whether another pass could change anything: some template in it may still be evaluated. */
  progress (value, above = []) { // a value whose templates are all raw or untrusted stays as it is
    if (typeof value === 'string') return value.includes('{{') && !RAW.test(value) && (PURE.test(value) ? this.trusted(value) : (value.match(MIXED) || []).some(t => this.trusted(t)))
    if (value === null || typeof value !== 'object' || above.includes(value)) return false
    const inside = [...above, value]
    if (Array.isArray(value)) return value.some(item => this.progress(item, inside))
    if (!isPlain(value)) return false
    return Object.keys(value).some(key => this.progress(key) || this.progress(value[key], inside))
  }
}

/** Collects the templates that a script's own text holds, also behind triple braces. */
function templatesOf (value, into = new Set(), seen = new Set()) {
  if (typeof value === 'string') {
    for (const text of value.includes('{{{') ? [value, value.replace(ESCAPED, '{{$1}}')] : [value]) {
      if (!text.includes('{{')) continue
      if (PURE.test(text)) into.add(text)
      for (const template of text.match(MIXED) || []) into.add(template)
    }
  } else if (value && typeof value === 'object' && !seen.has(value)) {
    seen.add(value)
    if (Array.isArray(value)) for (const item of value) templatesOf(item, into, seen)
    else if (isPlain(value)) for (const key of Object.keys(value)) { templatesOf(key, into, seen); templatesOf(value[key], into, seen) }
  }
  return into
}

/** Whether a value from outside the script holds anything that could become part of a template. */
function holdsBraces (value, seen = new Set()) {
  if (typeof value === 'string') return value.includes('{') || value.includes('}')
  if (value === null || typeof value !== 'object' || seen.has(value)) return false
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).includes(123)
  seen.add(value)
  if (Array.isArray(value)) return value.some(item => holdsBraces(item, seen))
  for (const key of Object.keys(value)) {
    if (holdsBraces(key, seen)) return true
    let item
    try { item = value[key] } catch (e) { continue }
    if (holdsBraces(item, seen)) return true
  }
  return false
}

module.exports = { Renderer, CompileError, isPlain, holdsTemplate, templatesOf, holdsBraces, unescape }
