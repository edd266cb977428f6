"""Control-LoRAs: ControlNets saved as low-rank differences to the network that they go with (Stability AI, 2023).

What a file does not hold is the network's own; a weight with `.up` and `.down` is the network's plus up times down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphcore.errors import ModelFileError
from nodes.diffusion.layouts import controlnet
from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.part import Part
from nodes.diffusion.weights import build, read_tensor

MARKER = "lora_controlnet"
"""The tensor by which such files are known."""
SHARED = (
    "in_channels",
    "down_block_types",
    "mid_block_type",
    "block_out_channels",
    "cross_attention_dim",
    "transformer_layers_per_block",
    "attention_head_dim",
    "use_linear_projection",
    "addition_embed_type",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
)
"""What a ControlNet's configuration takes from its network's."""


def config_from(shapes: Shapes) -> dict[str, Any]:
    """What a file tells: the encoder of pictures, the width of the text, and of each skip connection."""
    context = next(shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.down"))
    zeros = [name for name in shapes if name.startswith("zero_convs.") and name.endswith(".weight")]
    return {
        **controlnet.picture_config(controlnet.original_encoder(shapes)),
        "cross_attention_dim": context,
        "skips": [shapes[name][0] for name in sorted(zeros, key=lambda name: int(name.split(".")[1]))],
    }


def skips_of(config: Mapping[str, Any]) -> list[int]:
    """How wide each skip connection of a UNet is."""
    widths, layers = config["block_out_channels"], config.get("layers_per_block", 2)
    found = [widths[0]]
    for level, width in enumerate(widths):
        count = layers if isinstance(layers, int) else layers[level]
        found += [width] * (count + (level < len(widths) - 1))
    return found


def joined(part: Part, base: Any) -> nn.Module:
    """The ControlNet that a Control-LoRA makes of a UNet's weights; raises ModelFileError if they do not fit."""
    layers = base.config.layers_per_block
    config = {
        **{name: base.config[name] for name in SHARED},
        **{name: value for name, value in part.config.items() if name != "skips"},
        "layers_per_block": layers if isinstance(layers, int) else layers[0],
    }
    whole = part.configured(name=part.name, config=config)
    module = build(whole)
    own: Mapping[str, Tensor] = base.state_dict()
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
    state = {}
    for rule in controlnet.rules(config, shapes):
        made = _weight(part, rule.original, own.get(rule.target))
        if made is None or made.shape != shapes[rule.target]:
            raise ModelFileError(
                f"'{part.path.name}' does not fit the model at {rule.original}; use the model that it was made for.",
                code="model-file-mismatch",
                location=part.path.name,
            )
        state[rule.target] = made
    module.load_state_dict(state, assign=True)
    return module.requires_grad_(False).eval()


def _weight(part: Part, original: str, own: Tensor | None) -> Tensor | None:
    """A tensor by its original name: the file's, the network's with a low-rank difference, or the network's."""
    found = part.find(original)
    if found is not None:
        return read_tensor(found[0], found[1])
    stem = original.removesuffix(".weight")
    up, down = part.find(f"{stem}.up"), part.find(f"{stem}.down")
    if own is None or up is None or down is None:
        return own
    if min(own.ndim, len(up[2].shape), len(down[2].shape)) < 2:
        return None
    left, right = (read_tensor(side[0], side[1]).float().flatten(1).to(own.device) for side in (up, down))
    if (
        left.shape[0] != own.shape[0]
        or left.shape[1] != right.shape[0]
        or left.shape[0] * right.shape[1] != own.numel()
    ):
        return None
    return torch.addmm(own.float().flatten(1), left, right).view(own.shape).to(own.dtype)
