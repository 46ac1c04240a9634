// Starts the server and announces its address. It stays up until the script is stopped.
module.exports = {
  daemon: true,
  run: [
    {
      when: "{{!exists('env/installed')}}",
      method: "script.start",
      params: { uri: "install.js" }
    },
    {
      method: "shell.run",
      params: {
        venv: "env",
        message: "python server.py {{args.port || port}}",
        on: [{ event: "/http:\\/\\/[0-9.]+:[0-9]+/", done: true }]
      }
    },
    {
      method: "local.set",
      params: { url: "{{input.event[0]}}" }
    }
  ]
}
