module.exports = {
  run: [
    {
      method: "shell.run",
      params: {
        message: "git pull"
      }
    },
    {
      when: "{{exists('env')}}",
      method: "shell.run",
      params: {
        venv: "env",
        message: "uv pip install -r app/requirements.txt"
      }
    }
  ]
}
