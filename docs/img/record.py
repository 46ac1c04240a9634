"""Records docs/img/run.png: the example app, run in a real terminal (tmux), drawn by a headless Chromium.

``python docs/img/record.py CLONE`` with a clone in which the package is installed in ``.venv``, as the README says. It
needs tmux, chromium, and the Python package rich, which pinokiocloud brings.
"""  # noqa: INP001 - a script beside the picture that it makes

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, ROWS = 112, 40
COMMAND = ".venv/bin/pinokiocloud run examples/hello-server/start.js"
SESSION = f"pinokiocloud-{os.getpid()}"
LIMIT = 300  # s


def tmux(*arguments: str) -> str:
    """Call tmux; give what it prints."""
    return subprocess.run(["tmux", "-L", SESSION, *arguments], check=True, capture_output=True, text=True).stdout


def record(clone: Path) -> str:
    """Type the command into a terminal; give what the terminal shows, with its colours, once the address is there."""
    tmux(
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-s",
        SESSION,
        "-x",
        str(COLUMNS),
        "-y",
        str(ROWS),
        "-c",
        str(clone),
        "bash --norc",
    )
    try:
        tmux("set-option", "-g", "history-limit", "5000")
        tmux("send-keys", "-t", SESSION, "PS1='$ '; clear", "Enter")
        time.sleep(1)
        tmux("send-keys", "-t", SESSION, COMMAND, "Enter")
        deadline = time.monotonic() + LIMIT
        while "address: http" not in tmux("capture-pane", "-p", "-t", SESSION):
            if time.monotonic() > deadline:
                raise TimeoutError(tmux("capture-pane", "-p", "-t", SESSION))
            time.sleep(0.5)
        time.sleep(1)
        shown = tmux("capture-pane", "-e", "-p", "-S", "-", "-t", SESSION)
        tmux("send-keys", "-t", SESSION, "C-c")
        time.sleep(3)
    finally:
        tmux("kill-server")
    return shown[shown.index("$ ") :].rstrip() + "\n"


def draw(shown: str, target: Path) -> None:
    """Draw a terminal's text as a picture."""
    text = Text.from_ansi(shown)
    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"), force_terminal=True)  # noqa: SIM115 - to the end
    console.print(text)
    svg = console.export_svg(title="pinokiocloud", font_aspect_ratio=0.6)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        style = (
            "<style>body{margin:0}svg{width:1200px;display:block}"
            "svg text{font-family:'DejaVu Sans Mono'!important}</style>"
        )
        page.write_text(f"<!doctype html><meta charset=utf-8>{style}{svg}", "utf-8")
        left, top, width, height = (float(part) for part in svg.split('viewBox="', 1)[1].split('"', 1)[0].split())
        size = f"1200,{round(1200 * (height - top) / (width - left))}"
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={size}",
             f"--screenshot={target}", page.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip


if __name__ == "__main__":
    draw(record(Path(sys.argv[1]).resolve()), Path(__file__).with_name("run.png"))
