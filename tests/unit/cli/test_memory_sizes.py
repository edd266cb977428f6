"""Amounts of memory on the command line."""

from __future__ import annotations

import click
import pytest

from graphcore.cli.memory_size import MemorySize
from tests.unit.cli.conftest import CommandLine


@pytest.mark.parametrize(
    ("text", "size"),
    [("6G", 6 * 2**30), ("800M", 800 * 2**20), ("1.5GiB", 3 * 2**29), ("512 mb", 2**29), ("4096", 4096)],
)
def test_sizes(text: str, size: int) -> None:
    assert MemorySize().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "0", "6X", "G"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no amount of memory"):
        MemorySize().convert(text, None, None)


def test_a_run_takes_one(cli: CommandLine) -> None:
    file = cli.write(
        "flow.json",
        {
            "graphcore": 1,
            "nodes": {"a": {"type": "EmptyImage", "inputs": {"width": 8, "height": 8}}},
            "outputs": {"image": {"node": "a"}},
        },
    )
    assert cli.run("run", file, "--device-memory", "6G", "--device", "cpu").code == 0
    assert cli.run("run", file, "--device-memory", "lots").code == 2
