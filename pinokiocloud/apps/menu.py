"""The menu of an app, evaluated for a state (spec §5.3)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinokiocloud.apps.inspector import Inspector
from pinokiocloud.apps.launcher import load_error
from pinokiocloud.errors import ScriptNotFoundError
from pinokiocloud.script import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pinokiocloud.platforms.machine import Machine

__all__ = ["Menu", "MenuItem", "evaluate_menu", "menu_items", "plain_text"]

_CLICKABLE = ("href", "action", "menu", "shell", "run")
_WEB = ("http://", "https://")


class _Text(HTMLParser):
    """Collects the text of HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Separate the texts of neighbours."""
        del tag, attrs
        self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Separate the texts of neighbours."""
        del tag
        self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.parts.append(data)


def plain_text(html: str) -> str:
    """Return the text of a label, which often is HTML, on one line."""
    if "<" not in html and "&" not in html:
        return " ".join(html.split())
    parser = _Text()
    parser.feed(html)
    parser.close()
    return " ".join("".join(parser.parts).split())


@dataclass(frozen=True)
class MenuItem:
    """One entry of a menu.

    Attributes:
        text: its label without HTML.
        href: what it leads to, as the launcher says; None for a heading or a nested menu.
        script: the script that it starts, as an absolute path; None when it leads elsewhere.
        url: the web address that it leads to; None when it leads elsewhere.
        icon: Font Awesome classes.
        default: whether it is chosen by itself when the app is opened.
        params: the arguments of the script.
        confirm: what to ask before.
        items: the nested menu.
        extra: every other key of the entry (``fs``, ``popout``, ``shell``, ``run``, ``mode`` …).
    """

    text: str
    href: str | None = None
    script: Path | None = None
    url: str | None = None
    icon: str | None = None
    default: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    confirm: str | None = None
    items: tuple[MenuItem, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as a JSON-like object."""
        out: dict[str, Any] = {"text": self.text, "href": self.href}
        if self.script is not None:
            out["script"] = str(self.script)
        if self.url is not None:
            out["url"] = self.url
        for key in ("icon", "confirm"):
            if getattr(self, key) is not None:
                out[key] = getattr(self, key)
        if self.default:
            out["default"] = True
        if self.params:
            out["params"] = wire.plain(self.params)
        if self.items:
            out["menu"] = [item.to_dict() for item in self.items]
        return {**out, **wire.plain(self.extra)}


@dataclass(frozen=True)
class Menu:
    """The evaluated menu of an app.

    Attributes:
        app: the app's folder.
        launcher: its ``pinokio.js``; None when it has none.
        root: the folder that paths of the menu are relative to.
        title: its name, for people.
        description: what it is, for people.
        icon: file of its picture; None when it names none.
        items: the entries; those without anything to click are left out (spec §5.3).
        notes: what the menu wanted and did not get: commands, files outside of the app and the home.
    """

    app: Path
    launcher: Path | None
    root: Path
    title: str
    description: str = ""
    icon: Path | None = None
    items: tuple[MenuItem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def default(self) -> MenuItem | None:
        """The entry that is chosen by itself: the first with ``default``, nested ones included."""
        return next((item for item in flat(self.items) if item.default), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the menu as a JSON-like object."""
        return {
            "app": str(self.app),
            "launcher": None if self.launcher is None else str(self.launcher),
            "root": str(self.root),
            "title": self.title,
            "description": self.description,
            "icon": None if self.icon is None else str(self.icon),
            "menu": [item.to_dict() for item in self.items],
            "notes": list(self.notes),
        }


def flat(items: Iterable[MenuItem]) -> list[MenuItem]:
    """Return the entries with those of nested menus, in document order."""
    return [one for item in items for one in (item, *flat(item.items))]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _target(href: str, root: Path) -> tuple[Path | None, str | None]:
    """Return the script, or the web address, that an ``href`` leads to."""
    if href.startswith(_WEB):
        return None, href
    path = href.partition("?")[0]
    if not path.lower().endswith((".js", ".json")) or "://" in path:
        return None, None
    return Path(os.path.normpath(root / path)), None


def menu_items(raw: Sequence[Any], root: Path) -> tuple[MenuItem, ...]:
    """Return the entries of a menu as the launcher gives it (spec §5.3).

    Parameters:
        raw: the decoded list.
        root: the launcher's folder.
    """
    out = []
    for entry in raw:
        if not isinstance(entry, dict) or not any(entry.get(key) for key in _CLICKABLE):
            continue
        href = _text(entry.get("href"))
        script, url = _target(href, root) if href else (None, None)
        nested = entry.get("menu")
        params = entry.get("params")
        known = {"text", "html", "href", "icon", "default", "params", "confirm", "menu"}
        out.append(
            MenuItem(
                text=plain_text(_text(entry.get("text")) or _text(entry.get("html")) or href or ""),
                href=href,
                script=script,
                url=url,
                icon=_text(entry.get("icon")),
                default=entry.get("default") not in (None, False, wire.UNDEFINED, 0, ""),
                params=params if isinstance(params, dict) else {},
                confirm=_text(entry.get("confirm")),
                items=menu_items(nested, root) if isinstance(nested, list) else (),
                extra={key: value for key, value in entry.items() if key not in known and value is not wire.UNDEFINED},
            )
        )
    return tuple(out)


def _places(script: str | os.PathLike[str], root: Path) -> tuple[str, ...]:
    """Return the paths of a script: as given and, behind links, as the launcher's own code sees it."""
    path = os.path.normpath(root / script)
    return tuple(dict.fromkeys((path, os.path.realpath(path))))


def _notes(raw: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    words = {"command": "it wanted to run", "outside": "it may not look at", "network": "it wanted to connect to"}
    return tuple(dict.fromkeys(f"{words[note['kind']]} {note['what']}" for note in raw))


async def evaluate_menu(
    app_dir: str | os.PathLike[str],
    *,
    home: str | os.PathLike[str] | None = None,
    running: Iterable[str | os.PathLike[str]] = (),
    local: Mapping[str, Mapping[str, Any]] | None = None,
    machine: Machine | None = None,
    inspector: Inspector | None = None,
) -> Menu:
    """Evaluate the menu of an app for the state that its files are in (spec §5.3).

    The menu is a function of the app's author: it runs in a process of its own that may read the app and the home
    folder and can do nothing else.

    Parameters:
        app_dir: the app's folder.
        home: the home folder; it need not exist.
        running: the scripts that are running; relative ones count from the launcher's folder.
        local: local variables by running script.
        machine: what ``kernel.platform``, ``kernel.gpu`` … are; by default what this machine has.
        inspector: the process to evaluate it in; by default one of its own.

    Returns:
        The menu; without entries when the app has no launcher, or the launcher no menu.

    Raises:
        ScriptNotFoundError: there is no such folder.
        ScriptLoadError: the launcher cannot be loaded, or its menu throws; the message begins with ``file:line``.
        HostError: its code never gave back control, or ended the process.
    """
    app = Path(os.path.abspath(app_dir))  # noqa: PTH100 - a link stays a link
    if not app.is_dir():
        raise ScriptNotFoundError(f"there is no app folder {app}", hint="give the app's folder", path=str(app))
    if inspector is None:
        async with Inspector(app, home=home, machine=machine) as own:
            return await evaluate_menu(app, running=running, local=local, machine=machine, inspector=own)
    root = app if (app / "pinokio.js").is_file() or not (app / "pinokio" / "pinokio.js").is_file() else app / "pinokio"
    got = await inspector.call(
        "inspect.menu",
        app=str(app),
        machine=(machine or inspector.machine).variables(),
        env=inspector.environment(app),
        running=[place for script in running for place in _places(script, root)],
        local=wire.encode(
            {place: dict(values) for script, values in (local or {}).items() for place in _places(script, root)}
        ),
        port=42003,
    )
    if not got["ok"]:
        what = {"load": "cannot be loaded", "throws": "has a menu that throws", "value": "has a menu that is no list"}
        raise load_error(got["launcher"], got["fault"], what[got["kind"]])
    meta = wire.decode(got["meta"])
    icon = _text(meta.get("icon"))
    return Menu(
        app=app,
        launcher=None if got["launcher"] is None else Path(got["launcher"]),
        root=Path(got["root"]),
        title=plain_text(_text(meta.get("title")) or app.name),
        description=plain_text(_text(meta.get("description")) or ""),
        icon=None if icon is None or icon.startswith(_WEB) else Path(os.path.normpath(Path(got["root"]) / icon)),
        items=menu_items(wire.decode(got["menu"]), Path(got["root"])),
        notes=_notes(got["notes"]),
    )
