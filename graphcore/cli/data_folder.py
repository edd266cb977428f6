"""Where graphcore keeps its data: the persistent results, what earlier runs cost, digests of files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click

DATA_VARIABLE: Final = "GRAPHCORE_DATA"
CommandT = TypeVar("CommandT", bound=Callable[..., object])


def data_option(command: CommandT) -> CommandT:
    """The option --data-dir."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help=f"Folder of kept results and digests. Default: ${DATA_VARIABLE}, or the platform's data folder.",
    )(command)


def data_folder(given: Path | None) -> Path:
    """The data folder: the one given, else that of the environment, else the platform's."""
    if given is not None:
        return given
    named = os.environ.get(DATA_VARIABLE)
    if named:
        return Path(named)
    import platformdirs

    return platformdirs.user_data_path("graphcore", appauthor=False)
