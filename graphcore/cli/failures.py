"""How errors are told: to people on standard error, or as one JSON document on standard output."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from typing import Final, ParamSpec, TypeVar

import click

from graphcore.cli.terminal import visible
from graphcore.errors import (
    Cancelled,
    DocumentError,
    ExecutionError,
    GraphcoreError,
    Problem,
    ValidationError,
)

DONE: Final = 0
FAILED: Final = 1
INVALID: Final = 2
RUN_FAILED: Final = 3
CANCELLED: Final = 130
_SHOWN_PROBLEMS: Final = 50

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def exit_code(error: GraphcoreError) -> int:
    """What a process ends with after this error."""
    if isinstance(error, (DocumentError, ValidationError)):
        return INVALID
    if isinstance(error, ExecutionError):
        return RUN_FAILED
    return CANCELLED if isinstance(error, Cancelled) else FAILED


def telling_errors(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorator of a command: tell its errors, as JSON if its `as_json` is set, and exit with their code."""

    @functools.wraps(function)
    def command(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except GraphcoreError as error:
            tell(error, as_json=bool(kwargs.get("as_json") or kwargs.get("as_events")))
            raise click.exceptions.Exit(exit_code(error)) from error

    return command


def tell(error: GraphcoreError, *, as_json: bool = False) -> None:
    """Print an error."""
    if as_json:
        click.echo(
            json.dumps({"state": _state(error), "error": error.as_json()}, indent=2, ensure_ascii=False)
        )
    elif isinstance(error, ValidationError):
        tell_problems(error.problems)
    elif isinstance(error, ExecutionError):
        _tell_execution(error)
    elif isinstance(error, Cancelled):
        click.secho(visible(error.message), fg="yellow", err=True)
    else:
        _headline(error.message, error.code, error.location if isinstance(error, DocumentError) else "")


def tell_problems(problems: Iterable[Problem]) -> None:
    """Print every problem of a workflow, with its place in the document."""
    listed = list(problems)
    count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
    click.echo(f"{click.style('error:', fg='red', bold=True)} the workflow has {count}", err=True)
    for problem in listed[:_SHOWN_PROBLEMS]:
        place = visible(".".join(part for part in (problem.node, problem.input) if part))
        title = f"{click.style(place, bold=True)}  " if place else ""
        click.echo(f"\n  {title}{click.style(problem.code, fg='yellow')}", err=True)
        click.echo(f"    {visible(problem.message)}", err=True)
        details = [f"at {problem.pointer}"] if problem.pointer else []
        if problem.expected is not None:
            details.append(f"expected {_clipped(problem.expected)}")
        if problem.got is not None:
            details.append(f"got {_clipped(problem.got)}")
        if details:
            click.secho(f"    {visible('; '.join(details))}", dim=True, err=True)
    if len(listed) > _SHOWN_PROBLEMS:
        click.echo(f"\n  … and {len(listed) - _SHOWN_PROBLEMS} more; --json lists them all", err=True)


def _tell_execution(error: ExecutionError) -> None:
    _headline(error.message, error.code, "")
    click.secho(f"    node {visible(error.path)} ({error.node_type})", dim=True, err=True)
    for name, value in error.inputs.items():
        click.secho(f"      {name} = {visible(_clipped(value))}", dim=True, err=True)


def _headline(message: str, code: str, location: str) -> None:
    where = f" at {location}" if location else ""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {visible(message)}", err=True)
    click.secho(f"    {code}{visible(where)}", dim=True, err=True)


def _state(error: GraphcoreError) -> str:
    states = {INVALID: "invalid", CANCELLED: "cancelled"}
    return states.get(exit_code(error), "failed")


def _clipped(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:157]}..."
