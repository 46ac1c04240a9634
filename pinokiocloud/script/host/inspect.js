'use strict'
// The operations of `render`, `menu`, `check` and `plan`: they look at scripts and run nothing. They belong in a host
// process of their own, which Python starts with Node's permission model (read only).

const wire = require('./wire')
const path = require('path')
const variables = require('./variables')
const { World, tame } = require('./inspect-world')
const { checkScript, menuIn, menusIn, scan, stepsOn, describe, loadFault } = require('./inspect-check')
const { Renderer } = require('./render')
const { Planner } = require('./inspect-plan')

const worldOf = (engine, m, more = {}) => new World(engine, { machine: m.machine || engine.machine, envs: m.env || engine.envs, ...more })
let worlds = {} // by the machine's name

const operations = {
  /** Makes this process one that only looks. */
  'inspect.open': () => { tame(); return true },

  /** Sets up the machines that are tried. */
  'inspect.machines' (engine, m) {
    worlds = Object.fromEntries(Object.entries(m.machines).map(([name, machine]) => [name, worldOf(engine, { machine, env: m.env })]))
    return true
  },

  /** Renders one template with every variable of a step; the given ones go before all others (spec §3.2). */
  'inspect.render' (engine, m) {
    const given = wire.decode(m.vars)
    const cwd = m.cwd
    const names = variables.MENU_NAMES.slice(3)
    const values = { _: require('lodash'), os: require('os'), path }
    variables.engineValues(engine, engine.envs, undefined).forEach((value, i) => { values[names[i]] = value })
    const away = () => undefined
    Object.assign(values, {
      input: {}, args: {}, local: {}, global: {}, self: {}, current: 0, next: null, uri: cwd, cwd, dirname: cwd, name: '', port: m.port,
      script: engine.scriptApi, exists: variables.existsIn(engine, cwd), running: away, ready: () => false, key: engine.key, pip: engine.pip, ...given
    })
    const warnings = []
    const all = Object.keys(values)
    const renderer = new Renderer(all, all.map(name => values[name]), undefined, (template, reason) => { if (!warnings.some(w => w.template === template)) warnings.push({ template, reason }) })
    try { return { value: wire.encode(renderer.render(m.template)), warnings } } catch (e) { return { error: e.message, name: e.name, warnings } }
  },

  /** The menu for the state that the files are in; scripts run only as far as the caller says so. */
  async 'inspect.menu' (engine, m) {
    const world = worldOf(engine, m, { port: m.port, offline: false })
    return menuIn(engine, m.app, world.state({ running: m.running, local: wire.decode(m.local || {}) }))
  },

  /** The menu in states that are made up, {state, installed, running, local}, on every machine. */
  'inspect.states': (engine, m) => menusIn(engine, m.app, worlds, m.states),

  'inspect.scan': (engine, m) => scan(m.root),
  'inspect.script': (engine, m) => checkScript(engine, m.path, worlds),

  /** A script as a run would load it, without running it. */
  async 'inspect.load' (engine, m) {
    const world = worldOf(engine, m)
    let got
    try { got = await stepsOn(engine, m.path, world) } catch (e) { return { ok: false, fault: describe(e, m.path, world) } }
    if (got.body === null) return { ok: false, fault: loadFault(engine, m.path) }
    const actions = Object.fromEntries(Object.entries(got.actions).map(([name, { steps, fault }]) => [name, fault ? null : wire.encode(steps.map(s => s.step))]))
    const fault = got.actions.run && got.actions.run.fault
    return { ok: true, value: wire.encode(got.body), actions, fault: fault || null }
  },

  /** Whether a step module has a function of this name; only what is wrong is told. */
  'inspect.module' (engine, m) {
    const instance = engine.loader.tryLoad(m.path)
    if (instance === null) return { ok: false, fault: loadFault(engine, m.path) }
    return { ok: typeof instance[m.method] === 'function', fault: null }
  },

  async 'inspect.plan' (engine, m) {
    const planner = new Planner(engine, worldOf(engine, m, { port: m.port }), m.methods)
    return planner.plan(m.path, { args: m.hasArgs ? wire.decode(m.args) : {}, action: m.action || 'run' })
  }
}

module.exports = { operations }
