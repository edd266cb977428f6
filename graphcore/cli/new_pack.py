"""`graphcore new-pack`: a node pack that installs, with a node and its test."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from string import Template
from typing import Final

import click

from graphcore.cli.failures import telling_errors

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*\Z")
_FILES: Final = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$name"
version = "0.1.0"
description = "Nodes for graphcore."
requires-python = ">=3.11"
dependencies = ["graphcore"]

[project.entry-points."graphcore.nodes"]
$module = "$module"

[tool.setuptools]
packages = ["$module"]
""",
    "README.md": """\
# $name

Nodes for graphcore. Install with `pip install -e .`; then `graphcore nodes $node` describes the first one, and
`pytest` tests it.
""",
    "$module/__init__.py": '''\
"""The nodes of $name."""

from __future__ import annotations

from typing import Annotated

from graphcore import Range, Text, node


@node("$node", category="$module")
def $function(text: Annotated[str, Text()], times: Annotated[int, Range(1, 100)] = 2) -> str:
    """Say a text several times."""
    return " ".join([text] * times)
''',
    "tests/test_nodes.py": '''\
"""The nodes work, alone and in a workflow."""

from __future__ import annotations

import $module
from graphcore import Engine, Graph, Registry


def test_a_node_is_a_function() -> None:
    assert $module.$function("hey", 3) == "hey hey hey"


def test_in_a_workflow() -> None:
    registry = Registry()
    registry.add_module($module)
    g = Graph(registry)
    g.output("said", g.$node(text="hey"))
    with Engine(registry) as engine:
        assert engine.run(g.workflow())["said"] == "hey hey"


def test_the_pack_is_found() -> None:
    assert "$node" in Registry.installed()
''',
}


@click.command(name="new-pack")
@click.argument("name")
@click.option(
    "--in",
    "parent",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Folder that the pack's folder is made in (the present one).",
)
@telling_errors
def new_pack(*, name: str, parent: Path) -> None:
    """Make a node pack called NAME: a folder that installs with pip, with a node and its test."""
    module = name.replace("-", "_")
    if not _NAME.match(name) or keyword.iskeyword(module) or module in sys.stdlib_module_names:
        raise click.UsageError(
            f"'{name}' is no name for a pack; use lower-case words and hyphens, such as my-nodes."
        )
    folder = parent / name
    if folder.exists():
        raise click.UsageError(f"'{folder}' is there already; choose another name.")
    words = [word for word in re.split(r"[-_]", name) if word]
    names = {
        "name": name,
        "module": module,
        "node": "".join(word.capitalize() for word in words) + "Repeat",
        "function": "repeat",
    }
    for place, text in _FILES.items():
        path = folder / Template(place).substitute(names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(names), encoding="utf-8")
    click.echo(folder)
    click.echo(f"pip install -e {folder}, then: graphcore nodes {names['node']}", err=True)
