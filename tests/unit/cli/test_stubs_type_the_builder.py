"""The written stub types the builder: wrong inputs, outputs and links are found by a type checker."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

from graphcore import Registry
from graphcore.stubs import builder_stub
from tests.packs.tasks import register
from tests.unit.cli.conftest import CommandLine

RIGHT = """
from builder import Graph
from graphcore.registry import Registry

g = Graph(Registry(), title="t")
number = g.TaskNumber(value=7, node_id="n")
parts = g.TaskSplit(value=number)
total = g.TaskSum(values=[parts.small, 5, parts[1]], factor=number)
g.TaskInteger()
g.TaskTell(text="hi", style="loud")
g.input("value", (number, "value"))
g.output("sum", total)
g.workflow()
"""
WRONG = """
from builder import Graph
from graphcore.registry import Registry

g = Graph(Registry())
g.TaskNumber(valeu=7)
g.TaskTell(style="quiet")
g.TaskSplit()
g.TaskSplit(value=g.TaskTell())
g.TaskSplit(value=1).middle
g.TaskNumbre()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stub of the test pack's builder."""
    registry = Registry()
    register(registry)
    made = tmp_path_factory.mktemp("stubs")
    (made / "builder.pyi").write_text(builder_stub(registry), encoding="utf-8")
    return made


def check(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> list[str]:
    """The errors that mypy finds in a script beside the stub."""
    (folder / "script.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("MYPYPATH", str(folder))
    options = ["--config-file=", "--strict", "--no-error-summary", f"--cache-dir={folder / 'cache'}"]
    out, err, _ = api.run([*options, "--follow-imports=silent", str(folder / "script.py")])
    assert err == ""
    return [line for line in out.splitlines() if ": error:" in line]


def test_a_right_script_passes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(folder, monkeypatch, RIGHT) == []


def test_each_mistake_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [int(line.split(":")[1]) for line in check(folder, monkeypatch, WRONG)]
    assert sorted(set(lines)) == [6, 7, 8, 9, 10, 11]


def test_the_command_writes_every_installed_node(cli: CommandLine) -> None:
    stub = cli.run("stubs").out
    compile(stub, "builder.pyi", "exec")
    for name in ("TaskTell", "TaskInteger", "KSampler", "CheckpointLoaderSimple"):
        assert f"def {name}(" in stub


def test_two_places_are_refused(cli: CommandLine) -> None:
    assert cli.run("stubs", "--install", "-o", "x.pyi").code == 2
