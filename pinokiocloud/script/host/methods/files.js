'use strict'
// fs.write, append, read, cat, rm, make and the guide's names for files (spec §4.4, systems.md §1).
// Node's own calls give the reference's values and error texts by construction.

const fs = require('fs')
const path = require('path')
const crypto = require('crypto')

/** Writes to a temporary file beside the target, then renames: never a half file under the name. */
async function writeFile (file, data, mode) {
  await fs.promises.mkdir(path.dirname(file), { recursive: true })
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${crypto.randomBytes(4).toString('hex')}.tmp`)
  try {
    await fs.promises.writeFile(temporary, data, mode === undefined ? {} : { mode })
    await fs.promises.rename(temporary, file)
  } catch (e) {
    await fs.promises.rm(temporary, { force: true })
    if (typeof e.message === 'string') e.message = e.message.replaceAll(temporary, file)
    throw e
  }
}

/** The first truthy of json, json2, buffer, text (spec §4.4); undefined when there is none. */
function payload (params) {
  if (params.json) return JSON.stringify(params.json)
  if (params.json2) return JSON.stringify(params.json2, null, 2)
  if (params.buffer) return params.buffer
  if (params.text) return params.text
  return undefined
}

async function write ({ req: { params }, resolve }) {
  const file = resolve(params.path)
  const data = payload(params)
  if (data !== undefined) return writeFile(file, data)
  await fs.promises.mkdir(path.dirname(file), { recursive: true })
  await fs.promises.rm(file, { force: true, recursive: true })
}

async function append ({ req: { params }, resolve }) {
  const file = resolve(params.path)
  await fs.promises.mkdir(path.dirname(file), { recursive: true })
  const data = payload(params)
  if (data !== undefined) await fs.promises.appendFile(file, data)
}

const read = ({ req: { params }, resolve }) => fs.promises.readFile(resolve(params.path), params.encoding)

async function cat ({ req: { params }, resolve, stream }) {
  const text = await fs.promises.readFile(resolve(params.path), 'utf8')
  stream(text.replace(/\n/g, '\r\n'))
  stream('\r\n')
}

async function rm ({ req: { params }, resolve, stream }) {
  const file = resolve(params.path)
  stream(`\r\nremoving:\r\n${file}\r\n`)
  await fs.promises.rm(file, { recursive: true, force: true, maxRetries: 3 })
  stream('done\r\n')
}

async function make ({ req: { params }, resolve }) {
  await fs.promises.mkdir(resolve(params.path), { recursive: true }).catch(() => {}) // spec §4.1: ignores errors
}

async function move ({ req: { params }, resolve }) {
  const from = resolve(params.src === undefined ? params.from : params.src)
  const to = resolve(params.dest === undefined ? params.to : params.dest)
  await fs.promises.mkdir(path.dirname(to), { recursive: true })
  try { await fs.promises.rename(from, to) } catch (e) {
    if (e.code !== 'EXDEV') throw e
    await fs.promises.cp(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true })
    await fs.promises.rm(from, { recursive: true, force: true })
  }
}

const exists = async ({ req: { params }, resolve }) => fs.existsSync(resolve(params.path))
const readdir = async ({ req: { params }, resolve }) => (await fs.promises.readdir(resolve(params.path))).sort()

module.exports = {
  writeFile,
  methods: {
    'fs.write': write,
    'fs.append': append,
    'fs.read': read,
    'fs.cat': cat,
    'fs.rm': rm,
    'fs.remove': rm,
    'fs.rmdir': rm,
    'fs.make': make,
    'fs.mkdir': make,
    'fs.move': move,
    'fs.exists': exists,
    'fs.readdir': readdir
  }
}
