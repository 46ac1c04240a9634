"""Measures our interpreter beside the reference engine, in the same run (docs/architecture, figures to reach).

    python bench/interpreter.py [--only startup,echo] [--json] [--write] [--slow] [--rounds N]

The reference, npm package pinokiod, is installed once into the cache folder; where that cannot be done one line says
"reference skipped: …" and only ours is measured. Everything stays on loopback.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from measure import facts, output, suites
from measure.bench import Bench
from measure.child import ChildError
from measure.engines import REFERENCE_VERSION, Ours, Reference, SkippedError
from measure.rows import Row, json_line, table

SUITES = {**suites.SUITES, **output.SUITES}
REPOSITORY = Path(__file__).resolve().parent.parent


def options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SUITES), help=f"comma-separated parts of: {', '.join(SUITES)}")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    parser.add_argument("--write", action="store_true", help="write the table to docs/bench/DATE-interpreter.md, too")
    parser.add_argument("--slow", action="store_true", help="the reference also does what takes it minutes")
    parser.add_argument("--no-reference", action="store_true", help="measure only ours")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions (default 5)")
    parser.add_argument(
        "--busy", type=float, default=25.0, help="wait until others use less than this percentage of the processors"
    )
    parser.add_argument(
        "--patience", type=float, default=60.0, help="… but at most so many seconds before each measurement"
    )
    parser.add_argument("--folder", help="where to write (default: the folder for temporary files)")
    parser.add_argument(
        "--package", type=Path, default=REPOSITORY, help="folder that holds the package (default: this repository)"
    )
    given = parser.parse_args()
    unknown = set(given.only.split(",")) - set(SUITES)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    return given


def reference_or_reason(folder: Path, *, wanted: bool) -> tuple[Reference | None, str | None]:
    """Return the reference engine, or why it cannot be measured."""
    if not wanted:
        return None, "--no-reference"
    try:
        return Reference(folder), None
    except SkippedError as error:
        return None, str(error)


def main() -> None:
    """Measure."""
    given = options()
    with tempfile.TemporaryDirectory(prefix="pinokiocloud-bench-", dir=given.folder) as name:
        folder = Path(name).resolve()
        ours = Ours(folder, given.package.resolve())
        reference, skipped = reference_or_reason(folder, wanted=not given.no_reference)
        if skipped:
            print(f"reference skipped: {skipped}", file=sys.stderr if given.json else sys.stdout, flush=True)
        about = facts.machine(ours.python, ours.node, ours.package, folder)
        about["reference"] = REFERENCE_VERSION if reference else None
        about["reference_skipped"] = skipped
        if reference is not None:
            about["reference_node"] = facts.said(reference.node, "--version")
        if given.json:
            print(json_line({"machine": about}), flush=True)
        bench = Bench(ours, reference, folder, given.rounds, given.slow, given.busy, given.patience)
        rows: list[Row] = []
        for part in given.only.split(","):
            begun = time.perf_counter()
            try:
                for row in SUITES[part](bench):
                    rows.append(row)
                    if given.json:
                        print(json_line(row.to_dict()), flush=True)
            except ChildError as error:
                print(f"{part}: {error}", file=sys.stderr, flush=True)
            print(f"{part}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        page = table(rows, about, skipped)
        if not given.json:
            print(page)
        if given.write:
            path = REPOSITORY / "docs" / "bench" / f"{about['date'][:10]}-interpreter.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page)


if __name__ == "__main__":
    main()
