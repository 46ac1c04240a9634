"""Writing files so that a reader sees the old text or the new one, never half of it."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

__all__ = ["write_atomic"]


def write_atomic(path: str | os.PathLike[str], data: str | bytes, *, mode: int | None = None) -> None:
    """Write a file through a temporary neighbour and a rename.

    A link is followed, so that it stays a link; the permissions of an existing file are kept.

    Parameters:
        path: the file.
        data: its whole content; text is written as UTF-8 (lone surrogates become the bytes they stand for).
        mode: the permissions of a new file; by default what ``umask`` leaves of ``0o666``.

    Raises:
        OSError: the folder is missing, full or not writable; the file is then as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        bits = stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        bits = 0o666 & ~_umask() if mode is None else mode
    content = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        # mkstemp makes 0600; some mounted storage knows no permissions at all.
        with contextlib.suppress(OSError):
            os.chmod(temporary, bits)  # noqa: PTH101
        os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(next(line for line in status.splitlines() if line.startswith("Umask:")).split()[1], 8)
    return 0o022
