"""TCP ports: which are free."""

from __future__ import annotations

import contextlib
import errno
import socket

from pinokiocloud.errors import PinokioError

__all__ = ["FIRST_PORT", "free_ports", "is_free"]

#: The first port that scripts get (spec §3.6.1).
FIRST_PORT = 42003
_LAST_PORT = 65535
_TAKEN = {errno.EADDRINUSE, errno.EACCES}


def is_free(port: int) -> bool:
    """Return whether nothing listens on a port, on any interface."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - to see, not to serve
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError as error:
                if error.errno in _TAKEN:
                    return False
                raise
    return True


def free_ports(count: int = 1, first: int = FIRST_PORT) -> list[int]:
    """Return that many free ports, the lowest first.

    Raises:
        PinokioError: there are not as many.
    """
    found: list[int] = []
    for port in range(first, _LAST_PORT + 1):
        if is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise PinokioError(f"there are no {count} free ports between {first} and {_LAST_PORT}")
