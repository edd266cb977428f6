"""SaveImage writes exact PNG files that carry their workflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
import torch
from PIL import Image as Pillow

from graphcore import (
    Context,
    Engine,
    Graph,
    InputError,
    Registry,
    RunOptions,
    Secret,
    Settings,
    detached_context,
    node,
)
from graphcore.formats.comfy_api import read_prompt
from nodes.pack import register
from nodes.pictures.files import preview_image, save_image
from nodes.values import Image, SafetyVerdict
from tests.random_tensors import seeded_pixels


@node("Login")
def login(password: Annotated[str, Secret()]) -> Image:
    """A picture behind a password."""
    return Image(torch.zeros(1, 8, 8, 3)) if password else Image(torch.ones(1, 8, 8, 3))


@node("Grey")
def grey() -> Image:
    """A grey picture."""
    return Image(torch.full((1, 8, 8, 3), 0.5))


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return detached_context(output_dir=tmp_path / "out")


def saved(ctx: Context) -> list[Path]:
    folders = {"output": ctx.files.output_dir, "temp": ctx.files.temp_dir}
    return [folders[str(item["type"])] / str(item["subfolder"]) / str(item["filename"]) for item in ctx.shown]


def test_pixels_are_kept(ctx: Context) -> None:
    pixels = seeded_pixels(2, 6, 9, 3)
    save_image(ctx, Image(pixels + 1e-4), "a/cat")
    for path, wanted in zip(saved(ctx), pixels, strict=True):
        with Pillow.open(path) as opened:
            assert (opened.mode, opened.size) == ("RGB", (9, 6))
            assert list(opened.tobytes()) == (wanted * 255).round().int().flatten().tolist()
    assert [item["filename"] for item in ctx.shown] == ["cat_00001_.png", "cat_00002_.png"]
    assert {item["subfolder"] for item in ctx.shown} == {"a"}


def run(folder: Path, type_name: str, *, metadata: bool = True, **inputs: object) -> dict[str, str]:
    """Save one picture in a real run; the texts of its file."""
    registry = Registry([login, grey])
    register(registry)
    graph = Graph(registry)
    graph.SaveImage(images=graph.add(type_name, **inputs), node_id="save")
    sent = RunOptions(metadata={"workflow": {"nodes": []}, "extra": [1]})
    with Engine(registry, settings=Settings(output_dir=folder, metadata=metadata)) as engine:
        engine.run(graph.workflow(), options=sent)
    with Pillow.open(folder / "ComfyUI_00001_.png") as opened:
        opened.load()
        return {str(name): str(text) for name, text in opened.info.items()}


def test_the_texts_are_comfyuis_and_ours(tmp_path: Path) -> None:
    found = run(tmp_path, "Grey")
    assert "trainedAlgorithmicMedia" in found.pop("XML:com.adobe.xmp")
    found.pop("xmp", None)
    texts = {name: json.loads(text) for name, text in found.items() if name != "parameters"}
    assert texts["workflow"] == {"nodes": []}
    assert texts["extra"] == [1]
    assert texts["graphcore"]["nodes"]["save"]["type"] == "SaveImage"
    assert read_prompt(texts["prompt"]).nodes["save"].type == "SaveImage"


def test_secrets_are_not_written(tmp_path: Path) -> None:
    assert run(tmp_path, "Login", password="hunter2")
    assert b"hunter2" not in (tmp_path / "ComfyUI_00001_.png").read_bytes()


def test_metadata_can_be_off(tmp_path: Path) -> None:
    assert not run(tmp_path, "Grey", metadata=False)


def test_verdicts_are_written(ctx: Context) -> None:
    ctx.recorder = lambda node_id, picture: {"prompt": "{}"}
    verdict = SafetyVerdict(flagged=True, scores=(0.1, -0.2), action="flag")
    save_image(ctx, Image(torch.zeros(1, 8, 8, 3), (verdict,)))
    with Pillow.open(saved(ctx)[0]) as opened:
        assert json.loads(opened.info["safety"]) == {"flagged": True, "action": "flag", "scores": [0.1, -0.2]}


def test_previews_go_to_the_temporary_folder(ctx: Context) -> None:
    preview_image(ctx, Image(torch.zeros(2, 8, 8, 3)))
    assert [item["type"] for item in ctx.shown] == ["temp", "temp"]
    assert all(path.exists() for path in saved(ctx))
    assert not list(ctx.files.output_dir.glob("*.png"))


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (torch.full((1, 8, 8, 3), float("nan")), "not finite"),
        (torch.zeros(1, 8, 8), "shape"),
        (torch.zeros(1, 8, 8, 5), "shape"),
        (torch.zeros(0, 8, 8, 3), "shape"),
    ],
)
def test_what_is_no_picture_is_refused(ctx: Context, pixels: torch.Tensor, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        save_image(ctx, Image(pixels))
    assert not ctx.files.output_dir.exists()
