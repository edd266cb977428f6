"""The page of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from graphcore.cli.app import app

_HEAD = """\
# The command line

Each command has `--help`. What a command makes goes to standard output, what it says about its work to standard error.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | an error outside the workflow: a file that cannot be read or written, a node that is not there |
| 2 | an invalid workflow, or an invalid command line |
| 3 | a run that failed |
| 130 | a run that was cancelled (Ctrl-C; a second Ctrl-C ends the process at once) |

`GRAPHCORE_MODELS` names models folders (several are parted as in `PATH`) where `--models-dir` is not given.
"""


def command_page() -> str:
    """The text of docs/cli.md."""
    context = click.Context(app, info_name="graphcore")
    sections = [_HEAD]
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        sections.extend(_sections(command, click.Context(command, info_name=name, parent=context)))
    return "\n".join(sections)


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield _section(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _sections(inner, click.Context(inner, info_name=name, parent=context))


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [
        f"## `{context.command_path}`\n",
        f"```text\n{usage}\n```\n",
        f"{_dedented(command.help or '')}\n",
    ]
    rows = [row for parameter in command.params if (row := parameter.get_help_record(context)) is not None]
    if rows:
        table = ["| option | |", "| --- | --- |"]
        table += [f"| `{_cell(option)}` | {_cell(text)} |" for option, text in rows]
        parts.append("\n".join(table) + "\n")
    return "\n".join(parts)


def _dedented(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
