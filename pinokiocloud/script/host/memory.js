'use strict'
// Dot paths of local, global, self and JSON files (spec §4.5).

/** Sets `path` in `object`; a wrong path is ignored, as in the reference. */
function set (object, path, value) {
  try {
    if (path.startsWith('[')) {
      new Function('object', 'value', `object${path} = value`)(object, value)
      return
    }
    const parts = path.split('.')
    let at = object
    for (const part of parts.slice(0, -1)) {
      if (at[part] === undefined) at[part] = {}
      at = at[part]
    }
    at[parts[parts.length - 1]] = value
  } catch (e) { /* spec §4.5: errors inside one key are ignored */ }
}

/** Removes `path` from `object`; a numeric last part splices an array. */
function remove (object, path) {
  try {
    if (path.startsWith('[')) { new Function('object', `delete object${path}`)(object); return }
    const parts = path.split('.')
    let at = object
    for (const part of parts.slice(0, -1)) at = at[part]
    const last = parts[parts.length - 1]
    if (Array.isArray(at) && /^\d+$/.test(last)) at.splice(Number(last), 1)
    else delete at[last]
  } catch (e) { /* as above */ }
}

/** The value after setting every key of `values`; an array replaces the whole. */
function assign (object, values) {
  if (Array.isArray(values)) return values
  for (const key of Object.keys(values)) set(object, key, values[key])
  return object
}

module.exports = { set, remove, assign }
