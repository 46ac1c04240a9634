"""The measurements of much output, and of downloads and copies."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import scripts
from measure.bench import Bench, drain
from measure.child import Child, ChildError, MemoryWatch
from measure.rows import Row, Samples, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measure.engines import Ours, Reference

__all__ = ["SUITES"]

_PIECE = 1 << 20
_PATIENCE = 600  # s that an engine may take for one script


# ---- much output ----------------------------------------------------------------------------------------------------
@dataclass
class _Flood:
    """One kind of output."""

    key: str
    what: str
    line: str
    seconds: float
    check: Callable[[Path], int]
    memory: float | None = None
    slow: bool = False


def _numbers(log: Path) -> int:
    """Return how many bytes of ``seq`` the log has lost, none of which may be in between."""
    wanted = b"".join(b"%d\r\n" % number for number in range(1, 1_000_001))
    if wanted not in log.read_bytes():
        raise ChildError(f"the log of {log.stat().st_size:,} bytes lacks output")
    return len(wanted)


def _lines(size: int) -> Callable[[Path], int]:
    count, rest = divmod(size, 99)

    def check(log: Path) -> int:
        line = b"a" * 99 + b"\r\n"
        found = 0
        held = b""
        with log.open("rb") as file:
            while data := file.read(_PIECE * 16):
                held += data
                found += held.count(line)
                held = held[held.rfind(b"\n") + 1 :]
        if found != count:
            raise ChildError(f"the log holds {found:,} of {count:,} lines")
        return count * 101 + rest

    return check


def flood(bench: Bench) -> Iterator[Row]:
    """Much output from one shell."""
    lines = scripts.LINES_OF_99
    small, large = 10_000_000, 200_000_000
    kinds = [
        _Flood("million", "a million lines of output (7.9 MB)", "seq 1 1000000", 1.0, _numbers),
        _Flood("lines99", "10 MB in 99-column lines", lines.format(size=small), 0.5, _lines(small)),
        _Flood(
            "flood", "200 MB of output from one shell", lines.format(size=large), 5.0, _lines(large), 200, slow=True
        ),
    ]
    for kind in kinds:
        yield from _flood(bench, kind)


def _flood(bench: Bench, kind: _Flood) -> Iterator[Row]:
    around = bench.quiet()
    peaks: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    notes: dict[str, str] = {}

    def measure(engine: Ours | Reference, child: Child, script: Path) -> float:
        child.run(scripts.write(script.parent.parent.parent, "warm.js", scripts.echo(1)))
        watch = MemoryWatch(child.pids)
        try:
            with watch:
                answer = child.run(script, _PATIENCE)
        finally:
            peaks.setdefault(engine.name, []).append(watch.peak)
        cpu.setdefault(engine.name, []).append(answer["cpu_s"])
        if engine is bench.ours:
            home = script.parent.parent.parent
            kept = kind.check(bench.ours.log(home, script))
            notes["kept"] = f"the log holds all {kept:,} bytes"
            notes["peaks"] = f"engine {watch.peaks[0]:.0f} MB, host {watch.peaks[1]:.0f} MB"
            shutil.rmtree(home)
        return float(answer["ms"]) / 1000

    texts = {"ours": scripts.command(kind.line)}
    if bench.slow or not kind.slow:
        texts["reference"] = texts["ours"]
    found = bench.each(texts, {"ours": 3 if kind.slow else bench.rounds, "reference": 1}, measure)
    if bench.reference is not None and "reference" not in texts:
        found.failed["reference"] = "only with --slow"
    floor = Samples([drain(["bash", "--norc", "-c", kind.line]) for _ in range(3)])
    used = [f"{name}: processor time {min(values):.2f} s" for name, values in cpu.items()]
    yield Row(
        key=kind.key,
        what=kind.what,
        unit="s",
        ours=found.of("ours"),
        reference=found.of("reference"),
        target=Target(kind.seconds),
        limits={"only read": floor},
        failed=found.failed,
        around=around,
        notes=[notes.get("kept", ""), *used],
    )
    yield Row(
        key=f"{kind.key}_memory",
        what=f"{kind.what}: peak memory of engine and host",
        unit="MB",
        ours=Samples(peaks["ours"]) if "ours" in peaks else None,
        reference=Samples(peaks["reference"]) if "reference" in peaks else None,
        target=Target(kind.memory) if kind.memory else None,
        failed=found.failed,
        notes=[notes.get("peaks", "")],
    )


# ---- downloads and copies -------------------------------------------------------------------------------------------
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
            head = f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "bench"\r\nAccept-Ranges: bytes\r\n'
            connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
            place = size if asked.startswith(b"HEAD") else 0
            while place < size:
                place += os.sendfile(connection.fileno(), file, place, min(_PIECE, size - place))
    except OSError:  # the other side is gone
        return


def _source(path: Path, size: int) -> None:
    piece = os.urandom(_PIECE)
    with path.open("wb") as file:
        while size > 0:
            size -= file.write(piece[:size])
        os.fsync(file.fileno())


@dataclass
class _Beside:
    """A step, and the program that it is measured beside.

    Parameters:
        key, what, unit, target: the row's.
        size: of the file that is made, bytes.
        method: the step's method.
        params: gives the step's parameters for the file to be made.
        command: gives the program's command line for it.
    """

    key: str
    what: str
    unit: str
    target: Target
    size: int
    method: str
    params: Callable[[Path], dict[str, Any]]
    command: Callable[[Path], list[str]]


def download(bench: Bench) -> Iterator[Row]:
    """``fs.download`` beside ``curl``."""
    size = 500_000_000
    source = bench.folder / "source.bin"
    _source(source, size)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    with subprocess.Popen(
        [sys.executable, __file__, str(source)], stdout=subprocess.PIPE, text=True, env=env
    ) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/source.bin"
        what = _Beside(
            "download",
            "download of 500 MB from loopback",
            "s",
            Target(1.25, "curl"),
            size,
            "fs.download",
            lambda made: {"uri": url, "path": str(made)},
            lambda made: ["curl", "-s", "-o", str(made), url],
        )
        try:
            yield _beside(bench, what)
        finally:
            server.terminate()
    source.unlink()


def copy(bench: Bench) -> Iterator[Row]:
    """``fs.copy`` beside ``cp``."""
    size = 100_000_000
    source = bench.folder / "source.bin"
    _source(source, size)
    what = _Beside(
        "copy",
        "copy of 100 MB",
        "ms",
        Target(1.1, "cp"),
        size,
        "fs.copy",
        lambda made: {"src": str(source), "dest": str(made)},
        lambda made: ["cp", str(source), str(made)],
    )
    yield _beside(bench, what)
    source.unlink()


def _made(path: Path, size: int, who: str) -> None:
    """Check a file and take it away."""
    if path.stat().st_size != size:
        raise ChildError(f"{who} made a file of {path.stat().st_size:,} bytes")
    path.unlink()


def _beside(bench: Bench, what: _Beside) -> Row:
    """Measure a step of both engines and a program in turn, so that what else the machine does meets all of them."""
    around = bench.quiet()
    factor = 1000 if what.unit == "ms" else 1
    times: dict[str, list[float]] = {}
    children: dict[str, tuple[Child, Path]] = {}
    other = bench.folder / "made.bin"
    try:
        for engine in bench.engines:
            home = engine.home(bench.fresh())
            made = home / "api" / "bench" / "made.bin"
            scripts.write(home, "run.js", scripts.fs_steps(what.method, [what.params(made)]))
            child = engine.start(home)
            children[engine.name] = child, made
            child.greeted()
        for number in range(2 * bench.rounds + 1):
            bench.pause()
            os.sync()  # what others have written must not be waited for here
            for name, (child, made) in children.items():
                answer = child.run(made.with_name("run.js"))
                _made(made, what.size, name)
                _, begin, end = answer["steps"][0]
                if number:
                    times.setdefault(name, []).append(factor * (end - begin) / 1000)
                    times.setdefault(f"{name} run", []).append(factor * answer["ms"] / 1000)
            begun = time.perf_counter()
            subprocess.run(what.command(other), check=True)
            if number:
                times.setdefault("limit", []).append(factor * (time.perf_counter() - begun))
            _made(other, what.size, str(what.target.of))
    finally:
        for child, _ in children.values():
            child.close()
    ours, limit = Samples(times["ours"]), Samples(times["limit"])
    whole = Samples(times["ours run"])
    return Row(
        key=what.key,
        what=what.what,
        unit=what.unit,
        ours=ours,
        reference=Samples(times["reference"]) if "reference" in times else None,
        target=what.target,
        limits={str(what.target.of): limit},
        around=around,
        notes=[
            f"{ours.median / limit.median:.2f} x {what.target.of} by medians, {ours.best / limit.best:.2f} by the best",
            f"the step itself; the whole run of a script with it {whole.median:.3g} {what.unit}",
        ],
    )


SUITES: dict[str, Callable[[Bench], Iterator[Row]]] = {"flood": flood, "download": download, "copy": copy}

if __name__ == "__main__":
    serve(sys.argv[1])
