// Removes what install.js made.
module.exports = {
  run: [
    { method: "fs.rm", params: { path: "env" } }
  ]
}
