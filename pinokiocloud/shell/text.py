"""Plain text from a terminal's bytes: for events and logs, chunk by chunk."""

from __future__ import annotations

import codecs
import re

__all__ = ["PlainText", "strip_ansi"]

_LONGEST = 4096  # characters of a string sequence (a title, a link): a longer one is no sequence
_STRING = rf"[\]PX^_](?:[^\x07\x1b\n]{{0,{_LONGEST}}}"  # OSC, DCS, SOS, PM, APC: ended by BEL or ST
# CSI, strings, charset selections, two-byte escapes. What is broken off loses its beginning; no ESC is ever left.
_ANSI = re.compile(
    rf"\x1b(?:\[[0-?]{{0,256}}[ -/]{{0,16}}[@-~]?|{_STRING}(?:\x07|\x1b\\))?|[ -/]{{1,16}}[0-~]?|[0-OQ-WYZ\\`-~])?"
)
_PARTIAL = re.compile(rf"\x1b(?:\[[0-?]{{0,256}}[ -/]{{0,16}}|{_STRING})|[ -/]{{1,16}})?")


def strip_ansi(text: str) -> str:
    """Return ``text`` without terminal sequences."""
    return _ANSI.sub("", text) if "\x1b" in text else text


class PlainText:
    """Turns chunks of terminal output into plain text (spec §4.2.7, Live).

    Sequences and characters that are split across chunks are held back; CRLF and lone CR become LF.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """Return the plain text of ``data`` as far as it is complete."""
        text = self._decoder.decode(data, final)
        if self._held:
            text = self._held + text
            self._held = ""
        if "\x1b" in text:
            at = len(text) if final else _unfinished(text)
            self._held = text[at:]
            text = _ANSI.sub("", text[:at])
        if "\r" in text:
            if text.endswith("\r") and not final:
                self._held = "\r" + self._held
                text = text[:-1]
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text


def _unfinished(text: str) -> int:
    """Return where a sequence begins that the next chunk may finish; the text's length when there is none."""
    at = text.rfind("\x1b")
    if at == len(text) - 1:  # perhaps the first half of the ST that ends a string
        before = text.rfind("\x1b", 0, at)
        return before if before >= 0 and _PARTIAL.fullmatch(text, before, at) else at
    return at if _PARTIAL.fullmatch(text, at) else len(text)
