"""The command line: ``pinokiocloud run``, ``render``, ``menu``, ``check``, ``plan``, ``doctor``.

Exit codes: 0 done (also a daemon that was stopped), 1 the script failed or a fault was found, 2 wrong usage, 3 the
script would not start, 124 the time limit was reached, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    from pinokiocloud.cli.app import app  # noqa: PLC0415 - importing the package must not cost the command line's imports

    app(prog_name="pinokiocloud")
    sys.exit(0)
