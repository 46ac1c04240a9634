module.exports = {
  run: [
    {
      method: "shell.run",
      params: {
        venv: "env",
        path: ".",
        message: ["uv pip install -r app/requirements.txt"]
      }
    },
    {
      method: "notify",
      params: {
        html: "Installed. Click 'Start'."
      }
    }
  ]
}
