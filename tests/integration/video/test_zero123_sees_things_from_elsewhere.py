"""Zero123's conditioning: CLIP's view and the camera through the file's projection, the picture beside the latent."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore import ExecutionError, Graph
from nodes.values import Conditioning, Latent
from tests.models import prefixed, sd1_parts, unet_state, vae_state, write
from tests.tiny_engine import all_nodes, tiny_engine
from tests.video_models import svd_parts, vision_state

WEIGHT = torch.randn(64, 68, generator=torch.Generator().manual_seed(8)) * 0.1
BIAS = torch.randn(64, generator=torch.Generator().manual_seed(9))


def write_zero123(folder: Path, *, projection: bool = True) -> Path:
    """A Zero123 checkpoint: eight input channels, an image encoder, and the camera projection."""
    parts = sd1_parts(8)
    state = (
        prefixed("model.diffusion_model.", unet_state(parts.unet))
        | prefixed("first_stage_model.", vae_state(parts.vae))
        | prefixed("cond_stage_model.model.visual.", vision_state(svd_parts().vision))
    )
    if projection:
        state |= {"cc_projection.weight": WEIGHT, "cc_projection.bias": BIAS}
    return write(folder / "checkpoints" / "zero123.safetensors", state)


def graph(node: str, **inputs: Any) -> Graph:
    made = Graph(all_nodes())
    loaded = made.ImageOnlyCheckpointLoader(ckpt_name="zero123.safetensors")
    picture = made.EmptyImage(width=64, height=64, color=0x884422)
    conditioned = made.add(
        node,
        clip_vision=loaded.clip_vision,
        init_image=picture,
        vae=loaded.vae,
        width=64,
        height=64,
        **inputs,
    )
    sampled = made.KSampler(
        model=loaded.model, positive=conditioned.positive, negative=conditioned.negative,
        latent_image=conditioned.latent, seed=1, steps=2, cfg=3.0, sampler_name="euler",
        scheduler="normal", denoise=1.0,
    )  # fmt: skip
    seen = made.CLIPVisionEncode(clip_vision=loaded.clip_vision, image=picture, crop="center")
    made.output("seen", seen)
    made.output("positive", conditioned.positive)
    made.output("latent", sampled)
    return made


def test_the_camera_goes_through_the_projection(tmp_path: Path) -> None:
    write_zero123(tmp_path / "models")
    with tiny_engine(tmp_path, tmp_path / "models") as engine:
        result = engine.run(graph("StableZero123_Conditioning", elevation=10.0, azimuth=30.0).workflow())
    positive, latent, seen = result["positive"], result["latent"], result["seen"]
    assert isinstance(positive, Conditioning)
    assert isinstance(latent, Latent)
    turn = math.radians(30)
    camera = torch.tensor([[math.radians(-10), math.sin(turn), math.cos(turn), math.pi / 2]])
    wanted = torch.cat([seen.embeds, camera], dim=-1) @ WEIGHT.T + BIAS  # type: ignore[attr-defined]
    torch.testing.assert_close(positive.entries[0].embeddings, wanted[:, None], rtol=1e-5, atol=1e-5)
    assert latent.samples.shape == (1, 4, 8, 8)


def test_a_row_of_views(tmp_path: Path) -> None:
    write_zero123(tmp_path / "models")
    with tiny_engine(tmp_path, tmp_path / "models") as engine:
        batch = engine.run(
            graph(
                "StableZero123_Conditioning_Batched",
                batch_size=3,
                azimuth=-30.0,
                azimuth_batch_increment=30.0,
            ).workflow()
        )
        single = engine.run(graph("StableZero123_Conditioning", azimuth=30.0).workflow())
    many, one = batch["positive"], single["positive"]
    assert isinstance(many, Conditioning)
    assert isinstance(one, Conditioning)
    torch.testing.assert_close(many.entries[0].embeddings[2], one.entries[0].embeddings[0])
    assert not torch.equal(many.entries[0].embeddings[0], many.entries[0].embeddings[1])


def test_a_file_without_the_projection(tmp_path: Path) -> None:
    write_zero123(tmp_path / "models", projection=False)
    with (
        tiny_engine(tmp_path, tmp_path / "models") as engine,
        pytest.raises(ExecutionError, match="no camera projection"),
    ):
        engine.run(graph("StableZero123_Conditioning").workflow())
