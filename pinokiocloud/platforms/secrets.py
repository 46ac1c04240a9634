"""Secrets: where they come from, and the chain that finds them. Values are never shown.

The environment, files and a store of our own are here; the stores of Colab, Kaggle and others are in the modules of
their platforms.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from pinokiocloud.errors import PinokioError
from pinokiocloud.home import dotenv
from pinokiocloud.home.files import write_atomic
from pinokiocloud.platforms.redaction import MARK, RedactingFilter, RedactingStream, Redactor, Sealed

__all__ = [
    "MARK",
    "DotenvStore",
    "EnvironmentStore",
    "FileStore",
    "MemoryStore",
    "RedactingFilter",
    "RedactingStream",
    "Redactor",
    "Sealed",
    "SecretError",
    "SecretStore",
    "Secrets",
    "looks_secret",
]

# HF_TOKEN, OPENAI_API_KEY, AWS_SECRET_ACCESS_KEY, DB_PASSWORD; not KEYBOARD, PASSAGE, TOKENIZERS_PARALLELISM
_SECRET = re.compile(
    r"(?:^|_)(?:API_?KEY|ACCESS_KEY|PRIVATE_KEY|[A-Z0-9]*KEY|TOKEN|[A-Z0-9]*SECRET|PASSWORD|PASSWD|PASSPHRASE|PAT|"
    r"CREDENTIALS?|AUTHTOKEN|COOKIE)(?:_ID)?$",
    re.IGNORECASE,
)


class SecretError(PinokioError):
    """A secret cannot be had, or may not be kept there; the message names it and never holds a value."""

    code = "secret"


@runtime_checkable
class SecretStore(Protocol):
    """A place that secrets come from."""

    name: str

    def get(self, name: str) -> str | None:
        """Return a secret, None if there is none of this name.

        Raises:
            SecretError: the place refuses, or does not answer.
        """
        ...

    def names(self) -> list[str]:
        """Return the names of the secrets it is known to have, never values."""
        ...


def looks_secret(name: str) -> bool:
    """Tell whether a variable's name is one that secrets have: ``HF_TOKEN``, ``OPENAI_API_KEY``.

    Parameters:
        name: the name of the variable.
    """
    return _SECRET.search(name) is not None


class EnvironmentStore(Sealed):
    """Variables of the environment: Lightning, RunPod and others give secrets so.

    Parameters:
        environ: the environment, by default the process's own; changes to it are seen.
        prefixes: what may stand before a name, ``RUNPOD_SECRET_``.
        name: names the store.
    """

    def __init__(
        self, environ: Mapping[str, str] | None = None, *, prefixes: Sequence[str] = (), name: str = "environment"
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._prefixes = tuple(prefixes)
        self.name = name

    def get(self, name: str) -> str | None:
        """Return a variable, None if it is not set or blank.

        Parameters:
            name: its name, without prefix.
        """
        for prefix in ("", *self._prefixes):
            value = self._environ.get(prefix + name, "").strip()
            if value:
                return value
        return None

    def names(self) -> list[str]:
        """Return the names of variables that look like secrets, without prefix."""
        found = set()
        for key, value in self._environ.items():
            prefix = next((prefix for prefix in self._prefixes if key.startswith(prefix)), "")
            if value.strip() and key != prefix and (prefix or looks_secret(key)):
                found.add(key[len(prefix) :])
        return sorted(found)


class DotenvStore(Sealed):
    """A ``.env`` file; it is read anew for each question.

    Parameters:
        path: the file; "not there" counts as empty.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self.name = str(self._path)

    def get(self, name: str) -> str | None:
        """Return a variable, None if it is not there or blank.

        Parameters:
            name: its name.

        Raises:
            SecretError: the file cannot be read.
        """
        return self._read().get(name, "").strip() or None

    def names(self) -> list[str]:
        """Return the names of variables that look like secrets and have a value.

        Raises:
            SecretError: the file cannot be read.
        """
        return sorted(key for key, value in self._read().items() if value.strip() and looks_secret(key))

    def _read(self) -> dict[str, str]:
        try:
            return dotenv.parse(dotenv.read(self._path))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SecretError(f"{self._path} cannot be read: {error.strerror}", path=str(self._path)) from error


class FileStore(Sealed):
    """A JSON file of our own that only its owner can read (mode 0600).

    A file that others may read, of another owner, or behind a link is refused, and so is storage that knows no
    permissions, before a secret is written to it.

    Parameters:
        path: the file; it and its folder are made when a secret is set.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self.name = str(self._path)

    def get(self, name: str) -> str | None:
        """Return a secret, None if there is none of this name.

        Parameters:
            name: its name.

        Raises:
            SecretError: the file is refused or damaged.
        """
        return self._read().get(name) or None

    def names(self) -> list[str]:
        """Return the names of the secrets.

        Raises:
            SecretError: the file is refused or damaged.
        """
        return sorted(self._read())

    def set(self, name: str, value: str) -> None:
        """Keep a secret; one of the same name is replaced.

        Parameters:
            name: its name.
            value: its value.

        Raises:
            SecretError: the file is refused or damaged, cannot be written, or the name or value is blank.
        """
        if not name.strip() or not value.strip():
            raise SecretError("a secret needs a name and a value", name=name)
        with self._changing() as values:
            values[name] = value

    def delete(self, name: str) -> bool:
        """Forget a secret.

        Parameters:
            name: its name.

        Returns:
            Whether there was one.

        Raises:
            SecretError: the file is refused or damaged, or cannot be written.
        """
        if name not in self._read():
            return False
        with self._changing() as values:
            return values.pop(name, None) is not None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, str]]:
        """Give the secrets to change, alone among threads and processes, and write them."""
        problem: OSError
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            guard = self._path.with_name(f".{self._path.name}.lock")
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            with self._lock, os.fdopen(os.open(guard, flags, 0o600), "wb") as lock:
                with contextlib.suppress(OSError):  # mounted storage may know no locks
                    fcntl.flock(lock, fcntl.LOCK_EX)
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
                values = self._read()
                yield values
                write_atomic(self._path, json.dumps(values, indent=1, sort_keys=True) + "\n", mode=0o600)
        except OSError as error:
            problem = error
        else:
            return
        raise SecretError(f"{self._path} cannot be written: {problem.strerror}", path=str(self._path))

    def _read(self) -> dict[str, str]:
        """Return the secrets."""
        try:
            with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                self._examine(os.fstat(file.fileno()))
                data = file.read()
        except FileNotFoundError:
            return {}
        except OSError as error:
            what = "is a link" if self._path.is_symlink() else f"cannot be read: {error.strerror}"
            raise SecretError(f"{self._path} {what}", path=str(self._path)) from error
        if not data.strip():
            return {}
        told: object = None
        # The text of a JSON error is not kept: the error object holds the whole document.
        with contextlib.suppress(ValueError):
            told = json.loads(data)
        if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
            raise SecretError(
                f"{self._path} is damaged: it is no JSON object of texts", hint="repair it or delete it",
                path=str(self._path),
            )  # fmt: skip
        return told

    def _examine(self, status: os.stat_result) -> None:
        """Refuse a file that others can read."""
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(f"{self._path} is not a file", path=str(self._path))
        if status.st_mode & 0o077:
            raise SecretError(
                f"{self._path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o})",
                hint=f"chmod 600 {self._path}; where that does nothing, keep secrets on another disk",
                path=str(self._path),
            )
        if status.st_uid != os.geteuid():
            what = f"{self._path} belongs to another user"
            raise SecretError(what, hint="use a file of your own", path=str(self._path))


class MemoryStore(Sealed):
    """Secrets that were typed in, for this process only; also a double for tests.

    Parameters:
        values: secrets by name, to begin with.
    """

    def __init__(self, values: Mapping[str, str] | None = None, *, name: str = "memory") -> None:
        self._values = dict(values or {})
        self.name = name

    def get(self, name: str) -> str | None:
        """Return a secret, None if there is none of this name.

        Parameters:
            name: its name.
        """
        return self._values.get(name)

    def set(self, name: str, value: str) -> None:
        """Keep a secret.

        Parameters:
            name: its name.
            value: its value.
        """
        self._values[name] = value

    def names(self) -> list[str]:
        """Return the names of the secrets."""
        return sorted(self._values)


class Secrets(Sealed):
    """A chain of stores: the first that has a secret gives it, and every value given is redacted from then on.

    A store that refuses does not stop the chain; what it said is kept in ``problems``. Stores that ask a person or a
    service belong at the end, so the usual order is environment, files, platform.

    Parameters:
        stores: the places, in order.
        redactor: learns every value; by default one of its own.
    """

    def __init__(self, stores: Sequence[SecretStore], redactor: Redactor | None = None) -> None:
        self.stores = tuple(stores)
        self.redactor = Redactor() if redactor is None else redactor
        self._problems: dict[tuple[str, str], SecretError] = {}

    def __repr__(self) -> str:
        return f"<Secrets: {', '.join(store.name for store in self.stores)}>"

    @property
    def problems(self) -> list[SecretError]:
        """What stores said instead of an answer, the latest for each store and name."""
        return list(self._problems.values())

    def get(self, name: str) -> str | None:
        """Return a secret, None if no store has it.

        Parameters:
            name: its name.
        """
        for store in self.stores:
            value = self._ask(store, name)
            if value:
                self.redactor.register(value)
                return value
        return None

    def require(self, name: str) -> str:
        """Return a secret.

        Parameters:
            name: its name.

        Raises:
            SecretError: no store has it; the hint holds what stores said.
        """
        value = self.get(name)
        if value is not None:
            return value
        said = [str(problem) for (_, asked), problem in self._problems.items() if asked == name]
        looked = ", ".join(store.name for store in self.stores) or "nowhere"
        raise SecretError(f"there is no secret {name}", hint="; ".join([f"looked in: {looked}", *said]), name=name)

    def where(self, name: str) -> str | None:
        """Return the name of the store that a secret comes from, None if no store has it.

        Parameters:
            name: the secret's name.
        """
        return next((store.name for store in self.stores if self._ask(store, name)), None)

    def names(self) -> list[str]:
        """Return the names of all secrets that are known, never values."""
        found: set[str] = set()
        for store in self.stores:
            found.update(self._known(store))
        return sorted(found)

    def learn(self) -> int:
        """Register the values of all secrets that are known, so that nothing shows them.

        Returns:
            How many the redactor knows.
        """
        for store in self.stores:
            for name in self._known(store):
                value = self._ask(store, name)
                if value:
                    self.redactor.register(value)
        return len(self.redactor)

    def _known(self, store: SecretStore) -> list[str]:
        """Return the names of a store's secrets; none if it refuses, and what it said is kept."""
        try:
            names = store.names()
        except SecretError as error:
            self._problems[store.name, ""] = error
            return []
        self._problems.pop((store.name, ""), None)
        return names

    def _ask(self, store: SecretStore, name: str) -> str | None:
        """Ask a store, and keep what it says instead of an answer."""
        try:
            value = store.get(name)
        except SecretError as error:
            self._problems[store.name, name] = error
            return None
        self._problems.pop((store.name, name), None)
        return value
