"""Which parameters methods need (spec §4): a step without them fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinokiocloud.script.wire import UNDEFINED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["NEEDS", "missing"]

_PATH = (("path",),)
_URI = (("uri", "url"),)
_SCRIPT = (("uri", "path"),)
_ANY: Sequence[Sequence[str]] = ()

#: For each method the parameters that it needs; of each inner list one is enough. A method with an empty list needs
#: ``params`` as such; one that is not listed does without (spec §4.1, last paragraph).
NEEDS: Mapping[str, Sequence[Sequence[str]]] = {
    **dict.fromkeys(("fs.write", "fs.append", "fs.read", "fs.cat", "fs.rm", "fs.remove", "fs.rmdir"), _PATH),
    **dict.fromkeys(("fs.make", "fs.mkdir", "fs.open", "fs.exists", "fs.readdir", "json.read", "json.write"), _PATH),
    "json.merge": _PATH,
    "fs.copy": (("src",), ("dest",)),
    "fs.move": (("src", "from"), ("dest", "to")),
    "fs.download": (("uri", "url"), ("dir", "path")),
    "fs.link": (("drive", "venv"),),
    "fs.share": (("drive", "venv"),),
    "net": (("url",),),
    "net.request": (("url",),),
    "net.upload": (("url",), ("path", "file")),
    "net.download": _URI,
    "jump": (("index", "id"),),
    "goto": (("index", "id"),),
    **dict.fromkeys(("script.start", "script.run", "script.stop", "script.download"), _SCRIPT),
    "web.open": _URI,
    "browser.open": _URI,
    "tab.open": _URI,
    "uri.open": _URI,
    "exec": (("message",),),
    "hf.download": (("_",),),
    "hf.upload": (("_",),),
    "gradio.predict": (("uri",), ("path",)),
    "cloudflare.tunnel": (("uri",),),
    "clipboard.copy": (("text",),),
    "app.download": (("uri",),),
    "app.launch": _ANY,
    **dict.fromkeys(("local.set", "local.rm", "local.import", "global.set", "global.rm", "self.set", "self.rm"), _ANY),
    **dict.fromkeys(("json.get", "json.set", "json.rm", "set", "rm", "load", "env.set", "env.switch"), _ANY),
}


def missing(method: str, params: object) -> str | None:
    """Return what a step's parameters lack, None when they are complete.

    Parameters:
        method: the method's name.
        params: the step's params as they are written; None when it has none.
    """
    needs = NEEDS.get(method)
    if needs is None:
        return None
    if params is None or params is UNDEFINED:
        names = ", ".join("/".join(one) for one in needs)
        return f"'params' ({names})" if names else "'params'"
    if not isinstance(params, dict):
        return None
    lacking = [one for one in needs if not any(_given(params.get(name), name) for name in one)]
    return " and ".join(" or ".join(f"'{name}'" for name in one) for one in lacking) or None


def _given(value: object, name: str) -> bool:
    """Tell whether a parameter is there; only what is typed may be empty."""
    return value is not None and value is not UNDEFINED and (value != "" or name in {"message", "text"})
