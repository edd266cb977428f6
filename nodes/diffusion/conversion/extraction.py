"""A difference of models as a LoRA: of each matrix, the directions in which it is strongest (Eckart & Young 1936)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphcore import Context, InputError
from nodes.diffusion.part import Part
from nodes.diffusion.store import ModelStore
from nodes.values import Clip, Model

_EXACT_SIDE = 768
_TEXT_PREFIXES = {"clip_g": "lora_te2_", "t5": "lora_te3_"}
_TABLES = ("text_model.embeddings", "shared", "pos_embed.pos_embed")
"""Tables of tokens and places, which LoRAs do not change."""
_OVERSAMPLING, _ITERATIONS = 16, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What is kept: `rank` directions, or with `full` whole differences; those of `biases` and norms, or not."""

    rank: int
    full: bool = False
    biases: bool = True


def extracted(ctx: Context, wanted: Extraction, model: Model | None, clip: Clip | None) -> dict[str, Tensor]:
    """The tensors of a LoRA file, in fp16.

    A UNet's and text encoders' modules have kohya's names, those of SD 3 the names of PEFT. Raises InputError for a
    value that is not finite.
    """
    store = ctx.service(ModelStore)
    found: dict[str, Tensor] = {}
    if model is not None:
        part = store.checkpoint(model.file).part(model.part)
        with store.network_module(model) as network:
            found |= _of_module(ctx, wanted, part, network, 0)
    if clip is not None:
        with store.text_modules(clip) as modules:
            for part, module in modules:
                found |= _of_module(ctx, wanted, part, module, len(modules))
    return found


def _of_module(
    ctx: Context, wanted: Extraction, part: Part, module: nn.Module, texts: int
) -> dict[str, Tensor]:
    """`texts` is how many text encoders the model has, which changes the first one's name."""
    state = module.state_dict()
    found: dict[str, Tensor] = {}
    for done, (name, tensor) in enumerate(state.items()):
        ctx.progress(done, len(state))
        key = _key(part, name.rpartition(".")[0], texts)
        found |= _of_tensor(wanted, key, name, tensor)
    ctx.progress(len(state), len(state))
    return found


def _of_tensor(wanted: Extraction, key: str, name: str, tensor: Tensor) -> dict[str, Tensor]:
    module, _, parameter = name.rpartition(".")
    if parameter not in ("weight", "bias") or module.startswith(_TABLES):
        return {}
    difference = tensor.float().cpu()
    if not bool(torch.isfinite(difference).all()):
        raise InputError(f"The difference of '{name}' is not finite; check the models.", code="not-finite")
    if not bool(difference.any()):
        return {}
    if parameter == "bias" or difference.ndim < 2:
        kept = {"weight": "diff", "bias": "diff_b"}[parameter]
        return {f"{key}.{kept}": difference.half()} if wanted.biases else {}
    if wanted.full:
        return {f"{key}.diff": difference.half()}
    up, down = low_rank(difference, wanted.rank)
    if key.startswith("transformer."):
        return {f"{key}.lora_B.weight": up.half(), f"{key}.lora_A.weight": down.half()}
    return {
        f"{key}.lora_up.weight": up.half(),
        f"{key}.lora_down.weight": down.half(),
        f"{key}.alpha": torch.tensor(float(down.shape[0])).half(),
    }


def low_rank(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The matrices up (out, r, ...) and down (r, in, ...) whose product is nearest to a weight (out, in, ...).

    The same each time: beyond 768 a side and well below full rank, a random projection with a fixed seed finds them
    (Halko et al. 2011).
    """
    flat = weight.flatten(1)
    rank = min(rank, *flat.shape)
    if min(flat.shape) <= _EXACT_SIDE or 4 * rank >= min(flat.shape):
        left, values, right = torch.linalg.svd(flat, full_matrices=False)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            left, values, columns = torch.svd_lowrank(flat, q=rank + _OVERSAMPLING, niter=_ITERATIONS)
        right = columns.T
    root = values[:rank].sqrt()
    up, down = left[:, :rank] * root, root[:, None] * right[:rank]
    if weight.ndim == 4:
        return up[:, :, None, None].contiguous(), down.reshape(rank, *weight.shape[1:]).contiguous()
    return up.contiguous(), down.contiguous()


def _key(part: Part, module: str, texts: int) -> str:
    if part.kind == "mmdit":
        return f"transformer.{module}"
    prefix = "lora_unet_" if part.kind == "unet" else _TEXT_PREFIXES.get(part.name, "lora_te_")
    if part.name == "clip_l" and texts > 1:
        prefix = "lora_te1_"
    return prefix + module.replace(".", "_")
