"""Measured figures, and how they are shown: JSON lines and a Markdown table."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Row", "Samples", "Target", "table"]


@dataclass
class Samples:
    """Repetitions of one measurement."""

    values: list[float]
    more: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def best(self) -> float:
        """The least time or memory, or the highest rate."""
        return max(self.values) if self.more else min(self.values)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "median": rounded(self.median),
            "best": rounded(self.best),
            "n": len(self.values),
            "all": [rounded(value) for value in self.values[:50]],
            **self.extra,
        }


@dataclass
class Target:
    """A figure to reach, absolute or a multiple of one of the row's limits."""

    limit: float
    of: str | None = None


@dataclass
class Row:
    """One line of the table.

    Parameters:
        key: a short name, the same in every version of the bench.
        what: what is measured.
        unit: ``s``, ``ms``, ``/s`` or ``MB``; with ``/s`` more is better.
        ours, reference: the two engines.
        target: the figure to reach, if the architecture has one.
        limits: what the machine itself can do: ``curl``, ``cp``, ``pty`` …
        failed: why an engine gave no figure.
        around: how busy the machine was before.
        notes: anything to be known about this row.
    """

    key: str
    what: str
    unit: str
    ours: Samples | None
    reference: Samples | None = None
    target: Target | None = None
    limits: dict[str, Samples] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    around: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def more(self) -> bool:
        """Whether more is better."""
        return self.unit == "/s"

    @property
    def limit(self) -> float | None:
        """The figure to reach."""
        if self.target is None:
            return None
        return self.target.limit * (self.limits[self.target.of].median if self.target.of else 1.0)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target."""
        if self.limit is None:
            return None
        if self.ours is None:
            return False
        return self.ours.median >= self.limit if self.more else self.ours.median <= self.limit

    @property
    def ratio(self) -> float | None:
        """How many times better than the reference the median is."""
        if self.reference is None or self.ours is None:
            return None
        pair = (self.ours.median, self.reference.median) if self.more else (self.reference.median, self.ours.median)
        return pair[0] / pair[1] if pair[1] else None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "key": self.key,
            "what": self.what,
            "unit": self.unit,
            "ours": self.ours.to_dict() if self.ours else None,
            "reference": self.reference.to_dict() if self.reference else None,
            "limits": {name: item.to_dict() for name, item in self.limits.items()},
            "failed": self.failed,
            "target": None if self.limit is None else rounded(self.limit),
            "met": self.met,
            "ratio": None if self.ratio is None else rounded(self.ratio),
            "before": self.around,
            "notes": self.notes,
        }

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        reference = self._shown("reference", self.reference)
        for name, item in self.limits.items():
            reference += f" ({name} {_number(item.median, self.unit)})"
        target = "-"
        if self.limit is not None and self.target is not None:
            sign = "≥" if self.more else "≤"
            of = f" ({self.target.limit:g} x {self.target.of})" if self.target.of else ""
            target = f"{sign} {_number(self.limit, self.unit)}{of}: {'met' if self.met else '**missed**'}"
        ratio = "-" if self.ratio is None else f"{rounded(self.ratio):g}"
        return [self.what, reference, target, self._shown("ours", self.ours), ratio]

    def _shown(self, name: str, samples: Samples | None) -> str:
        if samples is None:
            return self.failed.get(name, "-")
        text = _number(samples.median, self.unit)
        return text if len(samples.values) == 1 else f"{text} (best {_number(samples.best, self.unit)})"


def rounded(value: float) -> float:
    """Round to three significant digits, or more before the point."""
    if abs(value) >= 100:
        return round(value)
    return float(f"{value:.3g}")


def _number(value: float, unit: str) -> str:
    return f"{rounded(value):,.10g}{'' if unit == '/s' else ' '}{unit}"


def table(rows: list[Row], facts: dict[str, Any], skipped: str | None) -> str:
    """Return a Markdown page: the machine, the table, the notes."""
    measured = f"pinokiod {facts['reference']}, with Node {facts.get('reference_node')}"
    loads = " ".join(str(value) for value in facts["load_before"])
    lines = [
        f"# Interpreter figures, {facts['date']}",
        "",
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gb']} GB; {facts['system']};",
        f"files on {facts['folder']};",
        f"Python {facts['python']}; script host's Node {facts['node']}; bash {facts['bash']}; {facts['curl']};",
        f"commit {facts['commit']}; load before {loads}.",
        "",
        f"Reference: {f'skipped: {skipped}' if skipped else measured}.",
        "Each figure is the median, with the best beside it. What the machine itself can do is in brackets.",
        "The ratio says how many times better ours is than the reference.",
        "",
    ]
    cells = [["what", "reference", "target", "ours", "ratio"], ["---"] * 5, *(row.cells() for row in rows)]
    lines += ["| " + " | ".join(line) + " |" for line in cells]
    lines += ["", "Notes:", ""]
    for row in rows:
        busy = row.around.get("busy_percent")
        before = f"load {row.around['load'][0]}, others used {busy} % of the processors" if row.around else ""
        lines += [f"- {row.what}: {'; '.join(note for note in [*row.notes, before] if note)}."]
    return "\n".join(lines) + "\n"


def json_line(value: dict[str, Any]) -> str:
    """Return one line of JSON."""
    return json.dumps(value, ensure_ascii=False)
