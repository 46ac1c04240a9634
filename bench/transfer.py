"""Measures downloads beside ``curl`` and copies beside ``cp``; one JSON line each.

    python bench/transfer.py [--folder DIR] [--rounds N] [--megabytes N]

Both sides of a pair run in turn, so that what else the machine does meets both. ``ratio`` is that of the medians,
``best_ratio`` that of the best runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pinokiocloud.transfer.copy import copy
from pinokiocloud.transfer.download import download
from pinokiocloud.transfer.progress import DownloadEvent, render_event

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 1 << 20


def serve(path: str) -> None:
    """Serve one file on a free port, printed first; as fast as the kernel can."""
    size = os.path.getsize(path)
    with socket.create_server(("127.0.0.1", 0)) as listener, open(path, "rb") as file:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection, file.fileno(), size), daemon=True).start()


def answer(connection: socket.socket, file: int, size: int) -> None:
    with connection:
        asked = b""
        while b"\r\n\r\n" not in asked:
            data = connection.recv(65536)
            if not data:
                return
            asked += data
        head = f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "v"\r\nAccept-Ranges: bytes\r\n'
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n")
        place = 0
        while place < size:
            place += os.sendfile(connection.fileno(), file, place, min(PIECE, size - place))


def timed(action: Callable[[], object], made: Path) -> float:
    made.unlink(missing_ok=True)
    os.sync()  # what the last run left to the disk is not this one's to wait for
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def compare(what: str, sides: dict[str, Callable[[], object]], made: Path, rounds: int) -> None:
    """Run the sides in turn; the first is ours, the second what it is measured by."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for action in sides.values():
        timed(action, made)  # warm
    for number in range(rounds):
        # Each round begins with another side: what one leaves behind (memory to clear, say) meets each of the others.
        order = list(sides.items())
        for name, action in order[number % len(order) :] + order[: number % len(order)]:
            times[name].append(timed(action, made))
    made.unlink()
    ours, theirs = (times[name] for name in list(sides)[:2])
    result: dict[str, object] = {"what": what}
    for name, values in times.items():
        result[name + "_ms"] = round(1000 * statistics.median(values), 1)
        result[name + "_best_ms"] = round(1000 * min(values), 1)
    result["ratio"] = round(statistics.median(ours) / statistics.median(theirs), 3)
    result["best_ratio"] = round(min(ours) / min(theirs), 3)
    print(json.dumps(result), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="where to write (default: the folder for temporary files)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--megabytes", type=int, default=500, help="the size of the download")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        source, made = folder / "source.bin", folder / "made.bin"
        with source.open("wb") as file:
            for _ in range(options.megabytes):
                file.write(os.urandom(1_000_000))
            os.fsync(file.fileno())
        command = [sys.executable, __file__, "--serve", str(source)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}/source.bin"

            def shown(event: DownloadEvent) -> None:
                render_event(event)

            sides: dict[str, Callable[[], object]] = {
                "ours": lambda: asyncio.run(download(url, path=made, on_event=shown)),
                "curl": lambda: subprocess.run(["curl", "-s", "-o", made, url], check=True),
                "curl_and_sync": lambda: subprocess.run(
                    ["sh", "-c", 'curl -s -o "$0" "$1" && sync "$0"', made, url], check=True
                ),
            }
            compare(f"download of {options.megabytes} MB from loopback", sides, made, options.rounds)
            server.terminate()
        os.truncate(source, 100_000_000)
        sides = {
            "ours": lambda: copy(source, made),
            "cp": lambda: subprocess.run(["cp", source, made], check=True),
        }
        compare("copy of 100 MB", sides, made, options.rounds * 3)


if __name__ == "__main__":
    main()
