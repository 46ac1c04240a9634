// What Pinokio shows of this app: its title, and a menu that depends on its state.
module.exports = {
  version: "4.0",
  title: "Hello server",
  description: "A web server of one page: the smallest complete Pinokio app.",
  menu: async (kernel, info) => {
    if (!info.exists("env/installed")) {
      return [{ default: true, icon: "fa-solid fa-plug", text: "Install", href: "install.js" }]
    }
    if (info.running("start.js")) {
      const { url } = info.local("start.js")
      return [
        ...(url ? [{ default: true, icon: "fa-solid fa-rocket", text: "Open", href: url }] : []),
        { icon: "fa-solid fa-terminal", text: "Terminal", href: "start.js" }
      ]
    }
    return [
      { default: true, icon: "fa-solid fa-power-off", text: "Start", href: "start.js" },
      { icon: "fa-solid fa-broom", text: "Reset", href: "reset.js" }
    ]
  }
}
