'use strict'
// Steps of one method queue up when its first use asked for it (spec §2.10).

class Queue {
  constructor (limit) { this.limit = limit; this.active = new Set(); this.waiting = new Map() }

  async enter (run) {
    if (this.active.size < this.limit) { this.active.add(run); return }
    await new Promise(resolve => this.waiting.set(run, resolve))
  }

  leave (run) {
    const resolve = this.waiting.get(run)
    if (resolve) { this.waiting.delete(run); resolve(); return }
    this.active.delete(run)
    const next = this.waiting.entries().next()
    if (!next.done && this.active.size < this.limit) {
      const [waiter, go] = next.value
      this.waiting.delete(waiter)
      this.active.add(waiter)
      go()
    }
  }
}

module.exports = { Queue }
