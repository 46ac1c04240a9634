'use strict'
// What a script would do, as far as that is known without doing it: its steps in order, with the conditions evaluated,
// memory and files kept track of, nested scripts included. Nothing is executed.

const fs = require('fs')
const path = require('path')
const wire = require('./wire')
const memory = require('./memory')
const variables = require('./variables')
const { templatesOf, holdsBraces } = require('./render')
const { Reads, SymbolicRenderer, unknown, isUnknown, watched } = require('./inspect-symbolic')
const { stepsOn, locate, describe, loadFault, symbolicKernel } = require('./inspect-check')

const MOST = 2000 // steps of one plan
const DEEPEST = 12 // scripts that start each other

// Methods whose result is undefined, so that the next step's input is known (spec §4.1).
const SILENT = new Set(['log', 'fs.write', 'fs.append', 'fs.cat', 'fs.rm', 'fs.remove', 'fs.rmdir', 'fs.copy', 'fs.make', 'fs.mkdir', 'fs.move', 'fs.download', 'fs.link',
  'fs.share', 'fs.open', 'json.set', 'json.rm', 'json.write', 'json.merge', 'local.set', 'local.rm', 'local.import', 'global.set', 'global.rm', 'self.set', 'self.rm', 'set', 'rm',
  'env.set', 'env.switch', 'notify', 'push', 'process.wait', 'script.stop', 'web.open', 'web.close', 'browser.open', 'browser.close', 'tab.open', 'proxy.start', 'proxy.stop',
  'shell.stop', 'clipboard.copy'])
const MAKES = { 'fs.write': ['path'], 'fs.append': ['path'], 'fs.make': ['path'], 'fs.mkdir': ['path'], 'fs.copy': ['dest'], 'fs.move': ['dest', 'to'], 'fs.download': ['path'], 'json.write': ['path'] }
const REMOVES = { 'fs.rm': ['path'], 'fs.remove': ['path'], 'fs.rmdir': ['path'], 'fs.move': ['src', 'from'] }
const NEEDS = { 'fs.read': ['path'], 'fs.cat': ['path'], 'json.read': ['path'], 'fs.copy': ['src'], 'fs.move': ['src', 'from'] }
const SHELLS = new Set(['shell.run', 'shell.start', 'shell.enter', 'shell.write', 'exec', 'hf.download', 'script.download', 'app.download'])

/** The files as they will be: what is on disk now, with what the steps so far made and removed. */
class Files {
  constructor () { this.changes = [] }

  add (kind, file, origin, maybe) { this.changes.push({ kind, file, origin, maybe }) }

  /** true, false, or the origin of not knowing. */
  exists (file) {
    let shell = null
    for (let i = this.changes.length - 1; i >= 0; i--) {
      const change = this.changes[i]
      if (change.kind === 'shell') { if (shell === null) shell = change.origin; continue }
      if (change.kind === 'made' && (file === change.file || change.file.startsWith(file + path.sep))) { if (!change.maybe) return true; return onDisk(file) || change.origin }
      if (change.kind === 'gone' && (file === change.file || file.startsWith(change.file + path.sep))) return shell || (change.maybe && onDisk(file) ? change.origin : false)
    }
    return onDisk(file) || shell || false
  }
}

function onDisk (file) { try { return fs.existsSync(file) } catch (e) { return false } }

class Planner {
  /**
   * @param {object} engine  the host's engine
   * @param {World} world  the machine
   * @param {string[]|null} methods  the names of all methods; null when they do not matter
   */
  constructor (engine, world, methods = null) {
    this.methods = methods === null ? null : new Set(methods)
    this.keys = {}
    this.engine = engine
    this.world = world
    this.reads = new Reads()
    this.files = new Files()
    this.running = new Set()
    this.locals = {}
    this.globals = {}
    this.env = { ...world.environment }
    this.count = 0
  }

  async plan (file, { args, action }) {
    return this.script(path.resolve(file), { args, action, maybe: null, depth: 0 })
  }

  /** Goes through one script. `maybe`: the origin of not knowing whether it runs at all. */
  async script (file, { args, action, maybe, depth }) {
    const out = { path: file, ok: true, daemon: false, entries: [], notes: [], fault: null }
    let got
    try { got = await stepsOn(this.engine, file, this.world) } catch (e) { got = { body: null, fault: describe(e, file, this.world) } }
    const list = got.body === null ? null : got.actions[action]
    const fault = got.body === null ? (got.fault || loadFault(this.engine, file)) : !list ? { file, reason: `it has no list of steps named '${action}'` } : list.fault
    if (fault) return { ...out, ok: false, fault }
    const steps = list.steps.map(s => s.step)
    if (!steps.length) return { ...out, ok: false, fault: { file, reason: `its list of steps '${action}' is empty` } }
    const run = { file, self: got.body, steps, args, maybe, input: args, places: locate(file, action, steps), templates: holdsBraces(args) ? templatesOf(steps) : null, current: 0, until: -1, depth, last: undefined }
    this.running.add(file)
    this.locals[file] = {}
    await this.walk(run, out)
    const failed = out.entries.some(entry => entry.state === 'fault') // a failed child gives its caller nothing (spec §2.9.2)
    out.daemon = Boolean(got.body.daemon) && !failed
    out.result = failed ? undefined : run.last
    if (!out.daemon) { this.running.delete(file); delete this.locals[file] }
    return out
  }

  async walk (run, out) {
    const seen = new Set()
    for (;;) {
      const index = run.current
      if (index >= run.steps.length || run.steps[index] === undefined) { out.notes.push(`step ${index} does not exist`); return }
      if (++this.count > MOST) { out.notes.push(`the plan ends here: more than ${MOST} steps`); return }
      const state = `${index}:${JSON.stringify(wire.encode([this.locals[run.file], run.input]))}`
      if (seen.has(state)) { out.notes.push(`from here on it repeats from step ${index}`); return }
      seen.add(state)
      const entry = await this.step(run, out)
      out.entries.push(entry)
      if (entry.next === null) return
      run.current = entry.next
    }
  }

  async step (run, out) {
    const index = run.current
    const raw = run.steps[index]
    const { source, node } = run.places[index]
    const successor = index < run.steps.length - 1 ? index + 1 : null
    const entry = { index, file: source.file, line: node ? node.loc.start.line : undefined, state: 'run', depends: [], failed: [], notes: [], next: successor }
    if (raw === null || typeof raw !== 'object') { entry.state = 'fault'; entry.notes.push('it is no step'); entry.next = null; return entry }
    if (raw.id !== undefined) entry.id = raw.id
    const renderer = new SymbolicRenderer(this.scope(run), this.reads, t => run.templates === null || run.templates.has(t)) // text from outside is no template (architecture §4)
    let rendered
    try { rendered = renderer.render(raw) } catch (e) { entry.state = 'fault'; entry.notes.push(`it cannot be rendered: ${e.message}`); entry.next = null; return entry }
    entry.failed = [...renderer.failed].map(([template, reason]) => ({ template, reason }))
    entry.depends = [...renderer.depends].map(([template, on]) => ({ template, on }))
    entry.method = typeof rendered.method === 'function' ? null : rendered.method
    entry.step = wire.encode(rendered)
    if (!rendered.method) { entry.state = 'fault'; entry.notes.push('it has no method'); entry.next = null; return entry }

    const origin = { script: run.file, step: index }
    if (!this.known(rendered, run, entry)) { entry.state = 'fault'; entry.next = null; return entry } // before its condition is looked at (spec §2.3)
    const condition = this.condition(raw, rendered, renderer, entry)
    if (condition === 'no') { entry.state = 'skip'; run.input = null; run.last = null; return entry }
    if (condition === 'throws') { entry.state = 'fault'; entry.next = null; return entry }
    const uncertain = condition === 'maybe' || index < run.until || run.maybe !== null
    if (uncertain) entry.state = condition === 'maybe' ? 'if' : 'maybe'
    const params = this.settle(rendered.params, renderer.depends)
    const result = await this.effect({ run, entry, rendered, params, origin, maybe: uncertain ? origin : null })
    if (entry.missing && entry.state === 'run') { entry.state = 'fault'; entry.next = null; return entry }
    this.goOn({ run, entry, rendered, renderer, params, successor, condition })
    run.last = run.input = condition === 'maybe' || index < run.until ? unknown(origin, this.reads) : result
    if (typeof rendered.returns === 'string') {
      const [store, name] = rendered.returns.split('.')
      const table = store === 'local' ? this.locals[run.file] : store === 'global' ? this.global(run.file) : null
      if (table && name) table[name] = run.last
    } else if (rendered.returns && typeof rendered.returns === 'object' && run.last) { // always undefined (spec §2.7)
      for (const key of Object.keys(rendered.returns)) if (key.startsWith('local.')) this.locals[run.file][key.slice(6)] = undefined
    }
    return entry
  }

  /** Whether there is such a method or step module. */
  known (rendered, run, entry) {
    const { method, uri } = rendered
    if (typeof method !== 'string' || method.includes('{{')) return true
    if (uri) {
      let file = null
      try { file = this.engine.paths.resolve(String(uri), path.dirname(run.file)) } catch (e) { /* said below */ }
      if (file !== null && this.files.exists(file) !== false) return true
      entry.notes.push(`the module ${uri} does not exist`)
      return false
    }
    if (this.methods === null || this.methods.has(method) || method.startsWith('kernel.')) return true
    entry.notes.push(`there is no method '${method}'`)
    return false
  }

  /** 'yes', 'no', 'maybe' or 'throws'; what it rests on goes into the entry. */
  condition (raw, rendered, renderer, entry) {
    if (!('when' in raw)) return 'yes'
    const value = rendered.when
    entry.when = { text: typeof raw.when === 'string' ? raw.when : wire.encode(raw.when) }
    if (typeof value === 'string' && value.includes('{{')) {
      const on = [...renderer.depends].filter(([template]) => value.includes(template)).flatMap(([, origins]) => origins)
      if (on.length) { entry.when.on = on; return 'maybe' }
      const reason = renderer.failed.get(value)
      if (reason === 'its value is undefined') { entry.when.value = false; return 'no' }
      if (reason !== undefined) { entry.when.reason = reason; entry.notes.push(`its condition fails: ${reason}`); return 'throws' }
    }
    entry.when.value = Boolean(value)
    return value ? 'yes' : 'no'
  }

  /** Where it goes on: `next`, a jump, or the following step (spec §2.5). */
  goOn ({ run, entry, rendered, renderer, params, successor, condition }) {
    const { index } = entry
    let next = successor
    if ('next' in rendered) {
      next = rendered.next
      if (typeof next === 'string' && renderer.depends.has(next)) { entry.notes.push('which step follows is not known yet'); next = successor }
      if (typeof next === 'string') { const at = run.steps.findIndex(s => s && s.id === next); if (at >= 0) next = at }
    }
    if ((rendered.method === 'jump' || rendered.method === 'goto') && params && typeof params === 'object') {
      const wanted = params.index !== undefined ? params.index : params.id
      if (isUnknown(wanted)) { entry.notes.push('which step follows is not known yet'); next = successor } else if (params.index !== undefined) next = params.index
      else if (params.id !== undefined) (run.self && Array.isArray(run.self.run) ? run.self.run : []).forEach((step, i) => { if (step && step.id === params.id) next = i })
    }
    if (next === undefined) next = null
    if (next !== null && !(next in run.steps)) { entry.notes.push(`there is no step ${JSON.stringify(next)} to go on at`); next = null }
    if (next !== null) next = Number(next)
    const elsewhere = next !== successor
    if (elsewhere && (condition === 'maybe' || index < run.until)) {
      entry.notes.push(next === null ? 'if it runs, the script ends after it' : `if it runs, the script goes on at step ${next}`)
      run.until = Math.max(run.until, next === null ? run.steps.length : next)
      next = successor
    } else if (elsewhere && next !== null) entry.notes.push(`goes on at step ${next}`)
    else if (elsewhere) entry.notes.push('the script ends after it')
    entry.next = next
  }

  // ---- what steps change ---------------------------------------------------------------------------------------------
  async effect ({ run, entry, rendered, params, origin, maybe }) {
    const { method } = rendered
    const cwd = path.dirname(run.file)
    const at = (value) => { try { return typeof value === 'string' && !value.includes('{{') ? this.engine.paths.resolve(value, cwd) : null } catch (e) { return null } }
    const given = params && typeof params === 'object' && !isUnknown(params) ? params : {}
    const local = this.locals[run.file]
    if (typeof method === 'function' || rendered.uri) {
      this.files.add('shell', null, origin, maybe)
      return unknown(origin, this.reads)
    }
    for (const key of NEEDS[method] || []) {
      const file = at(given[key])
      if (file && this.files.exists(file) === false) { entry.missing = true; entry.notes.push(`there is no ${file}`) }
    }
    const empty = method === 'fs.write' && !['json', 'json2', 'buffer', 'text'].some(key => given[key]) // removes the file (spec §4.4)
    for (const key of MAKES[method] || []) { const file = at(given[key]); if (file) this.files.add(empty ? 'gone' : 'made', file, origin, maybe) }
    for (const key of REMOVES[method] || []) { const file = at(given[key]); if (file) this.files.add('gone', file, origin, maybe) }
    switch (method) {
      case 'local.set': if (isUnknown(params)) this.locals[run.file] = unknown(origin, this.reads); else this.assign(local, given, maybe, origin, v => { this.locals[run.file] = v }); return undefined
      case 'local.rm': if (Array.isArray(params) && !maybe) for (const key of params) memory.remove(local, String(key)); return undefined
      case 'global.set': this.assign(this.global(run.file), given, maybe, origin, v => { this.globals[run.file] = v }); return undefined
      case 'set': if (given.local) this.assign(local, given.local, maybe, origin, v => { this.locals[run.file] = v })
        if (given.key) Object.assign(this.keys, given.key)
        return undefined
      case 'local.import': for (const key of Object.keys(given)) local[key] = this.locals[at(given[key])]; return undefined
      case 'json.get': for (const key of Object.keys(given)) local[key] = unknown(origin, this.reads); return undefined
      case 'env.set': if (!maybe) for (const key of Object.keys(given)) this.env[key] = given[key]; return undefined
      case 'env.switch': for (const key of Object.keys(given)) this.env[key] = unknown(origin, this.reads); return undefined
      case 'import': entry.missing = true; entry.notes.push("'import' always fails, as in the original"); return undefined
      case 'script.return': return params
      case 'jump': case 'goto': return given.params !== undefined ? given.params : given.input
      case 'fs.exists': { const file = at(given.path); const there = file ? this.files.exists(file) : null; return typeof there === 'boolean' ? there : unknown(origin, this.reads) }
      case 'script.start': case 'script.run': return this.child({ run, entry, given, at, origin, maybe })
      case 'script.stop': for (const uri of [].concat(given.uri === undefined ? [] : given.uri)) this.running.delete(at(uri)); return undefined
    }
    if (SHELLS.has(method)) {
      const folder = at(given.path || '.') || cwd
      const venv = given.venv && typeof given.venv === 'object' ? given.venv.path : given.venv
      if (typeof venv === 'string' && !venv.includes('{{')) {
        const prefix = path.resolve(folder, venv)
        const there = this.files.exists(prefix)
        entry.venv = { path: prefix, exists: typeof there === 'boolean' ? there : null }
        this.files.add('made', prefix, origin, maybe)
      }
      this.files.add('made', folder, origin, maybe)
      this.files.add('shell', null, origin, maybe)
    }
    return SILENT.has(method) ? undefined : unknown(origin, this.reads)
  }

  assign (store, values, maybe, origin, replace) {
    if (Array.isArray(values)) { replace(maybe ? unknown(origin, this.reads) : values); return }
    for (const key of Object.keys(values)) memory.set(store, key, maybe ? unknown(origin, this.reads) : values[key])
  }

  async child ({ run, entry, given, at, origin, maybe }) {
    const uri = given.uri === undefined ? given.path : given.uri
    if (typeof uri !== 'string') { entry.notes.push(isUnknown(uri) ? 'which script it starts is not known yet' : 'it names no script'); return unknown(origin, this.reads) }
    if (uri.includes('{{')) { entry.notes.push('which script it starts is not known yet'); return unknown(origin, this.reads) }
    const file = at(uri)
    entry.target = file
    if (file === null) { entry.notes.push(/^https?:/.test(uri) ? 'its repository is not installed yet: it is cloned first' : 'its address cannot be resolved'); return unknown(origin, this.reads) }
    if (/\.(py|sh)$/.test(file)) { this.files.add('shell', null, origin, maybe); return unknown(origin, this.reads) }
    if (this.running.has(file)) { entry.notes.push('it is running already then, so nothing happens'); return undefined }
    const there = this.files.exists(file)
    if (!onDisk(file)) {
      entry.missing = there === false
      entry.notes.push(there === false ? `there is no script ${file}` : 'the script is not there yet')
      return unknown(origin, this.reads)
    }
    if (run.depth >= DEEPEST) { entry.notes.push('the plan does not go deeper'); return unknown(origin, this.reads) }
    const args = given.params === undefined ? (given.args === undefined ? {} : given.args) : given.params
    const child = await this.script(file, { args, action: 'run', maybe, depth: run.depth + 1 })
    entry.child = { ...child, result: undefined }
    entry.missing = !child.ok
    return child.result
  }

  // ---- variables -----------------------------------------------------------------------------------------------------
  global (file) { if (!this.globals[file]) this.globals[file] = unknown({ global: file }, this.reads); return this.globals[file] }

  /** A rendered value with every text that waits for an unknown value as that unknown value. */
  settle (value, depends) {
    if (typeof value === 'string') {
      for (const [template, origins] of depends) if (value.includes(template)) return unknown(origins[origins.length - 1], this.reads)
      return value
    }
    if (Array.isArray(value)) return value.map(item => this.settle(item, depends))
    if (value && typeof value === 'object' && (value.constructor === Object || value.constructor === undefined)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.settle(item, depends)]))
    return value
  }

  scope (run) {
    const { engine, world, reads } = this
    const cwd = path.dirname(run.file)
    const names = variables.MENU_NAMES.slice(3)
    const values = {}
    variables.engineValues(world.sim, this.env, path.basename(cwd)).forEach((value, i) => { values[names[i]] = value })
    const total = run.steps.length
    const known = (answer) => typeof answer === 'boolean' ? answer : (reads.touch(answer), false)
    const at = (base, ...parts) => world.sim.resolve(base, ...parts)
    const script = {
      resolve: (base, ...p) => at(base, ...p),
      exists: (base, ...p) => known(this.files.exists(at(base, ...p))),
      running: (base, ...p) => this.running.has(at(base, ...p)),
      ready: (base, ...p) => this.running.has(at(base, ...p)),
      local: (base, ...p) => watched(this.locals[at(base, ...p)] || {}, reads),
      global: (base, ...p) => watched(this.globals[at(base, ...p)] || {}, reads)
    }
    const kernel = symbolicKernel(world, name => unknown({ variable: name }, reads))
    const own = {
      script, running: (...p) => this.running.has(at(engine.home, ...p)), local: (...p) => script.local(engine.home, ...p), memory: { local: watched(this.locals, reads), global: this.globals, args: {}, input: {} }
    }
    for (const [name, value] of Object.entries(own)) Object.defineProperty(kernel, name, { value, enumerable: true })
    return {
      ...values,
      _: require('lodash'),
      os: world.os,
      path,
      input: run.input,
      args: run.args,
      local: this.locals[run.file],
      global: this.global(run.file),
      self: run.self,
      current: run.current,
      next: run.current < total - 1 ? run.current + 1 : null,
      uri: run.file,
      cwd,
      dirname: cwd,
      name: path.relative(path.join(engine.home, 'api'), cwd),
      port: world.port,
      script,
      exists: (...p) => known(this.files.exists(at(cwd, ...p))),
      running: (...p) => this.running.has(at(cwd, ...p)) || undefined,
      ready: (...p) => this.running.has(at(cwd, ...p)),
      key: host => watched(host in this.keys ? this.keys[host] : engine.key(host), reads),
      pip: world.sim.pip,
      kernel
    }
  }
}

module.exports = { Planner }
