'use strict'
// log (spec §4.9): raw > text > json > json2, the first that is defined; and the guide's {message, level, category}.

const fs = require('fs')
const path = require('path')

const lines = (text) => text.replace(/\n/g, '\r\n')

async function guideLog ({ engine, stream }, { message, level, category }) {
  const text = typeof message === 'string' ? message : JSON.stringify(message)
  const name = String(category === undefined ? 'log' : category).replace(/[^A-Za-z0-9_.-]/g, '_')
  const entry = JSON.stringify({ time: new Date().toISOString(), level: level === undefined ? 'info' : level, category: name, message })
  await fs.promises.mkdir(path.join(engine.home, 'logs'), { recursive: true })
  await fs.promises.appendFile(path.join(engine.home, 'logs', `${name}.log`), entry + '\n')
  stream(lines(text))
  stream('\r\n')
}

module.exports = {
  log (ctx) {
    const { stream, req: { params } } = ctx
    if (!params) return
    if (params.raw !== undefined) stream(lines(String(params.raw)))
    else if (params.text !== undefined) stream(lines(String(params.text)))
    else if (params.json !== undefined) stream(lines(String(JSON.stringify(params.json))))
    else if (params.json2 !== undefined) stream(lines(String(JSON.stringify(params.json2, null, 2))))
    else if (params.message !== undefined) return guideLog(ctx, params)
    stream('\r\n')
  }
}
