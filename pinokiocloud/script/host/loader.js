'use strict'
// Loading script files: reload rules and the two stages of spec §1.2–1.3.

const fs = require('fs')
const path = require('path')
const { isPureScript } = require('./purity')
const { textOf } = require('./words')

/** Why a script could not be loaded; the caller turns it into the reference's behaviour. */
class LoadError extends Error {
  constructor (file, cause) {
    super(describe(file, cause))
    this.name = 'LoadError'
    this.file = file
    this.cause = cause
  }
}

function describe (file, cause) {
  if (!(cause instanceof Error)) return `${file}: it throws ${textOf(cause)}`
  const head = String(cause.stack || '').split('\n')
  const where = /^(.*?):(\d+)$/.exec(head[0])
  if (cause instanceof SyntaxError && where) return `${where[1]}:${where[2]}: ${cause.name}: ${cause.message}`
  const frame = head.map(l => /\(?((?:\/|file:)[^()]*):(\d+):\d+\)?$/.exec(l)).find(m => m && !m[1].includes(path.dirname(__filename)))
  return `${frame ? `${frame[1]}:${frame[2]}` : file}: ${cause.name}: ${cause.message}`
}

/** `X.JSON`: only the suffix in small letters is JSON to Node. */
function isOddJson (file) { const suffix = path.extname(file); return suffix !== '.json' && suffix.toLowerCase() === '.json' }

/** Forgets a module and everything that it required (spec §1.3). */
function purge (file, seen = new Set()) {
  const module_ = require.cache[file]
  if (!module_ || seen.has(file)) return
  seen.add(file)
  for (const child of module_.children) purge(child.id, seen)
  delete require.cache[file]
}

class Loader {
  constructor () { this.pure = new Map(); this.errors = new Map(); this.loads = 0 }

  /** Loader stage: require, ES-module default, `new Export()` (spec §1.2). Throws LoadError. */
  load (file) {
    let key = file
    try { key = require.resolve(file) } catch (e) { /* require below says why */ }
    purge(key)
    this.loads++
    let value
    try { value = isOddJson(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : require(file) } catch (e) { throw new LoadError(file, e) }
    if (value && typeof value === 'object' && value[Symbol.toStringTag] === 'Module' && 'default' in value) value = value.default
    if (typeof value === 'function') {
      try { return new value() } catch (e) { /* arrow and async functions, and constructors that need the kernel, stay functions */ }
    }
    return value
  }

  /** `load`, with failures as null: the reference swallows them; `errors` keeps the reason. */
  tryLoad (file) {
    const suffix = path.extname(file).toLowerCase()
    this.errors.delete(file)
    try {
      if (suffix !== '.js' && suffix !== '.json' && !fs.statSync(file).isDirectory()) {
        this.errors.set(file, new LoadError(file, new Error(`a script is a .js or .json file, not '${suffix || path.basename(file)}'`)))
        return null
      }
      const value = this.load(file)
      return value === undefined ? null : value
    } catch (e) {
      this.errors.set(file, e instanceof LoadError ? e : new LoadError(file, e))
      return null
    }
  }

  /** Whether the file, as it is now, may be loaded once and kept. */
  isPure (file) {
    let stat
    try { stat = fs.statSync(file) } catch (e) { return null }
    const stamp = `${stat.ino}:${stat.mtimeMs}:${stat.size}`
    const known = this.pure.get(file)
    if (known && known.stamp === stamp) return known
    const entry = { stamp, pure: false }
    if (stat.isFile() && stat.size < 2e6) {
      if (path.extname(file).toLowerCase() === '.json') entry.pure = true
      else if (path.extname(file).toLowerCase() === '.js') { try { entry.pure = isPureScript(fs.readFileSync(file, 'utf8')) } catch (e) { entry.pure = false } }
    }
    this.pure.set(file, entry)
    return entry
  }

  /**
   * Script stage: a value that is still a function is called with the kernel; only a real async function is awaited.
   * Returns {value}: the script (in a box, for a Promise must stay one), or null with the reason in `errors`.
   */
  async script (file, kernel) {
    let value = this.tryLoad(file)
    if (typeof value === 'function') {
      const isAsync = value.constructor && value.constructor.name === 'AsyncFunction'
      try {
        value = value(kernel)
        if (isAsync) value = await value
      } catch (e) {
        this.errors.set(file, new LoadError(file, e))
        return { value: null }
      }
    }
    return { value }
  }
}

module.exports = { Loader, LoadError, purge }
