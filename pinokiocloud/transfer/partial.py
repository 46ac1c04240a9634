"""The unfinished file of a download: where its bytes wait, what they belong to, and who may write them.

Beside ``model.bin`` lie, until it is complete, ``model.bin.part`` (the bytes) and ``model.bin.part.json`` (the note:
which address and which version of the file they belong to). The note is written first and is locked, so a ``.part``
without a note is somebody else's file and stays untouched.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import threading
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from pinokiocloud.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinokiocloud.transfer.wire import Stop

__all__ = ["Note", "Partial", "disk"]

FLUSH = 1 << 24
"""After how many bytes the disk is told to begin writing them."""
POLL = 0.1
"""How often a waiting download looks whether its turn has come, in seconds."""

_locks: weakref.WeakValueDictionary[str, threading.Lock] = weakref.WeakValueDictionary()
_locks_guard = threading.Lock()

_HINTS = {
    errno.ENOSPC: "the disk is full: free some space, or choose a folder on another disk",
    errno.EDQUOT: "your quota on this disk is used up: free some space, or choose a folder on another disk",
    errno.EFBIG: "this disk does not take files of that size: choose a folder on another disk",
    errno.EACCES: "you may not write there: choose another folder, or change its permissions",
    errno.EPERM: "you may not write there: choose another folder, or change its permissions",
    errno.EROFS: "this disk is read-only: choose another folder",
    errno.ENOTDIR: "a part of this path is a file, not a folder: choose another path, or remove that file",
    errno.EEXIST: "a part of this path is a file, not a folder: choose another path, or remove that file",
    errno.EISDIR: "there is a folder of this name: give the file another name, or use 'dir' to download into it",
    errno.ENAMETOOLONG: "the name is too long: set a shorter one with 'path'",
}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn an error of the disk into a ``DownloadError`` that says what to do; ``context["full"]`` if no room."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"Cannot write {path}: {error.strerror or error}",
            hint=_HINTS.get(error.errno or 0),
            path=str(path),
            errno=errno.errorcode.get(error.errno or 0),
            full=error.errno in _FULL,
        ) from error


@dataclass(frozen=True)
class Note:
    """Which version of which address some bytes belong to.

    Parameters:
        key: a digest of the whole address (which may hold a token, so it is not stored itself).
        url: the address without its secrets, for a person who finds the file.
        etag, last_modified: the server's headers.
        size: the bytes of the complete file, if the server said so.
    """

    key: str
    url: str
    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None

    @classmethod
    def of(cls, url: str, etag: str | None = None, last_modified: str | None = None, size: int | None = None) -> Note:
        """Return the note for an address and what the server said about it."""
        parts = urlsplit(url)
        plain = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        return cls(hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest(), plain, etag, last_modified, size)

    @property
    def validator(self) -> str | None:
        """The If-Range value: a strong ETag, else the date, else none (RFC 9110 §13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def same(self, other: Note) -> bool:
        """Return whether both describe the same version of the same file, beyond doubt."""
        return self.validator is not None and self == other

    def conflicts(self, other: Note) -> bool:
        """Return whether the two cannot be the same version; what one of them does not know is no conflict."""
        pairs = ((self.etag, other.etag), (self.last_modified, other.last_modified), (self.size, other.size))
        return any(mine is not None and theirs is not None and mine != theirs for mine, theirs in pairs)


class Partial:
    """The unfinished file of one destination, for this download alone while it is open.

    Parameters:
        dest: the final path.
        url: the address it comes from.

    Two downloads to one destination wait for each other, within this process and between processes.
    """

    def __init__(self, dest: Path, url: str) -> None:
        # The target of a link is replaced, not the link: drives link model files to a shared place.
        self.dest = Path(os.path.realpath(dest)) if dest.is_symlink() else dest
        self.url = url
        self.note: Note | None = None
        self.resumable = False
        self._fd = -1
        self._unflushed = 0
        self._note_fd = -1
        with _locks_guard:
            self._lock = _locks.setdefault(os.path.realpath(dest), threading.Lock())
        self._held = False

    def open(self, stop: Stop) -> bool:
        """Wait for the destination to be free and take it; read what an earlier download left.

        Returns:
            whether it had to wait (the file may be complete now).

        Raises:
            DownloadError: the folder cannot be made or written, or the destination is no file.
        """
        waited = not self._lock.acquire(blocking=False)
        while waited and not self._lock.acquire(timeout=POLL):
            stop.check()
        self._held = True
        with disk(self.dest):
            self.dest.parent.mkdir(parents=True, exist_ok=True)
            self.refuse_special()
            return self._take_note(stop) or waited

    def refuse_special(self) -> None:
        """Raise an OSError if the destination exists and is no regular file: a folder or a device must survive."""
        with contextlib.suppress(FileNotFoundError):
            mode = self.dest.stat().st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self.dest))
            if not stat.S_ISREG(mode):
                raise OSError(errno.EINVAL, "it exists and is not a regular file", str(self.dest))

    def existing(self) -> int | None:
        """Return the size of the file at the destination, in bytes; none if there is none."""
        with disk(self.dest):
            try:
                return self.dest.stat().st_size
            except FileNotFoundError:
                return None

    def size(self) -> int:
        """Return the bytes of the unfinished file."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def start(self, note: Note, *, resumable: bool) -> None:
        """Begin an empty unfinished file for this version; ``resumable``: another call may go on with it."""
        self.note, self.resumable = note, resumable
        with disk(self.path):
            # The old note goes first and the new one comes last: whenever this is cut short, no note vouches for
            # bytes of another version.
            os.ftruncate(self._note_fd, 0)
            self._open()
            if os.fstat(self._fd).st_size:
                os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            if note.size is not None:
                self._check_room(note.size)
            os.pwrite(self._note_fd, json.dumps({"pinokiocloud": 1, **asdict(note)}, indent=1).encode(), 0)

    def resume(self) -> int:
        """Make ready to go on behind the last byte; return the bytes that are there."""
        with disk(self.path):
            self._open()
            return os.lseek(self._fd, 0, os.SEEK_END)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        with disk(self.path):
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, memoryview(data)[written:])
        self._unflushed += written
        if self._unflushed >= FLUSH:
            self._begin_flush()

    def finish(self) -> int:
        """Put the complete file in its place, at once and for good; return its size in bytes."""
        with disk(self.dest):
            self.refuse_special()
            self._open()
            size = os.fstat(self._fd).st_size
            with contextlib.suppress(OSError):
                # A file that was executable stays so.
                os.fchmod(self._fd, stat.S_IMODE(self.dest.stat().st_mode))
            _sync(self._fd)
            self.path.replace(self.dest)
        self.resumable = False
        return size

    def close(self) -> None:
        """Let go of the destination; what another call can go on with stays on the disk."""
        if not self._held:
            return
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._note_fd >= 0:
            if not (self.resumable and self.size()):
                # Bytes before the note, and both under the lock: a lone .part would be taken for somebody else's.
                for path in (self.path, self.note_path):
                    with contextlib.suppress(OSError):
                        path.unlink()
            with contextlib.suppress(OSError):
                # Unlocked by hand: a child process forked meanwhile holds a copy of the descriptor.
                fcntl.flock(self._note_fd, fcntl.LOCK_UN)
            os.close(self._note_fd)
            self._note_fd = -1
        self._held = False
        self._lock.release()

    def _take_note(self, stop: Stop) -> bool:
        """Open and lock the note, read it; return whether another process had to be waited for."""
        waited = False
        for number in range(100):
            stem = _stem(self.dest.name) + (f".{number}" if number else "")
            self.path = self.dest.with_name(stem + ".part")
            self.note_path = self.dest.with_name(stem + ".part.json")
            if not _ours(self.path, self.note_path):
                continue
            while True:
                self._note_fd = os.open(self.note_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
                waited = self._wait_for_note(stop) or waited
                if _same_file(self._note_fd, self.note_path):
                    break
                # The other process finished and removed it: this lock protects nothing.
                os.close(self._note_fd)
                self._note_fd = -1
            self._read_note()
            return waited
        raise FileExistsError(errno.EEXIST, "files with the names of our unfinished files exist", str(self.path))

    def _wait_for_note(self, stop: Stop) -> bool:
        waited = False
        while not _lock(self._note_fd):
            waited = True
            if stop.wait(POLL):
                os.close(self._note_fd)
                self._note_fd = -1
                stop.check()
        return waited

    def _read_note(self) -> None:
        self.note = _parse(os.pread(self._note_fd, 65536, 0))
        size = self.size()
        known = self.note.size if self.note else None
        if self.note and self.note.key == Note.of(self.url).key and size and (known is None or size <= known):
            self.resumable = self.note.validator is not None
        else:
            self.note = None

    def _open(self) -> None:
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)

    def _begin_flush(self) -> None:
        """Have the kernel begin to write the latest bytes, so that little is left to wait for in ``finish``."""
        count, self._unflushed = self._unflushed, 0
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):
                # It would also drop them from memory, but only pages that are written already: hardly any of these.
                place = os.lseek(self._fd, 0, os.SEEK_CUR) - count
                os.posix_fadvise(self._fd, place, count, os.POSIX_FADV_DONTNEED)

    def _check_room(self, size: int) -> None:
        """Refuse at once what can never fit: a disk filled to the brim breaks everything else on the machine."""
        room = os.statvfs(self.dest.parent)
        free = (room.f_bfree if os.geteuid() == 0 else room.f_bavail) * room.f_frsize
        if room.f_blocks and size > free:
            message = f"{size:,} bytes are needed and {free:,} are free"
            raise OSError(errno.ENOSPC, message, str(self.path))


def _ours(path: Path, note_path: Path) -> bool:
    """Return whether these two names are free or hold an unfinished download of ours."""
    try:
        if not stat.S_ISREG(note_path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return not os.path.lexists(path)
    text = note_path.read_bytes()
    regular = not os.path.lexists(path) or stat.S_ISREG(path.lstat().st_mode)
    return regular and (not text or _parse(text) is not None)


def _lock(descriptor: int) -> bool:
    """Lock an open file against other processes; return whether that worked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # network file systems may not lock: then one process at a time is up to the user
    return True


def _sync(descriptor: int) -> None:
    """Wait until the bytes are on the disk, so that the final name never stands for less, even after a power cut."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:  # some mounted cloud drives cannot
            raise


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _parse(text: bytes) -> Note | None:
    try:
        data = json.loads(text)
        if data.pop("pinokiocloud") != 1:
            return None
        note = Note(**data)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    texts = (note.key, note.url, note.etag or "", note.last_modified or "")
    sound = all(isinstance(text, str) for text in texts) and isinstance(note.size or 0, int)
    return note if sound else None


def _stem(name: str) -> str:
    """Return the name, or a digest when ".part.json" would make it longer than file systems take."""
    if len(os.fsencode(name)) <= 240:
        return name
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
