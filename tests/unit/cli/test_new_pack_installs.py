"""`graphcore new-pack` makes a pack whose own tests pass once it is on the path."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.installed_pack import install_pack
from tests.unit.cli.conftest import CommandLine

ROOT = Path(__file__).resolve().parents[3]


def test_its_tests_pass_where_it_is_installed(cli: CommandLine) -> None:
    outcome = cli.run("new-pack", "my-nodes")
    assert (outcome.code, outcome.out) == (0, "my-nodes\n")
    folder = cli.folder / "my-nodes"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entry_point = project["entry-points"]["graphcore.nodes"]
    assert entry_point == {"my_nodes": "my_nodes"}
    installed = install_pack(cli.folder / "site", "my_nodes", entry_point["my_nodes"])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (installed, folder, ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["My Nodes", "../x", "", "1st", "json", "class", "a--b"])
def test_a_bad_name_is_told(cli: CommandLine, name: str) -> None:
    outcome = cli.run("new-pack", name)
    assert outcome.code == 2
    assert "is no name for a pack" in outcome.err


def test_nothing_is_written_over(cli: CommandLine) -> None:
    cli.run("new-pack", "my-nodes")
    assert "is there already" in cli.run("new-pack", "my-nodes").err
