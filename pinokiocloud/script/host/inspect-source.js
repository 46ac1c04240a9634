'use strict'
// Where in a file a step or a text stands: positions by the syntax tree, for the reports of `check` and `plan`.

const fs = require('fs')
const path = require('path')
const acorn = require('acorn')

const OPTIONS = { ecmaVersion: 'latest', locations: true, allowHashBang: true, allowReturnOutsideFunction: true, allowAwaitOutsideFunction: true }
const LARGEST = 1e6 // characters: what is longer is data or a bundle, not a script

function children (node) {
  const out = []
  for (const key of Object.keys(node)) {
    const item = node[key]
    if (Array.isArray(item)) { for (const x of item) if (x && typeof x.type === 'string') out.push(x) } else if (item && typeof item.type === 'string') out.push(item)
  }
  return out
}

const isFunction = (node) => node.type === 'ArrowFunctionExpression' || node.type === 'FunctionExpression' || node.type === 'FunctionDeclaration'
const isExports = (node) => node.type === 'MemberExpression' && !node.computed && node.object.type === 'Identifier' && node.object.name === 'module' && node.property.name === 'exports'

/** The value of a literal text: a string, or a template literal without expressions; undefined for anything else. */
function textOf (node) {
  if (node.type === 'Literal' && typeof node.value === 'string') return node.value
  if (node.type === 'TemplateLiteral' && node.expressions.length === 0) return node.quasis[0].value.cooked
  return undefined
}

function keyOf (property) {
  if (property.type !== 'Property' && property.type !== 'PropertyDefinition') return undefined
  if (!property.computed) return property.key.type === 'Identifier' ? property.key.name : String(property.key.value)
  return textOf(property.key)
}

/** One file's syntax tree, with what is looked up in it. */
class Source {
  constructor (file) {
    this.file = file
    this.broken = false
    this.roots = []
    this.objects = []
    this.texts = new Map()
    this.names = new Map()
    let text
    try { text = fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '') } catch (e) { return }
    if (text.length > LARGEST) return
    if (path.extname(file).toLowerCase() === '.json') {
      let tree
      try { tree = acorn.parseExpressionAt(text, 0, OPTIONS) } catch (e) { this.broken = true; return }
      this.roots = [tree]
      this.collect(tree)
      return
    }
    for (const sourceType of ['script', 'module']) {
      try { this.collect(acorn.parse(text, { ...OPTIONS, sourceType })); return } catch (e) { /* the loader says what is wrong */ }
    }
    this.broken = true
  }

  collect (tree) {
    const stack = [tree]
    while (stack.length) {
      const node = stack.pop()
      const value = textOf(node)
      if (value !== undefined) { if (this.texts.has(value)) this.texts.get(value).push(node); else this.texts.set(value, [node]) }
      if (node.type === 'ObjectExpression') this.objects.push(node)
      else if (node.type === 'VariableDeclarator' && node.init && node.id.type === 'Identifier') this.names.set(node.id.name, node.init)
      else if (node.type === 'FunctionDeclaration' && node.id) this.names.set(node.id.name, node)
      else if (node.type === 'AssignmentExpression' && isExports(node.left)) this.roots.push(node.right)
      else if (node.type === 'ExportDefaultDeclaration') this.roots.push(node.declaration)
      stack.push(...children(node))
    }
    this.objects.sort((a, b) => a.start - b.start)
  }

  /** What an expression may be: object and array literals behind names, functions, conditions. */
  resolve (node, depth = 0) {
    if (!node || depth > 12) return []
    const all = (...nodes) => nodes.flatMap(n => this.resolve(n, depth + 1))
    switch (node.type) {
      case 'Identifier': return all(this.names.get(node.name))
      case 'AwaitExpression': return all(node.argument)
      case 'ConditionalExpression': return all(node.consequent, node.alternate)
      case 'LogicalExpression': return all(node.left, node.right)
      case 'AssignmentExpression': return all(node.right)
      case 'CallExpression': return isFunction(node.callee) || node.callee.type === 'Identifier' ? all(node.callee) : [node]
      case 'ClassDeclaration': case 'ClassExpression': return [node.body]
      case 'ArrowFunctionExpression': case 'FunctionExpression': case 'FunctionDeclaration':
        return node.body.type === 'BlockStatement' ? all(...returns(node.body)) : all(node.body)
      default: return [node]
    }
  }

  /** The nodes that may hold property `key` of `node`. */
  property (node, key) {
    const list = node.type === 'ObjectExpression' ? node.properties : node.type === 'ClassBody' ? node.body : []
    for (let i = list.length - 1; i >= 0; i--) {
      if (keyOf(list[i]) === key && list[i].value) return [list[i].value]
      if (list[i].type === 'SpreadElement') {
        const found = this.resolve(list[i].argument).flatMap(n => this.property(n, key))
        if (found.length) return found
      }
    }
    return []
  }

  elements (node) {
    if (node.type !== 'ArrayExpression') return null
    const out = []
    for (const item of node.elements) {
      if (item && item.type === 'SpreadElement') {
        const inner = this.resolve(item.argument).map(n => this.elements(n)).find(Boolean)
        if (!inner) return out.length ? out : null // what follows has no certain place
        out.push(...inner)
      } else out.push(item)
    }
    return out
  }

  /** The object literals of a list of steps: by its place where that is certain, else by what a step holds. */
  steps (action, steps) {
    const arrays = this.roots.flatMap(root => this.resolve(root)).flatMap(n => this.property(n, action)).flatMap(n => this.resolve(n))
    const lists = arrays.map(n => this.elements(n)).filter(Boolean)
    const taken = new Set()
    return steps.map((step, i) => {
      for (const list of lists) {
        const node = list[i] && this.resolve(list[i])[0]
        if (node && fits(this, node, step)) { taken.add(node); return node }
      }
      const node = this.likely(step, taken)
      if (node) taken.add(node)
      return node
    })
  }

  /** The object literal with this method that shares most texts with a step. */
  likely (step, taken) {
    if (!step || typeof step !== 'object') return null
    const wanted = leaves(step)
    let best = null; let most = 0
    for (const node of this.objects) {
      if (taken.has(node) || !this.property(node, 'method').length || !fits(this, node, step)) continue
      const held = new Set(leavesOf(node))
      const score = wanted.reduce((n, text) => n + (held.has(text) ? 1 : 0), 0)
      if (score > most) { most = score; best = node }
    }
    return best
  }

  /** Lines of a value's parts: {'params.message.0': 12}; '' is the value itself. */
  lines (node, value, prefix = '', out = {}) {
    if (!node) return out
    out[prefix] = node.loc.start.line
    if (value && typeof value === 'object' && out[prefix] !== undefined) {
      const at = (key) => prefix ? `${prefix}.${key}` : String(key)
      for (const found of this.resolve(node)) {
        if (Array.isArray(value)) {
          const list = this.elements(found)
          if (list) { value.forEach((item, i) => { if (list[i]) this.lines(list[i], item, at(i), out) }); break }
        } else if (found.type === 'ObjectExpression') {
          for (const key of Object.keys(value)) { const [item] = this.property(found, key); if (item) this.lines(item, value[key], at(key), out) }
          break
        }
      }
    }
    return out
  }

  /** The first line where a text is written out; undefined when it is put together. */
  lineOf (text) { const found = this.texts.get(text); return found ? Math.min(...found.map(n => n.loc.start.line)) : undefined }

  /** The line of a property with this text as its value, such as a menu item's `href`. */
  lineOfProperty (key, text) {
    const node = this.objects.flatMap(o => this.property(o, key)).find(n => textOf(n) === text)
    return node ? node.loc.start.line : this.lineOf(text)
  }

  /** Whether the file looks like a script: it exports something, and a list of steps or a function is called `run`. */
  looksRunnable () {
    const isRun = (node) => this.property(node, 'run').some(value => {
      if (value.type !== 'ArrayExpression') return isFunction(value) || value.type === 'Identifier' || value.type === 'CallExpression'
      const list = this.elements(value)
      return !list || list.some(item => item && this.resolve(item).some(n => this.property(n, 'method').length > 0))
    })
    return this.roots.length > 0 && this.roots.some(root => this.resolve(root).some(isRun))
  }
}

function returns (body) {
  const out = []
  const stack = [...body.body]
  while (stack.length) {
    const node = stack.shift()
    if (isFunction(node)) continue
    if (node.type === 'ReturnStatement') { if (node.argument) out.push(node.argument) } else stack.push(...children(node))
  }
  return out
}

function fits (source, node, step) {
  if (node.type !== 'ObjectExpression' || !step || typeof step !== 'object') return false
  const [method] = source.property(node, 'method')
  const text = method && textOf(method)
  return text === undefined ? typeof step.method !== 'string' || (method !== undefined && method.type !== 'Literal') : text === step.method
}

function leaves (value, out = [], depth = 0) {
  if (typeof value === 'string') out.push(value)
  else if (value && typeof value === 'object' && depth < 20) for (const key of Object.keys(value)) leaves(value[key], out, depth + 1)
  return out
}

function leavesOf (node, out = []) {
  const text = textOf(node)
  if (text !== undefined) out.push(text)
  for (const child of children(node)) leavesOf(child, out)
  return out
}

/** Where a JSON text stops being JSON: {line, column}; null when it is valid. */
function jsonFault (text) {
  let at = 0
  const fail = () => { throw new RangeError(String(at)) }
  const blank = () => { while (' \t\n\r'.includes(text[at]) && at < text.length) at++ }
  const word = (w) => { if (!text.startsWith(w, at)) fail(); at += w.length }
  const string = () => {
    if (text[at] !== '"') fail()
    for (at++; text[at] !== '"'; at++) {
      if (at >= text.length || text[at] < ' ') fail()
      if (text[at] === '\\') { at++; if (text[at] === 'u') { if (!/^[0-9a-fA-F]{4}$/.test(text.substr(at + 1, 4))) fail(); at += 4 } else if (!'"\\/bfnrt'.includes(text[at] || ' ')) fail() }
    }
    at++
  }
  const list = (close, item) => {
    at++; blank()
    if (text[at] === close) { at++; return }
    for (;;) {
      blank(); item(); blank()
      if (text[at] === close) { at++; return }
      if (text[at] !== ',') fail()
      at++
    }
  }
  const value = () => {
    blank()
    const c = text[at]
    if (c === '{') list('}', () => { string(); blank(); if (text[at] !== ':') fail(); at++; value() })
    else if (c === '[') list(']', value)
    else if (c === '"') string()
    else if (c === 't') word('true')
    else if (c === 'f') word('false')
    else if (c === 'n') word('null')
    else { const m = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/.exec(text.slice(at, at + 400)); if (!m) fail(); at += m[0].length }
  }
  try { if (text[0] === '\uFEFF') at++; value(); blank(); if (at < text.length) fail() } catch (e) {
    if (!(e instanceof RangeError)) throw e
    const before = text.slice(0, at).split('\n')
    return { line: before.length, column: before[before.length - 1].length + 1 }
  }
  return null
}

const sources = new Map()

/** The tree of a file, kept as long as the file does not change. */
function sourceOf (file) {
  let stamp = ''
  try { const stat = fs.statSync(file); stamp = `${stat.mtimeMs}:${stat.size}` } catch (e) { /* an empty tree */ }
  const known = sources.get(file)
  if (known && known.stamp === stamp) return known.source
  const source = new Source(file)
  sources.set(file, { stamp, source })
  return source
}

module.exports = { sourceOf, jsonFault }
