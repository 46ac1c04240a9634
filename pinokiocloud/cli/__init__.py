"""The command line: ``pinokiocloud run``, ``render``, ``menu``, ``check``, ``plan``, ``doctor``.

Exit codes: 0 done (also a daemon that was stopped), 1 the script failed or a fault was found, 2 wrong usage, 3 the
script would not start, 124 the time limit was reached, 130 stopped by Ctrl-C (143 by
SIGTERM, 129 by SIGHUP, 141 when nobody reads the output any more). For each command:

- ``render``: 0; 1 the template does not compile.
- ``menu``: 0; 1 the launcher cannot be loaded, or its menu throws.
- ``check``: 0 no faults (there may be warnings); 1 faults.
- ``plan``: 0; 1 there is no such script; 3 it would not start.
- ``doctor``: 0 scripts can run (something may be missing for some apps); 1 they cannot.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    from pinokiocloud.cli.app import app  # noqa: PLC0415 - importing the package must not cost the command line's imports

    app(prog_name="pinokiocloud")
    sys.exit(0)
