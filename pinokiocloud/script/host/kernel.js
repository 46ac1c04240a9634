'use strict'
// The `kernel` and `info` objects that scripts and menus use (spec §3.8). What only Python can do goes through `engine.ask`.

const fs = require('fs')
const path = require('path')

/** The file of the nearest caller outside this folder: `info.*` resolves against it (spec §3.8). */
function callerFolder (fallback) {
  const prepare = Error.prepareStackTrace
  const limit = Error.stackTraceLimit
  let frames
  try {
    Error.stackTraceLimit = 50
    Error.prepareStackTrace = (_, sites) => sites
    frames = new Error().stack
  } finally { Error.prepareStackTrace = prepare; Error.stackTraceLimit = limit }
  if (Array.isArray(frames)) {
    for (const site of frames) {
      let file = site.getFileName()
      if (!file || file.startsWith('node:')) continue
      if (file.startsWith('file://')) file = new URL(file).pathname
      if (path.dirname(file) === __dirname || file.startsWith(path.join(__dirname, 'methods'))) continue
      return path.dirname(file)
    }
  }
  return fallback
}

function makeInfo (engine, fallback) {
  const at = (parts) => {
    const base = callerFolder(fallback)
    if (parts.length === 0) return base
    const first = parts[0]
    if (typeof first === 'string' && (first.startsWith('~/') || first.startsWith('http'))) return path.resolve(engine.paths.resolve(first, base) || '', ...parts.slice(1))
    return path.resolve(base, ...parts)
  }
  return {
    exists: (...p) => fs.existsSync(at(p)),
    running: (...p) => engine.isRunning(at(p)),
    ready: (...p) => engine.isReady(at(p)),
    path: (...p) => at(p),
    local: (...p) => engine.memory.local[at(p)] || {},
    global: (...p) => engine.memory.global[at(p)] || {},
    cwd: () => callerFolder(fallback),
    venv: (dir) => { // the first folder with a pyvenv.cfg below the caller's folder
      const base = dir === undefined ? callerFolder(fallback) : at([dir])
      const look = (folder, depth) => {
        if (fs.existsSync(path.join(folder, 'pyvenv.cfg'))) return folder
        if (depth === 0) return undefined
        let names = []
        try { names = fs.readdirSync(folder, { withFileTypes: true }) } catch (e) { return undefined }
        for (const entry of names) if (entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.git')) { const found = look(path.join(folder, entry.name), depth - 1); if (found) return found }
        return undefined
      }
      return look(base, 2)
    }
  }
}

function makeKernel (engine) {
  const abs = (...p) => path.resolve(engine.home, ...p)
  const relTo = (base) => (p) => p === undefined ? base : path.resolve(base, p)
  const kernel = {
    homedir: engine.home,
    memory: engine.memory,
    envs: engine.envs,
    vars: engine.machine,
    path: (...p) => abs(...p),
    exists: async (...p) => fs.existsSync(abs(...p)),
    which: (name) => engine.which(name),
    port: (n) => n === undefined ? engine.ask('port') : engine.ask('port.free', { port: n }),
    ports: (n) => engine.ask('ports', { count: n }),
    exec: (params, ondata) => engine.ask('exec', { params: { ...params, path: relTo(engine.home)(params && params.path) } }, ondata),
    env: async (...p) => engine.ask('env', { path: abs(...p) }),
    running: (...p) => engine.isRunning(abs(...p)),
    status: (...p) => engine.isRunning(abs(...p)),
    local: (...p) => engine.memory.local[abs(...p)] || {},
    global: (...p) => engine.memory.global[abs(...p)] || {},
    require: async (...p) => engine.loader.tryLoad(abs(...p)),
    load: async (...p) => engine.loader.tryLoad(abs(...p)),
    import: (type, params, cwd) => engine.ask('import', { type, params, cwd }),
    download: (params, ondata) => engine.ask('download', { params: { ...params, path: params && params.path } }, ondata),
    wait: (params) => engine.ask('wait', { params }),
    symlink: async ({ from, to }) => { await fs.promises.mkdir(path.dirname(to), { recursive: true }); await fs.promises.symlink(from, to) },
    fetch: (...a) => globalThis.fetch(...a),
    userAgent: () => 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
    url: (origin, p, type = 'asset') => `${origin}/${type}/${path.relative(engine.home, p)}`,
    kill: () => engine.ask('engine.shutdown'),
    key: engine.key,
    kv: { get: async (k) => engine.ask('kv.get', { key: k }), set: async (k, v) => engine.ask('kv.set', { key: k, value: v }) },
    git: { repos: async () => Object.entries(engine.paths.remotes).map(([name, url]) => ({ name, url, path: abs('api', name) })) },
    loader: { load: async (p) => ({ resolved: engine.loader.tryLoad(p), dirname: path.dirname(p) }) },
    template: { render: (value, vars) => engine.renderPlain(value, vars || {}), get vals () { return engine.plainVariables() } },
    system: engine.system,
    get info () { return makeInfo(engine, engine.home) },
    shell: {
      run: (params, options, ondata) => engine.ask('exec', { params }, ondata || (typeof options === 'function' ? options : undefined)),
      start: (params, options, ondata) => engine.ask('shell.start', { params }, ondata),
      enter: (params, ondata) => engine.ask('shell.enter', { params }, ondata),
      write: (params, ondata) => engine.ask('shell.write', { params }, ondata),
      kill: (params) => engine.ask('shell.kill', { params: params || {} }),
      get: (params) => engine.ask('shell.get', { params: params || {} }),
      reset: () => engine.ask('shell.reset')
    },
    bin: {
      path: (...p) => abs('bin', ...p),
      sh: (params, ondata) => engine.ask('exec', { params }, ondata),
      exec: (params, ondata) => engine.ask('exec', { params }, ondata)
    },
    api: {
      get running () { return Object.fromEntries([...engine.runs.keys()].map(id => [id, true])) },
      process: (request) => engine.ask('script.start', { params: request }),
      stop: (request) => engine.ask('script.stop', { params: (request && request.params) || {} }),
      filePath: (uri, base) => engine.paths.resolve(uri, base),
      meta: async (name) => engine.meta(name),
      launcher: async (name) => engine.launcher(name)
    }
  }
  kernel.script = engine.scriptApi
  for (const name of ['platform', 'arch', 'gpu', 'gpus', 'gpu_driver', 'gpu_target', 'vram', 'ram']) kernel[name] = engine.machine[name]
  kernel.gpu_model = engine.machine.gpu_model === null ? undefined : engine.machine.gpu_model
  // kernel.jsdom is left out: launchers that use it ask first whether it is there
  return kernel
}

/** `script.*` of templates and `kernel.script`: base must be `http…git`, `~/…` or absolute (spec §3.6.1). */
function makeScriptApi (engine) {
  const at = (base, ...parts) => path.resolve(engine.paths.resolve(base) || '', ...parts)
  return {
    resolve: (base, ...p) => at(base, ...p),
    exists: (base, ...p) => fs.existsSync(at(base, ...p)),
    running: (base, ...p) => engine.isRunning(at(base, ...p)),
    ready: (base, ...p) => engine.isReady(at(base, ...p)),
    local: (base, ...p) => engine.memory.local[at(base, ...p)] || {},
    global: (base, ...p) => engine.memory.global[at(base, ...p)] || {}
  }
}

module.exports = { makeKernel, makeInfo, makeScriptApi, callerFolder }
