'use strict'
// Multi-line arguments of an argv message travel in environment variables (spec §4.2.3).

/** Changes the rendered step: each multi-line string becomes a marker, its text a variable of `params.env`. */
function envArguments (step) {
  const { params } = step
  if (!params || typeof params !== 'object' || !params.message || typeof params.message !== 'object') return
  const found = []
  const swap = (value) => {
    if (typeof value === 'string') {
      if (!/[\r\n]/.test(value)) return value
      const n = found.length
      found.push({ name: `PINOKIO_ARG_${n}`, value })
      return `__PINOKIO_ENVARG_${n}__`
    }
    if (Array.isArray(value)) return value.map(swap)
    if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, swap(v)]))
    return value
  }
  // only object messages, also inside an array: plain strings may have several lines of their own
  const message = Array.isArray(params.message)
    ? params.message.map(item => (item && typeof item === 'object' && !Array.isArray(item) ? swap(item) : item))
    : swap(params.message)
  if (!found.length) return
  step.params = {
    ...params,
    message,
    env: { ...(params.env || {}), ...Object.fromEntries(found.map(({ name, value }) => [name, value])) },
    _pinokio_env_args: found,
    _pinokio_cmd_delayed_expansion: false
  }
}

module.exports = { envArguments }
