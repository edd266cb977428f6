"""The table of commands, and what a process ends with."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

import click

from graphcore import __version__
from graphcore.cli.failures import CANCELLED, FAILED, exit_code, tell
from graphcore.errors import GraphcoreError

COMMANDS: Final[Mapping[str, str]] = {
    "run": "graphcore.cli.run:run",
    "validate": "graphcore.cli.validate:validate",
    "nodes": "graphcore.cli.nodes:nodes",
    "models": "graphcore.cli.models:models",
    "plan": "graphcore.cli.plan:plan",
    "show": "graphcore.cli.show:show",
    "verify": "graphcore.cli.verify:verify",
    "cache": "graphcore.cli.cache:cache",
    "convert": "graphcore.cli.convert:convert",
    "schema": "graphcore.cli.schema:schema",
    "stubs": "graphcore.cli.stubs:stubs",
    "new-pack": "graphcore.cli.new_pack:new_pack",
    "serve": "graphcore.cli.serve:serve",
}
TRACEBACK_VARIABLE: Final = "GRAPHCORE_TRACEBACK"


def known_commands() -> dict[str, str]:
    """Every command with the place of its code: ours, and those of packs (entry-point group `graphcore.commands`)."""
    packs = {entry.name: entry.value for entry in entry_points(group="graphcore.commands")}
    return {**packs, **COMMANDS}


class CommandTable(click.Group):
    """A group that imports a command when it is asked for, so that each starts as fast as it can."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *sorted(set(known_commands()) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name) or known_commands().get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], known_commands(), n=1)
            hint = f"did you mean '{near[0]}'?" if near else "`graphcore --help` lists the commands."
            raise click.UsageError(f"There is no command '{args[0]}'; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=CommandTable,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 error, 2 invalid workflow or command line, 3 failed run, 130 cancelled.",
)
@click.version_option(__version__, "-V", "--version", prog_name="graphcore", message="%(prog)s %(version)s")
def app() -> None:
    """Turn workflows (JSON graphs of nodes) into pictures."""


def run_app(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code; nothing that a user can do shows a traceback."""
    try:
        code = app.main(args=list(arguments), prog_name="graphcore", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.secho("cancelled", fg="yellow", err=True)
        return CANCELLED
    except GraphcoreError as error:
        tell(error)
        return exit_code(error)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - the reader of our output is gone
        return FAILED
    except OSError as error:
        click.secho(f"error: {error.strerror or error}: {error.filename}", fg="red", err=True)
        return FAILED
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        click.secho(
            f"error: a fault of graphcore itself: {type(error).__name__}: {error}", fg="red", err=True
        )
        click.echo(f"    {TRACEBACK_VARIABLE}=1 shows where; please report it", err=True)
        return FAILED
    return code if isinstance(code, int) else 0
