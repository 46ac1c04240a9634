'use strict'
// net (spec §4.9): the params go to axios as they are; only the body comes back.

const fs = require('fs')
const path = require('path')

async function request ({ req: { params }, signal }) {
  const { default: axios } = require('axios')
  const response = await axios({ ...params, signal })
  return response.data
}

/** The guide's net.upload {url, path|file, field, data, headers, method}: a file as multipart/form-data. */
async function upload ({ req: { params }, resolve, signal }) {
  const { default: axios } = require('axios')
  const file = resolve(params.path === undefined ? params.file : params.path)
  const form = new FormData()
  for (const [key, value] of Object.entries(params.data || {})) form.append(key, typeof value === 'string' ? value : JSON.stringify(value))
  form.append(params.field || 'file', await fs.openAsBlob(file), path.basename(file))
  const response = await axios({ url: params.url, method: params.method || 'post', headers: params.headers, data: form, signal, maxBodyLength: Infinity })
  return response.data
}

module.exports = { net: request, 'net.request': request, 'net.upload': upload }
