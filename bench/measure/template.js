'use strict'
// Renderings a second of a step with five expressions by the script host's own renderer: node template.js HOST COUNT ROUNDS
// The reference's are measured by bench/reference/runner.js with the same step and variables.

const path = require('path')
const [host, countText, roundsText] = process.argv.slice(2)
const { Renderer } = require(path.join(host, 'render.js'))
const { NAMES, stepValues } = require(path.join(host, 'variables.js'))
const count = Number(countText); const rounds = Number(roundsText)

const machine = { platform: 'linux', arch: 'x64', gpu: 'none', gpus: [], gpu_model: null, gpu_driver: '', gpu_target: '', vram: 0, ram: 0, cuda: null }
const engine = {
  machine, which: () => null, kernel: {}, proxy: () => '', system: {}, cpu: {}, mem: {}, osInfo: {}, graphics: {}, audio: [], loginShell: '/bin/bash',
  cloudPlatform: 'local', scriptApi: {}, key: () => '', pip: {},
  memory: { local: { r: { x: 1, y: 'yy', list: [1, 2, 3] } }, global: { r: {} } }
}
const run = {
  id: 'r', steps: [{}, {}], current: 0, input: {}, args: { z: { q: 1 } }, self: {}, uri: 'u', cwd: '/x', dirname: '/x', name: 'n', port: 42003,
  exists: () => true, running: () => true, ready: () => true, env: {}, appName: 'n'
}
const step = { method: 'shell.run', params: { a: '{{local.x}}', b: 'x {{local.y}} y', c: ['{{1+1}}', 'plain'], d: { e: '{{args.z.q}}' }, f: '{{platform}}' } }
const values = stepValues(engine, run)
const trusted = () => true
const warn = () => {}
const render = (value) => new Renderer(NAMES, values, trusted, warn).render(value)
const kinds = {
  render: () => render(step),
  step: () => new Renderer(NAMES, stepValues(engine, run), trusted, warn).render(step),
  pure: () => render('{{local.x}}'),
  mixed: () => render('a {{local.y}} b'),
  plain: () => render('no template here')
}
const expected = '{"method":"shell.run","params":{"a":1,"b":"x yy y","c":[2,"plain"],"d":{"e":1},"f":"linux"}}'
if (JSON.stringify(render(step)) !== expected) throw new Error(`rendered wrongly: ${JSON.stringify(render(step))}`)
const out = {}
for (const [name, once] of Object.entries(kinds)) {
  for (let i = 0; i < 500; i++) once()
  out[name] = []
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < count; i++) once()
    out[name].push(count / (Number(process.hrtime.bigint() - start) / 1e9))
  }
}
process.stdout.write(JSON.stringify(out) + '\n')
