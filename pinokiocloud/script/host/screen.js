'use strict'
// What a terminal shows after some output: the text of a shell step's result (spec §4.2.8), by xterm.js without a display.

const { Terminal } = require('@xterm/headless')

// What moves the cursor without writing: the cells in between were never written and have no text in the reference.
const MOVES = /\t|\x1b\[[0-9;]*[A-HJKPX@fd]/

function cells (line, cols) {
  let out = ''
  for (let x = 0; x < cols; x++) out += line.getCell(x).getChars()
  return out
}

/** @returns {Promise<string>} the rows of buffer and screen, wrapped ones joined, styles removed, trailing blank rows cut */
function dump (text, { cols = 100, rows = 30, scrollback = 1000 } = {}) {
  const terminal = new Terminal({ cols, rows, scrollback, allowProposedApi: true })
  return new Promise(resolve => terminal.write(text, () => {
    const buffer = terminal.buffer.active
    const moves = MOVES.test(text)
    const out = []
    for (let y = 0; y < buffer.length; y++) {
      const line = buffer.getLine(y)
      const next = buffer.getLine(y + 1)
      const whole = moves ? cells(line, terminal.cols) : line.translateToString(!(next && next.isWrapped))
      if (line.isWrapped && out.length) out[out.length - 1] += whole
      else out.push(whole)
    }
    while (out.length && out[out.length - 1] === '') out.pop()
    const end = { x: buffer.cursorX, y: buffer.cursorY + buffer.baseY }
    terminal.dispose()
    resolve({ text: out.join('\r\n'), cursor: end })
  }))
}

module.exports = { dump }
