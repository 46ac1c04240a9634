// Arguments, a command, an event in its output, a variable. Needs no network.
module.exports = {
  run: [
    {
      method: "log",
      params: { text: "Hello, {{args.name || 'world'}}!" }
    },
    {
      method: "shell.run",
      params: {
        message: "echo this is $(uname -s)",
        on: [{ event: "/this is (\\w+)/" }]
      }
    },
    {
      method: "local.set",
      params: { system: "{{input.event[1]}}" }
    }
  ]
}
