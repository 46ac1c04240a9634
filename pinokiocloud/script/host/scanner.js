'use strict'
// Events in a shell's output (spec §4.2.7): the `on` list and the built-in error handlers, as JavaScript regular
// expressions over plain text. Python feeds only text in which something can match, with its place in the whole.

const BUILT_IN = [
  { event: /error:/i, break: true, builtIn: true },
  { event: /errno /i, break: true, builtIn: true },
  { event: /error:.*triton/i, break: false, builtIn: true }
]

/** The regular expression of an `event`, always global; null when it is none at all. */
function compile (event) {
  if (event instanceof RegExp) return new RegExp(event.source, event.flags.includes('g') ? event.flags : event.flags + 'g')
  if (typeof event !== 'string') return null
  const m = /^\/([\s\S]+)\/([dgimsuy]*)$/.exec(event)
  if (!m) return new RegExp(event, 'g') // systems.md §1: everything else is a regular expression
  return new RegExp(m[1], m[2].includes('g') ? m[2] : m[2] + 'g')
}

/** The same, but null for what is no valid expression. */
function compiled (event) {
  try { return compile(event) } catch (e) { return null }
}

/** Where to look for the next match after an empty one: not in the middle of a character, where `u` would step back. */
function after (text, index, unicode) {
  return index + (unicode && text.codePointAt(index) > 0xffff ? 2 : 1)
}

const STREAM_WORDS = new Set(['stdout', 'stderr', 'end']) // the guide's (systems.md §1)

class Scanner {
  /** @param {object[]} on the step's handlers; @param {boolean} live whether errors end the step at once */
  constructor (on, live) {
    this.live = live
    this.handlers = (Array.isArray(on) ? on : []).map((h, i) => h && typeof h === 'object' && ({
      spec: h, index: i, regex: STREAM_WORDS.has(h.event) ? null : compiled(h.event), word: STREAM_WORDS.has(h.event) ? h.event : null, seen: 0, handled: 0, over: false
    })).filter(Boolean)
    this.bad = this.handlers.find(h => h.regex === null && h.word === null && h.spec.event !== undefined && h.spec.event !== null)
    this.all = [...this.handlers, ...BUILT_IN.map(h => ({ spec: h, index: -1, regex: compile(h.event), handled: 0, builtIn: true }))]
    this.ignore = this.all.filter(h => h.regex && h.spec.break === false)
    this.event = undefined
  }

  /** `text` without what the `break: false` handlers match; offsets do not matter in it. */
  forgive (text) {
    for (const h of this.ignore) text = text.replace(h.regex, '')
    return text
  }

  /**
   * @param {string} text window of the output
   * @param {number} start the window's place in the whole output
   * @param {number} fresh from where in the whole output the text is new: a match must not end before it (at it: what a look-ahead waited for came)
   */
  feed (text, start, fresh) {
    const out = { fired: [], end: null }
    for (const h of this.all) {
      if (!h.regex || h.over || h.spec.break === false) continue
      const isBreak = h.spec.break === true
      if (isBreak && !this.live) continue
      const where = isBreak && this.ignore.length ? this.forgive(text) : text
      const shifted = where !== text
      h.regex.lastIndex = 0
      for (let m = h.regex.exec(where); m !== null; m = h.regex.exec(where)) {
        if (m[0] === '') h.regex.lastIndex = after(where, h.regex.lastIndex, h.regex.unicode || h.regex.unicodeSets)
        const end = start + m.index + m[0].length
        if (!shifted && (end <= h.handled || end < fresh)) continue
        h.handled = end
        const match = [...m]
        const fired = { handler: h.index, match: { $: 'match', v: match.map(x => x === undefined ? { $: 'undef' } : x), i: start + m.index, g: m.groups ? { ...m.groups } : null } }
        this.event = fired.match
        if (h.spec.trigger) fired.trigger = h.spec.trigger
        if (h.spec.notify) fired.notify = true
        if (h.spec.once) h.over = true
        if (fired.trigger || fired.notify) out.fired.push(fired)
        if (h.spec.done || h.spec.kill || isBreak) {
          out.end = { kind: h.spec.kill ? 'kill' : isBreak ? 'break' : 'done', handler: h.index, match: fired.match }
          out.event = this.event
          return out
        }
        if (h.spec.once) break
      }
    }
    out.event = this.event
    return out
  }

  /** The final check: the errors in the whole text that is handed on, or nothing (spec §4.2.7 Final). */
  final (text) {
    let rest = text.replace(/\r?\n|\r/g, '')
    for (const h of this.ignore) rest = rest.replace(h.regex, '')
    let found = []
    for (const h of this.all) {
      if (!h.regex || h.spec.break !== true) continue
      for (const m of rest.match(h.regex) || []) found.push(m)
    }
    found = [...new Set(found)]
    const errors = found.filter(m => !found.some(other => other !== m && m.includes(other)))
    return errors.length ? errors : null
  }
}

/**
 * What must occur (lower-cased) in any text that an expression matches, so that Python can skip the rest; null when
 * nothing is known. It knows less than it could, and never more: what it does not understand counts as unknown.
 */
function required (regex) {
  const { source, flags } = regex
  if (flags.includes('v') || (flags.includes('i') && flags.includes('u'))) return null // nested classes; ſ is s, K is k
  const best = new Literals(source).alternatives().filter(run => run.length >= 3).sort((a, b) => b.length - a.length)[0]
  return best ? best.toLowerCase() : null
}

const QUANTIFIER = /^(?:[*+?]|\{(\d+)(?:,\d*)?\})\??/

/** Reads a valid expression and collects the runs of plain characters that no match can do without. */
class Literals {
  constructor (source) { this.rest = source }

  take (length) { const text = this.rest.slice(0, length); this.rest = this.rest.slice(length); return text }

  /** How often the atom just read must occur at least. */
  least () {
    const mark = QUANTIFIER.exec(this.rest)
    if (!mark) return null
    this.take(mark[0].length)
    return mark[1] === undefined ? Number(mark[0][0] === '+') : Number(mark[1])
  }

  /** Up to the end or the closing parenthesis: with several alternatives none is required. */
  alternatives () {
    let runs = this.sequence()
    while (this.rest[0] === '|') { this.take(1); this.sequence(); runs = [] }
    return runs
  }

  sequence () {
    const runs = []
    let run = ''
    const flush = () => { if (run) runs.push(run); run = '' }
    while (this.rest && this.rest[0] !== '|' && this.rest[0] !== ')') {
      const atom = this.rest[0] === '(' ? this.group() : this.atom()
      const least = this.least()
      if (typeof atom === 'string' && least !== 0) run += atom
      if (typeof atom !== 'string' || least !== null) flush()
      if (Array.isArray(atom) && least !== 0) runs.push(...atom)
    }
    flush()
    return runs
  }

  /** The runs of a group that must match; none of a look-around or one with modifiers. */
  group () {
    const plain = /^\((?:\?:|\?<[^=!>][^>]*>|(?!\?))/.exec(this.rest)
    this.take(plain ? plain[0].length : /^\(\?(?:<?[=!]|[a-z-]*:)/.exec(this.rest)[0].length)
    const runs = this.alternatives()
    this.take(1) // the parenthesis
    return plain ? runs : []
  }

  /** A plain character, or null for anything else. */
  atom () {
    const c = this.rest[0]
    if (c === '[') { this.take(/^\[(?:\\[\s\S]|[^\]\\])*\]/.exec(this.rest)[0].length); return null }
    if (c === '\\') {
      const escape = this.take(2)[1]
      if (/[pP]/.test(escape)) this.take((/^\{[^}]*\}/.exec(this.rest) || [''])[0].length)
      else if (/[xuck0-9]/.test(escape)) this.take(/^[\w{}<>$]*/.exec(this.rest)[0].length) // too much does no harm
      return /[\x21-\x7e]/.test(escape) && /[^A-Za-z0-9]/.test(escape) ? escape : null
    }
    this.take(1)
    return /[\x20-\x7e]/.test(c) && !/[.^$*+?{}\]]/.test(c) ? c : null
  }
}

module.exports = { Scanner, compile, required }
