"""The commands and their options."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pinokiocloud.errors import PinokioError

__all__ = ["app"]

app = typer.Typer(
    name="pinokiocloud",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Runs Pinokio scripts on machines without a desktop.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="The home folder; by default PINOKIO_HOME, else ~/pinokio.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.callback()
def _main() -> None:
    """Runs Pinokio scripts on machines without a desktop."""


def _fail(error: PinokioError) -> None:
    sys.stderr.write(f"pinokiocloud: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"  {error.hint}\n")
    raise typer.Exit(2 if error.code == "usage" else 1)


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} is no JSON: {error}") from error


def _arguments(args: str | None, pairs: list[str]) -> Any:
    """Return the arguments of ``--args`` with those of ``--set`` on top; None when there are none."""
    value = None if args is None else _json(args, "--args")
    if pairs:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise typer.BadParameter("--set needs --args to be an object")
        for pair in pairs:
            key, sign, text = pair.partition("=")
            if not sign or not key:
                raise typer.BadParameter(f"--set takes key=value, not {pair!r}")
            value[key] = text
    return value


def _object(text: str, option: str) -> dict[str, Any]:
    value = _json(text, option)
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{option} must be a JSON object")
    return value


def _finish(command: Callable[[], int]) -> None:
    """Run a command and exit with its code."""
    try:
        code = command()
    except PinokioError as error:
        _fail(error)
    else:
        raise typer.Exit(code)


@app.command()
def run(
    script: Annotated[str, typer.Argument(help="The script: a path, ~/… below the home, or a git address.")],
    args: Annotated[str | None, typer.Option("--args", help="Its arguments, as JSON.")] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One argument, as text.")
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option("--answer", metavar="JSON", help="The answer to the next question; several in order."),
    ] = None,
    home: HomeOption = None,
    timeout: Annotated[float | None, typer.Option("--timeout", metavar="S", help="Stop after so many seconds.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Follow the original also where it is wrong.")] = False,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="Write a record of every step and event, as JSON lines."),
    ] = None,
    as_json: JsonOption = False,
    action: Annotated[str, typer.Option("--action", help="The list of steps to run.")] = "run",
    stop_after: Annotated[
        float | None, typer.Option("--stop-after", metavar="S", help="Ask it to stop after so many seconds.")
    ] = None,
    detach_after: Annotated[
        float | None, typer.Option("--detach-after", metavar="S", help="Stop a daemon so many seconds after it is up.")
    ] = None,
    fail_on_exit_code: Annotated[
        bool, typer.Option("--fail-on-exit-code", help="A command with an exit code other than 0 fails its step.")
    ] = False,
    unattended: Annotated[bool, typer.Option("--unattended", help="Never ask on the terminal.")] = False,
) -> None:
    """Run a script, with its output on this terminal. Ctrl-C stops it and everything that it started."""
    from pinokiocloud.cli.run import RunOptions, run_script  # noqa: PLC0415 - each command imports what it needs

    value = _arguments(args, pairs or [])
    options = RunOptions(
        script=script,
        args=value,
        has_args=args is not None or bool(pairs),
        answers=[_json(item, "--answer") for item in answer or []],
        home=home,
        timeout=timeout,
        strict=strict,
        trace=trace,
        as_json=as_json,
        action=action,
        stop_after=stop_after,
        detach_after=detach_after,
        fail_on_exit_code=fail_on_exit_code,
        unattended=unattended,
    )
    try:
        code = run_script(options)
    except PinokioError as error:
        _fail(error)
    else:
        raise typer.Exit(code)


@app.command()
def render(
    template: Annotated[
        str, typer.Argument(metavar="EXPR", help="A template, 'on {{platform}}', or an expression, '1 + 1'.")
    ],
    variables: Annotated[
        str | None,
        typer.Option("--vars", metavar="JSON", help="Variables, as a JSON object; they go before all others."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the value of a template as a step would see it. Warnings go to the standard error."""
    from pinokiocloud.cli.render import render_template  # noqa: PLC0415 - each command imports what it needs

    values = {} if variables is None else _object(variables, "--vars")
    _finish(lambda: render_template(template, values, home=home, as_json=as_json))


@app.command()
def menu(
    app_dir: Annotated[Path, typer.Argument(metavar="APPDIR", help="The app's folder.")],
    home: HomeOption = None,
    running: Annotated[
        list[str] | None, typer.Option("--running", metavar="SCRIPT", help="Take this script as running.")
    ] = None,
    local: Annotated[
        str | None, typer.Option("--local", metavar="JSON", help="Local variables: an object by script.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the menu of an app for the state that its files are in. Nothing is run."""
    from pinokiocloud.cli.menu import show_menu  # noqa: PLC0415 - each command imports what it needs

    values = None if local is None else _object(local, "--local")
    _finish(lambda: show_menu(app_dir, home=home, running=running or [], local=values, as_json=as_json))


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Folders of apps or launchers, or scripts.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for faults in apps and scripts, for several machines. Nothing is run. Exit code 1 when there are faults."""
    from pinokiocloud.cli.check import check_paths  # noqa: PLC0415 - each command imports what it needs

    _finish(lambda: check_paths(paths, home=home, as_json=as_json))


@app.command()
def plan(
    script: Annotated[str, typer.Argument(help="The script: a path, ~/… below the home, or a git address.")],
    args: Annotated[str | None, typer.Option("--args", help="Its arguments, as JSON.")] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One argument, as text.")
    ] = None,
    gpu: Annotated[
        str | None, typer.Option("--gpu", metavar="nvidia|amd|none", help="As on a machine with such a graphics card.")
    ] = None,
    action: Annotated[str, typer.Option("--action", help="The list of steps.")] = "run",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a script would do on this machine, without doing it."""
    from pinokiocloud.cli.plan import show_plan  # noqa: PLC0415 - each command imports what it needs

    if gpu not in (None, "nvidia", "amd", "none"):
        raise typer.BadParameter("--gpu is nvidia, amd or none")
    value = _arguments(args, pairs or [])
    given = args is not None or bool(pairs)
    _finish(lambda: show_plan(script, args=value, has_args=given, action=action, home=home, gpu=gpu, as_json=as_json))


@app.command()
def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Print what this machine has and lacks, and what to do. Exit code 1 when scripts cannot run."""
    from pinokiocloud.cli.doctor import show_diagnosis  # noqa: PLC0415 - each command imports what it needs

    _finish(lambda: show_diagnosis(home=home, as_json=as_json))
