'use strict'
// Runs scripts with the reference engine (pinokiod), without its server and window.
//
//   node runner.js ENGINE HOME              one JSON request a line on stdin, one JSON reply a line on stdout
//   node runner.js ENGINE HOME --once FILE  run one script, print its reply, end
//
// ENGINE is the installed package's folder, HOME a home folder that bench/measure/reference.py has prepared.
// Nothing but loopback is listened on: see loopback.js.

const begun = process.hrtime.bigint()
const fs = require('fs')
const path = require('path')
const readline = require('readline')
require('./loopback')

const [engineFolder, home, mode, onceScript] = process.argv.slice(2)
const since = (start) => Number(process.hrtime.bigint() - start) / 1e6
const reply = (message) => fs.writeSync(1, JSON.stringify(message) + '\n')

// The engine reports to the console without end; what it says there is not measured.
for (const name of Object.keys(console)) if (typeof console[name] === 'function') console[name] = () => {}

async function boot () {
  const Kernel = require(path.join(engineFolder, 'kernel'))
  const kernel = new Kernel({ store: { home } })
  kernel.version = require(path.join(engineFolder, 'package.json')).version
  await kernel.init({})
  await kernel.sysReady
  return kernel
}

/** Runs a script to its end; gives the time, and start and end of every step. */
function run (kernel, script) {
  return new Promise((resolve) => {
    const start = process.hrtime.bigint()
    const out = { steps: [], streamed: 0, status: 'done', error: null }
    const end = (status, error) => {
      kernel.api.unlisten('bench')
      resolve({ ...out, ms: since(start), status, error: error === undefined ? null : String(error).slice(0, 500) })
    }
    kernel.api.listen('bench', (packet) => {
      const data = packet.data
      if (packet.type === 'stream') { if (data && typeof data.raw === 'string') out.streamed += data.raw.length }
      else if (packet.type === 'start') { if (data && data.method) out.steps.push([data.method, since(start), 0]) }
      else if (packet.type === 'result') { if (out.steps.length) out.steps[out.steps.length - 1][2] = since(start) }
      else if (packet.type === 'disconnect') end('done')
      else if (packet.type === 'error') end('error', packet.data)
    })
    kernel.api.process({ uri: script }).catch((e) => end('error', e))
  })
}

/** Renderings a second of a step with five expressions, as `template.js` measures ours. */
function template (kernel, count, rounds) {
  const memory = {
    ...kernel.vars, input: {}, args: { z: { q: 1 } }, local: { x: 1, y: 'yy', list: [1, 2, 3] }, global: {}, self: {}, current: 0, next: 1,
    uri: 'u', cwd: '/x', dirname: '/x', name: 'n', port: 42003, script: {}, exists: () => true, running: () => true, ready: () => true, key: () => ''
  }
  const step = { method: 'shell.run', params: { a: '{{local.x}}', b: 'x {{local.y}} y', c: ['{{1+1}}', 'plain'], d: { e: '{{args.z.q}}' }, f: '{{platform}}' } }
  const t = kernel.template
  const kinds = {
    render: () => t.render(step, memory),
    step: () => { const out = t.render(step, memory); t.istemplate(out); t.istemplate(out); t.flatten(out) },
    pure: () => t.render('{{local.x}}', memory),
    mixed: () => t.render('a {{local.y}} b', memory),
    plain: () => t.render('no template here', memory)
  }
  const out = {}
  for (const [name, once] of Object.entries(kinds)) {
    for (let i = 0; i < 500; i++) once()
    out[name] = []
    for (let round = 0; round < rounds; round++) {
      const start = process.hrtime.bigint()
      for (let i = 0; i < count; i++) once()
      out[name].push(count / (since(start) / 1000))
    }
  }
  return out
}

async function main () {
  const kernel = await boot()
  const ready = since(begun)
  if (mode === '--once') {
    const result = await run(kernel, onceScript)
    reply({ ...result, ready_ms: ready, total_ms: since(begun) })
    process.exit(result.status === 'done' ? 0 : 1)
  }
  reply({ pids: [process.pid], ready_ms: ready, node: process.version, version: kernel.version })
  const requests = readline.createInterface({ input: process.stdin, terminal: false })
  for await (const line of requests) {
    const request = JSON.parse(line)
    if (request.op === 'quit') break
    else if (request.op === 'run') {
      const result = await run(kernel, request.script)
      if (result.steps.length > 1000) result.steps = []
      reply(result)
    } else if (request.op === 'template') reply(template(kernel, request.count, request.rounds))
    else reply({ error: `unknown request ${request.op}` })
  }
  process.exit(0)
}

main().catch((e) => { reply({ status: 'error', error: String((e && e.stack) || e).slice(0, 1000) }); process.exit(1) })
