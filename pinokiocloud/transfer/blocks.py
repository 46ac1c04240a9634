"""The bytes of one file, copied by the fastest way the machine has: shared blocks, then in the kernel, then by hand."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["copy_file"]

FICLONE = 0x40049409
"""The ioctl that makes a file share another one's blocks (btrfs, xfs, bcachefs, zfs)."""
PIECE = 1 << 27
"""How much one system call copies, in bytes: such a call cannot be interrupted."""
BUFFER = 1 << 20

# What the kernel answers when it cannot copy between these two files in this way. EIO, EPERM, ETXTBSY and EACCES come
# from network, overlay and sandbox file systems; if they are true, copying by hand meets them again.
_CANNOT = {
    errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY, errno.EBADF, errno.EPERM, errno.EACCES,
    errno.EIO, errno.ETXTBSY, errno.EOVERFLOW,
}  # fmt: skip


def copy_file(src: Path, dest: Path) -> None:
    """Copy the bytes and the mode of a file over ``dest``; holes stay holes, of a device nothing is copied.

    Parameters:
        src: the file.
        dest: the copy. A failed copy is removed.

    Raises:
        OSError: as the system says.
    """
    source = os.open(src, os.O_RDONLY)
    try:
        info = os.fstat(source)
        target = os.open(dest, os.O_WRONLY | os.O_CREAT, info.st_mode & 0o777)
        try:
            old = os.fstat(target)
            if os.path.samestat(info, old):
                return
            if old.st_size:  # ext4 writes a truncated file to the disk when it is closed: an empty one is left alone
                os.ftruncate(target, 0)
            if stat.S_ISREG(info.st_mode):
                _copy_bytes(source, target, info)
            os.fchmod(target, stat.S_IMODE(info.st_mode))
        except BaseException:
            with suppress(OSError):
                dest.unlink()
            raise
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_bytes(source: int, target: int, info: os.stat_result) -> None:
    if info.st_size and _clone(source, target):
        return
    if info.st_blocks * 512 < info.st_size and _copy_pieces(source, target, info.st_size):
        return
    done = _send(source, target, 0, info.st_size)
    # What the kernel would not copy, what was appended meanwhile, and files of /proc, whose size is 0.
    _pump(source, target, done, None)


def _clone(source: int, target: int) -> bool:
    """Let the copy share the blocks of the file; return whether the file system can do that."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True


def _copy_pieces(source: int, target: int, size: int) -> bool:
    """Copy what lies between the holes of a file; return False where the file system does not tell them."""
    place = 0
    while place < size:
        found = _next_piece(source, place)
        if found is None:
            return False
        begin, end = found
        if begin >= size or _pump(source, target, _send(source, target, begin, end), end) < end:
            break  # only a hole is left, or the file became shorter meanwhile
        place = end
    os.ftruncate(target, size)
    return True


def _next_piece(source: int, place: int) -> tuple[int, int] | None:
    """Return the next bytes that are no hole, from ``place`` on; none if that cannot be asked."""
    try:
        begin = os.lseek(source, place, os.SEEK_DATA)
        return begin, os.lseek(source, begin, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:
            end = os.lseek(source, 0, os.SEEK_END)
            return end, end
        if error.errno in _CANNOT:
            return None
        raise


def _send(source: int, target: int, place: int, end: int) -> int:
    """Let the kernel copy the bytes from ``place`` to ``end``; return how far it came before it could not."""
    place = _repeat(lambda at: os.copy_file_range(source, target, min(end - at, PIECE), at, at), place, end)
    os.lseek(target, place, os.SEEK_SET)
    return _repeat(lambda at: os.sendfile(target, source, at, min(end - at, PIECE)), place, end)


def _repeat(call: Callable[[int], int], place: int, end: int) -> int:
    while place < end:
        try:
            count = call(place)
        except OSError as error:
            if error.errno in _CANNOT:
                break
            raise
        if not count:
            break
        place += count
    return place


def _pump(source: int, target: int, place: int, end: int | None) -> int:
    """Copy by reading and writing, to ``end`` or to the end of the file; return where it ended."""
    while end is None or place < end:
        data = memoryview(os.pread(source, BUFFER if end is None else min(BUFFER, end - place), place))
        if not data:
            break
        while data:
            count = os.pwrite(target, data, place)
            place, data = place + count, data[count:]
    return place
