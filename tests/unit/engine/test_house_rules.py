"""The rooms and their doors: who may import whom, and what no module may hold."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphcore

ROOT = Path(__file__).parents[3]
ROOMS = ("graphcore", "nodes", "server")
HEAVY = {"torch", "diffusers", "transformers", "peft", "safetensors"}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in item.names)
        elif isinstance(item, ast.ImportFrom) and item.module and not item.level:
            yield item.module.partition(".")[0]


def top_level_imports(tree: ast.Module) -> Iterator[str]:
    for item in tree.body:
        if isinstance(item, (ast.Import, ast.ImportFrom)):
            yield from imports(item)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_engine_knows_neither_torch_nor_the_other_rooms() -> None:
    for path in modules("graphcore"):
        found = set(imports(parsed(path)))
        if "cli" in path.parts or path.parts[-2] == "worker":
            continue
        assert not found & (HEAVY | {"aiohttp", "nodes", "server"}), name_of(path)


def test_nodes_and_server_do_not_know_each_other() -> None:
    for path in modules("nodes"):
        assert not set(imports(parsed(path))) & {"server", "aiohttp"}, name_of(path)
    for path in modules("server"):
        assert not set(imports(parsed(path))) & ({"nodes"} | HEAVY), name_of(path)


def test_torch_is_imported_at_the_top_in_the_machine_room_only() -> None:
    for path in modules("nodes"):
        if (ROOT / "nodes" / "diffusion") not in path.parents:
            assert not set(top_level_imports(parsed(path))) & HEAVY, name_of(path)


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_has_globals_or_bare_excepts_or_a_name_that_says_nothing(room: str) -> None:
    for path in modules(room):
        assert path.stem not in {"utils", "util", "helpers", "manager", "common", "misc"}, name_of(path)
        for item in ast.walk(parsed(path)):
            assert not isinstance(item, ast.Global), name_of(path)
            assert not (isinstance(item, ast.ExceptHandler) and item.type is None), (
                f"{name_of(path)}:{item.lineno}"
            )


def test_importing_the_engine_is_light() -> None:
    heavy = sorted(HEAVY | {"networkx", "pydantic", "numpy", "PIL", "aiohttp", "click", "rich"})
    code = f"import graphcore, sys; print([name for name in {heavy!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.strip() == "[]"


def test_the_public_surface_is_complete_sorted_and_documented() -> None:
    names = graphcore.__all__
    assert names == sorted(names)
    assert len(names) == len(set(names))
    tree = parsed(ROOT / "graphcore" / "__init__.py")
    imported = {
        alias.asname or alias.name
        for item in ast.walk(tree)
        if isinstance(item, ast.ImportFrom) and (item.module or "").startswith("graphcore")
        for alias in item.names
    }
    public = {name for name in imported if not name.startswith("_")}
    assert public == {name for name in names if not name.startswith("_")}
    for name in names:
        thing = getattr(graphcore, name)
        if callable(thing):
            assert thing.__doc__, name
