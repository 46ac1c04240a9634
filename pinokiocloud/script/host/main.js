'use strict'
// The script host: one Node process that owns scripts, templates and live values. JSON lines over one socket.

const fs = require('fs')
const net = require('net')
const os = require('os')
const path = require('path')
const wire = require('./wire')
const variables = require('./variables')
const { Loader } = require('./loader')
const { Paths } = require('./paths')
const { Queue } = require('./queue')
const { Renderer, templatesOf } = require('./render')
const { Run, Halt } = require('./run')
const { Scanner, required } = require('./scanner')
const { makeKernel, makeInfo, makeScriptApi } = require('./kernel')

const LARGEST_WRITE = 1 << 24
const RELOAD_LIMIT = 2000 // ms that a script has for its last load
const BEACON = 16384 // bytes of the shared file that tells what is being evaluated

globalThis.require = require // recorded: templates see a `require` (case tpl-globals)

class Engine {
  constructor (socket, beacon) {
    this.socket = socket
    this.beaconFd = beacon
    this.beaconBuffer = Buffer.alloc(BEACON)
    this.out = []
    this.flushing = false
    this.runs = new Map() // run id → Run, as long as it is registered as running
    this.explicitIds = new Set()
    this.memory = { local: {}, global: {}, args: {}, input: {}, rpc: {} }
    this.readiness = new Map()
    this.loading = new Map() // runs whose scripts are being loaded
    this.modules = new Map()
    this.queues = new Map()
    this.scanners = new Map()
    this.loader = new Loader()
    this.asked = new Map()
    this.nextAsk = 1
    this.starts = 0
    this.keys = {}
    this.results = new Map()
  }

  init ({ home, machine, env, searchPath, python, cloudPlatform, remotes, watch }) {
    this.home = home
    this.machine = machine
    this.envs = env
    this.searchPath = searchPath
    this.python = new Set(python)
    this.cloudPlatform = cloudPlatform
    this.paths = new Paths(home)
    this.paths.remotes = remotes || {}
    this.loginShell = process.env.SHELL || '/bin/bash'
    this.which = (name) => this.find(name)
    this.proxy = (port) => `http://localhost:${port}`
    this.key = (host) => this.keys[host]
    this.pip = variables.pip(machine)
    this.graphics = { controllers: machine.gpus.map(g => ({ vendor: g.name, model: g.model, name: g.model })), displays: [] }
    this.cpu = { manufacturer: '', brand: (os.cpus()[0] || {}).model || '', cores: os.cpus().length }
    this.mem = { total: os.totalmem(), free: os.freemem() }
    this.osInfo = { platform: machine.platform, arch: machine.arch, release: os.release(), hostname: os.hostname() }
    this.audio = []
    this.system = { graphics: async () => this.graphics, cpu: async () => this.cpu, mem: async () => this.mem, osInfo: async () => this.osInfo, system: async () => ({}) }
    this.scriptApi = makeScriptApi(this)
    this.kernel = makeKernel(this)
    try { this.keys = JSON.parse(fs.readFileSync(path.join(home, 'key.json'), 'utf8')) } catch (e) { /* there is none yet */ }
    return { node: process.version, pid: process.pid }
  }

  // ---- towards Python -------------------------------------------------------------------------------------------
  send (message, where = '') {
    let text
    try { text = JSON.stringify(message) } catch (e) { // larger than any string may be: whoever waits must hear of it
      text = JSON.stringify(message.re === undefined ? { op: 'stray', message: `${message.op} cannot be told: ${e.message}` } : { re: message.re, error: { name: e.name, message: `${where}a value cannot be handed over: ${e.message}` } })
    }
    this.out.push(text)
    if (!this.flushing) { this.flushing = true; setImmediate(() => this.flush()) }
  }

  flush () {
    this.flushing = false
    if (!this.out.length) return
    const { out } = this
    this.out = []
    let text = ''
    for (const line of out) { // a string has a largest length
      if (text && text.length + line.length > LARGEST_WRITE) { this.socket.write(text); text = '' }
      if (line.length > LARGEST_WRITE) { this.socket.write(line); text = '\n' } else text += line + '\n'
    }
    this.socket.write(text)
  }

  notify (message) { this.send(message) }
  emit (run, kind, data, index) { this.send({ op: 'event', run: run.id, kind, data: wire.encode(data), index, trace: run.tracing ? wire.trace(data) : undefined }) }
  traceStep (record) { this.send({ op: 'trace', record: { type: 'step', ...record } }) }
  /** The number of a step in the order of starts: a caller's step comes before its child's. */
  nextStart () { return this.starts++ }

  /** Asks Python for something that only it can do; a Promise. */
  ask (what, body = {}, ondata) {
    const id = this.nextAsk++
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject, ondata })
      this.send({ op: 'ask', ask: id, what, body: wire.encode(body) })
    })
  }

  /** Tells, outside of this process, which step is being evaluated: for the report when it never ends. */
  beacon (run, step = run.current) {
    if (this.lastBeacon === run && this.lastStep === step) return
    this.lastBeacon = run; this.lastStep = step
    const n = this.beaconBuffer.write(`${step}\n${run.id}\n${run.path}\n${run.key}\n`, 0, BEACON, 'utf8')
    fs.writeSync(this.beaconFd, this.beaconBuffer, 0, n, 0)
  }

  // ---- what scripts ask synchronously -----------------------------------------------------------------------------
  find (name) {
    if (typeof name !== 'string' || name === '') return null
    if (name.includes('/')) { try { fs.accessSync(name, fs.constants.X_OK); return name } catch (e) { return null } }
    for (const folder of this.searchPath) {
      const file = path.join(folder, name)
      try { fs.accessSync(file, fs.constants.X_OK); if (fs.statSync(file).isFile()) return file } catch (e) { /* not here */ }
    }
    return null
  }

  resolve (base, ...parts) {
    const first = parts[0]
    if (typeof first === 'string' && (first.startsWith('~/') || first.startsWith('http'))) {
      const root = this.paths.resolve(first, base)
      return path.resolve(root === null ? path.join(this.home, 'api', 'not-installed') : root, ...parts.slice(1))
    }
    return path.resolve(base, ...parts)
  }

  isRunning (file) { return this.runs.has(file) }
  isReady (file) { return this.readiness.get(file) === 'ready' }
  infoFor (folder) { return makeInfo(this, folder) }

  queue (key, serial) {
    let queue = this.queues.get(key)
    if (!queue) this.queues.set(key, queue = new Queue(serial ? 1 : 1000))
    return queue
  }

  plainVariables () {
    const values = variables.engineValues(this, this.envs, undefined)
    const names = variables.MENU_NAMES.slice(3)
    return Object.fromEntries(names.map((name, i) => [name, values[i]]))
  }

  renderPlain (value, vars, allowUndefined = false, trusted = undefined, first = 0) {
    const all = { _: require('lodash'), os, path, ...vars, ...this.plainVariables(), ...('platform' in vars ? pickEngine(vars) : {}) }
    const names = Object.keys(all)
    const warnings = []
    const renderer = new Renderer(names, names.map(n => all[n]), trusted, (template, reason) => warnings.push({ template, reason }))
    const out = renderer.render(value, allowUndefined, first)
    this.warnings = warnings
    return out
  }

  /**
   * A template that a step handed on by triple braces (`on[].return`, `notify`): what a shell printed is no template,
   * and neither is what came into the handler from outside.
   */
  renderLate (value, vars, id) {
    const run = this.runs.get(id)
    if (run && run.strict) return this.renderPlain(value, vars)
    const own = run && run.trusted ? t => run.trusted(t) : (templates => t => templates.has(t))(templatesOf(value))
    return this.renderPlain(value, vars, false, own, 1)
  }

  meta (name) {
    const dir = path.join(this.home, 'api', name)
    const launcher = this.launcher(name) || {}
    const out = {}
    for (const part of [launcher.value, this.loader.tryLoad(path.join(dir, 'pinokio_meta.json')), this.loader.tryLoad(path.join(dir, 'pinokio.json'))]) {
      if (!part) continue
      for (const key of Object.keys(part)) if (key !== 'menu' || Array.isArray(part.menu) || typeof part.menu === 'function') out[key] = part[key]
    }
    return out
  }

  launcher (name) {
    const dir = path.isAbsolute(name) ? name : path.join(this.home, 'api', name)
    for (const root of [dir, path.join(dir, 'pinokio')]) {
      const file = path.join(root, 'pinokio.js')
      if (fs.existsSync(file)) return { file, root, value: this.loader.tryLoad(file) }
    }
    return null
  }

  resultOf (id) { const value = this.results.get(id); this.results.delete(id); return value }
}

/** What a promise gives within some milliseconds, else `fallback`. */
async function soon (promise, limit, fallback) {
  let timer
  try {
    return await Promise.race([promise, new Promise(resolve => { timer = setTimeout(resolve, limit, fallback) })])
  } finally { clearTimeout(timer) }
}

function pickEngine (vars) { return Object.fromEntries(variables.MENU_NAMES.slice(3).filter(n => n in vars).map(n => [n, vars[n]])) }

// ---- operations that Python calls --------------------------------------------------------------------------------
const operations = {
  init: (engine, m) => engine.init(m),
  ping: () => ({ rss: process.memoryUsage.rss(), heap: process.memoryUsage().heapUsed }),

  async 'run.start' (engine, m) {
    let args
    if (m.argsOf !== undefined) {
      const caller = engine.runs.get(m.argsOf)
      args = caller && caller.pending && caller.pending.req.params ? caller.pending.req.params.params : undefined
    } else if (m.hasArgs) args = wire.decode(m.args)
    const run = new Run(engine, { ...m, id: m.run, args })
    if (m.parallel && engine.runs.get(run.id)) run.args = engine.runs.get(run.id).args // on[].trigger: its own input, the run's args
    engine.beacon(run, 'load')
    const key = m.parallel || m.run
    engine.loading.set(key, run)
    try { await run.unlessStopped(run.load()) } catch (e) {
      if (run.stopped) return { state: 'stopped' }
      if (!(e instanceof Halt)) throw e
      if (run.tracing || m.emitErrors) engine.emit(run, 'error', e.message, undefined)
      return { state: 'error', error: e.message, detail: e.detail }
    } finally { engine.loading.delete(key) }
    if (run.stopped) return { state: 'stopped' }
    if (m.local !== undefined) engine.memory.local[run.id] = wire.decode(m.local)
    if (m.explicitId) engine.explicitIds.add(run.id)
    const first = run.steps[0]
    if (first === null || first === undefined) return { state: 'rejected', error: `TypeError: Cannot read properties of ${first} (reading 'queue'): step 0 of ${run.path} is ${first}`, detail: { code: 'step', index: 0, hint: 'a step is an object with a method' } }
    if (!m.parallel) { engine.runs.set(run.id, run); engine.readiness.set(run.path, 'starting') } else engine.parallel.set(m.parallel, run)
    const asks = Array.isArray(run.body.pre) ? run.body.pre : Array.isArray(run.body.env) ? run.body.env : null
    return { state: 'ready', total: run.steps.length, required: asks ? wire.encode(asks) : null }
  },

  async 'run.drive' (engine, m) { const run = engine.runOf(m); return run ? run.drive(m.slice) : { state: 'stopped' } },
  async 'run.vars' (engine, m) {
    const run = engine.runOf(m)
    if (!run) return { state: 'stopped' }
    if (m.env) run.env = m.env
    if (m.port !== undefined) run.port = m.port
    run.served = true
    return run.drive()
  },
  async 'run.reply' (engine, m) {
    const run = engine.runOf(m)
    if (!run) return { state: 'stopped' }
    const out = run.reply(m.answer)
    return out.state === 'slice' ? run.drive() : out
  },
  'run.result' (engine, m) { const run = engine.runOf(m); if (run) engine.results.set(m.run, run.lastResult); return true },
  'run.stop' (engine, m) { const run = engine.runOf(m) || engine.loading.get(m.parallel || m.run); if (run) run.stop(); return Boolean(run) },
  /** Takes a run out of the running table; its `on.stop` request, if any. */
  async 'run.end' (engine, m) {
    if (m.parallel) { const run = engine.parallel.get(m.parallel); engine.parallel.delete(m.parallel); if (run) run.stop(); return { onStop: null } }
    const run = engine.runs.get(m.run)
    if (!run) return { onStop: null, local: wire.encode(engine.memory.local[m.run]) }
    if (m.keepResult) engine.results.set(m.run, run.lastResult)
    run.stop()
    run.leaveQueue()
    let onStop = null
    if (m.reload !== false) {
      // A function script is called once more (spec §1.3), but not waited for without end.
      const self = run.pure ? run.self : await soon(engine.loader.script(run.path, engine.kernel).then(got => got.value), RELOAD_LIMIT, run.self)
      if (self && self.on && self.on.stop && typeof self.on.stop === 'object') onStop = wire.encode(self.on.stop)
    }
    const local = wire.encode(engine.memory.local[m.run])
    const trace = run.tracing ? wire.trace(engine.memory.local[m.run]) : undefined
    engine.runs.delete(m.run)
    engine.explicitIds.delete(m.run)
    delete engine.memory.local[m.run]
    engine.readiness.set(run.path, m.readiness || 'stopped')
    for (const [file, entry] of engine.modules) if (entry.owner === m.run) engine.modules.delete(file)
    return { onStop, local, trace }
  },
  'run.ready' (engine, m) { engine.readiness.set(m.path, m.readiness || 'ready'); return true },
  'memory.local' (engine, m) { return { local: wire.encode(engine.memory.local[m.run]) } },
  'memory.restore' (engine, m) {
    for (const [id, value] of Object.entries(m.local || {})) engine.memory.local[id] = wire.decode(value)
    for (const [id, value] of Object.entries(m.global || {})) engine.memory.global[id] = wire.decode(value)
    for (const id of m.running || []) if (!engine.runs.has(id)) engine.runs.set(id, { id, path: id, stop () {}, leaveQueue () {}, pure: false, self: null, lastResult: undefined })
    for (const [file, state] of Object.entries(m.readiness || {})) engine.readiness.set(file, state)
    return true
  },
  remotes (engine, m) { engine.paths.remotes = m.remotes; return true },
  environment (engine, m) { engine.envs = m.env; engine.kernel.envs = m.env; engine.searchPath = m.searchPath || engine.searchPath; return true },
  machine (engine, m) { Object.assign(engine.machine, m.machine); return true },

  render (engine, m) {
    let value
    try { value = engine.renderPlain(wire.decode(m.template), wire.decode(m.vars || {}), m.allowUndefined) } catch (e) { return { error: e.message, name: e.name } }
    return { value: wire.encode(value), warnings: engine.warnings }
  },

  /** Loads a script as a run would, without running it: for check and plan. */
  async load (engine, m) {
    const value = m.launcher ? engine.loader.tryLoad(m.path) : (await engine.loader.script(m.path, engine.kernel)).value
    const reason = engine.loader.errors.get(m.path)
    if (value === null) return { ok: false, reason: reason ? reason.message : 'it exports nothing' }
    return { ok: true, value: wire.encode(value), actions: Object.keys(value || {}).filter(k => Array.isArray(value[k]) || typeof value[k] === 'function') }
  },

  /** The launcher and its evaluated menu (spec §5.3). */
  async menu (engine, m) {
    if (m.running) for (const id of m.running) if (!engine.runs.has(id)) engine.runs.set(id, { id, path: id })
    if (m.local) for (const [id, value] of Object.entries(m.local)) engine.memory.local[id] = wire.decode(value)
    const found = engine.launcher(m.app)
    if (!found) return { ok: true, launcher: null, menu: [], meta: {} }
    const failure = engine.loader.errors.get(found.file)
    if (found.value === null) return { ok: false, launcher: found.file, reason: failure ? failure.message : 'it exports nothing' }
    const meta = Object.fromEntries(Object.entries(found.value).filter(([k, v]) => k !== 'menu' && typeof v !== 'function'))
    let menu = found.value.menu
    try {
      if (typeof menu === 'function') {
        const isAsync = menu.constructor && menu.constructor.name === 'AsyncFunction'
        menu = menu.call(found.value, engine.kernel, engine.infoFor(found.root))
        if (isAsync) menu = await menu
      }
    } catch (e) {
      const frame = String((e && e.stack) || '').split('\n').map(l => /((?:\/)[^():]*):(\d+):\d+/.exec(l)).find(Boolean)
      return { ok: false, launcher: found.file, root: found.root, meta: wire.encode(meta), menu: [], reason: `${frame ? `${frame[1]}:${frame[2]}: ` : ''}the menu throws ${String(e)}` }
    }
    return { ok: true, launcher: found.file, root: found.root, meta: wire.encode(meta), menu: Array.isArray(menu) ? wire.encode(menu) : [] }
  },

  // ---- shell output ----------------------------------------------------------------------------------------------
  'scan.open' (engine, m) {
    const scanner = new Scanner(wire.decode(m.on), m.live !== false)
    engine.scanners.set(m.scan, scanner)
    if (scanner.bad) return { bad: String(scanner.bad.spec.event) }
    const literals = scanner.handlers.filter(h => h.regex && h.spec.break !== false).map(h => required(h.regex))
    return { literals, words: scanner.handlers.filter(h => h.word).map(h => h.word) }
  },
  'scan.feed' (engine, m) { return engine.scanners.get(m.scan).feed(m.text, m.start, m.fresh) },
  'scan.final' (engine, m) { const s = engine.scanners.get(m.scan); return { errors: s.final(m.text), event: s.event === undefined ? { $: 'undef' } : s.event } },
  'scan.close' (engine, m) { engine.scanners.delete(m.scan); return true },
  'scan.notify' (engine, m) { return { value: wire.encode(engine.renderLate(wire.decode(m.template), { event: wire.decode(m.event) }, m.run)) } },
  async screen (engine, m) { const { dump } = require('./screen'); return dump(m.text, m) },
  /** shell.enter: the first `on` item with a defined `return` that matches the whole screen (spec §4.3). */
  'screen.match' (engine, m) {
    const { compile } = require('./scanner')
    for (const handler of wire.decode(m.on)) {
      if (!handler || handler.return === undefined || handler.event === null || handler.event === undefined) continue
      const regex = compile(handler.event)
      if (!regex) continue
      const matches = [...m.text.replace(/\r?\n|\r/g, '').matchAll(regex)]
      if (!matches.length) continue
      return { value: wire.encode(engine.renderLate(handler.return, { event: { matches, raw: m.text } }, m.run)) }
    }
    return { value: null, none: true }
  }
}

Object.assign(operations, require('./inspect').operations) // what only looks: render, menu, check, plan

Engine.prototype.runOf = function (m) { return m.parallel ? this.parallel.get(m.parallel) : this.runs.get(m.run) }

async function handle (engine, message) {
  if (message.op === 'answer') {
    const waiting = engine.asked.get(message.ask)
    if (!waiting) return
    if (message.data !== undefined) { if (waiting.ondata) waiting.ondata(wire.decode(message.data)); return }
    engine.asked.delete(message.ask)
    if (message.error) { const e = new Error(message.error.message); e.name = message.error.name || 'Error'; waiting.reject(e) } else waiting.resolve(wire.decode(message.value))
    return
  }
  const operation = operations[message.op]
  let reply
  try {
    if (!operation) throw new Error(`the script host has no operation '${message.op}'`)
    reply = { re: message.id, ok: await operation(engine, message) }
  } catch (e) {
    reply = { re: message.id, error: { name: e && e.name, message: (e && e.message) || String(e), stack: e && e.stack } }
  }
  const run = message.run === undefined ? undefined : engine.runOf(message)
  if (message.id !== undefined) engine.send(reply, run ? `step ${run.current} of ${run.path}: ` : '')
}

function main () {
  const beacon = Number(process.env.PINOKIOCLOUD_BEACON_FD)
  const socket = new net.Socket({ fd: Number(process.env.PINOKIOCLOUD_SOCKET_FD), readable: true, writable: true })
  delete process.env.PINOKIOCLOUD_BEACON_FD
  delete process.env.PINOKIOCLOUD_SOCKET_FD
  const engine = new Engine(socket, beacon)
  engine.parallel = new Map()
  let rest = []
  socket.on('data', chunk => {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      rest.push(chunk.subarray(from, at))
      from = at + 1
      const line = rest.length === 1 ? rest[0].toString('utf8') : Buffer.concat(rest).toString('utf8')
      rest = []
      handle(engine, JSON.parse(line))
    }
    if (from < chunk.length) rest.push(Buffer.from(chunk.subarray(from)))
  })
  socket.on('close', () => process.exit(0)) // Python is gone: nothing may outlive it
  socket.on('error', () => process.exit(0))
  // A script's stray rejection or late exception is told, and ends neither this process nor other runs.
  const stray = (e) => engine.send({ op: 'stray', message: String((e && e.stack) || e) })
  process.on('unhandledRejection', stray)
  process.on('uncaughtException', stray)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {}) // Python decides when it ends
}

main()
