"""A pack is a folder or a file; one that fails is reported and stops nothing; only what is named is loaded."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from graphcore import Registry, Settings
from graphcore.errors import InputError
from nodes.packs.loading import find_packs, load_packs
from tests.packs_nodes.conftest import PACKS
from tests.packs_nodes.prompts import PackEngine, node, shown
from tests.tiny_engine import all_nodes

NODE = """
class Node:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}
    RETURN_TYPES = ("STRING",)
    FUNCTION = "give"
    def give(self):
        return (%r,)
"""


def pack(folder: Path, name: str, text: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(text, encoding="utf-8")
    return folder / name


def test_a_folder_of_packs_a_pack_and_a_single_file() -> None:
    assert [path.name for path in find_packs(PACKS)] == ["basics", "broken_import", "single_file.py"]
    assert find_packs(PACKS / "basics") == [PACKS / "basics"]
    assert find_packs(PACKS / "single_file.py") == [PACKS / "single_file.py"]


def test_disabled_and_hidden_packs_are_left_alone(tmp_path: Path) -> None:
    for name in ("a.disabled", ".git", "__pycache__", "b"):
        pack(tmp_path, name, "")
    assert [path.name for path in find_packs(tmp_path)] == ["b"]


def test_a_pack_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        find_packs(tmp_path / "nowhere")
    assert error.value.code == "node-pack"


def test_a_broken_pack_is_reported_with_its_traceback_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = all_nodes()
    with caplog.at_level(logging.ERROR):
        load_packs(registry, [PACKS], Settings())
    reports = {report.name: report for report in registry.pack_reports}
    assert reports["broken_import"].error == "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"
    assert "Traceback" in caplog.text
    assert "import a_module_that_nobody_has" in caplog.text
    assert "BasicsSum" in registry
    assert "SingleFile" in registry


@pytest.mark.parametrize(
    "text", ["import sys; sys.exit(3)", "x = 1", "NODE_CLASS_MAPPINGS = {'A': object}", "("]
)
def test_whatever_a_pack_does_wrong_is_in_its_report(tmp_path: Path, text: str) -> None:
    registry = all_nodes()
    load_packs(registry, [pack(tmp_path, "wrong", text)], Settings())
    (report,) = registry.pack_reports
    assert report.error or report.left_out
    assert not report.nodes


def test_a_name_of_ours_stays_ours_and_of_two_packs_the_later_wins(tmp_path: Path) -> None:
    for name in ("one", "two"):
        text = (
            NODE % name
            + "NODE_CLASS_MAPPINGS = {'Same': Node, 'SaveImage': Node, 'CheckpointLoaderSimple': Node}"
        )
        pack(tmp_path, name, text)
    with PackEngine.of([tmp_path / "one", tmp_path / "two", PACKS / "basics"], tmp_path) as engine:
        assert engine.run(a=node("Same"), show=shown(["a", 0])).texts() == ["two"]
        spec = engine.engine.registry.get("SaveImage")
        assert spec is not None
        assert spec.foreign is None
        assert set(engine.engine.registry.pack_reports[0].left_out) == {"SaveImage", "CheckpointLoaderSimple"}


def test_two_packs_may_have_modules_of_one_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = pack(tmp_path, name, f"from .inner import Node\nNODE_CLASS_MAPPINGS = {{'{name}': Node}}")
        (folder / "inner.py").write_text(NODE % name, encoding="utf-8")
    with PackEngine.of([tmp_path, PACKS / "basics"], tmp_path) as engine:
        ran = engine.run(a=node("one"), b=node("two"), show=shown(["a", 0]), other=shown(["b", 0]))
        assert (ran.texts(), ran.texts("other")) == (["one"], ["two"])


def test_nothing_is_importable_before_a_pack_is_loaded() -> None:
    assert "comfy_execution.graph_utils" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        __import__("comfy_execution.graph_utils")
    registry = Registry()
    registry.load_packs((), Settings())
    assert not registry.pack_reports
