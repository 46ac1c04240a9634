'use strict'
// Evaluates functions in Node for tests: one JSON line {code, args} in, one JSON line {ok} or {error} out.
const path = require('path')
const host = process.argv[2]
const hostRequire = name => require(name.startsWith('./') ? path.join(host, name) : name)
let rest = ''
let last = Promise.resolve()
process.stdin.setEncoding('utf8')
process.stdin.on('data', text => {
  const lines = (rest + text).split('\n')
  rest = lines.pop()
  for (const line of lines) last = last.then(() => answer(line))
})
async function answer (line) {
  let out
  try {
    const { code, args } = JSON.parse(line)
    out = { ok: await new Function('require', 'args', code)(hostRequire, args) }
    if (out.ok === undefined) out.ok = null
  } catch (e) { out = { error: String(e && e.stack) } }
  process.stdout.write(JSON.stringify(out) + '\n')
}
