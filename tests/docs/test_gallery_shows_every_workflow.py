"""docs/gallery.md shows every shipped workflow with a picture, and says what the workflows say now.

`python -m tools.gallery` writes it with its pictures, and `python -m tools.gallery --page` without running anything.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from graphcore import Registry, read_workflow
from tests.models import TinyModels
from tests.shipped_models import put_embedded
from tests.tiny_engine import tiny_engine
from tools.docs.node_drawing import text_width
from tools.gallery.__main__ import ROOT, main, page_path
from tools.gallery.drawing import WIDTH, drawing
from tools.gallery.entries import Entry, gallery_entries
from tools.gallery.page import gallery_page
from tools.gallery.pictures import picture_of

REGISTRY = Registry.installed(allow=["graphcore"])
ENTRIES = gallery_entries(ROOT, REGISTRY)
OF_YOURS = [entry for entry in ENTRIES if entry.missing]
MOST_BYTES = 3_000_000
SVG = "{http://www.w3.org/2000/svg}"


def named(entry: Entry) -> str:
    return entry.name


def test_the_page_is_current() -> None:
    assert page_path(ROOT).read_text(encoding="utf-8") == gallery_page(ROOT, ENTRIES), (
        "docs/gallery.md: run `python -m tools.gallery --page`"
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_every_workflow_has_its_entry(entry: Entry) -> None:
    page = page_path(ROOT).read_text(encoding="utf-8")
    _, _, section = page.partition(f"### {entry.title}\n")
    section, _, _ = section.partition("\n### ")
    assert entry.workflow.description in section
    assert f"graphcore run workflows/{entry.path.name}" in section
    assert entry.picture(ROOT).relative_to(ROOT / "docs").as_posix() in section
    assert all(f"`{name}`" in section for name in entry.workflow.inputs)
    assert all(f"`{file.kind}/{file.name}`" in section for file in entry.missing)


def test_pictures_are_there_and_no_others() -> None:
    folder = ROOT / "docs" / "pictures" / "gallery"
    assert sorted(folder.iterdir()) == sorted(entry.picture(ROOT) for entry in ENTRIES)
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST_BYTES


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if not entry.missing], ids=named)
def test_pictures_show_something(entry: Entry) -> None:
    with Image.open(entry.picture(ROOT)) as picture:
        assert picture.format == "WEBP"
        assert min(picture.size) >= 128
        darkest, brightest = picture.convert("L").getextrema()
    assert brightest - darkest > 40


@pytest.mark.parametrize("entry", OF_YOURS, ids=named)
def test_drawings_are_current(entry: Entry) -> None:
    assert entry.picture(ROOT).read_text(encoding="utf-8") == drawing(entry.workflow, REGISTRY)


@pytest.mark.parametrize("entry", OF_YOURS, ids=named)
def test_drawings_hold_every_node_and_no_text_leaves_its_box(entry: Entry) -> None:
    root = ElementTree.fromstring(drawing(entry.workflow, REGISTRY))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    canvas, *boxes = [rectangle.attrib for rectangle in root.iter(f"{SVG}rect")]
    assert len(boxes) == len(entry.workflow.nodes)
    assert float(canvas["width"]) == width
    for box in boxes:
        assert float(box["x"]) >= 0
        assert float(box["y"]) >= 0
        assert float(box["x"]) + float(box["width"]) <= width
        assert float(box["y"]) + float(box["height"]) <= height
    for text in root.iter(f"{SVG}text"):
        size = 12 * 1.15 if text.attrib.get("class") == "t" else 11
        room = width - float(text.attrib["x"]) if "class" not in text.attrib else WIDTH
        assert text_width(text.text or "", size) <= room


def test_drawn_nodes_do_not_overlap() -> None:
    for entry in OF_YOURS:
        boxes = [
            tuple(float(rectangle.attrib[name]) for name in ("x", "y", "width", "height"))
            for rectangle in ElementTree.fromstring(drawing(entry.workflow, REGISTRY)).iter(f"{SVG}rect")
            if "x" in rectangle.attrib
        ]
        for index, (x, y, width, height) in enumerate(boxes):
            for other_x, other_y, other_width, other_height in boxes[index + 1 :]:
                beside = x + width <= other_x or other_x + other_width <= x
                assert beside or y + height <= other_y or other_y + other_height <= y


def test_words_of_a_workflow_are_text_in_its_drawing() -> None:
    document = {
        "graphcore": 1,
        "title": "<script>",
        "nodes": {"a": {"type": "Text", "title": "<b>&", "inputs": {"value": "</svg>" * 40}}},
    }
    root = ElementTree.fromstring(drawing(read_workflow(document, REGISTRY), REGISTRY))
    assert [text.text for text in root.iter(f"{SVG}text")][:2] == ["<b>&", REGISTRY.get("Text").title]  # type: ignore[union-attr]


def test_pictures_are_results_side_by_side(tmp_path: Path, tiny_models: TinyModels) -> None:
    put_embedded(tmp_path / "models", tiny_models)
    entries = {entry.name: entry for entry in ENTRIES}
    with tiny_engine(tmp_path, tmp_path / "models") as engine:
        made = {name: picture_of(entries[name], engine) for name in ("inpaint", "comfyui-api-prompt")}
    sizes = {name: Image.open(io.BytesIO(data)).size for name, data in made.items()}
    assert sizes == {"inpaint": (128 + 8 + 128, 128), "comfyui-api-prompt": (128, 128)}


def test_unknown_names_are_told(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["gallery", "no-such-workflow"])
    with pytest.raises(SystemExit):
        main()
    assert "no workflow no-such-workflow" in capsys.readouterr().err
