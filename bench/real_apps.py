"""Runs real Pinokio apps end to end and prints a Markdown table: install, start, open, stop.

Each app gets a home folder of its own. It is cloned from a folder of git mirrors (``<owner>/<name>.git``), installed
and started by ``pinokiocloud run``; its address is opened; then Ctrl-C, after which nothing of it may be left.

    python bench/real_apps.py --mirrors /work/corpus/mirrors            # all
    python bench/real_apps.py --mirrors … --only searxng --keep         # one, its home is kept

Apps that listen on all interfaces are started in a private network namespace (needs root): nothing outside reaches
them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HEADER = "| app | install s | start → url s | url | HTTP | title | stop s | processes left | result |"
_ADDRESS = re.compile(r"^address: (.*)$", re.MULTILINE)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_NAMESPACE = (
    "ip link set lo up; ip link add v0 type veth peer name v1; ip addr add 10.9.9.9/24 dev v0; "
    'ip link set v0 up; ip link set v1 up; exec "$@"'
)
_TRIVIAL = 'module.exports = {run: [{method: "shell.run", params: {message: %s}}]}\n'
_PASS = '{event: "/error:/i", break: false}, {event: "/errno /i", break: false}, '
_PROBE = """import sys, urllib.request as r
with r.urlopen(sys.argv[1], timeout=60) as a: sys.stdout.buffer.write(b"%d " % a.status + a.read(65536))
"""


@dataclass(frozen=True)
class App:
    """One app, and what has to be known to run it unattended.

    Parameters:
        repo: ``owner/name``.
        install: its install script, None when there is nothing to install.
        start: its start script, None when only the installation is tried.
        answers: answers of forms, in order, as JSON.
        private: start it in a network namespace of its own: it listens on all interfaces.
        warm: a command that fills the home's caches before, for what is fetched at the start.
        env: lines for the home's ENVIRONMENT file.
        fails: text that the output of an expected failure holds; empty when it has to work.
        title: text that the page's title holds.
        offline: the start prints ``ERROR:`` where the internet cannot be reached, which ends it, as in the original;
            then it is tried with ``break: false`` for the two built-in error words, as authors write it.
    """

    repo: str
    install: str | None = "install.js"
    start: str | None = "start.js"
    answers: tuple[str, ...] = ()
    private: bool = False
    warm: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    fails: str = ""
    title: str = ""
    offline: bool = False

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.repo.split("/", 1)[1]


APPS = (
    App("PierrunoYT/Youtube2MP3-Pinokio"),
    App("6Morpheus6/Ollama-Studio"),
    App("cocktailpeanut/searxng.pinokio", title="SearXNG", offline=True),
    App("pinokiofactory/sillytavern", title="SillyTavern"),
    App(
        "PierrunoYT/LFM2.5-350M-Pinokio",
        install=None,
        private=True,
        warm="npx --yes serve --version",
        env={"npm_config_prefer_offline": "true"},
        title="LFM2.5",
    ),
    App(
        "lordstryfe/drivebay-pinokio",
        answers=('{"style": "static", "port": "42013"}',),
        private=True,
    ),
    App("pinokiofactory/errortest", install="test.js", start=None, fails="ResolutionImpossible"),
    App(
        "pinokiofactory/bolt",
        env={"ELECTRON_SKIP_BINARY_DOWNLOAD": "1", "pnpm_config_pm_on_fail": "ignore"},
        title="Bolt",
    ),
)


@dataclass
class Row:
    """What was measured."""

    app: str
    install: float | None = None
    start: float | None = None
    url: str = ""
    status: int | None = None
    title: str = ""
    stop: float | None = None
    left: int | None = None
    faults: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Return it as a line of the table."""
        result = "ok" if not self.faults else "; ".join(self.faults)
        cells = (
            self.app,
            _seconds(self.install),
            _seconds(self.start),
            f"`{self.url}`" if self.url else "—",
            "—" if self.status is None else str(self.status),
            self.title or "—",
            _seconds(self.stop),
            "—" if self.left is None else str(self.left),
            result,
        )
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _seconds(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f}"


def _environment(mirrors: Path) -> dict[str, str]:
    """Return the environment of every command: GitHub's addresses lead to the mirrors."""
    return {
        **os.environ,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{mirrors}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "PYTHONUNBUFFERED": "1",
    }


def _command(script: Path, home: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "pinokiocloud", "run", str(script), "--home", str(home), "--unattended", *more]


def left_processes(home: Path) -> list[int]:
    """Return the processes of any shell of this home: they carry ``_PKC_SHELL`` and the home's path."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            variables = (folder / "environ").read_bytes().split(b"\0")
            if f"PINOKIO_HOME={home}".encode() in variables and any(v.startswith(b"_PKC_SHELL=") for v in variables):
                found.append(int(folder.name))
    return found


def _listening(url: str, namespace: int | None) -> bool:
    """Whether something still answers at the address's port."""
    port = urllib.parse.urlsplit(url).port
    if port is None or namespace is not None:  # a namespace ends with its last process
        return False
    table = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    return any(
        fields[1].endswith(f":{port:04X}") and fields[3] == "0A"
        for fields in (line.split() for line in table.splitlines())
        if len(fields) > 3
    )


def probe(url: str, namespace: int | None, limit: float) -> tuple[int, bytes]:
    """Open an address until it answers; return status and the page's beginning.

    Parameters:
        url: the address.
        namespace: pid of a process in whose network it lies, None for this one.
        limit: seconds after which this gives up; the status is then 0 and the text why.
    """
    deadline = time.monotonic() + limit
    problem = b""
    while time.monotonic() < deadline:
        if namespace is not None:
            argv = ["nsenter", "-t", str(namespace), "-n", sys.executable, "-c", _PROBE, url]
            done = subprocess.run(argv, capture_output=True, check=False)
            if done.returncode == 0:
                status, _, text = done.stdout.partition(b" ")
                return int(status), text
            problem = done.stderr[-300:]
        else:
            try:
                with urllib.request.urlopen(url, timeout=60) as answer:
                    return answer.status, answer.read(65536)
            except urllib.error.HTTPError as error:
                return error.code, b""
            except (OSError, ValueError) as error:
                problem = str(error).encode()
        time.sleep(0.2)
    return 0, problem


class _Daemon:
    """A start script in the background, with what it prints."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path, *, private: bool) -> None:
        self.output = ""
        wrapped = ["unshare", "-n", "bash", "-c", _NAMESPACE, "bash", *argv] if private else list(argv)
        self.process = subprocess.Popen(
            wrapped,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._log = log.open("wb")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while data := os.read(stream.fileno(), 65536):
            self._log.write(data)
            self._log.flush()
            self.output += data.decode("utf-8", "replace")

    def address(self, limit: float) -> str | None:
        """Wait for the ``address:`` line; None when it did not come."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            match = _ADDRESS.search(self.output)
            if match is not None:
                return match[1].rstrip("\r")
            if self.process.poll() is not None:
                return None
            time.sleep(0.02)
        return None

    def interrupt(self, limit: float = 30) -> int | None:
        """Press Ctrl-C; return the exit code, None when it did not end (it is killed then)."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            code: int | None = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        self._reader.join(5)
        self._log.close()
        return code


def _run_install(app: App, row: Row, script: Path, home: Path, env: Mapping[str, str], folder: Path) -> None:
    more = [part for answer in app.answers for part in ("--answer", answer)]
    more += ["--trace", str(folder / "install.trace"), "--timeout", "900"]
    begun = time.monotonic()
    with (folder / "install.log").open("wb") as log:
        done = subprocess.run(
            _command(script, home, *more),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    row.install = time.monotonic() - begun
    text = (folder / "install.log").read_text(errors="replace")
    if app.fails:
        if done.returncode != 1 or app.fails not in text:
            row.faults.append(f"install: exit code {done.returncode}, expected a failure with {app.fails}")
    elif done.returncode != 0:
        row.faults.append(f"install: exit code {done.returncode}")
    if left_processes(home):
        row.faults.append("processes left by the installation")


def _end_record(trace: Path) -> dict[str, object]:
    lines = trace.read_text().splitlines() if trace.exists() else []
    return json.loads(lines[-1]) if lines else {}


def _run_start(app: App, row: Row, script: Path, home: Path, env: Mapping[str, str], folder: Path) -> None:
    trace = folder / "start.trace"
    begun = time.monotonic()
    daemon = _Daemon(_command(script, home, "--trace", str(trace)), env, folder / "start.log", private=app.private)
    namespace = daemon.process.pid if app.private else None
    url = daemon.address(180)
    if url is None:
        row.faults.append("no address was announced")
    else:
        row.start = time.monotonic() - begun
        row.url = url
        row.status, text = probe(url, namespace, 90)
        title = _TITLE.search(text)
        row.title = " ".join(title[1].decode("utf-8", "replace").split()) if title else ""
        if row.status != 200:
            row.faults.append(f"HTTP {row.status} {text.decode('utf-8', 'replace')}".strip())
        if app.title not in row.title:
            row.faults.append(f"the title is {row.title!r}, not {app.title!r}")
    begun = time.monotonic()
    code = daemon.interrupt()
    row.stop = time.monotonic() - begun
    if code != 130:
        row.faults.append(f"start: exit code {code}")
    left = left_processes(home)
    row.left = len(left)
    for pid in left:
        row.faults.append(f"left: {pid} {Path(f'/proc/{pid}/cmdline').read_bytes()[:80]!r}")
    if url is not None:
        if _listening(url, namespace):
            row.faults.append("its port is still open")
        local = _end_record(trace).get("local")
        if not isinstance(local, dict) or local.get("url") != url:
            row.faults.append(f"local.url in the trace is {local!r}")


def run_app(app: App, mirrors: Path, homes: Path, extra: Mapping[str, str], *, keep: bool) -> Row:
    """Run one app end to end.

    Parameters:
        app: the app.
        mirrors: folder of the git mirrors.
        homes: folder that gets its home folder and its logs.
        extra: lines for the home's ENVIRONMENT file.
        keep: whether home and logs stay.
    """
    row = Row(app.repo)
    folder = homes / app.name
    shutil.rmtree(folder, ignore_errors=True)
    home = folder / "home"
    folder.mkdir(parents=True)
    env = _environment(mirrors)
    first = folder / "first.js"
    first.write_text(_TRIVIAL % json.dumps("echo ready"))
    subprocess.run(_command(first, home), env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with (home / "ENVIRONMENT").open("a") as file:
        file.writelines(f"{key}={value}\n" for key, value in {**extra, **app.env}.items())
    place = home / "api" / app.name
    subprocess.run(["git", "clone", "--quiet", f"https://github.com/{app.repo}", str(place)], env=env, check=True)
    if app.warm:
        first.write_text(_TRIVIAL % json.dumps(app.warm))
        with (folder / "warm.log").open("wb") as log:
            subprocess.run(_command(first, home), env=env, check=True, stdin=subprocess.DEVNULL, stdout=log)
    if app.install is not None:
        _run_install(app, row, place / app.install, home, env, folder)
    if app.start is not None and not row.faults:
        start = place / app.start
        if app.offline:
            text = start.read_text()
            start = start.with_name("start-offline.js")
            start.write_text(text.replace("on: [{", f"on: [{_PASS}{{", 1))
        _run_start(app, row, start, home, env, folder)
    if not keep and not row.faults:
        shutil.rmtree(folder, ignore_errors=True)
    return row


def main() -> int:
    """Run the apps that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirrors", type=Path, required=True, help="folder of git mirrors: <owner>/<name>.git")
    parser.add_argument("--homes", type=Path, default=Path("/tmp/pinokiocloud-real-apps"), help="gets the home folders")
    parser.add_argument("--only", action="append", default=[], help="apps whose name holds this; several")
    parser.add_argument("--environment", action="append", default=[], metavar="KEY=VALUE", help="for HOME/ENVIRONMENT")
    parser.add_argument("--keep", action="store_true", help="keep homes and logs (those of failures are always kept)")
    options = parser.parse_args()
    extra = dict(item.split("=", 1) for item in options.environment)
    chosen = [app for app in APPS if not options.only or any(part in app.repo for part in options.only)]
    rows = []
    for app in chosen:
        row = run_app(app, options.mirrors.resolve(), options.homes.resolve(), extra, keep=options.keep)
        rows.append(row)
        print(row.markdown(), file=sys.stderr, flush=True)
    print(HEADER)
    print("|" + "---|" * HEADER.count(" | ") + "---|")
    for row in rows:
        print(row.markdown())
    return 1 if any(row.faults for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
