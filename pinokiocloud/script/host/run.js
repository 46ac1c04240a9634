'use strict'
// One run of one script: the step loop (spec §2). Python drives it: `drive` goes on until a step needs Python,
// a slice of time is over, or the run ends, and says which.

const fs = require('fs')
const path = require('path')
const wire = require('./wire')
const native = require('./methods')
const { Renderer, CompileError, templatesOf } = require('./render')
const { NAMES, needsOf, stepValues, existsIn } = require('./variables')
const { envArguments } = require('./arguments')
const { textOf, nearest } = require('./words')

const SLICE = 20 // ms: after that Python gets the floor again

class Halt extends Error { // ends the run with an error that is already worded
  constructor (message, detail = {}) { super(message); this.name = 'Halt'; this.detail = detail }
}

function messageOf (error) { return (error && typeof error.message === 'string' && error.message) || textOf(error) }

function isThenable (value) { return value !== null && typeof value === 'object' && typeof value.then === 'function' }

class Run {
  constructor (engine, request) {
    this.engine = engine
    Object.assign(this, {
      id: request.id, key: request.key, path: request.path, uri: request.uri, action: request.action || 'run', caller: request.caller || undefined,
      git: request.git === undefined ? null : request.git, origin: request.origin, client: request.client,
      cwd: request.cwd || path.dirname(request.path), dirname: path.dirname(request.path), name: request.name, appName: request.app,
      tracing: Boolean(request.trace), strict: Boolean(request.strict)
    })
    this.args = request.args === undefined ? {} : request.args
    this.input = this.args
    this.current = request.start === undefined ? 0 : request.start
    this.env = engine.envs
    this.port = undefined
    this.steps = null
    this.body = null
    this.self = null
    this.stopped = false
    this.pending = null
    this.unblock = () => {}
    this.lastResult = undefined
    this.templates = null
    this.abort = new AbortController()
    this.exists = existsIn(engine, this.cwd)
    this.running = (...p) => engine.isRunning(engine.resolve(this.cwd, ...p)) || undefined
    this.ready = (...p) => engine.isReady(engine.resolve(this.cwd, ...p))
    this.modules = new Map()
  }

  emit (kind, data, index = this.current) { this.engine.emit(this, kind, data, index) }

  /** Tells the person something that is no error. */
  warn (message) { this.engine.notify({ op: 'warning', run: this.id, index: this.current, message }) }

  localChanged (keys) { this.engine.notify({ op: 'local', run: this.id, keys, local: wire.encode(this.engine.memory.local[this.id]) }) }

  /** Loads the script and its steps. Throws Halt with the reference's wording. */
  async load () {
    const { engine } = this
    this.body = (await engine.loader.script(this.path, engine.kernel)).value
    if (this.body === null || this.body === undefined) {
      const reason = engine.loader.errors.get(this.path)
      throw new Halt(`the endpoint does not exist: ${this.path}`, { code: 'script_load', reason: reason ? reason.message : undefined })
    }
    let steps = this.body[this.action]
    if (typeof steps === 'function') {
      const self = this.body
      this.self = self
      const ctx = this.actionContext()
      try { steps = await steps.call(self, engine.kernel, engine.infoFor(this.cwd), ctx) } catch (e) {
        throw new Halt(textOf(e), { code: 'script_load', reason: `the function '${this.action}' of ${this.path} throws ${textOf(e)}` })
      }
    }
    if (!Array.isArray(steps) || steps.length === 0) {
      const promise = isThenable(this.body) ? '; the script exports a function that is not async and returns a Promise: write it as an async function' : ''
      throw new Halt(`missing or invalid attribute: ${this.action}`, { code: 'script_load', reason: `${this.path} has no list of steps named '${this.action}'${promise}` })
    }
    this.self = this.body
    this.steps = steps
    this.needs = new Array(steps.length)
    this.pure = Boolean(engine.loader.isPure(this.path)?.pure)
  }

  actionContext () {
    const { engine } = this
    return {
      kernel: engine.kernel, info: engine.infoFor(this.cwd), script: engine.scriptApi, action: this.action, input: this.input, args: this.args,
      global: engine.memory.global[this.id] || {}, local: engine.memory.local[this.id] || {}, key: engine.key, uri: this.uri, cwd: this.cwd,
      dirname: this.dirname, exists: this.exists, running: this.running, ready: this.ready, name: this.name, self: this.body,
      port: () => engine.ask('port'), env: this.env, envs: this.env, pip: engine.pip
    }
  }

  /** Whether a template found in a rendered value may be evaluated: only the script's own text (architecture §4). */
  trusted (template) {
    if (this.strict) return true
    if (this.templates === null) this.templates = [this.steps, this.body, this.self].reduce((all, part) => templatesOf(part, all), new Set())
    return this.templates.has(template)
  }

  renderer () {
    const warned = new Set()
    return new Renderer(NAMES, stepValues(this.engine, this), t => this.trusted(t), (template, reason) => {
      if (warned.has(template)) return
      warned.add(template)
      this.engine.notify({ op: 'warning', run: this.id, index: this.current, template, reason })
    }, text => { this.trusted(''); if (this.templates) templatesOf(text, this.templates) })
  }

  async reload () {
    const { engine } = this
    const self = (await engine.loader.script(this.path, engine.kernel)).value
    if (self !== null && self !== undefined) {
      this.self = self
      this.templates = null // an edited file has templates of its own
    }
    return this.self
  }

  /** Goes on until Python is needed; a stop does not wait for functions of the script that never return. */
  drive (slice) { return this.unlessStopped(this.goOn(slice)) }

  unlessStopped (work) {
    return new Promise((resolve, reject) => {
      this.unblock = () => resolve({ state: 'stopped' })
      work.then(resolve, reject)
    })
  }

  async goOn (slice = SLICE) {
    const until = performance.now() + slice
    try {
      for (;;) {
        if (this.stopped) return { state: 'stopped' }
        const out = await this.step()
        if (out) return out
        if (performance.now() > until) return { state: 'slice' }
      }
    } catch (e) {
      return this.stopped ? { state: 'stopped' } : this.fail(e)
    }
  }

  fail (error, rendered) {
    const halt = error instanceof Halt
    const text = halt ? (error.detail.text || error.message) : textOf(error)
    const data = halt && error.detail.data !== undefined ? error.detail.data : text
    const detail = { index: this.current, ...(halt ? error.detail : {}), message: halt ? error.message : messageOf(error) }
    if (this.record) {
      if ('rendered' in this.record && !('returned' in this.record)) this.record.error = halt ? error.message : (error && error.message !== undefined ? error.message : textOf(error))
      this.record.next = { $undef: true }
      this.flush()
    }
    this.emit('error', halt && error.detail.undefinedData ? undefined : data)
    return { state: 'error', error: text, detail: wire.encode({ ...detail, data: undefined, text: undefined }), local: wire.encode(this.engine.memory.local[this.id]), trace: this.tracing ? wire.trace(this.engine.memory.local[this.id]) : undefined }
  }

  flush () {
    if (this.tracing && this.record) this.engine.traceStep(this.record)
    this.record = null
  }

  /** One step; nothing to go on, or the reply for Python. */
  async step () {
    const { engine } = this
    engine.beacon(this)
    const raw = this.steps[this.current]
    const index = this.current
    if (raw === null || raw === undefined || typeof raw !== 'object') {
      if (!(index in this.steps)) throw new Halt(`step ${index} does not exist: the script has ${this.steps.length} steps`, { code: 'step', construct: 'next' })
      if (raw === null || raw === undefined) throw new Halt(`TypeError: Cannot read properties of ${raw} (reading 'queue'): step ${index} of ${this.path} is ${raw}`, { code: 'step', hint: 'a step is an object with a method' })
    }
    let needs = this.needs[index]
    if (needs === undefined) needs = this.needs[index] = needsOf(raw)
    if (!this.pure || (needs.size && needs.has('self'))) {
      await this.reload()
      if (!this.pure) engine.beacon(this)
    }
    if (needs.size && !this.served && (needs.has('env') || needs.has('port'))) return { state: 'need', env: needs.has('env'), port: needs.has('port') }
    this.served = false

    this.record = this.tracing ? { n: engine.nextStart(), script: this.path, index, input: wire.trace(this.input) } : null
    const renderer = this.renderer()
    let rendered
    try { rendered = renderer.render(raw) } catch (e) {
      throw new Halt(`step ${index} cannot be rendered: ${e.message}`, { code: 'template', construct: 'step' })
    }
    if (this.stopped) return { state: 'stopped' }
    if (!rendered || !rendered.method) throw new Halt('missing RPC attribute: method', { code: 'step', hint: `step ${index} of ${this.path} has no method` })
    if (rendered.method === 'shell.run') envArguments(rendered)
    const endpoint = await this.endpoint(rendered)

    let next = index + 1
    if ('next' in rendered) {
      next = rendered.next
      if (typeof next === 'string') { const at = this.steps.findIndex(s => s && s.id === next); if (at >= 0) next = at }
    } else if (!(index < this.steps.length - 1)) next = null

    if ('when' in raw && !this.when(rendered, renderer)) {
      const after = index < this.steps.length - 1 ? index + 1 : null
      if (this.record) { this.record.skipped = true; this.record.next = wire.trace(after); this.flush() }
      return this.go(after, null)
    }

    const req = { ...rendered, params: rendered.params, parent: this.parent(), dirname: this.dirname, cwd: this.cwd, root: this.origin, current: index, total: this.steps.length, input: this.input, args: this.args, next }
    if (this.record) this.record.rendered = wire.trace({ ...rendered, next })
    if (this.client) req.client = this.client
    await this.enterQueue(rendered, endpoint)
    if (this.stopped) return { state: 'stopped' }
    this.pending = { req, rendered, endpoint, index }
    if (endpoint.kind === 'python') {
      return { state: 'call', method: endpoint.name, index, params: wire.encode(rendered.params), hasParams: rendered.params !== undefined, cwd: this.cwd, step: wire.encode(this.stepKeys(rendered)) }
    }
    let result
    try {
      result = await this.callHere(endpoint, req)
    } finally { this.leaveQueue() }
    return this.finish(result)
  }

  stepKeys (rendered) { const { params, ...rest } = rendered; return rest }

  parent () {
    return { id: this.engine.explicitIds.has(this.id) ? this.id : undefined, uri: this.uri, path: this.path, git: this.git, cwd: this.cwd, origin: this.origin, caller: this.caller, action: this.action, args: this.args, client: this.client, body: this.body }
  }

  when (rendered, renderer) {
    const value = rendered.when
    if (!value) return false
    if (typeof value !== 'string') return Boolean(value)
    renderer.threw = null
    if (value.includes('{{') && !this.trusted(value) && !(value.match(/\{\{(.*?)\}\}/g) || []).some(t => this.trusted(t))) return true
    let again
    try { again = renderer.render(value, true, 1) } catch (e) {
      throw new Halt(`step ${this.current}: its 'when' ${JSON.stringify(rendered.when)} cannot be evaluated: ${e.message}`, { code: 'template', construct: 'when', hint: 'write one template: {{a && b}}' })
    }
    if (renderer.threw && !this.strict) {
      const { template, error } = renderer.threw
      throw new Halt(`step ${this.current}: its 'when' ${template} throws ${textOf(error)}`, { code: 'template', construct: 'when' })
    }
    return Boolean(again)
  }

  /** Method resolution in the reference's order (spec §2.9.1). */
  async endpoint (rendered) {
    const { engine } = this
    const { method } = rendered
    if (typeof method === 'function') return { kind: 'function', fn: method, name: String(method), key: method.toString() }
    if (typeof method !== 'string') throw new Halt(`step ${this.current}: its method is ${textOf(method)}, not a name`, { code: 'step', construct: 'method' })
    if (rendered.uri && !(engine.python.has(method) && typeof rendered.uri !== 'string')) {
      const file = engine.paths.resolve(rendered.uri, this.cwd)
      const instance = await this.module(file, rendered.uri)
      if (typeof instance[method] !== 'function') throw new Halt(`step ${this.current}: the module ${rendered.uri} has no function '${method}'`, { code: 'step', construct: 'method' })
      return { kind: 'function', fn: instance[method].bind(instance), name: `${file}/${method}`, key: `${file}/${method}` }
    }
    const parts = method.split('.')
    if (parts[0] === 'kernel') {
      let owner = engine.kernel
      for (const part of parts.slice(1, -1)) owner = owner === undefined || owner === null ? undefined : owner[part]
      const fn = owner && owner[parts[parts.length - 1]]
      if (typeof fn !== 'function') throw new Halt(`step ${this.current}: there is no kernel method '${method}'`, { code: 'step', construct: 'method' })
      return { kind: 'function', fn: (req, ondata) => fn.call(owner, req, ondata, engine.kernel), name: method, key: method }
    }
    if (native[method]) return { kind: 'native', fn: native[method], name: method, key: method }
    if (engine.python.has(method)) return { kind: 'python', name: method, key: method }
    const meant = nearest(method, [...engine.python, ...Object.keys(native)])
    const hint = meant && `did you mean '${meant}'?`
    if (parts.length === 2) throw new Halt(`step ${this.current}: there is no method '${method}'`, { code: 'step', construct: 'method', unknown: method, hint })
    const rpc = { ...rendered, parent: this.parent() }
    throw new Halt(`RPC endpoint doesn't exist: ${JSON.stringify(rpc)}`, { code: 'step', construct: 'method', unknown: method, hint: `there is no method '${method}'${hint ? '; ' + hint : ''}` })
  }

  /** A step module: its instance is shared by path and time of change, so that it may keep state. */
  async module (file, uri) {
    const { engine } = this
    let stat
    try { stat = fs.statSync(file) } catch (e) { throw new Halt(`step ${this.current}: the module ${uri} does not exist: ${file}`, { code: 'step', construct: 'uri' }) }
    const known = engine.modules.get(file)
    if (known && known.mtime === stat.mtimeMs) return known.instance
    const instance = engine.loader.tryLoad(file)
    if (instance === null) {
      const reason = engine.loader.errors.get(file)
      throw new Halt(`step ${this.current}: the module ${uri} cannot be loaded: ${reason ? reason.message : 'it exports nothing'}`, { code: 'step', construct: 'uri' })
    }
    engine.modules.set(file, { mtime: stat.mtimeMs, instance, owner: this.id })
    return instance
  }

  async enterQueue (rendered, endpoint) {
    this.queue = this.engine.queue(endpoint.key, rendered.queue === true)
    await this.queue.enter(this)
  }

  leaveQueue () { if (this.queue) { this.queue.leave(this); this.queue = null } }

  callHere (endpoint, req) {
    const { engine } = this
    if (endpoint.kind === 'native') {
      return endpoint.fn({
        engine, run: this, req, signal: this.abort.signal, cwd: this.cwd,
        stream: raw => this.emit('stream', { raw }),
        resolve: p => {
          const file = engine.paths.resolve(p, this.cwd)
          if (file === null) throw new Error(`the repository of ${p} is not installed`)
          return file
        }
      })
    }
    return endpoint.fn(req, (payload, type) => this.emit(type || 'stream', payload), engine.kernel)
  }

  /** The result of the pending step is here: errors, returns, notify, and where to go on (spec §2.3, 14–16). */
  finish (result) {
    const { engine } = this
    const { req, rendered, endpoint } = this.pending
    this.pending = null
    if (this.record) {
      this.record.returned = wire.trace(result)
      this.record.local_after = wire.trace(engine.memory.local[this.id])
    }
    if (result && result.error) {
      const { response, error } = result
      const method = typeof rendered.method === 'string' ? rendered.method : 'a function'
      const isShell = endpoint.kind === 'python' && 'stdout' in result && 'event' in result
      const what = Array.isArray(error) ? error.map(textOf).join(', ') : messageOf(error)
      throw new Halt(!isShell && response !== undefined ? textOf(response) : `step ${this.current}: ${method} failed: ${what}`, {
        code: 'step', method, data: isShell ? '' : response, undefinedData: response === undefined, failed: wire.encode(error)
      })
    }
    if (this.stopped) { if (this.record) { this.record.next = { $undef: true }; this.flush() } return { state: 'stopped' } }
    if (rendered.returns && result) {
      this.applyReturns(rendered.returns, result)
      if (this.record) this.record.local_after = wire.trace(engine.memory.local[this.id])
    }
    if (rendered.notify) this.emit('notify', rendered.notify === true ? { html: 'Step finished' } : rendered.notify)
    const next = req.next
    if (this.record) { this.record.next = wire.trace(next); this.flush() }
    return this.go(next, result)
  }

  applyReturns (returns, result) {
    const { engine } = this
    if (typeof returns === 'string') {
      const parts = returns.split('.')
      if (parts.length !== 2 || !engine.memory[parts[0]]) return
      const table = engine.memory[parts[0]]
      if (table[this.id] === undefined) table[this.id] = {}
      table[this.id][parts[1]] = result
      if (parts[0] === 'local') this.localChanged([parts[1]])
      return
    }
    for (const key of Object.keys(returns)) { // spec §2.7: looked up under the short name, so always undefined
      const [store, name] = key.split('.')
      const table = engine.memory[store]
      if (!table) continue
      table[this.id][name] = undefined
    }
  }

  go (next, result) {
    this.lastResult = result
    if (next === null || next === undefined) return this.end(result)
    if (!(next in this.steps)) {
      throw new Halt(typeof next === 'string' && !/^\d+$/.test(next)
        ? `step ${this.current}: there is no step with the id '${next}'`
        : `step ${this.current} goes on to step ${next}, but the script has ${this.steps.length} steps`, { code: 'step', construct: 'next', keepResult: true })
    }
    this.current = next
    this.input = result
    return null
  }

  async end (result) {
    if (this.pure) await this.reload() // the others were loaded anew for this very step
    const daemon = Boolean((this.self || {}).daemon) || Boolean(this.detached)
    if (!daemon) this.emit('event', 'stop', undefined)
    return { state: daemon ? 'daemon' : 'done', trace: this.tracing ? wire.trace(this.engine.memory.local[this.id]) : undefined, local: wire.encode(this.engine.memory.local[this.id]), global: wire.encode(this.engine.memory.global[this.id]) }
  }

  /** Python's answer to a call. */
  reply (answer) {
    this.leaveQueue()
    if (!this.pending) return this.stopped ? { state: 'stopped' } : { state: 'error', error: 'no step is waiting', detail: {} }
    try {
      if (answer.error) {
        const e = answer.error
        if (e.raw) throw e.message
        const error = new Error(e.message)
        error.name = e.name || 'Error'
        if (e.code) error.code = e.code
        if (e.detail) throw new Halt(error.name === 'Error' ? e.message : `${error.name}: ${e.message}`, { data: String(error), ...e.detail })
        throw error
      }
      if (answer.detach) this.detached = true
      const value = answer.from === undefined ? wire.decode(answer.value) : this.engine.resultOf(answer.from)
      return this.finish(value) || { state: 'slice' }
    } catch (e) { return this.fail(e) }
  }

  stop () {
    this.stopped = true
    this.abort.abort()
    this.unblock()
    if (this.queue && this.queue.waiting.has(this)) this.queue.leave(this)
  }
}

module.exports = { Run, Halt, CompileError }
