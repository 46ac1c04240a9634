'use strict'
// jump, goto, script.return, load, import (spec §2.5, §4.5).

const path = require('path')

function jump ({ req, run }) {
  const { params } = req
  if (params.index !== undefined) req.next = params.index
  else if (params.id !== undefined) {
    const steps = run.body && Array.isArray(run.body.run) ? run.body.run : []
    steps.forEach((step, i) => { if (step && step.id === params.id) req.next = i })
  }
  return params.params !== undefined ? params.params : params.input
}

/** {name: path} → {name: loaded or null}. */
function load ({ engine, req, resolve }) {
  const out = {}
  for (const name of Object.keys(req.params)) {
    const file = resolve(req.params[name])
    const known = file && ['.js', '.json'].includes(path.extname(file).toLowerCase())
    out[name] = known ? engine.loader.tryLoad(file) : null
  }
  return out
}

/** Always fails in the reference (spec §4.1), with this very error. */
function import_ () { throw new TypeError("Cannot read properties of undefined (reading '/')") }

module.exports = { jump, goto: jump, 'script.return': ({ req }) => req.params, load, import: import_ }
