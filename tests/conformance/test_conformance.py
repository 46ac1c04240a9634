"""Every recorded case, and every case of the specification, ends as recorded (deviations.json apart)."""

from __future__ import annotations

import pytest
from compare import check, report
from trace_deviations import missing_needs
from trace_run import Case, load_cases


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: case.name)
def test_case(case: Case) -> None:
    missing = missing_needs(case)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    differences, _ = check(case)
    if differences:
        pytest.fail(report(case, differences), pytrace=False)
