'use strict'
// Script paths and URIs as the host needs them synchronously (spec §2.11).

const path = require('path')

/** Splits `<remote>.git[/inside]`; throws the reference's error for a URL without .git. */
function gitUri (uri) {
  const m = /^(.*?\.git)(?:\/(.*))?$/.exec(uri)
  if (!m) throw new Error('a git repository URI must end with .git')
  return { remote: m[1], inside: m[2] || '' }
}

function plainRemote (url) { return url.replace(/\.git$/, '').replace(/^[a-z+]+:\/\/(?:[^@/]*@)?/i, '').toLowerCase() }

class Paths {
  constructor (home) { this.home = home; this.remotes = {} } // remotes: folder name → remote.origin.url, kept by Python

  /** The local path of a git URI, or null when the repository is not installed. */
  git (uri) {
    const { remote, inside } = gitUri(uri)
    const wanted = plainRemote(remote)
    for (const folder of Object.keys(this.remotes)) {
      if (plainRemote(this.remotes[folder]) === wanted) return path.resolve(this.home, 'api', folder, inside)
    }
    return null
  }

  /** `resolve(uri, base)`: http…git, ~/…, absolute, relative to base. */
  resolve (uri, base) {
    if (uri.startsWith('http')) return this.git(uri)
    if (uri.startsWith('~/')) return path.resolve(this.home, uri.slice(2))
    if (path.isAbsolute(uri)) return uri
    if (base === undefined) throw new Error(`the relative path '${uri}' needs a folder to start from: use an absolute path, ~/… or a git URI`)
    return path.resolve(base, uri)
  }
}

module.exports = { Paths, gitUri }
