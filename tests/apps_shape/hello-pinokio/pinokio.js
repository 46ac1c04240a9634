module.exports = {
  version: "3.7",
  title: "Hello Pinokio",
  description: "A page that says hello: the smallest app with everything that a Pinokio app has.",
  menu: async (kernel, info) => {
    const installed = info.exists("env")
    if (info.running("install.js")) {
      return [{ default: true, icon: "fa-solid fa-plug", text: "Installing", href: "install.js" }]
    }
    if (!installed) {
      return [{ default: true, icon: "fa-solid fa-plug", text: "Install", href: "install.js" }]
    }
    if (info.running("start.js")) {
      const local = info.local("start.js")
      if (local && local.url) {
        return [
          { default: true, icon: "fa-solid fa-rocket", text: "Open Web UI", href: local.url },
          { icon: "fa-solid fa-terminal", text: "Terminal", href: "start.js" },
          { icon: "fa-solid fa-stop", text: "Stop", href: "stop.js" }
        ]
      }
      return [{ default: true, icon: "fa-solid fa-terminal", text: "Terminal", href: "start.js" }]
    }
    if (info.running("update.js")) {
      return [{ default: true, icon: "fa-solid fa-terminal", text: "Updating", href: "update.js" }]
    }
    if (info.running("reset.js")) {
      return [{ default: true, icon: "fa-solid fa-terminal", text: "Resetting", href: "reset.js" }]
    }
    return [
      { default: true, icon: "fa-solid fa-power-off", text: "Start", href: "start.js" },
      { icon: "fa-solid fa-rotate", text: "Update", href: "update.js" },
      { icon: "fa-solid fa-plug", text: "Install", href: "install.js" },
      {
        icon: "fa-regular fa-circle-xmark",
        text: "<div><strong>Reset</strong><div>Back to before the installation</div></div>",
        href: "reset.js",
        confirm: "Remove what was installed?"
      }
    ]
  }
}
