"""Folders of pictures are read as trainers read them: captions beside pictures, repeats by folder name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcore import Graph, InputError
from nodes.diffusion.pictures import png_bytes
from nodes.diffusion.training.datasets import captioned, dataset_folder, picture_files
from nodes.values import Image
from tests.tiny_engine import all_nodes, tiny_engine


def picture(path: Path, side: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(torch.full((side, side, 3), 0.5), {}))


def test_captions_stand_beside_pictures(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.png", ".hidden.png"):
        picture(tmp_path / name)
    (tmp_path / "a.txt").write_text("\ufeff a cat \n", encoding="utf-8")
    (tmp_path / "c.caption").write_text("a dog", encoding="utf-8")
    (tmp_path / "notes.md").write_text("no picture")
    found = captioned(tmp_path)
    assert [(each.picture.name, each.caption) for each in found] == [
        ("a.png", "a cat"),
        ("b.png", ""),
        ("c.png", "a dog"),
    ]


def test_folders_repeat_as_their_names_say(tmp_path: Path) -> None:
    picture(tmp_path / "3_cats" / "x.png")
    picture(tmp_path / "dogs" / "y.png")
    assert [path.name for path in picture_files(tmp_path)] == ["x.png", "x.png", "x.png", "y.png"]


def test_a_caption_that_is_no_text(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(InputError, match="cannot be read as text"):
        captioned(tmp_path)


def test_links_out_of_the_input_folder_are_refused(tmp_path: Path) -> None:
    from graphcore import ResourceError

    (tmp_path / "input").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "input" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(ResourceError):
        dataset_folder(tmp_path / "input", "link")


def test_the_list_is_read_again_when_the_folder_changes(tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    loaded = graph.LoadImageTextDataSetFromFolder(folder="set")
    graph.output("count", graph.Count(items=loaded.images))
    graph.output("all", graph.JoinImages(images=loaded.images))
    with tiny_engine(tmp_path, tmp_path) as engine:
        picture(tmp_path / "input" / "set" / "a.png")
        assert engine.run(graph.workflow())["count"] == 1
        picture(tmp_path / "input" / "set" / "b.png", side=16)
        result = engine.run(graph.workflow())
        assert result["count"] == 2
        image = result["all"]
        assert isinstance(image, Image)
        assert image.pixels.shape == (2, 8, 8, 3)


def test_saved_sets_can_be_read_back(tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    loaded = graph.LoadImageTextDataSetFromFolder(folder="set")
    graph.SaveImageTextDataSetToFolder(
        images=loaded.images, texts=loaded.texts, folder_name="copy", node_id="save"
    )
    with tiny_engine(tmp_path, tmp_path) as engine:
        for name, caption in (("a", "first"), ("b", "second")):
            picture(tmp_path / "input" / "set" / f"{name}.png")
            (tmp_path / "input" / "set" / f"{name}.txt").write_text(caption)
        engine.run(graph.workflow(), targets=["save"])
    again = captioned(tmp_path / "output" / "copy")
    assert [each.caption for each in again] == ["first", "second"]
