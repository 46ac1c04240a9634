'use strict'
// Looks at an app's files: which are scripts, what they hold on which machine, and what is wrong with them.

const fs = require('fs')
const path = require('path')
const wire = require('./wire')
const variables = require('./variables')
const { compile } = require('./scanner')
const { sourceOf, jsonFault } = require('./inspect-source')
const { Reads, SymbolicRenderer, unknown, templateFaults, PURE, MIXED } = require('./inspect-symbolic')
const { isDenied, isThere } = require('./inspect-world')

const SKIPPED = new Set(['node_modules', '.git', 'site-packages', '__pycache__', 'logs', 'cache', 'dist', 'build'])
const DEPTH = 4
const MOST = 2000 // files that are looked at
const STREAM_WORDS = new Set(['stdout', 'stderr', 'end'])

// ---- errors --------------------------------------------------------------------------------------------------------
/** The place in the app's own files where an error arose: {file, line}; {} when it is not known. */
function placeOf (error, fallback) {
  const lines = String((error && error.stack) || '').split('\n')
  const head = /^((?:\/|file:).*?):(\d+)$/.exec(lines[0])
  if (error instanceof SyntaxError && head) return { file: head[1].replace(/^file:\/\//, ''), line: Number(head[2]) }
  for (const text of lines) {
    const m = /(?:\(|at (?:async )?)((?:\/|file:\/\/)[^()]*?):(\d+):(\d+)\)?$/.exec(text)
    if (!m) continue
    const file = m[1].replace(/^file:\/\//, '')
    if (path.dirname(file) === __dirname || file.startsWith(path.join(__dirname, 'node_modules'))) continue
    return { file, line: Number(m[2]) }
  }
  return fallback ? { file: fallback } : {}
}

/** An error of the app's code, for a report. `blame`: 'app', or why it says nothing about the app. */
function describe (error, file, world) {
  const out = { ...placeOf(error, file), name: (error && error.name) || 'Error', reason: error instanceof Error ? `${error.name}: ${error.message.split('\nRequire stack:')[0]}` : String(error), blame: 'app' }
  if (isDenied(error)) {
    out.blame = 'denied'
    out.reason = { ChildProcess: 'it starts a process', FileSystemWrite: `it writes ${error.resource}`, FileSystemRead: `it reads ${error.resource}`, WorkerThreads: 'it starts a thread' }[error.permission] || String(error.message)
  } else if (error && error.code === 'LATE') out.blame = 'late'
  else if (error && error.code === 'MODULE_NOT_FOUND') {
    const m = /Cannot find module '([^']*)'/.exec(error.message)
    if (m && !m[1].startsWith('.') && !path.isAbsolute(m[1])) { out.blame = 'package'; out.package = m[1] }
    const at = m ? sourceOf(out.file || file).lineOf(m[1]) : undefined
    if (at !== undefined) out.line = at
  } else if (world && world.assumed && error && error.code === 'ENOENT') out.blame = 'assumed'
  else if (world && world.notes.some(n => n.kind === 'network')) out.blame = 'network'
  else if (world && world.notes.some(n => n.kind === 'command')) out.blame = 'command'
  return out
}

/** Why a file could not be loaded, with the place. */
function loadFault (engine, file) {
  const known = engine.loader.errors.get(file)
  if (!known) return { file, reason: 'it exports nothing', blame: 'app' }
  const cause = known.cause === undefined ? known : known.cause
  if (path.extname(file).toLowerCase() === '.json' && cause instanceof SyntaxError) {
    let fault = null
    try { fault = jsonFault(fs.readFileSync(file, 'utf8')) } catch (e) { /* it cannot be read: said above */ }
    return { file, line: fault ? fault.line : undefined, column: fault ? fault.column : undefined, name: 'SyntaxError', reason: `it is not valid JSON${fault ? ` from column ${fault.column} on` : ''}`, blame: 'app' }
  }
  return describe(cause, file)
}

// ---- finding scripts -----------------------------------------------------------------------------------------------
/** Whether a folder was made by an install: a clone of another repository, an environment, packages. */
function isForeign (folder) {
  return ['.git', 'pyvenv.cfg', 'conda-meta'].some(name => isThere(path.join(folder, name)))
}

/** Whether a file lies in what an install made below `root`: in a new copy of the app it is not there. */
function hiddenBelow (root) {
  return (file) => {
    const below = path.relative(root, file)
    if (below === '' || below.startsWith('..') || path.isAbsolute(below)) return false
    let at = root
    for (const part of below.split(path.sep)) {
      at = path.join(at, part)
      if (part === 'node_modules' || part === 'ENVIRONMENT') return true
      try { if (fs.statSync(at).isDirectory() && isForeign(at)) return true } catch (e) { return false }
    }
    return false
  }
}

/** The files below a launcher's folder that look like scripts (nothing is loaded), and JSON files that are no JSON. */
function scan (root) {
  const scripts = []
  let seen = 0
  const walk = (folder, depth) => {
    let entries = []
    try { entries = fs.readdirSync(folder, { withFileTypes: true }) } catch (e) { return }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const file = path.join(folder, entry.name)
      if (entry.isDirectory()) {
        if (depth < DEPTH && !SKIPPED.has(entry.name) && !entry.name.startsWith('.') && !isForeign(file)) walk(file, depth + 1)
        continue
      }
      const suffix = path.extname(entry.name).toLowerCase()
      if ((suffix !== '.js' && suffix !== '.json') || ++seen > MOST) continue
      if (/^(package(-lock)?|tsconfig.*|pinokio(_meta)?)\.json$/.test(entry.name) || entry.name === 'pinokio.js') continue
      let size = 0
      try { size = fs.statSync(file).size } catch (e) { continue }
      if (size > 5e5) continue
      // what does not even hold the word is no script; only the rest is worth a syntax tree
      let text = ''
      try { text = fs.readFileSync(file, 'utf8') } catch (e) { continue }
      if (!text.includes('run') || !text.includes('method')) continue
      const source = sourceOf(file)
      // a broken file beside the launcher is a script that cannot be loaded; deeper down it may be anything
      if (source.looksRunnable() || (depth === 0 && source.broken)) scripts.push(file)
    }
  }
  walk(root, 0)
  return scripts
}

// ---- menus ---------------------------------------------------------------------------------------------------------
/**
 * The evaluated menu of an app in a world (spec §5.3).
 * @param {object} [loaded]  the launcher as it was loaded for this world before; {} to have it kept
 */
async function menuIn (engine, app, world, loaded = {}) {
  if (loaded.found === undefined) {
    world.blind = true // the launcher itself must really be there
    loaded.found = (await world.within(async () => ({ found: world.sim.launcher(app) }))).found
    world.blind = false
    loaded.meta = wire.encode(metadata(engine, app, loaded.found))
  }
  const { found, meta } = loaded
  if (!found) return { ok: true, launcher: null, root: app, meta, menu: [], notes: [], lines: {}, declared: 'none' }
  const out = { launcher: found.file, root: found.root, meta, menu: [], notes: world.notes }
  if (found.value === null) return { ...out, ok: false, fault: loadFault(engine, found.file), kind: 'load' }
  let { menu } = found.value
  out.declared = menu === undefined ? 'none' : Array.isArray(menu) ? 'array' : typeof menu
  try {
    if (typeof menu === 'function') {
      const isAsync = menu.constructor && menu.constructor.name === 'AsyncFunction'
      const box = await world.within(async () => {
        const value = found.value.menu(world.kernel, world.info(found.root))
        // only a real async function is awaited; in a box, for a Promise must stay one
        return { value: isAsync ? await value : value }
      })
      menu = box.value
      if (!Array.isArray(menu)) {
        const what = menu && typeof menu.then === 'function' ? 'a Promise: declare the function as async' : menu === undefined ? 'nothing' : typeof menu
        return { ...out, ok: false, kind: 'value', fault: { file: found.file, line: lineOfMenu(found.file), reason: `the menu function gives ${what}, not a list`, blame: 'app' } }
      }
    }
  } catch (e) {
    return { ...out, ok: false, kind: 'throws', fault: describe(e, found.file, world) }
  }
  const list = Array.isArray(menu) ? menu : []
  return { ...out, ok: true, menu: wire.encode(list), lines: linesOfItems(found.file, list) }
}

function linesOfItems (file, items, out = {}) {
  for (const item of items) {
    if (!item || typeof item !== 'object') continue
    if (typeof item.href === 'string') { const line = sourceOf(file).lineOfProperty('href', item.href); if (line !== undefined) out[item.href] = line }
    if (Array.isArray(item.menu)) linesOfItems(file, item.menu, out)
  }
  return out
}

/**
 * The menu in made-up states, on every machine; equal outcomes are one.
 * @returns {object[]} menus with `machines` and `states`
 */
async function menusIn (engine, app, worlds, states) {
  const out = new Map()
  for (const [name, world] of Object.entries(worlds)) {
    const loaded = {}
    for (const { state, installed, running, local } of states) {
      world.state({ running, local: wire.decode(local), installed: installed ? app : null, hidden: installed ? null : hiddenBelow(app) })
      const told = await menuIn(engine, app, world, loaded)
      if (!told.ok && told.fault.blame === 'late') return [{ ...told, machines: Object.keys(worlds), states: states.map(s => s.state) }]
      const key = JSON.stringify(told)
      if (!out.has(key)) out.set(key, { ...told, machines: [], states: [] })
      const same = out.get(key)
      if (!same.machines.includes(name)) same.machines.push(name)
      if (!same.states.includes(state)) same.states.push(state)
    }
    world.state({})
  }
  return [...out.values()]
}

/** Title, icon … of an app: pinokio.js < pinokio_meta.json < pinokio.json (spec §5.2). */
function metadata (engine, app, found) {
  const parts = [found && found.value, ...['pinokio_meta.json', 'pinokio.json'].map(name => {
    const file = [app, found ? found.root : app].map(folder => path.join(folder, name)).find(f => { try { return fs.statSync(f).isFile() } catch (e) { return false } })
    return file ? engine.loader.tryLoad(file) : null
  })]
  const out = {}
  for (const part of parts) {
    if (!part || typeof part !== 'object') continue
    for (const [key, value] of Object.entries(part)) if (key !== 'menu' && typeof value !== 'function') out[key] = value
  }
  return out
}

function lineOfMenu (file) {
  const source = sourceOf(file)
  const [node] = source.roots.flatMap(root => source.resolve(root)).flatMap(n => source.property(n, 'menu'))
  return node ? node.loc.start.line : undefined
}

// ---- scripts -------------------------------------------------------------------------------------------------------
/** Local variables that a script's own steps set: what a menu may find when it runs. */
function localsOf (actions) {
  const out = {}
  for (const { steps } of Object.values(actions)) {
    for (const { step } of steps) {
      if (!step || step.method !== 'local.set' || !step.params || typeof step.params !== 'object' || Array.isArray(step.params)) continue
      for (const key of Object.keys(step.params)) if (/^[A-Za-z_$][\w$]*$/.test(key)) out[key] = /url|uri|addr|link/i.test(key) ? 'http://127.0.0.1:42003' : typeof step.params[key] === 'string' ? 'value' : step.params[key]
    }
  }
  return out
}

/** Every variable of a step as far as it is known before anything ran (spec §3.6). */
function stepScope (engine, world, { file, self, index, total, env, home }, reads) {
  const cwd = path.dirname(file)
  const { sim } = world
  const u = (name) => unknown({ variable: name }, reads)
  const names = variables.MENU_NAMES.slice(3)
  const values = {}
  variables.engineValues(sim, env, path.basename(cwd)).forEach((value, i) => { values[names[i]] = value })
  return {
    ...values,
    _: require('lodash'),
    os: world.os,
    path,
    input: index === 0 ? u('args') : u('input'),
    args: u('args'),
    local: u('local'),
    global: u('global'),
    self,
    current: index,
    next: index < total - 1 ? index + 1 : null,
    uri: file,
    cwd,
    dirname: cwd,
    name: path.relative(path.join(home, 'api'), cwd),
    port: world.port,
    script: u('script'),
    exists: u('exists'),
    running: u('running'),
    ready: u('ready'),
    key: u('key'),
    pip: sim.pip,
    kernel: symbolicKernel(world, u)
  }
}

/** The kernel of templates: what speaks of runs and files is not known yet. */
function symbolicKernel (world, u) {
  const kernel = Object.create(world.kernel)
  for (const name of ['memory', 'script', 'running', 'status', 'local', 'global', 'shell', 'api']) Object.defineProperty(kernel, name, { value: u(`kernel.${name}`), enumerable: true, configurable: true })
  return kernel
}

/** The environment with the variables that a page asks for before the script runs, `env` or `pre` (spec §5.6), unknown. */
function askedEnvironment (env, body, reads) {
  const asked = [body.env, body.pre].filter(Array.isArray).flat().map(item => item && (item.key || item.env)).filter(key => typeof key === 'string' && !(key in env))
  return asked.length ? { ...env, ...Object.fromEntries(asked.map(key => [key, unknown({ env: key }, reads)])) } : env
}

/** Renders one step for one machine: whether it runs there, and what of it cannot be rendered. */
function renderStep (engine, world, at, raw) {
  const reads = new Reads()
  const env = askedEnvironment(at.env, at.self || {}, reads)
  const renderer = new SymbolicRenderer(stepScope(engine, world, { ...at, env }, reads), reads)
  const out = { state: 'yes', step: raw, when: null, failed: [] }
  try { out.step = renderer.render(raw) } catch (e) { return { ...out, state: 'broken' } }
  if ('when' in raw) {
    const value = out.step.when
    if (typeof value === 'string' && value.includes('{{')) {
      if (renderer.depends.size && [...renderer.depends.keys()].some(t => value.includes(t))) out.state = 'maybe'
      else if (renderer.failed.has(value)) { // an undefined value means no; one that throws fails the step (architecture §4)
        const reason = renderer.failed.get(value)
        out.state = reason === 'its value is undefined' ? 'no' : reason.includes('does not compile') ? 'broken' : 'throws'
        out.when = { template: value, reason }
      }
    } else if (!value) out.state = 'no'
    else if (typeof value.then === 'function') out.when = { template: raw.when, promise: true }
  }
  if (out.state !== 'no') for (const [template, reason] of renderer.failed) if (template !== (out.when && out.when.template)) out.failed.push({ template, reason })
  return out
}

/** A script's steps as they are written on one machine. */
async function stepsOn (engine, file, world) {
  return world.within(async () => {
    const loaded = await engine.loader.script(file, world.kernel)
    const body = loaded.value
    if (body === null || body === undefined) return { body: null, actions: {} }
    const actions = {}
    for (const key of Object.keys(body)) {
      let steps = body[key]
      if (typeof steps === 'function' && (key === 'run' || key === 'install' || key === 'update' || key === 'uninstall')) {
        const reads = new Reads()
        const any = unknown({ variable: 'ctx' }, reads)
        try { steps = await steps.call(body, world.kernel, world.info(path.dirname(file)), any) } catch (e) { actions[key] = { steps: [], fault: describe(e, file, world) }; continue }
        if (!Array.isArray(steps)) { actions[key] = { steps: [], fault: { file, reason: `the function '${key}' gives no list of steps`, blame: 'app' } }; continue }
      }
      if (Array.isArray(steps) && (key === 'run' || (steps.length > 0 && steps.every(s => s && typeof s === 'object' && 'method' in s)))) actions[key] = { steps: steps.map(step => ({ step })) }
    }
    return { body, actions }
  })
}

/**
 * Everything about one script for `check`: a variant for each different outcome among the machines, every step with
 * its lines, what is wrong with its templates and conditions, and how it renders on each machine.
 */
async function checkScript (engine, file, worlds) {
  const out = { file, ok: true, variants: [], locals: {}, findings: [] }
  const pure = engine.loader.isPure(file)
  const always = pure && pure.pure
  let shared = null
  for (const [name, world] of Object.entries(worlds)) {
    let got
    try { got = always && shared ? shared : await stepsOn(engine, file, world) } catch (e) { got = { body: null, actions: {}, fault: describe(e, file, world) } }
    if (always) shared = got
    if (got.body === null) {
      const fault = got.fault || loadFault(engine, file)
      const known = out.findings.find(f => f.reason === fault.reason)
      if (fault.blame === 'late') { out.findings.push({ kind: 'load', ...fault, machines: Object.keys(worlds) }); break } // once is enough to wait
      if (known) known.machines.push(name); else out.findings.push({ kind: 'load', ...fault, machines: [name] })
      continue
    }
    Object.assign(out.locals, localsOf(got.actions))
    const key = JSON.stringify(wire.encode(Object.fromEntries(Object.entries(got.actions).map(([k, a]) => [k, a.fault || a.steps.map(s => s.step)]))))
    let variant = out.variants.find(v => v.key === key)
    if (!variant) {
      const promise = got.body !== null && typeof got.body === 'object' && typeof got.body.then === 'function'
      variant = { key, machines: [], actions: {}, daemon: Boolean(got.body.daemon), promise, keys: Object.keys(got.body) }
      for (const [action, { steps, fault }] of Object.entries(got.actions)) variant.actions[action] = { fault: fault || null, steps: describeSteps(engine, file, action, steps.map(s => s.step)) }
      out.variants.push(variant)
    }
    variant.machines.push(name)
    for (const [action, entry] of Object.entries(variant.actions)) {
      entry.steps.forEach((entryStep, index) => {
        const raw = got.actions[action].steps[index].step
        if (!raw || typeof raw !== 'object') return
        const at = { file, self: got.body, index, total: entry.steps.length, env: world.environment, home: engine.home }
        const done = renderStep(engine, world, at, raw)
        const value = { state: done.state, step: wire.encode(done.step), when: done.when, failed: done.failed, method: methodExists(world, done.step) }
        const text = JSON.stringify(value)
        const same = entryStep.rendered.find(r => r.text === text)
        if (same) same.machines.push(name); else entryStep.rendered.push({ ...value, text, machines: [name] })
      })
    }
  }
  for (const variant of out.variants) { delete variant.key; for (const entry of Object.values(variant.actions)) for (const step of entry.steps) for (const r of step.rendered) delete r.text }
  out.ok = out.variants.length > 0
  return out
}

/** 'kernel.x.y' methods are looked up on the kernel itself; anything else is Python's to judge. */
function methodExists (world, step) {
  if (!step || typeof step.method !== 'string' || !step.method.startsWith('kernel.')) return undefined
  let owner = world.kernel
  for (const part of step.method.split('.').slice(1)) owner = owner === undefined || owner === null ? undefined : owner[part]
  return typeof owner === 'function'
}

/** What the text of each step says, whatever the machine: lines, templates that do not compile, events. */
function describeSteps (engine, file, action, steps) {
  const places = locate(file, action, steps)
  return steps.map((step, index) => {
    const { source, node } = places[index]
    const entry = { index, file: source.file, line: node ? node.loc.start.line : undefined, lines: source.lines(node, step), step: wire.encode(step), templates: [], events: [], rendered: [], texts: {} }
    if (!step || typeof step !== 'object') return entry
    for (const fault of templateFaults(step)) entry.templates.push(fault)
    if (step.when !== undefined && typeof step.when === 'string') entry.when = { text: step.when, template: step.when.match(MIXED) !== null, open: step.when.includes('{{'), pure: PURE.test(step.when) }
    const on = step.params && step.params.on
    if (Array.isArray(on)) on.forEach((item, i) => { const fault = eventFault(item); if (fault) entry.events.push({ path: ['params', 'on', i, 'event'], ...fault }) })
    for (const text of ['uri']) if (step.params && typeof step.params[text] === 'string') { const line = source.lineOf(step.params[text]); if (line !== undefined) entry.texts[step.params[text]] = line }
    return entry
  })
}

/** The syntax trees in which the steps of a script stand: its own, or those of the files that it requires. */
function locate (file, action, steps) {
  const own = sourceOf(file)
  const nodes = own.steps(action, steps)
  if (nodes.every(Boolean)) return nodes.map(node => ({ source: own, node }))
  const cached = require.cache[require.resolve(file)]
  const others = cached ? cached.children.map(c => c.id).filter(id => !id.includes('node_modules')).slice(0, 8).map(sourceOf) : []
  return nodes.map((node, i) => {
    if (node) return { source: own, node }
    for (const source of others) { const found = source.likely(steps[i], new Set()); if (found) return { source, node: found } }
    return { source: own, node: null }
  })
}

/** What is wrong with one `on` item's event (spec §4.2.7). */
function eventFault (item) {
  if (!item || typeof item !== 'object') return null
  const { event } = item
  if (event === undefined || event === null || event instanceof RegExp || STREAM_WORDS.has(event)) return null
  if (typeof event !== 'string') return { kind: 'value', text: String(event) }
  if (event.includes('{{')) return null
  try { compile(event) } catch (e) { return { kind: 'regex', text: event, reason: e.message } }
  return /^\/[\s\S]+\/[dgimsuy]*$/.test(event) ? null : { kind: 'form', text: event }
}

module.exports = { checkScript, menuIn, menusIn, scan, stepsOn, locate, stepScope, describe, loadFault, eventFault, symbolicKernel }
