'use strict'
// Keeps a process on loopback: every TCP listener is moved to 127.0.0.1, and no UDP socket is bound (the reference looks
// for other machines in the network). Loaded before anything else.

const net = require('net')
const dgram = require('dgram')

const local = (host) => host === '127.0.0.1' || host === '::1' || host === 'localhost'
const listen = net.Server.prototype.listen

/** The arguments of `listen`, with the host replaced where it would be seen from outside. */
function moved (given) {
  const [first, ...rest] = given
  if (first !== null && typeof first === 'object') {
    if (first.path !== undefined || first.fd !== undefined || first._handle || first.port === undefined || local(first.host)) return given
    return [{ ...first, host: '127.0.0.1' }, ...rest]
  }
  if (typeof first === 'string' && !/^\d+$/.test(first)) return given // a Unix socket's path
  const callback = rest.find((item) => typeof item === 'function') || (typeof first === 'function' ? first : undefined)
  const host = rest.find((item) => typeof item === 'string')
  const backlog = rest.find((item) => typeof item === 'number')
  const port = typeof first === 'function' || first === undefined || first === null ? 0 : Number(first)
  const options = { port, host: local(host) ? host : '127.0.0.1' }
  if (backlog !== undefined) options.backlog = backlog
  return callback ? [options, callback] : [options]
}

net.Server.prototype.listen = function (...given) { return listen.apply(this, moved(given)) }
dgram.Socket.prototype.bind = function () { return this }
