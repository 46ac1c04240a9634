"""Where in a step a template stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["is_late", "path_of"]


def path_of(value: Any, template: str, path: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """Return the keys that lead to a template; an empty path when it came about by rendering.

    Parameters:
        value: the step, or a part of it, as it is written.
        template: the template's text.
        path: the keys that lead to ``value``.
    """
    if isinstance(value, str):
        return path if template in value else ()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(key, str) and template in key:
            return (*path, key)
        found = path_of(item, template, (*path, key))
        if found:
            return found
    return ()


def is_late(path: Sequence[Any]) -> bool:
    """Tell whether a template is rendered again when its event is there: ``on[].return``, ``on[].notify`` (spec §3.1).

    Parameters:
        path: the keys that lead to it.
    """
    return tuple(path[:2]) == ("params", "on") and len(path) > 3 and path[3] in ("return", "notify")
