'use strict'
// local.*, global.*, self.*, json.*, set, rm (spec §4.5).

const fs = require('fs')
const path = require('path')
const memory = require('../memory')
const { writeFile } = require('./files')

const RULE = '==================================================='

function banner ({ stream }, title, value) {
  stream(`\r\n\r\n${RULE}\r\n`)
  stream(`# ${title}\r\n`)
  stream(String(JSON.stringify(value, null, 2)).replace(/\n/g, '\r\n'))
  stream(`\r\n${RULE}\r\n\r\n`)
}

function setStore (ctx, store, values) {
  const { engine, run } = ctx
  const table = engine.memory[store]
  table[run.id] = memory.assign(table[run.id] === undefined ? {} : table[run.id], values)
  banner(ctx, `${store} variables`, table[run.id])
  if (store === 'local') run.localChanged(Object.keys(values))
}

function removeStore ({ engine, run }, store, paths) {
  const value = engine.memory[store][run.id]
  if (value === undefined) return
  for (const p of paths) memory.remove(value, p)
  if (store === 'local') run.localChanged([])
}

const isJson = (name) => typeof name === 'string' && name.toLowerCase().endsWith('.json')

/** A JSON file's value; undefined when it is missing or is no JSON (`broken` tells which). */
async function readJson (file) {
  let text
  try { text = await fs.promises.readFile(file, 'utf8') } catch (e) { if (e.code === 'ENOENT' || e.code === 'ENOTDIR') return { missing: true }; throw e }
  try { return { value: JSON.parse(text.replace(/^\uFEFF/, '')) } } catch (e) { return { broken: true, text } }
}

async function changeJson ({ engine, run, resolve }, name, change) {
  const file = resolve(name)
  const got = await readJson(file)
  if (got.broken) { // nothing is lost: what could not be read is kept beside
    const kept = path.join(engine.home, 'logs', 'kept', `${Date.now()}-${path.basename(file)}`)
    await writeFile(kept, got.text)
    run.warn(`${file} was not valid JSON; its old text is kept as ${kept}`)
  }
  await writeFile(file, JSON.stringify(change(got.value === undefined ? {} : got.value), null, 2))
}

async function setFiles (ctx, files) {
  for (const name of Object.keys(files)) if (isJson(name)) await changeJson(ctx, name, old => memory.assign(old, files[name]))
}

async function removeFiles (ctx, files) {
  for (const name of Object.keys(files)) if (isJson(name)) await changeJson(ctx, name, old => { for (const p of files[name]) memory.remove(old, p); return old })
}

/** The guide's forms {path, key} and {path, key, value}, told apart by shape (systems.md §1). */
const isGuide = (p, ...keys) => p && isJson(p.path) && keys.every(k => k in p)

async function jsonGet (ctx) {
  const { resolve, req: { params } } = ctx
  if (isGuide(params, 'key') && typeof params.key === 'string') {
    const { value } = await readJson(resolve(params.path))
    return params.key.split('.').reduce((at, part) => (at === undefined || at === null ? undefined : at[part]), value)
  }
  const values = {}
  for (const name of Object.keys(params)) {
    if (!isJson(params[name])) continue
    const got = await readJson(resolve(params[name]))
    values[name] = got.missing ? null : got.value
  }
  setStore(ctx, 'local', values)
}

async function jsonSet (ctx) {
  const { params } = ctx.req
  if (isGuide(params, 'key', 'value')) return setFiles(ctx, { [params.path]: { [params.key]: params.value } })
  return setFiles(ctx, params)
}

async function jsonRm (ctx) {
  const { params } = ctx.req
  if (isGuide(params, 'key')) return removeFiles(ctx, { [params.path]: [].concat(params.key) })
  return removeFiles(ctx, params)
}

const dataOf = (params) => ['data', 'json', 'value', 'content'].map(k => params[k]).find(v => v !== undefined)

async function jsonRead ({ resolve, req: { params } }) {
  const file = resolve(params.path)
  const got = await readJson(file)
  if (got.missing) throw Object.assign(new Error(`ENOENT: no such file or directory, open '${file}'`), { code: 'ENOENT' })
  if (got.broken) throw new SyntaxError(`${file} is not valid JSON`)
  return got.value
}

async function jsonWrite ({ resolve, req: { params } }) {
  const data = dataOf(params)
  if (data === undefined) throw new TypeError("json.write needs 'data'")
  await writeFile(resolve(params.path), JSON.stringify(data, null, 2))
}

async function jsonMerge (ctx) {
  const lodash = require('lodash')
  await changeJson(ctx, ctx.req.params.path, old => lodash.merge(old, dataOf(ctx.req.params)))
}

async function setKey ({ engine }, values) {
  const file = path.join(engine.home, 'key.json')
  const got = await readJson(file)
  const all = Object.assign(got.value === undefined ? {} : got.value, values)
  Object.assign(engine.keys, values)
  await writeFile(file, JSON.stringify(all, null, 2), 0o600)
}

async function setAll (ctx) {
  const { params } = ctx.req
  if (params.local) setStore(ctx, 'local', params.local)
  if (params.global) setStore(ctx, 'global', params.global)
  if (params.self) await setFiles(ctx, params.self)
  if (params.json) await setFiles(ctx, params.json)
  if (params.key) await setKey(ctx, params.key)
}

async function removeAll (ctx) {
  const { params } = ctx.req
  if (params.local) removeStore(ctx, 'local', params.local)
  if (params.global) removeStore(ctx, 'global', params.global)
  if (params.self) await removeFiles(ctx, params.self)
  if (params.json) await removeFiles(ctx, params.json)
}

/** Copies references to other scripts' local objects (spec §4.5). */
function localImport (ctx) {
  const values = {}
  for (const name of Object.keys(ctx.req.params)) values[name] = ctx.engine.memory.local[ctx.resolve(ctx.req.params[name])]
  setStore(ctx, 'local', values)
}

module.exports = {
  'local.set': (ctx) => setStore(ctx, 'local', ctx.req.params),
  'local.rm': (ctx) => removeStore(ctx, 'local', ctx.req.params),
  'local.import': localImport,
  'global.set': (ctx) => setStore(ctx, 'global', ctx.req.params),
  'global.rm': (ctx) => removeStore(ctx, 'global', ctx.req.params),
  'self.set': (ctx) => setFiles(ctx, ctx.req.params),
  'self.rm': (ctx) => removeFiles(ctx, ctx.req.params),
  'json.get': jsonGet,
  'json.set': jsonSet,
  'json.rm': jsonRm,
  'json.read': jsonRead,
  'json.write': jsonWrite,
  'json.merge': jsonMerge,
  set: setAll,
  rm: removeAll
}
