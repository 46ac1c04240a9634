'use strict'
// A machine and a state of an app, for looking at scripts and menus without running anything: commands are noted and
// answered with an empty result; files may be taken to exist (an app that is installed), scripts to be running.

const fs = require('fs')
const net = require('net')
const os = require('os')
const path = require('path')
const { makeInfo } = require('./kernel')
const { unknown } = require('./inspect-symbolic')

const FIRST_PORT = 42003
const SLOW = 3000 // ms that a menu or a script's function may take

// What scripts expect of the environment of a system that this process does not run on.
const ENVIRONMENTS = {
  win32: {
    HOME: 'C:\\Users\\user', USERPROFILE: 'C:\\Users\\user', HOMEDRIVE: 'C:', HOMEPATH: '\\Users\\user', APPDATA: 'C:\\Users\\user\\AppData\\Roaming',
    LOCALAPPDATA: 'C:\\Users\\user\\AppData\\Local', ProgramFiles: 'C:\\Program Files', SystemRoot: 'C:\\Windows', USERNAME: 'user', COMSPEC: 'C:\\Windows\\system32\\cmd.exe'
  },
  darwin: { HOME: '/Users/user', USER: 'user', SHELL: '/bin/zsh' }
}

let active = null // the world whose code is being evaluated

const isDenied = (e) => Boolean(e) && e.code === 'ERR_ACCESS_DENIED'

class World {
  /**
   * @param {object} engine  the host's engine
   * @param {object} options
   *   machine: values as Python gives them; envs: variables; offline: whether connections are refused
   */
  constructor (engine, { machine, envs, port = FIRST_PORT, offline = true }) {
    const sim = this.sim = Object.create(engine)
    this.machine = machine
    this.offline = offline
    this.port = port
    this.assumed = false // whether a file was taken to exist that does not
    this.blind = false
    sim.memory = { local: {}, global: {}, args: {}, input: {}, rpc: {} }
    this.state({})
    sim.ask = (what, body) => this.answer(what, body)
    this.foreign = machine.platform !== process.platform
    this.environment = this.foreign ? { ...envs, ...ENVIRONMENTS[machine.platform] } : envs
    sim.init({ home: engine.home, machine, env: this.environment, searchPath: engine.searchPath, python: engine.python, cloudPlatform: engine.cloudPlatform, remotes: engine.paths.remotes })
    if (this.foreign) sim.which = (name) => { try { return engine.find(name) } catch (e) { return null } }
    const { kernel } = sim
    const load = kernel.load
    const reads = { touch () {} }
    kernel.exists = async (...p) => this.exists(path.resolve(engine.home, ...p))
    kernel.require = kernel.load = async (...p) => {
      const value = await load(...p)
      const file = path.resolve(engine.home, ...p)
      return value === null && !isThere(file) && this.exists(file) ? unknown({ file }, reads) : value
    }
    kernel.loader = { load: async (p) => ({ resolved: await kernel.load(p), dirname: path.dirname(p) }) }
    Object.defineProperty(kernel, 'info', { get: () => this.info(engine.home) })
    this.kernel = kernel
    this.os = Object.assign(Object.create(os), { platform: () => machine.platform, arch: () => machine.arch })
  }

  /**
   * Puts the app into a state.
   * @param {object} state  running: script paths; local: local variables by script path; installed: folder whose files are
   *   all taken to exist; hidden: (file) => boolean, what is taken to be absent
   */
  state ({ running = [], local = {}, installed = null, hidden = null }) {
    const { sim } = this
    sim.runs = new Map(running.map(id => [id, { id, path: id }]))
    sim.readiness = new Map(running.map(id => [id, 'ready']))
    sim.memory.local = { ...local }
    this.installed = installed
    this.hidden = hidden
    this.notes = []
    return this
  }

  note (kind, what) { this.notes.push({ kind, what: String(what) }) }

  /** Whether a file is there, in this state. */
  exists (file) {
    let there = false
    try { there = real.existsSync(file) } catch (e) {
      if (!isDenied(e)) throw e
      this.note('outside', file)
    }
    if (this.blind) return there
    if (this.hidden !== null && there) return !this.hidden(file)
    if (!there && this.installed !== null && (file + path.sep).startsWith(this.installed + path.sep)) { this.assumed = true; return true }
    return there
  }

  info (root) {
    const info = makeInfo(this.sim, root)
    info.exists = (...p) => this.exists(info.path(...p))
    return info
  }

  /** Stands for Python: what only a run may do is noted, and answered as if it had done nothing. */
  async answer (what, body) {
    const params = (body && body.params) || {}
    switch (what) {
      case 'port': return this.port
      case 'port.free': return true
      case 'ports': return Array.from({ length: Number(body.count) || 1 }, (_, i) => this.port + i)
      case 'env': return this.environment
      case 'kv.get': case 'kv.set': return undefined
    }
    this.note('command', `${what} ${typeof params.message === 'string' ? params.message : JSON.stringify(params.message || params.uri || '') || ''}`.trim())
    if (what === 'download' || what === 'import') throw new Error(`'${what}' is not done while looking at a script`)
    if (what === 'exec' || what.startsWith('shell.')) return { id: 'inspect', response: '', stdout: '', stderr: '', event: undefined }
    return undefined
  }

  /** Evaluates the app's code in this world; a Promise, which fails when it takes too long. */
  async within (work) {
    const before = active
    const saved = { platform: process.platform, arch: process.arch, osPlatform: os.platform, osArch: os.arch, osType: os.type }
    const env = { ...process.env }
    active = this
    this.assumed = false
    if (this.foreign) {
      Object.defineProperty(process, 'platform', { value: this.machine.platform, configurable: true })
      Object.defineProperty(process, 'arch', { value: this.machine.arch, configurable: true })
      os.platform = () => this.machine.platform
      os.arch = () => this.machine.arch
      os.type = () => ({ win32: 'Windows_NT', darwin: 'Darwin', linux: 'Linux' })[this.machine.platform]
      for (const [key, value] of Object.entries(ENVIRONMENTS[this.machine.platform] || {})) process.env[key] = value
    }
    let timer
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(Object.assign(new Error(`it gives no answer within ${SLOW / 1000} s`), { code: 'LATE' })), SLOW) })
    try { return await Promise.race([work(), late]) } finally {
      clearTimeout(timer)
      active = before
      if (this.foreign) {
        Object.defineProperty(process, 'platform', { value: saved.platform, configurable: true })
        Object.defineProperty(process, 'arch', { value: saved.arch, configurable: true })
        Object.assign(os, { platform: saved.osPlatform, arch: saved.osArch, type: saved.osType })
        for (const key of Object.keys(process.env)) if (!(key in env)) delete process.env[key]
        Object.assign(process.env, env)
      }
    }
  }
}

const real = {}

/** Whether a file is there, whatever state the world is in. */
function isThere (file) { try { return (real.existsSync || fs.existsSync)(file) } catch (e) { return false } }

/** Changes what this process lets scripts do: no connections, and file checks that answer for the world's state. */
function tame () {
  if (real.existsSync) return
  real.existsSync = fs.existsSync
  real.accessSync = fs.accessSync
  real.access = fs.access
  real.promiseAccess = fs.promises.access
  real.connect = net.Socket.prototype.connect
  const missing = (file) => Object.assign(new Error(`ENOENT: no such file or directory, access '${file}'`), { code: 'ENOENT', errno: -2, syscall: 'access', path: file })
  /** null: as the file system says; true, false: as the world says. */
  const decided = (file) => {
    if (active === null || typeof file !== 'string') return null
    const there = active.exists(path.resolve(file))
    let truth = false
    try { truth = real.existsSync(file) } catch (e) { return false }
    return there === truth ? null : there
  }
  fs.existsSync = (file) => { const d = decided(file); return d === null ? real.existsSync(file) : d }
  fs.accessSync = (file, mode) => { const d = decided(file); if (d === false) throw missing(file); if (d === null) real.accessSync(file, mode) }
  fs.access = (file, mode, callback) => {
    const done = callback || mode
    const d = decided(file)
    if (d === null) return callback ? real.access(file, mode, callback) : real.access(file, done)
    process.nextTick(done, d ? null : missing(file))
  }
  fs.promises.access = async (file, mode) => { const d = decided(file); if (d === false) throw missing(file); if (d === null) return real.promiseAccess(file, mode) }
  net.Socket.prototype.connect = function (...args) {
    if (active === null || !active.offline) return real.connect.apply(this, args)
    const [first] = Array.isArray(args[0]) ? args[0] : args
    const where = first && typeof first === 'object' ? `${first.host || first.path || 'localhost'}:${first.port || ''}` : String(first)
    active.note('network', where)
    process.nextTick(() => this.destroy(Object.assign(new Error(`connect ECONNREFUSED ${where}`), { code: 'ECONNREFUSED', syscall: 'connect' })))
    return this
  }
}

module.exports = { World, tame, isDenied, isThere }
