"""The measurements of much output, and of downloads and copies."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import scripts
from measure.child import Child, ChildError, MemoryWatch, running
from measure.engines import Ours, Reference
from measure.rows import Row, Samples, Target
from measure.suites import Bench, drain

__all__ = ["SUITES"]

_PIECE = 1 << 20


def _floor(line: str, rounds: int) -> Samples:
    """Return how long the command itself takes on a terminal that only gets read, s."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        drain(["bash", "--norc", "-c", line])
        times.append(time.perf_counter() - begun)
    return Samples(times)


def _kept(log: Path, wanted: bytes) -> str:
    """Say whether the log holds this output, and nothing is missing in between."""
    data = log.read_bytes()
    if wanted not in data:
        raise ChildError(f"the log {log} of {len(data)} bytes lacks output")
    return f"the log holds all {len(wanted):,} bytes"


def _kept_lines(log: Path, count: int, rest: int) -> str:
    line = b"a" * 99 + b"\r\n"
    found = 0
    with log.open("rb") as file:
        held = b""
        while data := file.read(_PIECE * 16):
            held += data
            found += held.count(line)
            held = held[held.rfind(b"\n") + 1:]
    if found != count:
        raise ChildError(f"the log {log} holds {found} of {count} lines")
    return f"the log holds all {count * 101 + rest:,} bytes"


def _run(engine: Ours | Reference, bench: Bench, line: str, timeout: float) -> tuple[dict[str, Any], MemoryWatch, Path, Path]:
    home = engine.home(bench.fresh())
    script = scripts.write(home, "run.js", scripts.command(line))
    with running(engine.start(home)) as child:
        child.run(scripts.write(home, "warm.js", scripts.echo(1)))
        with MemoryWatch(child.pids) as watch:
            answer = child.run(script, timeout)
    return answer, watch, home, script


def flood(bench: Bench) -> Iterator[Row]:
    """Much output from one shell."""
    numbers = b"".join(b"%d\r\n" % number for number in range(1, 1_000_001))
    lines = scripts.LINES_OF_99
    kinds: list[tuple[str, str, str, float, bool]] = [
        ("million", "a million lines of output (7.9 MB)", "seq 1 1000000", 1.0, True),
        ("lines99", "10 MB in 99-column lines", lines.format(size=10_000_000), 0.5, True),
        ("flood", "200 MB of output from one shell", lines.format(size=200_000_000), 5.0, bench.slow),
    ]
    for key, what, line, goal, with_reference in kinds:
        around = bench.quiet()
        times: list[float] = []
        cpu: list[float] = []
        watch: MemoryWatch | None = None
        note = ""
        peaks = []
        for _ in range(3 if key == "flood" else bench.rounds):
            answer, watch, home, script = _run(bench.ours, bench, line, 300)
            times.append(answer["ms"] / 1000)
            cpu.append(answer["cpu_s"])
            peaks.append(watch.peak)
            log = bench.ours.log(home, script)
            if key == "million":
                note = _kept(log, numbers)
            else:
                size = 10_000_000 if key == "lines99" else 200_000_000
                note = _kept_lines(log, size // 99, size % 99)
            shutil.rmtree(home)
        reference = theirs = None
        failed = None if with_reference or bench.reference is None else "not measured without --slow"
        if bench.reference is not None and with_reference:
            try:
                answer, seen, _, _ = _run(bench.reference, bench, line, 1500)
                reference, theirs = Samples([answer["ms"] / 1000]), Samples([seen.peak])
            except ChildError as error:
                failed = f"fails: {error}"
        assert watch is not None
        ours = Samples(times, extra={"cpu_s": [round(value, 2) for value in cpu]})
        busy = f"processor time of engine and host {min(cpu):.2f} s"
        yield Row(key, what, "s", ours, reference, Target(goal), {"pty": _floor(line, 3)}, failed, around, [note, busy])
        yield Row(f"{key}_memory", f"{what}: peak memory of engine and host", "MB", Samples(peaks), theirs,
                  Target(200) if key == "flood" else None, {}, failed, around,
                  ["peaks: " + ", ".join(f"{name} {value:.0f} MB" for name, value in zip(("engine", "host"), watch.peaks, strict=False))])


def serve(path: str) -> None:
    """Serve one file on a free port of loopback, printed first, as fast as the kernel can."""
    size = os.path.getsize(path)
    with socket.create_server(("127.0.0.1", 0)) as listener, open(path, "rb") as file:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection, file.fileno(), size), daemon=True).start()


def _answer(connection: socket.socket, file: int, size: int) -> None:
    asked = b""
    try:
        with connection:
            while b"\r\n\r\n" not in asked:
                data = connection.recv(65536)
                if not data:
                    return
                asked += data
            head = f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "bench"\r\nAccept-Ranges: bytes\r\nConnection: close\r\n\r\n'
            connection.sendall(head.encode())
            place = size if asked.startswith(b"HEAD") else 0
            while place < size:
                place += os.sendfile(connection.fileno(), file, place, min(_PIECE, size - place))
    except OSError:
        return


def _source(path: Path, size: int) -> None:
    piece = os.urandom(_PIECE)
    with path.open("wb") as file:
        while size > 0:
            size -= file.write(piece[:size])
        os.fsync(file.fileno())


def _step_seconds(answer: dict[str, Any]) -> list[float]:
    return [(end - begin) / 1000 for _, begin, end in answer["steps"]]


def download(bench: Bench) -> Iterator[Row]:
    """``fs.download`` beside ``curl``: in turn, each to a new file."""
    around = bench.quiet()
    size = 500_000_000
    source = bench.folder / "source.bin"
    _source(source, size)
    with subprocess.Popen([sys.executable, __file__, str(source)], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/source.bin"
        try:
            yield _beside(bench, "download", "download of 500 MB from loopback", "s", Target(1.25, "curl"), around, size,
                          "fs.download", lambda target: {"uri": url, "path": str(target)}, lambda target: ["curl", "-s", "-o", str(target), url])
        finally:
            server.terminate()
    source.unlink()


def copy(bench: Bench) -> Iterator[Row]:
    """``fs.copy`` beside ``cp``."""
    around = bench.quiet()
    size = 100_000_000
    source = bench.folder / "source.bin"
    _source(source, size)
    yield _beside(bench, "copy", "copy of 100 MB", "ms", Target(1.1, "cp"), around, size, "fs.copy",
                  lambda target: {"src": str(source), "dest": str(target)}, lambda target: ["cp", str(source), str(target)])
    source.unlink()


def _beside(bench: Bench, key: str, what: str, unit: str, target: Target, around: dict[str, Any], size: int, method: str,
            params: Any, command: Any) -> Row:
    """Measure a step of both engines and a program in turn, so that what else the machine does meets all of them."""
    factor = 1000 if unit == "ms" else 1
    times: dict[str, list[float]] = {}
    children: dict[str, tuple[Child, Path]] = {}
    try:
        for engine in bench.engines:
            home = engine.home(bench.fresh())
            made = home / "api" / "bench" / "made.bin"
            scripts.write(home, "run.js", scripts.fs_steps(method, [params(made)]))
            children[engine.name] = engine.start(home).greeted(), made
        other = bench.folder / "made.bin"
        for number in range(2 * bench.rounds + 1):
            for name, (child, made) in children.items():
                made.unlink(missing_ok=True)
                answer = child.run(made.with_name("run.js"))
                if made.stat().st_size != size:
                    raise ChildError(f"{name} made a file of {made.stat().st_size} bytes")
                if number:
                    times.setdefault(name, []).append(factor * _step_seconds(answer)[0])
                    times.setdefault(f"{name} run", []).append(factor * answer["ms"] / 1000)
                made.unlink()
            other.unlink(missing_ok=True)
            begun = time.perf_counter()
            subprocess.run(command(other), check=True)
            if number:
                times.setdefault("limit", []).append(factor * (time.perf_counter() - begun))
            other.unlink()
    finally:
        for child, _ in children.values():
            child.close()
    limit = str(target.of)
    limits = {limit: Samples(times["limit"])}
    ours = Samples(times["ours"], extra={"whole_run": round(min(times["ours run"]), 3)})
    ratio = ours.median / limits[limit].median
    best = ours.best / limits[limit].best
    reference = Samples(times["reference"]) if "reference" in times else None
    return Row(key, what, unit, ours, reference, target, limits, None, around,
               [f"{ratio:.2f} × {limit} by the medians, {best:.2f} × by the best"])


SUITES = {"flood": flood, "download": download, "copy": copy}

if __name__ == "__main__":
    serve(sys.argv[1])
