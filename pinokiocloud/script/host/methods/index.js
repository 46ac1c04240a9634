'use strict'
// The methods that live in the host: those whose meaning is JavaScript values. The others live in Python's methods/.

module.exports = Object.assign(Object.create(null),
  require('./log'), require('./flow'), require('./memory'), require('./files').methods, require('./net'))
