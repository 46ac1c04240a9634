"""The file name that a server gives to a download, made safe (spec §4.4 fs.download)."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote, unquote_to_bytes, urlsplit

__all__ = ["NAME_BYTES", "header_name", "remote_name", "safe_name"]

NAME_BYTES = 240
"""The longest name, in bytes of UTF-8: file systems take 255, and the unfinished file's name is longer."""

_PARAMETER = re.compile(
    r"""
    ;\s* (?P<key>[^\s=;"]+) \s*=\s*
    (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<plain>[^;]*) )
    """,
    re.VERBOSE | re.DOTALL,
)


def remote_name(disposition: str | None, *urls: str) -> str:
    """Return the name to store a download under.

    Parameters:
        disposition: the server's Content-Disposition header.
        urls: the addresses to take a name from when the header has none, best first.

    Returns:
        a plain file name: the header's (``filename*`` before ``filename``), else the last part of the first address
        that has one, else "download". Never a path, never "..", at most ``NAME_BYTES`` long.
    """
    candidates = [header_name(disposition)] if disposition else []
    candidates += [unquote(urlsplit(url).path.rsplit("/", 1)[-1]) for url in urls]
    for candidate in candidates:
        name = safe_name(candidate)
        if name:
            return name
    return "download"


def header_name(disposition: str) -> str:
    """Return the raw name in a Content-Disposition header, or "" (RFC 6266, RFC 5987)."""
    plain = ""
    # A header may lack the type: 'filename=x' instead of 'attachment; filename=x'.
    for match in _PARAMETER.finditer(";" + disposition):
        key = match["key"].lower()
        quoted, bare = match["quoted"], (match["plain"] or "").strip()
        value = bare if quoted is None else _unescape(quoted)
        if key == "filename*":
            extended = _extended(value)
            if extended:
                return extended
        elif key == "filename" and not plain:
            plain = _readable(value)
    return plain


def safe_name(name: str) -> str:
    """Return the last component of ``name`` without control characters and trailing dots; "" if nothing is left."""
    name = re.split(r"[/\\]", name)[-1]
    # Cc, Cf, Cs: line breaks, text direction marks, halves of characters: they mislead or cannot be stored.
    name = "".join(char for char in name if unicodedata.category(char) not in {"Cc", "Cf", "Cs"})
    return _shorten(name.strip().rstrip(". "))


def _unescape(quoted: str) -> str:
    # Only quotes and backslashes are escaped in practice; 'C:\dir\x' comes unescaped from old servers.
    return re.sub(r'\\(["\\])', r"\1", quoted)


def _extended(value: str) -> str:
    """Return an RFC 5987 value (``UTF-8''na%C3%AFve``) as text, or ""."""
    charset, found, rest = value.partition("'")
    text = rest.partition("'")[2] if found else ""
    try:
        return unquote_to_bytes(text).decode(charset.strip() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return ""


def _readable(value: str) -> str:
    """Return a plain value as it was meant: raw UTF-8 or an RFC 2047 word, which servers send against the rules."""
    with suppress(UnicodeError):
        # HTTP headers arrive as Latin-1, whatever their bytes are.
        value = value.encode("latin-1").decode("utf-8")
    if value.startswith("=?") and value.endswith("?="):
        try:
            return str(make_header(decode_header(value)))
        except (HeaderParseError, LookupError, UnicodeError):
            return value
    return value


def _shorten(name: str) -> str:
    """Return a name of at most ``NAME_BYTES`` bytes that keeps its suffix."""
    if len(name.encode()) <= NAME_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > 20:
        stem, dot, suffix = name, "", ""
    room = NAME_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + suffix
