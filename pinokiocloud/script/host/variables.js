'use strict'
// The variables of a step (spec §3.6). Names are one constant list, so that compiled templates are kept.

const os = require('os')
const path = require('path')
const fs = require('fs')
const lodash = require('lodash')

const STEP = ['input', 'args', 'local', 'global', 'self', 'current', 'next', 'uri', 'cwd', 'dirname', 'name', 'port', 'script',
  'exists', 'running', 'ready', 'key', 'pip']
const ENGINE = ['platform', 'arch', 'gpu', 'gpus', 'gpu_model', 'gpu_driver', 'gpu_target', 'vram', 'ram', 'env', 'envs', 'which',
  'kernel', 'proxy', 'system', 'cpu', 'mem', 'osInfo', 'graphics', 'audio', 'shell',
  'cuda', 'app', 'timestamp', 'cloud_platform'] // the last four: systems.md §1
const NAMES = Object.freeze(['_', 'os', 'path', ...STEP, ...ENGINE])
const MENU_NAMES = Object.freeze(['_', 'os', 'path', ...ENGINE])

const NEEDS = /\b(port|envs?|self)\b/g

/** What must be fetched before a step is rendered: `port` and `env` from Python, `self` from the file. */
function needsOf (value, into = new Set(), depth = 0) {
  if (typeof value === 'string') {
    if (value.includes('{{')) for (const m of value.matchAll(NEEDS)) into.add(m[1] === 'envs' ? 'env' : m[1])
  } else if (value && typeof value === 'object' && depth < 60) {
    if (Array.isArray(value)) for (const item of value) needsOf(item, into, depth + 1)
    else if (!ArrayBuffer.isView(value)) for (const key of Object.keys(value)) { needsOf(key, into, depth + 1); needsOf(value[key], into, depth + 1) }
  }
  return into
}

function pip (machine) {
  // spec §3.6.1: the platform's wheel index; on Linux practically always the CPU one.
  const suffix = machine.platform === 'darwin' ? '' : ' --index-url https://download.pytorch.org/whl/cpu'
  return { install: { torch: `pip3 install torch torchvision torchaudio${suffix}` } }
}

/** The engine-wide values in the order of ENGINE. */
function engineValues (engine, env, appName) {
  const m = engine.machine
  return [m.platform, m.arch, m.gpu, m.gpus, m.gpu_model === null ? undefined : m.gpu_model, m.gpu_driver, m.gpu_target, m.vram, m.ram, env, env,
    engine.which, engine.kernel, engine.proxy, engine.system, engine.cpu, engine.mem, engine.osInfo, engine.graphics, engine.audio,
    engine.loginShell, m.cuda === null ? undefined : m.cuda, appName, new Date().toISOString(), engine.cloudPlatform]
}

/** The step variables in the order of NAMES. */
function stepValues (engine, run) {
  const total = run.steps.length
  const next = run.current < total - 1 ? run.current + 1 : null
  const local = engine.memory.local[run.id] || {}
  const global_ = engine.memory.global[run.id] || {}
  return [lodash, os, path,
    run.input, run.args, local, global_, run.self, run.current, next, run.uri, run.cwd, run.dirname, run.name,
    run.port, engine.scriptApi, run.exists, run.running, run.ready, engine.key, engine.pip,
    ...engineValues(engine, run.env, run.appName)]
}

/** `exists(...parts)` relative to a folder: a plain synchronous check. */
function existsIn (engine, base) {
  return (...parts) => { try { fs.accessSync(engine.resolve(base, ...parts)); return true } catch (e) { return false } }
}

module.exports = { NAMES, MENU_NAMES, needsOf, stepValues, engineValues, existsIn, pip }
