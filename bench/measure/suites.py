"""The measurements of the interpreter: start, steps, templates, shells, memory, imports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from measure import facts, scripts
from measure.child import Child, ChildError, end_process, memory, running
from measure.engines import Ours, Reference
from measure.rows import Row, Samples, Target

__all__ = ["SUITES", "Bench"]

_BENCH = Path(__file__).resolve().parent.parent


@dataclass
class Bench:
    """What every measurement needs.

    Parameters:
        ours, reference: the engines; the reference may be missing.
        folder: an empty folder.
        rounds: repetitions of what takes long.
        slow: whether the reference also does what takes it minutes.
        busy, patience: start when others use less than so many percent, or after so many seconds.
        say: tells progress.
    """

    ours: Ours
    reference: Reference | None
    folder: Path
    rounds: int = 5
    slow: bool = False
    busy: float = 25.0
    patience: float = 60.0
    say: Callable[[str], None] = print
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1 << 30)))

    def quiet(self) -> dict[str, Any]:
        """Wait for a quiet machine."""
        return facts.quiet(self.busy, self.patience)

    def fresh(self) -> str:
        """Return a name that was not used before."""
        return f"home{next(self.numbers)}"

    @property
    def engines(self) -> list[Ours | Reference]:
        """Both engines, ours first."""
        return [self.ours] if self.reference is None else [self.ours, self.reference]

    def each(self, text: str, measure: Callable[[Child, Path], float], rounds: dict[str, int]) -> tuple[dict[str, Samples], str | None]:
        """Measure a script in new engine processes, in turn; also tell why the reference gave nothing."""
        values: dict[str, list[float]] = {engine.name: [] for engine in self.engines}
        failed = None
        for number in range(max(rounds.values())):
            for engine in self.engines:
                if number >= rounds.get(engine.name, 0) or (failed and engine is self.reference):
                    continue
                home = engine.home(self.fresh())
                script = scripts.write(home, "run.js", text)
                try:
                    with running(engine.start(home)) as child:
                        values[engine.name].append(measure(child, script))
                except ChildError as error:
                    if engine is self.ours:
                        raise
                    failed = str(error)
        return {name: Samples(found) for name, found in values.items() if found}, failed


def _wall(command: list[str], env: dict[str, str], cwd: Path, expected: bytes = b"") -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    taken = time.perf_counter() - begun
    if done.returncode or expected not in done.stdout:
        raise ChildError(f"{command[:4]} failed: {done.returncode} {done.stdout[-500:]!r} {done.stderr[-500:]!r}")
    return taken


def startup(bench: Bench) -> Iterator[Row]:
    """From the start of the process to its end, with a script of one step."""
    around = bench.quiet()
    times: dict[str, list[float]] = {}
    homes = {engine.name: engine.home("warm") for engine in bench.engines}
    for number in range(2 * bench.rounds + 1):
        for engine in bench.engines:
            for kind in ("new", "warm"):
                home = homes[engine.name] if kind == "warm" else engine.home(bench.fresh())
                script = scripts.write(home, "run.js", scripts.one_step())
                env = engine.environment(home) if isinstance(engine, Reference) else engine.env
                taken = _wall(engine.once(script, home), env, home, b"hi" if engine is bench.ours else b"done")
                if number:
                    times.setdefault(f"{engine.name} {kind}", []).append(taken)
    ours = bench.ours
    limits = {
        "python alone": Samples([_wall([ours.python, "-c", "pass"], ours.env, bench.folder) for _ in range(7)]),
        "node alone": Samples([_wall([ours.node, "-e", "0"], ours.env, bench.folder) for _ in range(7)]),
    }
    for kind, what in (("warm", "warm home"), ("new", "new home")):
        theirs = times.get(f"reference {kind}")
        yield Row(f"start_{kind}", f"process start to a one-step script done, {what}", "s", Samples(times[f"ours {kind}"]),
                  Samples(theirs) if theirs else None, Target(0.4), limits if kind == "warm" else {}, around=around)


def _rate(count: int) -> Callable[[Child, Path], float]:
    return lambda child, script: count / (child.run(script)["ms"] / 1000)


def steps(bench: Bench) -> Iterator[Row]:
    """Steps a second."""
    full = 10_000
    few = full if bench.slow else 2_000
    kinds: list[tuple[str, str, Callable[[int], str], float | None, int]] = [
        ("straight", "straight script of 10,000 log steps", scripts.straight, 5000, few),
        ("literal", "straight script of 10,000 log steps, written out", scripts.literal, None, 0),
        ("loop", "loop of local.set and jump, 10,000 steps", scripts.loop, 5000, few if bench.slow else 1000),
        ("reloaded", "the same loop in a file that must be loaded before each step", scripts.reloaded, None, 0),
        ("python", "2,000 steps that Python executes (fs.open)", scripts.python_steps, None, 0),
    ]
    for key, what, text, goal, theirs in kinds:
        around = bench.quiet()
        count = 2000 if key == "python" else full
        found, _ = Bench(bench.ours, None, bench.folder, numbers=bench.numbers).each(text(count), _rate(count), {"ours": bench.rounds})
        reference = None
        failed = None
        if bench.reference is not None and theirs:
            other, failed = bench.each(text(theirs), _rate(theirs), {"reference": 1 if bench.slow else 2})
            reference = other.get("reference")
        for samples in (found["ours"], reference):
            if samples:
                samples.more = True
        notes = [f"the reference with {theirs:,} steps"] if reference and theirs != full else []
        yield Row(key, f"steps a second: {what}", "/s", found["ours"], reference, Target(goal) if goal else None, failed=failed, around=around,
                  notes=notes)


def templates(bench: Bench) -> Iterator[Row]:
    """Renderings a second, inside the processes that do them."""
    around = bench.quiet()
    count = 20_000
    command = [bench.ours.node, str(_BENCH / "measure" / "template.js"), str(bench.ours.host_folder), str(count), str(bench.rounds)]
    done = subprocess.run(command, env=bench.ours.env, capture_output=True, text=True, check=True)
    ours = json.loads(done.stdout)
    theirs: dict[str, Any] = {}
    if bench.reference is not None:
        with running(bench.reference.start(bench.reference.home(bench.fresh()))) as child:
            theirs = child.ask(op="template", count=count, rounds=2)
    names = {"render": "a step's rendering, 5 expressions", "step": "the same with all that a step does around it", "pure": "{{local.x}}",
             "mixed": "a {{local.y}} b", "plain": "a text without template"}
    for key, what in names.items():
        reference = Samples(theirs[key], more=True) if key in theirs else None
        yield Row(f"template_{key}", f"templates a second: {what}", "/s", Samples(ours[key], more=True), reference,
                  Target(23_500) if key == "render" else None, around=around)


def _between(answer: dict[str, Any]) -> list[float]:
    """Return the times from the start of a step to the start of the next, ms."""
    starts = [step[1] for step in answer["steps"]] + [answer["ms"]]
    return [after - before for before, after in zip(starts, starts[1:], strict=False)]


def echo(bench: Bench) -> Iterator[Row]:
    """``shell.run`` of ``echo hi``, from the start of a step to that of the next."""
    around = bench.quiet()
    found: dict[str, Samples] = {}
    alone: list[float] = []
    for engine in bench.engines:
        home = engine.home(bench.fresh())
        with running(engine.start(home)) as child:
            child.run(scripts.write(home, "warm.js", scripts.echo(2)))
            answer = child.run(scripts.write(home, "run.js", scripts.echo(30)))
            found[engine.name] = Samples(_between(answer), extra={"cpu_s": answer["cpu_s"]})
    for _ in range(30):
        begun = time.perf_counter()
        drain(["bash", "--norc", "-c", "echo hi"])
        alone.append((time.perf_counter() - begun) * 1000)
    yield Row("echo", "shell.run of `echo hi`", "ms", found["ours"], found.get("reference"), Target(25), {"bash on a pty": Samples(alone)},
              around=around, notes=["30 in one script, base environment ready"])


def drain(command: list[str]) -> int:
    """Run a command on a terminal and read all it prints; return how much."""
    master, slave = os.openpty()
    size = 0
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True):
        os.close(slave)
        while True:
            try:
                data = os.read(master, 1 << 16)
            except OSError:
                break
            if not data:
                break
            size += len(data)
    os.close(master)
    return size


def idle_memory(bench: Bench) -> Iterator[Row]:
    """Memory of an engine that has run something and waits."""
    for key, text, what in (("log", scripts.one_step(), "one log step"), ("shell", scripts.echo(1), "one shell.run")):
        around = bench.quiet()
        details: dict[str, list[dict[str, float]]] = {}

        def measure(child: Child, script: Path, details: dict[str, list[dict[str, float]]] = details) -> float:
            child.run(script)
            time.sleep(3.0)
            found = memory(child.pids)
            details.setdefault("ours" if len(child.pids) > 1 else "reference", []).append(found)
            return found["rss"]

        found, failed = bench.each(text, measure, {"ours": 3, "reference": 2})
        notes = []
        for name, items in details.items():
            last = items[-1]
            parts = f" (engine {last['rss_0']:.0f}, host {last['rss_1']:.0f})" if "rss_1" in last else ""
            notes.append(f"{name}: resident {last['rss']:.0f} MB{parts}, proportional {last['pss']:.0f} MB")
        yield Row(f"memory_{key}", f"memory, idle after {what}, engine and host together", "MB", found["ours"], found.get("reference"),
                  Target(130), failed=failed, around=around, notes=notes)
    yield _command_memory(bench)


def _command_memory(bench: Bench) -> Row:
    """Measure ``pinokiocloud run`` of a script that stays."""
    around = bench.quiet()
    values = []
    note = ""
    for _ in range(2):
        home = bench.ours.home(bench.fresh())
        script = scripts.write(home, "run.js", scripts.daemon())
        process = subprocess.Popen(bench.ours.once(script, home), env=bench.ours.env, cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(3.0)
            found = memory([process.pid, *(child.pid for child in psutil.Process(process.pid).children())])
            values.append(found["rss"])
            note = f"resident: engine {found['rss_0']:.0f}, host {found.get('rss_1', 0):.0f} MB; proportional {found['pss']:.0f} MB"
            process.send_signal(signal.SIGINT)
            process.wait(20)
        finally:
            end_process(process.pid)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    return Row("memory_command", "memory, idle, `pinokiocloud run` of a script that stays", "MB", Samples(values), around=around, notes=[note])


def imports(bench: Bench) -> Iterator[Row]:
    """Imports, without the start of Python itself."""
    ours = bench.ours
    for module, goal in (("pinokiocloud", 0.25), ("pinokiocloud.engine", None), ("pinokiocloud.cli.app", None)):
        around = bench.quiet()
        pairs = []
        for _ in range(10):
            bare = _wall([ours.python, "-c", "pass"], ours.env, bench.folder)
            pairs.append((_wall([ours.python, "-c", f"import {module}"], ours.env, bench.folder), bare))
        least = min(bare for _, bare in pairs)
        timed = subprocess.run([ours.python, "-X", "importtime", "-c", f"import {module}"], env=ours.env, capture_output=True, text=True, check=True)
        yield Row(f"import_{module}", f"import {module}, beside the start of Python", "s", Samples([max(0.0, whole - least) for whole, _ in pairs]),
                  target=Target(goal) if goal else None, around=around,
                  notes=[f"Python itself {least * 1000:.0f} ms", f"-X importtime: {_heaviest(timed.stderr)}"])


def _heaviest(text: str, count: int = 6) -> str:
    """Return the modules that take most of the time themselves, and the whole time."""
    found = [(int(own), int(whole), name.strip()) for own, whole, name in re.findall(r"import time:\s*(\d+) \|\s*(\d+) \|(.*)", text)]
    total = sum(own for own, _, _ in found)
    heavy = sorted({(whole, name) for _, whole, name in found if not name.startswith(("site", "encodings"))}, reverse=True)[:count]
    return f"{total / 1000:.0f} ms in all, of it " + ", ".join(f"{name} {whole / 1000:.0f}" for whole, name in heavy)


SUITES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "startup": startup, "steps": steps, "templates": templates, "echo": echo, "memory": idle_memory, "imports": imports,
}

if __name__ == "__main__":
    sys.exit("this is a part of bench/interpreter.py")
