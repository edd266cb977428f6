"""A flight moves each frame as its schedules say, and samples as much of it anew as its strength leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore import ExecutionError, Graph
from nodes.diffusion.warping import Movement, moved, with_colours_of
from nodes.values import Image
from tests.models import TinyModels
from tests.tiny_engine import all_nodes, tiny_engine


def spotted(row: int, column: int, side: int = 33) -> torch.Tensor:
    pixels = torch.zeros(1, side, side, 3)
    pixels[0, row, column] = 1
    return pixels


def brightest(pixels: torch.Tensor) -> tuple[int, int]:
    place = int(pixels[0, ..., 0].argmax())
    return divmod(place, pixels.shape[2])


@pytest.mark.parametrize(
    ("movement", "place"),
    [
        (Movement(right=5), (10, 13)),
        (Movement(down=4), (14, 8)),
        (Movement(zoom=2.0), (4, 0)),
        (Movement(angle=90), (24, 10)),
        (Movement(angle=180), (22, 24)),
        (Movement(), (10, 8)),
    ],
)
def test_a_spot_goes_where_it_should(movement: Movement, place: tuple[int, int]) -> None:
    assert brightest(moved(spotted(10, 8), movement, "edge")) == place


@pytest.mark.parametrize(("border", "lit"), [("wrap", True), ("edge", False)])
def test_what_comes_in_from_outside(border: Any, lit: bool) -> None:
    pixels = torch.zeros(1, 32, 32, 3)
    pixels[:, :, 28:30] = 1
    shifted = moved(pixels, Movement(right=8), border)
    assert bool(shifted[0, 16, 4:6].mean() > 0.5) is lit


def test_colours_are_kept() -> None:
    stream = torch.Generator().manual_seed(1)
    reference = torch.rand(1, 16, 16, 3, generator=stream) * 0.4 + 0.3
    other = torch.rand(1, 16, 16, 3, generator=stream) * 0.2
    kept = with_colours_of(other, reference)
    torch.testing.assert_close(kept.mean(dim=(1, 2)), reference.mean(dim=(1, 2)), rtol=0, atol=0.02)


def flight(checkpoint: str, **inputs: Any) -> Graph:
    graph = Graph(all_nodes())
    loaded = graph.LoadCheckpoint(ckpt_name=checkpoint)
    settings: dict[str, Any] = {
        "prompts": "0: a red cat\n2: a dog",
        "frames": 3,
        "width": 64,
        "height": 64,
        "steps": 2,
        "noise": "0:(0)",
        "keep_colours": False,
        **inputs,
    }
    frames = graph.FlyThroughPictures(
        model=loaded.model, clip=loaded.clip, vae=loaded.vae, node_id="flight", **settings
    )
    graph.output("frames", frames)
    return graph


def frames_of(folder: Path, models: TinyModels, **inputs: Any) -> torch.Tensor:
    with tiny_engine(folder, models.folder) as engine:
        result = engine.run(flight(models.sd1().name, **inputs).workflow())["frames"]
    assert isinstance(result, Image)
    return result.pixels


def test_frames_follow_each_other(tmp_path: Path, tiny_models: TinyModels) -> None:
    first = frames_of(tmp_path, tiny_models)
    again = frames_of(tmp_path, tiny_models)
    assert first.shape == (3, 64, 64, 3)
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
    shorter = frames_of(tmp_path, tiny_models, frames=2)
    assert torch.equal(first[:2], shorter)


def test_with_all_strength_only_the_vae_and_the_camera_act(tmp_path: Path, tiny_models: TinyModels) -> None:
    still = frames_of(tmp_path, tiny_models, strength="0:(1)", zoom="0:(1)")
    other = frames_of(tmp_path, tiny_models, strength="0:(1)", zoom="0:(1)", prompts="0: a red cat\n2: red")
    assert torch.equal(still, other)


def test_prompts_change_on_their_way(tmp_path: Path, tiny_models: TinyModels) -> None:
    blended = frames_of(tmp_path, tiny_models)
    stepped = frames_of(tmp_path, tiny_models, blend_prompts=False)
    assert torch.equal(blended[0], stepped[0])
    assert not torch.equal(blended[1], stepped[1])


def test_progress_counts_all_frames(tmp_path: Path, tiny_models: TinyModels) -> None:
    seen: list[tuple[int, int]] = []

    def watch(event: Any) -> None:
        if getattr(event, "node", None) == "flight" and hasattr(event, "done"):
            seen.append((event.done, event.total))

    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        engine.run(flight(tiny_models.sd1().name).workflow(), listener=watch)
    assert seen[-1] == (6, 6)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_mistake_in_a_schedule_is_told(tmp_path: Path, tiny_models: TinyModels) -> None:
    with (
        tiny_engine(tmp_path, tiny_models.folder) as engine,
        pytest.raises(ExecutionError, match="schedule of 'zoom'"),
    ):
        engine.run(flight(tiny_models.sd1().name, zoom="0:(1").workflow())
