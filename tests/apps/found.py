"""Reading the findings of a check."""

from __future__ import annotations

LOG = '{"run": [{"method": "log", "params": {"raw": "x"}}]}'


def told(result, level="fault"):
    """Return (file name, line, message) of the findings of a level."""
    found = result.faults if level == "fault" else result.warnings
    return [(finding.file.rpartition("/")[2], finding.line, finding.message) for finding in found]


def only(result, level="fault"):
    """Return the only finding of a level."""
    found = result.faults if level == "fault" else result.warnings
    assert len(found) == 1, result.findings
    return found[0]


def step(text):
    return f"module.exports = {{\n  run: [\n    {text}\n  ]\n}}\n"
