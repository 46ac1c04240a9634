"""The commands and their options."""

from __future__ import annotations

import json
import sys
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
