"""D6, D9: nothing in our code evaluates text, opens pickles unasked, or takes code from a model hub."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for room in ("graphcore", "nodes", "server") for path in (ROOT / room).rglob("*.py"))
EVALUATING = {"eval", "exec", "compile", "__import__"}
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle"}
CONVERTER = ROOT / "nodes" / "diffusion" / "conversion" / "pickles.py"
SHIM = ROOT / "nodes" / "packs" / "shims" / "weights.py"


def trees() -> Iterator[tuple[Path, ast.AST]]:
    for path in SOURCES:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (found for found in ast.walk(tree) if isinstance(found, ast.Call))


def test_d6_no_text_is_evaluated() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, tree in trees()
        for call in calls(tree)
        if isinstance(call.func, ast.Name) and call.func.id in EVALUATING
    ]
    assert found == []


def test_d1_d3_only_the_converter_and_packs_open_pickles_and_with_an_allow_list() -> None:
    for path, tree in trees():
        imported = {
            name.partition(".")[0]
            for found in ast.walk(tree)
            if isinstance(found, (ast.Import, ast.ImportFrom))
            for name in (
                [alias.name for alias in found.names]
                if isinstance(found, ast.Import)
                else [found.module or ""]
            )
        }
        loads = [
            call
            for call in calls(tree)
            if isinstance(call.func, ast.Attribute)
            and call.func.attr == "load"
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == "torch"
        ]
        if path != CONVERTER:
            assert imported & UNPICKLING == set(), path
            assert path == SHIM or loads == [], path
        for call in loads:
            given = {word.arg: word.value for word in call.keywords}
            assert isinstance(given["weights_only"], ast.Constant)
            assert given["weights_only"].value is True


@pytest.mark.parametrize("argument", ["trust_remote_code", "allow_pickle"])
def test_d9_code_from_hubs_and_objects_in_arrays_are_never_asked_for(argument: str) -> None:
    for path, tree in trees():
        for call in calls(tree):
            for word in call.keywords:
                if word.arg == argument:
                    assert isinstance(word.value, ast.Constant), path
                    assert word.value.value is False, path
