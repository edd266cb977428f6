"""Folders, progress, interruption, messages, routes and other nodes, as packs use them while they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import nodes
from graphcore import Cancelled, Engine, Settings
from graphcore.events import NodeProgress, NodeStarted
from graphcore.run_options import RunOptions
from nodes.packs.loading import load_packs
from tests.packs_shims.conftest import PACKS
from tests.packs_shims.loaded import PICTURE, Loaded, node
from tests.tiny_engine import all_nodes


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Loaded]:
    with Loaded.of(PACKS / "surroundings", tmp_path) as made:
        yield made


def test_progress_is_the_nodes(loaded: Loaded) -> None:
    shown = loaded.show(p=node("PackProgress", steps=3, how="bar"), s=node("PreviewAny", source=["p", 0]))
    told = [
        (event.node, event.done, event.total) for event in shown.events if isinstance(event, NodeProgress)
    ]
    assert told == [("p", 1, 3), ("p", 2, 3), ("p", 3, 3)]
    assert shown.text("s") == "p cpu False"


def test_threads_of_a_node_may_take_part_in_its_run(loaded: Loaded) -> None:
    assert loaded.text("p", 0, p=node("PackProgress", steps=3, how="thread")) == "p cpu False"


def test_a_picture_may_come_with_progress(loaded: Loaded) -> None:
    events: list[Any] = []
    loaded.engine.run(
        {"p": node("PackProgress", steps=1, how="bar"), "s": node("PreviewAny", source=["p", 0])},
        options=RunOptions(previews=True),
        listener=events.append,
    )
    (preview,) = [event.preview for event in events if isinstance(event, NodeProgress)]
    assert (preview.media_type, preview.width, preview.height) == ("image/jpeg", 64, 32)


@pytest.mark.parametrize("how", ["interrupt", "raise"])
def test_a_pack_may_interrupt_its_run(loaded: Loaded, how: str) -> None:
    with pytest.raises(Cancelled):
        loaded.show(p=node("PackProgress", steps=3, how=how), s=node("PreviewAny", source=["p", 0]))


def test_messages_go_to_who_loads_the_pack(tmp_path: Path) -> None:
    sent: list[tuple[str, Any, str | None]] = []
    registry, settings = all_nodes(), Settings(output_dir=tmp_path, device="cpu")
    load_packs(
        registry,
        [PACKS / "surroundings"],
        settings,
        send=lambda event, data, client: sent.append((event, data, client)),
    )
    with Engine(registry, settings=settings) as engine:
        engine.run({"t": node("PackTold", message="hello")})
    assert sent == [
        ("surroundings.told", {"message": "hello", "node": "t"}, None),
        ("progress_text", {"node": "t", "text": "hello"}, None),
    ]


@pytest.mark.usefixtures("loaded")
def test_routes_are_noted() -> None:
    from server import PromptServer

    noted = [(route.method, route.path) for route in PromptServer.instance.routes]
    assert noted == [("GET", "/surroundings/hello"), ("POST", "/surroundings/other")]


def test_a_class_that_inherits_from_save_image_saves_where_it_says(loaded: Loaded) -> None:
    shown = loaded.show(a=PICTURE, p=node("PackPreview", images=["a", 0]))
    (file,) = shown.files("p")
    assert file["type"] == "temp"
    assert "_mine_00001_" in file["filename"]
    with Image.open(loaded.settings.output_dir.parent / "temp" / file["filename"]) as picture:
        assert "PackPreview" in picture.info["prompt"]


def test_a_class_that_inherits_from_load_image_is_run_again_when_the_file_changes(loaded: Loaded) -> None:
    path = loaded.settings.input_dir / "a.png"
    Image.new("RGB", (8, 4), "red").save(path)
    prompt = {"l": node("PackLoad", image="a.png"), "s": node("PreviewAny", source=["l", 2])}
    assert loaded.show(**prompt).text("s") == "(1, 4, 8, 3) (1, 4, 8)"
    again = loaded.show(**prompt)
    assert not [event for event in again.events if isinstance(event, NodeStarted)]
    Image.new("RGB", (6, 4), "red").save(path)
    assert loaded.show(**prompt).text("s").startswith("(1, 4, 6, 3)")


@pytest.mark.parametrize("method", ["lanczos", "bislerp", "area", "bilinear"])
def test_pictures_are_resized(loaded: Loaded, method: str) -> None:
    shown = loaded.show(
        a=PICTURE, r=node("PackResize", image=["a", 0], method=method), s=node("SaveImage", images=["r", 0])
    )
    files = shown.files("s")
    assert len(files) == 3
    with Image.open(loaded.settings.output_dir / files[0]["filename"]) as picture:
        assert picture.size == (16, 12)


@pytest.mark.usefixtures("loaded")
def test_packs_see_our_nodes_and_each_others() -> None:
    mappings = nodes.NODE_CLASS_MAPPINGS
    assert mappings["PackProgress"].FUNCTION == "work"
    assert mappings["KSampler"].RETURN_TYPES == ("LATENT",)
    assert mappings["CheckpointLoaderSimple"].FUNCTION == "load_checkpoint"
    assert nodes.NODE_DISPLAY_NAME_MAPPINGS["PackProgress"] == "Progress of a pack"
    assert nodes.MAX_RESOLUTION == 16384
    assert nodes.KSampler is mappings["KSampler"]
