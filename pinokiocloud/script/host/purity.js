'use strict'
// Whether loading a script file has no effect and always gives the same value, so that it may be loaded once
// instead of before every step (spec §1.3 reloads it each time; only effects and changes make that visible).
// The file is parsed with acorn; whatever is not known to be pure is impure.

const acorn = require('acorn')

const GLOBALS = new Set(['Array', 'Object', 'JSON', 'Math', 'String', 'Number', 'Boolean', 'undefined', 'NaN', 'Infinity',
  'encodeURIComponent', 'decodeURIComponent', 'parseInt', 'parseFloat', '__dirname', '__filename'])
const IMPURE_MEMBERS = new Set(['random', 'push', 'pop', 'shift', 'unshift', 'splice', 'sort', 'reverse', 'fill', 'copyWithin',
  'assign', 'defineProperty', 'defineProperties', 'setPrototypeOf', 'freeze', 'constructor', '__proto__', 'call', 'apply', 'bind', 'eval',
  'seal', 'preventExtensions', 'getPrototypeOf', 'getOwnPropertyDescriptor', 'getOwnPropertyDescriptors', 'getOwnPropertyNames',
  '__defineGetter__', '__defineSetter__'])
const PURE_MODULES = new Set(['path', 'node:path'])
const FORBIDDEN = new Set(['UpdateExpression', 'AwaitExpression', 'YieldExpression', 'ImportExpression', 'ThisExpression',
  'ClassDeclaration', 'ClassExpression', 'ThrowStatement', 'WhileStatement', 'DoWhileStatement', 'ForStatement', 'ForInStatement',
  'ForOfStatement', 'WithStatement', 'TryStatement', 'LabeledStatement', 'DebuggerStatement', 'TaggedTemplateExpression',
  'ImportDeclaration', 'ExportNamedDeclaration', 'ExportDefaultDeclaration', 'ExportAllDeclaration', 'MetaProperty', 'Super'])

function isExports (node) {
  return (node.type === 'MemberExpression' && !node.computed && node.object.type === 'Identifier' && node.object.name === 'module' && node.property.name === 'exports')
}

class Checker {
  pure (node, scope) {
    if (!node) return true
    if (FORBIDDEN.has(node.type)) return false
    switch (node.type) {
      case 'Identifier': return scope.has(node.name) || GLOBALS.has(node.name)
      case 'MemberExpression': {
        if (!this.pure(node.object, scope)) return false
        if (node.computed) return node.property.type === 'Literal' && !IMPURE_MEMBERS.has(String(node.property.value)) // any other name may be one of them
        return !IMPURE_MEMBERS.has(node.property.name)
      }
      case 'Property': return node.kind === 'init' && (!node.computed || this.pure(node.key, scope)) && this.pure(node.value, scope)
      case 'AssignmentExpression': return false
      case 'NewExpression': return false
      case 'CallExpression': {
        if (node.callee.type === 'Identifier' && node.callee.name === 'require') {
          return node.arguments.length === 1 && node.arguments[0].type === 'Literal' && PURE_MODULES.has(node.arguments[0].value)
        }
        return this.pure(node.callee, scope) && node.arguments.every(a => this.pure(a, scope))
      }
      case 'UnaryExpression': return node.operator !== 'delete' && this.pure(node.argument, scope)
      // A function's body runs later: as part of the menu or of a step, not by loading; but a callback of a pure call runs now.
      case 'ArrowFunctionExpression': case 'FunctionExpression': {
        const inner = new Set(scope)
        for (const p of node.params) if (!this.bind(p, inner)) return false
        return this.pure(node.body, inner)
      }
      case 'BlockStatement': { const inner = new Set(scope); return node.body.every(s => this.pure(s, inner)) }
      case 'VariableDeclaration':
        return node.declarations.every(d => (d.init ? this.pure(d.init, scope) : node.kind !== 'const') && this.bind(d.id, scope))
      default: {
        for (const key of Object.keys(node)) {
          if (key === 'type' || key === 'start' || key === 'end') continue
          const item = node[key]
          if (Array.isArray(item)) { for (const x of item) if (x && x.type && !this.pure(x, scope)) return false } else if (item && typeof item.type === 'string' && !this.pure(item, scope)) return false
        }
        return true
      }
    }
  }

  bind (pattern, scope) {
    if (pattern.type === 'Identifier') { scope.add(pattern.name); return true }
    if (pattern.type === 'ObjectPattern') return pattern.properties.every(p => p.type === 'Property' && !p.computed && !IMPURE_MEMBERS.has(p.key.name || String(p.key.value)) && this.bind(p.value, scope))
    if (pattern.type === 'ArrayPattern') return pattern.elements.every(e => !e || this.bind(e, scope))
    if (pattern.type === 'AssignmentPattern') return this.pure(pattern.right, scope) && this.bind(pattern.left, scope)
    if (pattern.type === 'RestElement') return this.bind(pattern.argument, scope)
    return false
  }
}

/**
 * @param {string} source text of a CommonJS file
 * @returns {boolean} true when loading it is certain to have no effect and to give the same value each time
 */
function isPureScript (source) {
  if (source.length > 2e6) return false
  let tree
  try { tree = acorn.parse(source, { ecmaVersion: 'latest', sourceType: 'script', allowReturnOutsideFunction: false, allowHashBang: true }) } catch (e) { return false }
  const checker = new Checker(); const scope = new Set()
  for (const statement of tree.body) {
    if (statement.type === 'EmptyStatement' || (statement.type === 'ExpressionStatement' && statement.directive)) continue
    if (statement.type === 'ExpressionStatement' && statement.expression.type === 'AssignmentExpression') {
      const { left, right, operator } = statement.expression
      if (operator !== '=' || !isExports(left)) return false
      // An exported function is called anew for every load (spec §1.2): its result may differ each time.
      if (right.type !== 'ObjectExpression' && right.type !== 'ArrayExpression') return false
      if (!checker.pure(right, scope)) return false
      continue
    }
    if (statement.type !== 'VariableDeclaration' || !checker.pure(statement, scope)) return false
  }
  return true
}

module.exports = { isPureScript }
