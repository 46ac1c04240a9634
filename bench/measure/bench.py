"""What every measurement uses: the engines, the repetitions, timed commands."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from measure import facts, scripts
from measure.child import ChildError, running
from measure.rows import Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from measure.child import Child
    from measure.engines import Ours, Reference

__all__ = ["Bench", "Found", "drain", "wall"]


@dataclass
class Found:
    """What was measured of each engine, by its name, and why one gave nothing."""

    samples: dict[str, Samples] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> Samples | None:
        """Return an engine's samples, if there are any."""
        return self.samples.get(name)


@dataclass
class Bench:
    """The engines, and how often and when they are measured.

    Parameters:
        ours, reference: the engines; the reference may be missing.
        folder: an empty folder.
        rounds: repetitions.
        slow: whether the reference also does what takes it minutes.
        busy, patience: start when others use less than so many percent, or after so many seconds.
    """

    ours: Ours
    reference: Reference | None
    folder: Path
    rounds: int = 5
    slow: bool = False
    busy: float = 25.0
    patience: float = 60.0
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1 << 30)))

    def quiet(self) -> dict[str, Any]:
        """Wait for a quiet machine."""
        return facts.quiet(self.busy, self.patience)

    def pause(self) -> None:
        """Wait for a quiet machine before one repetition, not as long."""
        facts.quiet(self.busy, min(self.patience, 20.0), 0.3)

    def fresh(self) -> str:
        """Return a name that was not used before."""
        return f"home{next(self.numbers)}"

    @property
    def engines(self) -> list[Ours | Reference]:
        """Both engines, ours first."""
        return [self.ours] if self.reference is None else [self.ours, self.reference]

    def each(
        self,
        texts: Mapping[str, str],
        rounds: Mapping[str, int],
        measure: Callable[[Ours | Reference, Child, Path], float],
        *,
        more: bool = False,
    ) -> Found:
        """Measure each engine's script in new processes, the engines in turn.

        Parameters:
            texts: the script, by the engine's name; an engine without one is left out.
            rounds: repetitions, by the engine's name.
            measure: called with the engine, its process and the script's path; gives the figure.
            more: whether more is better.
        """
        values: dict[str, list[float]] = {}
        found = Found()
        for number in range(max(rounds.values())):
            for engine in self.engines:
                name = engine.name
                if name not in texts or name in found.failed or number >= rounds[name]:
                    continue
                home = engine.home(self.fresh())
                script = scripts.write(home, "run.js", texts[name])
                self.pause()
                try:
                    with running(engine.start(home)) as child:
                        values.setdefault(name, []).append(measure(engine, child, script))
                except ChildError as error:
                    found.failed[name] = f"fails: {error}"
        found.samples = {name: Samples(items, more=more) for name, items in values.items() if name not in found.failed}
        return found


def wall(command: Sequence[str], env: Mapping[str, str], cwd: Path, expected: bytes = b"") -> float:
    """Run a command; return the time from its start to its end, s.

    Raises:
        ChildError: it failed, or did not print what it should.
    """
    begun = time.perf_counter()
    done = subprocess.run(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    taken = time.perf_counter() - begun
    if done.returncode or expected not in done.stdout:
        said = (done.stdout + done.stderr)[-500:].decode("utf-8", "replace")
        raise ChildError(f"{' '.join(command[:4])} ended with {done.returncode}: {said}")
    return taken


def drain(command: Sequence[str]) -> float:
    """Run a command on a terminal and only read what it prints; return how long it took, s."""
    begun = time.perf_counter()
    master, slave = os.openpty()
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True):
        os.close(slave)
        try:
            while os.read(master, 1 << 16):
                pass
        except OSError:  # the last one has closed the terminal
            pass
    os.close(master)
    return time.perf_counter() - begun
