'use strict'
// Rendering with values that are not known yet: results of steps that have not run, arguments, files to come.
// A template that reads one of them is left as it is, and what it reads is told; every other template is evaluated.

const { Renderer, CompileError, isPlain } = require('./render')
const { NAMES } = require('./variables')

const ORIGIN = Symbol('origin')
const RAW = /^\{\{\{(.+)\}\}\}$/
const PURE = /^\{\{.+\}\}$/
const MIXED = /\{\{(.*?)\}\}/g

/** What was read that is not known, since the last `take`. */
class Reads {
  constructor () { this.origins = new Map() }
  touch (origin) { this.origins.set(JSON.stringify(origin), origin) }
  take () { const out = [...this.origins.values()]; this.origins.clear(); return out }
}

/** A value that is not known: anything may be read from it, called on it, and compared with it. */
function unknown (origin, reads) {
  const proxy = new Proxy(() => {}, {
    get (_, key) {
      if (key === ORIGIN) return origin
      if (key === 'then') return undefined // `await` must give it back
      if (key === 'name') return 'unknown'
      reads.touch(origin)
      if (key === Symbol.toPrimitive || key === 'toString' || key === 'valueOf' || key === 'toJSON') return () => ''
      if (key === Symbol.iterator) return function * () {}
      if (key === 'length') return 0
      return typeof key === 'symbol' ? undefined : proxy
    },
    apply () { reads.touch(origin); return proxy },
    has () { reads.touch(origin); return true },
    set () { reads.touch(origin); return true },
    deleteProperty () { return true },
    ownKeys () { reads.touch(origin); return [] },
    getOwnPropertyDescriptor () { reads.touch(origin); return undefined }
  })
  return proxy
}

const isUnknown = (value) => typeof value === 'function' && value[ORIGIN] !== undefined

/** The origins of every unknown value in `value`. */
function originsIn (value, into = new Map(), seen = new Set()) {
  if (isUnknown(value)) into.set(JSON.stringify(value[ORIGIN]), value[ORIGIN])
  else if (value && typeof value === 'object' && !seen.has(value) && (Array.isArray(value) || isPlain(value))) {
    seen.add(value)
    for (const key of Object.keys(value)) originsIn(value[key], into, seen)
  }
  return into
}

/** A view of an object in which reading something unknown is noticed, even without using it: `local.x ? a : b`. */
function watched (value, reads) {
  if (isUnknown(value) || value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return value
  if (originsIn(value).size === 0) return value
  return new Proxy(value, {
    get (target, key) {
      const item = target[key]
      if (isUnknown(item)) { reads.touch(item[ORIGIN]); return item }
      const own = Object.getOwnPropertyDescriptor(target, key)
      return own && !own.configurable ? item : watched(item, reads)
    }
  })
}

// The variables that hold what scripts put there; the others are modules and facts about the machine.
const OWN = new Set(['input', 'args', 'local', 'global', 'env', 'envs'])

/** The scope of an expression: known and unknown variables. Other names are looked up globally, as in the reference. */
function scopeOf (values, reads) {
  return new Proxy(Object.create(null), {
    has: (_, key) => typeof key === 'string' && key in values,
    get (_, key) {
      if (key === Symbol.unscopables) return undefined
      const value = values[key]
      if (isUnknown(value)) reads.touch(value[ORIGIN])
      return OWN.has(key) ? watched(value, reads) : value
    },
    set (_, key, value) { values[key] = value; return true }
  })
}

const compiled = new Map()

/** The error of an expression that does not compile (spec §3.2), or null. */
function compileError (expression) {
  return compile(expression).error
}

function compile (expression) {
  let entry = compiled.get(expression)
  if (entry) return entry
  if (compiled.size > 5000) compiled.clear()
  try {
    new Function(...NAMES, 'return ' + expression) // eslint-disable-line no-new-func
    // `with` gives every variable through the scope, so that reading one is noticed
    entry = { error: null, run: new Function('$scope', `with ($scope) { return ${expression}\n}`) } // eslint-disable-line no-new-func
  } catch (e) { entry = { error: e, run: null } }
  compiled.set(expression, entry)
  return entry
}

/** A renderer for variables of which some are unknown. */
class SymbolicRenderer extends Renderer {
  /**
   * @param {object} values  variables by name
   * @param {Reads} reads  of the unknown values among them
   * @param {(template: string) => boolean} [trusted]
   */
  constructor (values, reads, trusted) {
    super([], [], trusted)
    this.scope = scopeOf(values, reads)
    this.reads = reads
    this.depends = new Map() // template → what it reads that is unknown
    this.failed = new Map() // template → why it stays as it is
    this.warn = (template, reason) => { if (!this.depends.has(template)) this.failed.set(template, reason) }
  }

  evaluate (expression, template) {
    const { error, run } = compile(expression)
    if (error) throw new CompileError(template, error)
    this.reads.take()
    let value; let thrown = null
    try { value = run.call(globalThis, this.scope) } catch (e) { thrown = e }
    if (thrown === null) for (const origin of originsIn(value).values()) this.reads.touch(origin)
    const origins = this.reads.take()
    if (origins.length) { this.depends.set(template, origins); return null }
    if (thrown !== null) {
      this.threw = { template, error: thrown }
      this.warn(template, `it throws ${thrown && thrown.message !== undefined ? `${thrown.name || 'Error'}: ${thrown.message}` : String(thrown)}`)
      return null
    }
    return { value }
  }
}

/**
 * What is wrong with the templates of a value as it is written, whatever the variables are.
 * @returns {object[]} {path, template, kind: 'spans'|'pure'|'mixed'|'braces', reason, siblings}
 */
function templateFaults (value, path = [], out = [], siblings = [], depth = 0) {
  if (typeof value === 'string') checkText(value, path, out, siblings)
  else if (value && typeof value === 'object' && depth < 60 && !ArrayBuffer.isView(value)) {
    if (Array.isArray(value)) value.forEach((item, i) => templateFaults(item, [...path, i], out, siblings, depth + 1))
    else {
      const keys = Object.keys(value)
      for (const key of keys) {
        checkText(key, [...path, key], out, keys)
        templateFaults(value[key], [...path, key], out, keys, depth + 1)
      }
    }
  }
  return out
}

function checkText (text, path, out, siblings) {
  if (text.length < 4 || !text.includes('{{') || RAW.test(text)) return
  if (PURE.test(text)) {
    const error = compileError(text.slice(2, -2))
    if (!error) return
    const own = path[path.length - 1]
    const others = siblings.filter(key => key !== own)
    out.push({ path, template: text, kind: (text.match(MIXED) || []).length > 1 ? 'spans' : 'pure', reason: error.message, siblings: others })
    return
  }
  const found = text.match(MIXED) || []
  for (const template of found) {
    if (template.startsWith('{{{')) { // triple braces do not protect inside a text (spec §3.5)
      if (found.length > 1) out.push({ path, template, kind: 'braces', reason: 'triple braces inside a text', siblings: [] })
      return
    }
    const error = compileError(template.slice(2, -2))
    if (error) { out.push({ path, template, kind: 'mixed', reason: error.message, siblings: found.filter(t => t !== template) }); return }
  }
}

module.exports = { Reads, SymbolicRenderer, unknown, isUnknown, originsIn, watched, templateFaults, compileError, ORIGIN, PURE, MIXED }
