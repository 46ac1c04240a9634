"""The measurements of start, steps, templates, shells, memory and imports."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from measure import scripts
from measure.bench import Bench, Found, drain, wall
from measure.child import Child, ChildError, end_process, memory, running
from measure.rows import Row, Samples, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measure.engines import Ours, Reference

__all__ = ["SUITES"]

_TEMPLATES = Path(__file__).with_name("template.js")
_SETTLE = 3.0  # s between a run's end and the look at the memory


def startup(bench: Bench) -> Iterator[Row]:
    """From the start of the process to its end, with a script of one step."""
    around = bench.quiet()
    times: dict[str, list[float]] = {}
    homes = {engine.name: engine.home("warm") for engine in bench.engines}
    for number in range(2 * bench.rounds + 1):
        bench.pause()
        for engine in bench.engines:
            for kind in ("new", "warm"):
                home = homes[engine.name] if kind == "warm" else engine.home(bench.fresh())
                script = scripts.write(home, "run.js", scripts.one_step())
                expected = b"hi" if engine is bench.ours else b'"done"'
                taken = wall(engine.once(script, home), engine.environment(home), home, expected)
                if number:  # the first is for the caches
                    times.setdefault(f"{engine.name} {kind}", []).append(taken)
    env = bench.ours.env
    limits = {
        "python alone": Samples([wall([bench.ours.python, "-c", "pass"], env, bench.folder) for _ in range(9)]),
        "node alone": Samples([wall([bench.ours.node, "-e", "0"], env, bench.folder) for _ in range(9)]),
    }
    for kind, what in (("warm", "warm home"), ("new", "new home")):
        theirs = times.get(f"reference {kind}")
        yield Row(
            key=f"start_{kind}",
            what=f"process start to a one-step script done, {what}",
            unit="s",
            ours=Samples(times[f"ours {kind}"]),
            reference=Samples(theirs) if theirs else None,
            target=Target(0.4),
            limits=limits if kind == "warm" else {},
            around=around,
        )


def _rate(_: Ours | Reference, child: Child, script: Path) -> float:
    count = int(script.read_text().rpartition("// ")[2])
    return count / (child.run(script)["ms"] / 1000)


def steps(bench: Bench) -> Iterator[Row]:
    """Steps a second, in new processes."""
    full = 10_000
    few = full if bench.slow else 2_000
    kinds: list[tuple[str, str, Callable[[int], str], float | None, int, int]] = [
        ("straight", "straight script of 10,000 log steps", scripts.straight, 5000, full, few),
        ("literal", "straight script of 10,000 log steps, written out", scripts.literal, None, full, 0),
        ("loop", "loop of local.set and jump, 10,000 steps", scripts.loop, 5000, full, few if bench.slow else 1000),
        ("reloaded", "the loop in a file that must be loaded before each step", scripts.reloaded, None, full, 0),
        ("python", "2,000 steps that Python executes (fs.open)", scripts.python_steps, None, 2000, 0),
    ]
    for key, what, text, goal, count, theirs in kinds:
        around = bench.quiet()
        texts = {"ours": f"{text(count)}// {count}"}
        if theirs:
            texts["reference"] = f"{text(theirs)}// {theirs}"
        rounds = {"ours": bench.rounds, "reference": 1 if bench.slow else 2}
        found = bench.each(texts, rounds, _rate, more=True)
        yield Row(
            key=key,
            what=f"steps a second: {what}",
            unit="/s",
            ours=found.of("ours"),
            reference=found.of("reference"),
            target=Target(goal) if goal else None,
            failed=found.failed,
            around=around,
            notes=[f"the reference with {theirs:,} steps"] if found.of("reference") and theirs != count else [],
        )


def templates(bench: Bench) -> Iterator[Row]:
    """Renderings a second, inside the processes that do them."""
    around = bench.quiet()
    count = 20_000
    command = [bench.ours.node, str(_TEMPLATES), str(bench.ours.host_folder), str(count), str(bench.rounds)]
    done = subprocess.run(command, env=bench.ours.env, capture_output=True, text=True, check=True)
    ours = json.loads(done.stdout)
    theirs: dict[str, Any] = {}
    if bench.reference is not None:
        with running(bench.reference.start(bench.reference.home(bench.fresh()))) as child:
            theirs = child.ask(op="template", count=count, rounds=2)
    names = {
        "render": "a step with 5 expressions",
        "step": "the same with all that a step does around it",
        "pure": "`{{local.x}}`",
        "mixed": "`a {{local.y}} b`",
        "plain": "a text without template",
    }
    for key, what in names.items():
        yield Row(
            key=f"template_{key}",
            what=f"renderings a second: {what}",
            unit="/s",
            ours=Samples(ours[key], more=True),
            reference=Samples(theirs[key], more=True) if key in theirs else None,
            target=Target(23_500) if key == "render" else None,
            around=around,
        )


def _between(answer: dict[str, Any]) -> list[float]:
    """Return the times from the start of a step to the start of the next, ms."""
    starts = [step[1] for step in answer["steps"]] + [answer["ms"]]
    return [after - before for before, after in itertools.pairwise(starts)]


def echo(bench: Bench) -> Iterator[Row]:
    """``shell.run`` of ``echo hi``, from the start of a step to that of the next."""
    around = bench.quiet()
    found = Found()
    for engine in bench.engines:
        home = engine.home(bench.fresh())
        try:
            with running(engine.start(home)) as child:
                child.run(scripts.write(home, "warm.js", scripts.echo(2)))
                answer = child.run(scripts.write(home, "run.js", scripts.echo(30)))
        except ChildError as error:
            found.failed[engine.name] = f"fails: {error}"
        else:
            found.samples[engine.name] = Samples(_between(answer), extra={"cpu_s": answer["cpu_s"]})
    alone = Samples([1000 * drain(["bash", "--norc", "-c", "echo hi"]) for _ in range(30)])
    yield Row(
        key="echo",
        what="shell.run of `echo hi`",
        unit="ms",
        ours=found.of("ours"),
        reference=found.of("reference"),
        target=Target(25),
        limits={"bash -c on a terminal": alone},
        failed=found.failed,
        around=around,
        notes=["30 in one script, base environment ready"],
    )


def idle_memory(bench: Bench) -> Iterator[Row]:
    """Memory of an engine that has run something and waits."""
    for key, text, what in (("log", scripts.one_step(), "one log step"), ("shell", scripts.echo(1), "one shell.run")):
        around = bench.quiet()
        details: dict[str, str] = {}

        def measure(engine: Ours | Reference, child: Child, script: Path, details: dict[str, str] = details) -> float:
            child.run(script)
            time.sleep(_SETTLE)
            now = memory(child.pids)
            details[engine.name] = f"{engine.name}: {_parts(now)}"
            return now["rss"]

        texts = {"ours": text, "reference": text}
        found = bench.each(texts, {"ours": 3, "reference": 2}, measure)
        yield Row(
            key=f"memory_{key}",
            what=f"memory, idle after {what}, engine and host together",
            unit="MB",
            ours=found.of("ours"),
            reference=found.of("reference"),
            target=Target(130),
            failed=found.failed,
            around=around,
            notes=list(details.values()),
        )
    yield _command_memory(bench)


def _parts(now: dict[str, float]) -> str:
    each = f" (engine {now['rss_0']:.0f}, host {now['rss_1']:.0f})" if "rss_1" in now else ""
    return f"resident {now['rss']:.0f} MB{each}, proportional {now['pss']:.0f} MB"


def _command_memory(bench: Bench) -> Row:
    """Measure ``pinokiocloud run`` of a script that stays."""
    around = bench.quiet()
    values = []
    note = ""
    for _ in range(2):
        home = bench.ours.home(bench.fresh())
        command = bench.ours.once(scripts.write(home, "run.js", scripts.daemon()), home)
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, env=bench.ours.env, cwd=home, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
        ) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(_SETTLE)
                now = memory([process.pid, *(child.pid for child in psutil.Process(process.pid).children())])
                values.append(now["rss"])
                note = _parts(now)
                process.send_signal(signal.SIGINT)
                process.wait(20)
            finally:
                end_process(process.pid)
    return Row(
        key="memory_command",
        what="memory, idle, `pinokiocloud run` of a script that stays",
        unit="MB",
        ours=Samples(values),
        around=around,
        notes=[note],
    )


def imports(bench: Bench) -> Iterator[Row]:
    """Imports, without the start of Python itself."""
    ours = bench.ours
    for module, goal in (("pinokiocloud", 0.25), ("pinokiocloud.engine", None), ("pinokiocloud.cli.app", None)):
        around = bench.quiet()
        code = f"import {module}"
        bare = []
        whole = []
        for _ in range(10):
            bare.append(wall([ours.python, "-c", "pass"], ours.env, bench.folder))
            whole.append(wall([ours.python, "-c", code], ours.env, bench.folder))
        command = [ours.python, "-X", "importtime", "-c", code]
        timed = subprocess.run(command, env=ours.env, capture_output=True, text=True, check=True)
        yield Row(
            key=f"import_{module}",
            what=f"`import {module}`, beside the start of Python",
            unit="s",
            ours=Samples([max(0.0, item - min(bare)) for item in whole]),
            target=Target(goal) if goal else None,
            around=around,
            notes=[f"Python itself {min(bare) * 1000:.0f} ms", f"by -X importtime {_heaviest(timed.stderr)}"],
        )


def _heaviest(text: str, count: int = 6) -> str:
    """Return the time of all modules together, and the modules that take most with what they import."""
    lines = re.findall(r"import time:\s*(\d+) \|\s*(\d+) \|(.*)", text)
    total = sum(int(own) for own, _, _ in lines)
    whole = {name.strip(): int(time_) for _, time_, name in lines if not name.strip().startswith(("site", "encodings"))}
    heavy = sorted(whole.items(), key=lambda item: -item[1])[:count]
    return f"{total / 1000:.0f} ms, of it " + ", ".join(f"{name} {value / 1000:.0f}" for name, value in heavy)


SUITES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "startup": startup,
    "steps": steps,
    "templates": templates,
    "echo": echo,
    "memory": idle_memory,
    "imports": imports,
}
