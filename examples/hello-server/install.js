// Makes the virtual environment "env" next to this file and installs the packages into it.
module.exports = {
  run: [
    {
      method: "shell.run",
      params: { venv: "env", message: "pip install -r requirements.txt" }
    },
    {
      // Says that everything above has worked; start.js looks for it.
      method: "fs.write",
      params: { path: "env/installed", text: "yes" }
    }
  ]
}
