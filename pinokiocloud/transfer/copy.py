"""Copies of files and folders with the meaning and the error texts of Node's ``fs.promises.cp`` (spec §4.4 fs.copy)."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pinokiocloud.transfer.blocks import copy_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["NodeFsError", "copy"]

_KINDS = {
    "ERR_FS_CP_DIR_TO_NON_DIR": (errno.EISDIR, "Cannot overwrite non-directory with directory"),
    "ERR_FS_CP_EEXIST": (errno.EEXIST, "Target already exists"),
    "ERR_FS_CP_EINVAL": (errno.EINVAL, "Invalid src or dest"),
    "ERR_FS_CP_FIFO_PIPE": (errno.EINVAL, "Cannot copy a FIFO pipe"),
    "ERR_FS_CP_NON_DIR_TO_DIR": (errno.ENOTDIR, "Cannot overwrite directory with non-directory"),
    "ERR_FS_CP_SOCKET": (errno.EINVAL, "Cannot copy a socket file"),
    "ERR_FS_CP_SYMLINK_TO_SUBDIRECTORY": (errno.EINVAL, "Cannot overwrite symlink in subdirectory of self"),
    "ERR_FS_CP_UNKNOWN": (errno.EINVAL, "Cannot copy an unknown file type"),
    "ERR_FS_EISDIR": (errno.EISDIR, "Path is a directory"),
}
"""Node's own errors: the system's number and the beginning of the text."""

_TEXTS = {
    errno.EACCES: "permission denied",
    errno.EBUSY: "resource busy or locked",
    errno.EEXIST: "file already exists",
    errno.EFBIG: "file too large",
    errno.EINVAL: "invalid argument",
    errno.EIO: "i/o error",
    errno.EISDIR: "illegal operation on a directory",
    errno.ELOOP: "too many symbolic links encountered",
    errno.EMFILE: "too many open files",
    errno.EMLINK: "too many links",
    errno.ENAMETOOLONG: "name too long",
    errno.ENFILE: "file table overflow",
    errno.ENODEV: "no such device",
    errno.ENOENT: "no such file or directory",
    errno.ENOMEM: "not enough memory",
    errno.ENOSPC: "no space left on device",
    errno.ENOTDIR: "not a directory",
    errno.ENOTEMPTY: "directory not empty",
    errno.ENXIO: "no such device or address",
    errno.EPERM: "operation not permitted",
    errno.EROFS: "read-only file system",
    errno.ETXTBSY: "text file is busy",
    errno.EXDEV: "cross-device link not permitted",
}
"""Node's texts of the system's errors, where they can meet a copy; others keep the system's own."""


class NodeFsError(OSError):
    """A copy failed, with the code and the text that Node gives.

    Parameters:
        code: ``ENOENT``, ``ERR_FS_CP_EEXIST`` …
        message: Node's whole message.
        number: the system's error number.
        path: the path in question.
        kind: the class in Node: ``SystemError`` for Node's own checks, ``Error`` for the system's, ``TypeError``.
    """

    def __init__(self, code: str, message: str, number: int, path: str | None = None, kind: str = "Error") -> None:
        super().__init__(number, message, path)
        self.code = code
        self.message = message
        self.kind = kind

    def __str__(self) -> str:
        return self.message

    @property
    def display(self) -> str:
        """The text of ``String(error)`` in Node, which the reference shows when a step fails."""
        return f"{self.kind}: {self.message}" if self.kind == "Error" else f"{self.kind} [{self.code}]: {self.message}"


def copy(
    src: Path,
    dest: Path,
    *,
    recursive: bool = False,
    force: bool = True,
    error_on_exist: bool = False,
    dereference: bool = False,
    preserve_timestamps: bool = False,
    verbatim_symlinks: bool = False,
    filter: Callable[[Path, Path], bool] | None = None,  # noqa: A002  (Node's name)
) -> None:
    """Copy a file, a link or (``recursive``) a folder; missing parent folders are made (spec §4.4 fs.copy).

    Parameters:
        src: what to copy.
        dest: the copy itself, not the folder to put it in.
        recursive: copy folders, merging them into existing ones.
        force: overwrite existing files; without it they stay as they are, silently …
        error_on_exist: … or with an error.
        dereference: copy what links point to, not the links.
        preserve_timestamps: keep the times of access and change.
        verbatim_symlinks: keep relative links as they are; without it they become absolute.
        filter: called with each source and destination; what it says no to is left out.

    Raises:
        NodeFsError: as Node 24 does: a folder without ``recursive``, a file over a folder, a copy into itself, a
            missing source …

    Two things are as in later versions of Node: a link to a folder may replace the same link, so that a tree with such
    links can be copied twice; and folders, too, keep their times with ``preserve_timestamps``.
    """
    if dereference and verbatim_symlinks:
        message = 'Option "dereference" cannot be used in combination with option "verbatimSymlinks"'
        raise NodeFsError("ERR_INCOMPATIBLE_OPTION_PAIR", message, errno.EINVAL, kind="TypeError")
    made = _Copier(
        dest,
        recursive=recursive,
        force=force,
        error_on_exist=error_on_exist,
        dereference=dereference,
        preserve_timestamps=preserve_timestamps,
        verbatim_symlinks=verbatim_symlinks,
        wanted=filter,
    )
    made.run(src)


class _Copier:
    """One copy, with its options."""

    def __init__(
        self,
        root: Path,
        *,
        recursive: bool,
        force: bool,
        error_on_exist: bool,
        dereference: bool,
        preserve_timestamps: bool,
        verbatim_symlinks: bool,
        wanted: Callable[[Path, Path], bool] | None,
    ) -> None:
        self._root = root
        self._recursive = recursive
        self._force = force
        self._error_on_exist = error_on_exist
        self._dereference = dereference
        self._preserve_timestamps = preserve_timestamps
        self._verbatim_symlinks = verbatim_symlinks
        self._wanted = wanted

    def run(self, src: Path) -> None:
        """Copy the source and everything below it."""
        dest = self._root
        checked = self._check(src, dest)
        if checked is None:
            return
        _check_parents(src, checked[0], dest)
        _make_parent(dest)
        # A stack of its own: folders may be nested deeper than Python calls may.
        stack = [self._copy_one(src, dest, *checked)]
        while stack:
            pair = next(stack[-1], None)
            if pair is None:
                stack.pop()
                continue
            checked = self._check(*pair)
            if checked is not None:
                stack.append(self._copy_one(*pair, *checked))

    def _check(self, src: Path, dest: Path) -> tuple[os.stat_result, os.stat_result | None] | None:
        """Return what the two are, none if the filter says no; raise if one may not be copied over the other."""
        if self._wanted is not None and not self._wanted(src, dest):
            return None
        source = self._stat(src)
        try:
            target = self._stat(dest)
        except NodeFsError as error:
            if error.code != "ENOENT":
                raise
            target = None
        if target is not None:
            if os.path.samestat(source, target):
                raise _node_error("ERR_FS_CP_EINVAL", "src and dest cannot be the same", dest)
            if _is_dir(source) and not _is_dir(target):
                message = f"cannot overwrite non-directory {dest} with directory {src}"
                raise _node_error("ERR_FS_CP_DIR_TO_NON_DIR", message, dest)
            if not _is_dir(source) and _is_dir(target):
                message = f"cannot overwrite directory {dest} with non-directory {src}"
                raise _node_error("ERR_FS_CP_NON_DIR_TO_DIR", message, dest)
        if _is_dir(source) and _is_below(dest, src):
            message = f"cannot copy {src} to a subdirectory of self {dest}"
            raise _node_error("ERR_FS_CP_EINVAL", message, dest)
        return source, target

    def _stat(self, path: Path) -> os.stat_result:
        with _system("stat" if self._dereference else "lstat", path):
            return path.stat() if self._dereference else path.lstat()

    def _copy_one(
        self, src: Path, dest: Path, source: os.stat_result, target: os.stat_result | None
    ) -> Iterator[tuple[Path, Path]]:
        """Copy one thing; yield what lies in it, for the caller to copy before this goes on."""
        mode = source.st_mode
        if stat.S_ISDIR(mode):
            yield from self._copy_folder(src, dest, source, target)
        elif stat.S_ISLNK(mode):
            self._copy_link(src, dest, target)
        elif stat.S_ISREG(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            self._copy_file(src, dest, source, target)
        elif stat.S_ISSOCK(mode):
            raise _node_error("ERR_FS_CP_SOCKET", f"cannot copy a socket file: {dest}", dest)
        elif stat.S_ISFIFO(mode):
            raise _node_error("ERR_FS_CP_FIFO_PIPE", f"cannot copy a FIFO pipe: {dest}", dest)
        else:
            raise _node_error("ERR_FS_CP_UNKNOWN", f"cannot copy an unknown file type: {dest}", dest)

    def _copy_folder(
        self, src: Path, dest: Path, source: os.stat_result, target: os.stat_result | None
    ) -> Iterator[tuple[Path, Path]]:
        if not self._recursive:
            raise _node_error("ERR_FS_EISDIR", f"{src} is a directory (not copied)", src)
        if target is None:
            with _system("mkdir", dest):
                dest.mkdir()
        elif self._error_on_exist and not self._force:
            raise _node_error("ERR_FS_CP_EEXIST", f"{dest} already exists", dest)
        with _system("opendir", src), os.scandir(src) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            yield src / name, dest / name
        if self._preserve_timestamps:
            _copy_times(src, dest)
        if target is None:
            # Last: the folder may forbid writing.
            _set_mode(dest, source)

    def _copy_file(self, src: Path, dest: Path, source: os.stat_result, target: os.stat_result | None) -> None:
        if target is not None:
            if not self._force:
                if self._error_on_exist:
                    raise _node_error("ERR_FS_CP_EEXIST", f"{dest} already exists", dest)
                return
            with _system("unlink", dest):
                dest.unlink()
        with _system("copyfile", src, dest):
            copy_file(src, dest)
        if self._preserve_timestamps:
            _copy_times(src, dest)
        _set_mode(dest, source)

    def _copy_link(self, src: Path, dest: Path, target: os.stat_result | None) -> None:
        with _system("readlink", src):
            link = os.readlink(src)  # noqa: PTH115  (a Path would tidy the text)
        if not self._verbatim_symlinks:
            link = os.path.abspath(src.parent / link)  # noqa: PTH100  (the link's target may itself be a link)
        if target is not None and stat.S_ISLNK(target.st_mode):
            self._check_links(src, link, dest)
            with _system("unlink", dest):
                dest.unlink()
        with _system("symlink", link, dest):
            dest.symlink_to(link)

    def _check_links(self, src: Path, link: str, dest: Path) -> None:
        """Refuse to replace a link to a folder when one of the two folders holds the other."""
        with _system("readlink", dest):
            old = os.path.abspath(dest.parent / os.readlink(dest))  # noqa: PTH100, PTH115
        with _system("stat", src):
            folder = _is_dir(src.stat())
        if not folder:
            return
        if link == old and not _is_below(Path(os.path.realpath(self._root)), Path(os.path.realpath(src))):
            return
        if _is_below(Path(old), Path(link)):
            message = f"cannot copy {link} to a subdirectory of self {old}"
            raise _node_error("ERR_FS_CP_EINVAL", message, dest)
        if _is_below(Path(link), Path(old)):
            raise _node_error("ERR_FS_CP_SYMLINK_TO_SUBDIRECTORY", f"cannot overwrite {old} with {link}", dest)


def _check_parents(src: Path, source: os.stat_result, dest: Path) -> None:
    """Refuse a destination inside the source, also by way of links: its folders are compared, not their names."""
    home = os.path.dirname(os.path.abspath(src))  # noqa: PTH100, PTH120
    current = str(dest)
    while True:
        parent = os.path.dirname(os.path.abspath(current))  # noqa: PTH100, PTH120
        if parent in {home, os.path.dirname(parent)}:  # noqa: PTH120
            return
        try:
            with _system("stat", parent):
                above = os.stat(parent)  # noqa: PTH116
        except NodeFsError as error:
            if error.code == "ENOENT":
                return
            raise
        if os.path.samestat(source, above):
            message = f"cannot copy {src} to a subdirectory of self {current}"
            raise _node_error("ERR_FS_CP_EINVAL", message, current)
        current = parent


def _make_parent(dest: Path) -> None:
    if not dest.parent.is_dir():
        with _system("mkdir", dest.parent):
            dest.parent.mkdir(parents=True, exist_ok=True)


def _copy_times(src: Path, dest: Path) -> None:
    # Asked anew: reading the source has changed its time of access.
    with _system("stat", src):
        info = src.stat()
    with _system("utime", dest):
        os.utime(dest, ns=(info.st_atime_ns, info.st_mtime_ns))


def _set_mode(dest: Path, source: os.stat_result) -> None:
    with _system("chmod", dest):
        dest.chmod(stat.S_IMODE(source.st_mode))


def _is_dir(info: os.stat_result) -> bool:
    return stat.S_ISDIR(info.st_mode)


def _is_below(path: Path, folder: Path) -> bool:
    """Return whether ``path`` is ``folder`` or lies in it, by their names alone."""
    parts = Path(os.path.abspath(folder)).parts  # noqa: PTH100
    return Path(os.path.abspath(path)).parts[: len(parts)] == parts  # noqa: PTH100


def _node_error(code: str, text: str, path: Path | str) -> NodeFsError:
    number, prefix = _KINDS[code]
    message = f"{prefix}: cp returned {errno.errorcode[number]} ({text}) {path}"
    return NodeFsError(code, message, number, str(path), "SystemError")


@contextmanager
def _system(call: str, path: Path | str, dest: Path | str | None = None) -> Iterator[None]:
    """Turn the system's errors into those of Node, which name the system call."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        code = errno.errorcode.get(number, "UNKNOWN")
        if number == errno.EOPNOTSUPP:
            code = "ENOTSUP"
        text = _TEXTS.get(number, (error.strerror or "unknown error").lower())
        message = f"{code}: {text}, {call} '{path}'" + ("" if dest is None else f" -> '{dest}'")
        raise NodeFsError(code, message, number, str(path)) from error
