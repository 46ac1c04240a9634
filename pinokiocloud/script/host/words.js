'use strict'
// Texts for people: what was thrown, and which name was meant.

const util = require('util')

/** The text of anything that may be thrown. */
function textOf (value) {
  if (value === null || typeof value !== 'object' || value instanceof Error) { try { return String(value) } catch (e) { return 'an error without a text' } }
  try {
    const own = typeof value.toString === 'function' && value.toString !== Object.prototype.toString
    return own ? String(value) : util.inspect(value, { depth: 1, breakLength: Infinity })
  } catch (e) { return 'an object without a text' }
}

function distance (a, b) { // Levenshtein, with swapped neighbours as one change
  let before = []; let last = [...Array(b.length + 1).keys()]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j], before[j - 2] + 1)
    }
    before = last; last = row
  }
  return last[b.length]
}

/** The known name that is most like this one; undefined when none is near. */
function nearest (name, known) {
  let best; let least = Math.max(1, Math.floor(name.length / 4)) + 1
  for (const other of known) {
    if (Math.abs(other.length - name.length) >= least) continue
    const d = distance(name.toLowerCase(), other.toLowerCase())
    if (d < least) { least = d; best = other }
  }
  return best
}

module.exports = { textOf, nearest }
