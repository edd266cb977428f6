"""docs/nodes is generated from the nodes: an entry for each that says all that matters, a drawing, and links that lead
somewhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

from graphcore.registry import Registry
from tests.tiny_engine import all_nodes
from tools.docs.node_drawing import MAX_BYTES, drawing, first_value, text_width
from tools.docs.nodes import anchor, node_pages

ROOT: Final = Path(__file__).resolve().parents[2]
SVG: Final = "{http://www.w3.org/2000/svg}"
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
MOST_BYTES_OF_A_PICTURE: Final = 12 * 1024
MOST_BYTES_OF_ALL: Final = 1_500_000


@pytest.fixture(scope="module")
def registry() -> Registry:
    return all_nodes()


@pytest.fixture(scope="module")
def files(registry: Registry) -> dict[Path, str]:
    return node_pages(ROOT, registry)


@pytest.fixture(scope="module")
def pages(files: dict[Path, str]) -> dict[str, str]:
    return {path.name: text for path, text in files.items() if path.suffix == ".md"}


@pytest.fixture(scope="module")
def sections(pages: dict[str, str]) -> dict[str, str]:
    """The entry of each node, by its name."""
    found: dict[str, str] = {}
    for text in pages.values():
        for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
            found[part.split("`")[1]] = part.partition("\n## ")[0]
    return found


def test_every_node_is_there_with_its_names_inputs_and_outputs(
    registry: Registry, sections: dict[str, str]
) -> None:
    assert set(sections) == {spec.name for spec in registry}
    for spec in registry:
        section = sections[spec.name]
        assert spec.description.splitlines()[0] in section
        assert all(f"`{alias}`" in section for alias in spec.aliases)
        assert all(f"| `{declared.name}` |" in section for declared in spec.inputs)
        assert all(f"`{output.name}` ({output.type.name}" in section for output in spec.outputs)
        assert f"(../pictures/nodes/{spec.name}.svg)" in section


def test_index_leads_to_every_node_with_its_class_in_comfyui(
    registry: Registry, pages: dict[str, str]
) -> None:
    index = pages["README.md"]
    for spec in registry:
        assert f"#{anchor(spec.name)})" in index
    assert "| [`LoadCheckpoint`](loaders.md#loadcheckpoint) | `CheckpointLoaderSimple` |" in index
    assert "| [`ContactSheet`](image.md#contactsheet) | – |" in index


def test_ranges_defaults_and_choices(sections: dict[str, str]) -> None:
    section = sections["KSampler"]
    assert "| `steps` | INT | `20` | 1 to 10000 |" in section
    assert "| `model` | MODEL | required |" in section
    assert "`simple`, `sgm_uniform`, `karras`" in section


def test_lists_lazy_inputs_and_open_inputs(sections: dict[str, str]) -> None:
    assert (
        "| `images` | IMAGE | required | one link or value, or a list of them |" in sections["ContactSheet"]
    )
    assert "| `on_true` | * | required | computed only if it is needed |" in sections["Switch"]
    assert "a list: what takes one of them runs once for each" in sections["SplitImages"]
    assert "| any other name |" in sections["ResizeImageOrMask"]


def test_errors_are_those_that_the_source_raises(sections: dict[str, str]) -> None:
    assert (
        "- `node-input`: The low threshold, …, is above the high one, …: exchange them." in sections["Canny"]
    )
    assert "- `node-check-failed`: rho must be above 0." in sections["KarrasScheduler"]
    assert "`not-an-adapter`" in sections["LoRA"]
    assert "It refuses" not in sections["StringLength"]


def test_workflows_that_hold_a_node_are_named(sections: dict[str, str]) -> None:
    assert "[Text to image](../../workflows/text-to-image.json)" in sections["LoadCheckpoint"]
    assert re.search(r"and \d+ more workflows\.", sections["KSampler"])


def test_links_and_pictures_lead_somewhere(files: dict[Path, str]) -> None:
    anchors = {
        path.name: [anchor(title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
        for path, text in files.items()
        if path.suffix == ".md"
    }
    for names in anchors.values():
        assert len(names) == len(set(names))
    for path, text in files.items():
        for target in LINK.findall(text) if path.suffix == ".md" else ():
            file, _, place = target.partition("#")
            reached = (path.parent / file).resolve()
            assert reached in files or reached.is_file(), f"{path.name}: {target}"
            assert not place or place in anchors[reached.name], f"{path.name}: {target}"


def test_every_drawing_is_small_and_names_the_sockets(registry: Registry) -> None:
    for spec in registry:
        text = drawing(spec)
        assert len(text.encode()) <= MAX_BYTES, spec.name
        texts = [element.text for element in ElementTree.fromstring(text).iter(f"{SVG}text")]
        for output in spec.outputs:
            assert output.name in texts
        for declared in spec.inputs:
            if not declared.is_widget:
                assert declared.name in texts


def test_no_text_of_a_drawing_leaves_its_box_or_meets_another(registry: Registry) -> None:
    for spec in registry:
        root = ElementTree.fromstring(drawing(spec))
        box = next(root.iter(f"{SVG}rect"))
        left = float(box.attrib["x"])
        right = left + float(box.attrib["width"])
        lines: dict[str, list[tuple[float, float]]] = {}
        for element in root.iter(f"{SVG}text"):
            size = 12 * 1.1 if element.get("class") == "t" else 11
            wide, x = text_width(element.text or "", size), float(element.attrib["x"])
            ends = (x - wide, x) if element.get("class") == "e" else (x, x + wide)
            lines.setdefault(element.attrib["y"], []).append(ends)
        for spans in lines.values():
            spans.sort()
            edges = [left, *(edge for span in spans for edge in span), right]
            assert edges == sorted(edges), spec.name


def test_drawn_values_are_the_defaults(registry: Registry) -> None:
    spec = registry.get("KSampler")
    assert spec is not None
    assert first_value(spec.by_name["steps"]) == "20"
    assert first_value(spec.by_name["sampler_name"]) == "euler"
    assert ">20</text>" in drawing(spec)


def test_names_differ_on_file_systems_that_ignore_case(registry: Registry) -> None:
    names = [spec.name.lower() for spec in registry]
    assert len(names) == len(set(names))


def test_example_pictures_are_small_and_belong_to_nodes(registry: Registry) -> None:
    pictures = sorted((ROOT / "docs" / "pictures" / "nodes").glob("*.webp"))
    for picture in pictures:
        assert picture.stem in registry
        assert picture.stat().st_size <= MOST_BYTES_OF_A_PICTURE, picture.name
    assert sum(picture.stat().st_size for picture in pictures) <= MOST_BYTES_OF_ALL
