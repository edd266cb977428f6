"""Networks that were made smaller after their training load from every layout, and draw what diffusers' do.

Their real structures, with few channels: SSD-1B and Vega (Gupta et al. 2024: fewer transformer blocks, other numbers on
the way up, one residual block in the middle), BK-SDM as small-sd and tiny-sd have it (Kim et al. 2023: one layer a
level, no middle, in tiny-sd three levels), Koala.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nodes.diffusion.checkpoint import Checkpoint, open_checkpoint
from nodes.diffusion.layouts import unet
from nodes.diffusion.unet_walk import BlockHook, walk
from nodes.diffusion.weights import load
from tests.integration.steering.steered import assert_alike, model_folder, ours, theirs
from tests.models import (
    SD1_UNET,
    SDXL_UNET,
    State,
    TinyModels,
    prefixed,
    sd1_state,
    sdxl_state,
    seeded,
    unet_state,
)
from tests.steering_models import put

XL: Mapping[str, Any] = {
    **SDXL_UNET,
    "block_out_channels": [64, 64, 128],
    "attention_head_dim": [1, 1, 2],
    "layers_per_block": 2,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
}
SMALL: Mapping[str, Any] = {
    **SD1_UNET,
    "block_out_channels": [32, 32, 64, 64],
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    "mid_block_type": None,
}
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "SSD-1B": {
        **XL,
        "mid_block_type": "UNetMidBlock2D",
        "transformer_layers_per_block": [1, [2, 2], [4, 4]],
        "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1],
    },
    "Vega": {
        **XL,
        "mid_block_type": "UNetMidBlock2D",
        "transformer_layers_per_block": [1, [1, 1], [2, 2]],
        "reverse_transformer_layers_per_block": [[2, 2, 2], [1, 1, 1], 1],
    },
    "Koala 700M": {
        **XL,
        "layers_per_block": 1,
        "mid_block_type": None,
        "transformer_layers_per_block": [1, 2, 5],
    },
    "Koala 1B": {**XL, "layers_per_block": 1, "transformer_layers_per_block": [1, 2, 6]},
    "BK-SDM base": {**SMALL, "mid_block_type": "UNetMidBlock2DCrossAttn"},
    "small-sd": SMALL,
    "tiny-sd": {
        **SMALL,
        "block_out_channels": [32, 32, 64],
        "down_block_types": ["CrossAttnDownBlock2D"] * 3,
        "up_block_types": ["CrossAttnUpBlock2D"] * 3,
    },
}
FAMILIES = {name: "sdxl" if "addition_embed_type" in config else "sd1" for name, config in NETWORKS.items()}


def network(name: str) -> Any:
    return seeded(lambda: diffusers.UNet2DConditionModel(**NETWORKS[name]))


def opened(folder: Path, layout: str, module: Any) -> Checkpoint:
    """The network alone, written in a layout and opened."""
    if layout == "folder":
        module.save_pretrained(folder / "unet")
        return open_checkpoint(folder / "unet")
    state = unet_state(module) if layout == "original" else module.state_dict()
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / "unet.safetensors")
    return open_checkpoint(folder / "unet.safetensors")


def inputs(module: Any) -> dict[str, Any]:
    config = module.config
    given: dict[str, Any] = {
        "sample": noise(2, 4, 16, 16),
        "timestep": torch.tensor([7.0, 300.0]),
        "encoder_hidden_states": noise(2, 5, config.cross_attention_dim),
    }
    if config.addition_embed_type == "text_time":
        given["added_cond_kwargs"] = {
            "text_embeds": noise(2, 64),
            "time_ids": torch.arange(12.0).reshape(2, 6),
        }
    return given


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize("layout", ["original", "diffusers", "folder"])
@pytest.mark.parametrize("name", NETWORKS)
def test_each_layout(tmp_path: Path, name: str, layout: str) -> None:
    module = network(name)
    checkpoint = opened(tmp_path, layout, module)
    assert checkpoint.family is not None
    assert checkpoint.family.name == FAMILIES[name]
    found = load(checkpoint.part("unet"))
    given = inputs(module)
    torch.testing.assert_close(found(**given).sample, module(**given).sample)
    assert (found.mid_block is None) == (NETWORKS[name].get("mid_block_type", "") is None)


@torch.no_grad()
@pytest.mark.parametrize("name", ["SSD-1B", "small-sd"])
def test_what_is_done_between_blocks_works(name: str) -> None:
    module = network(name)
    given = inputs(module)
    sample, timestep = given.pop("sample"), given.pop("timestep")
    expected = module(sample, timestep, **given).sample
    torch.testing.assert_close(walk(module, [BlockHook()], sample, timestep, **given), expected)


def whole(name: str) -> State:
    """A whole checkpoint with this network in the place of the family's."""
    state = sdxl_state() if FAMILIES[name] == "sdxl" else sd1_state()
    head = "model.diffusion_model."
    rest = {key: tensor for key, tensor in state.items() if not key.startswith(head)}
    return rest | prefixed(head, unet_state(network(name)))


@pytest.mark.parametrize("name", ["SSD-1B", "tiny-sd"])
def test_whole_pictures_are_the_pipelines(name: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    family = FAMILIES[name]
    models, _ = model_folder(tmp_path, tiny_models, family)
    put(models, "small.safetensors", whole(name), kind="checkpoints")
    found = ours(tmp_path, models, "small.safetensors", lambda graph, parts: (parts.positive, parts.negative))
    kind = "StableDiffusionXLPipeline" if family == "sdxl" else "StableDiffusionPipeline"
    assert_alike(found, theirs(tmp_path, tiny_models, family, kind, extra={"unet": network(name)}))


def test_names_in_single_files_are_those_of_published_ones() -> None:
    """SSD-1B's single file, as it was published: its middle, and the numbers of its layers on the way up."""
    names = unet_state(network("SSD-1B")).keys()
    assert {name.partition(".in")[0] for name in names if name.startswith("middle_block.")} >= {
        "middle_block.0"
    }
    assert not any(name.startswith(("middle_block.1.", "middle_block.2.")) for name in names)
    assert "output_blocks.2.1.transformer_blocks.9.attn1.to_q.weight" in names
    assert "output_blocks.2.2.conv.weight" in names
    config = unet.config_from(
        {key: tuple(tensor.shape) for key, tensor in unet_state(network("SSD-1B")).items()}
    )
    assert config["reverse_transformer_layers_per_block"] == [[4, 4, 10], [2, 1, 1], 1]
    assert json.loads(json.dumps(config)) == config
