"""Plain text from a terminal's bytes: for events and logs, chunk by chunk."""

from __future__ import annotations

import codecs
import re

__all__ = ["PlainText", "strip_ansi"]

# CSI, OSC (ended by BEL or ST), other string sequences, charset selections, and two-byte escapes
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[()*+\-./][@-~0-9]|[ -/]?[0-~])"
)
_PARTIAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_][^\x1b]*\x1b?|[()*+\-./]|[ -/])?\Z")
_HELD = 4096  # an unfinished sequence longer than this is no sequence


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
            text = _ANSI.sub("", text)
            at = text.rfind("\x1b")
            if at >= 0 and not final and len(text) - at < _HELD and _PARTIAL.match(text, at):
                self._held = text[at:]
                text = text[:at]
        if "\r" in text:
            if text.endswith("\r") and not final:
                self._held = "\r" + self._held
                text = text[:-1]
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text
