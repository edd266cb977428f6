"""Nodes that write models as files: whole checkpoints, their parts, and the difference of two as a LoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from graphcore import Context, InputError, Range, node
from nodes.control.steering import ClipVision
from nodes.output_files import OutputNames
from nodes.values import Clip, Model, Vae

if TYPE_CHECKING:
    from torch import Tensor

CATEGORY = "advanced/model_merging"


@node("SaveCheckpoint", category=CATEGORY, title="Save Checkpoint", aliases=("CheckpointSave",), output=True)
def save_checkpoint(
    ctx: Context, model: Model, clip: Clip, vae: Vae, filename_prefix: str = "checkpoints/ComfyUI"
) -> None:
    """Write a model with its text encoders and VAE as one file, in the original layout of its family.

    Adapters and merges are in the weights then. The file holds the workflow, unless metadata is off.
    """
    from nodes.diffusion.conversion.saving import (
        clip_state,
        family_of,
        model_metadata,
        model_state,
        vae_state,
    )

    family = family_of(ctx, model)
    state = model_state(ctx, model) | clip_state(ctx, clip, family) | vae_state(ctx, vae, family)
    _save(ctx, state, filename_prefix, model_metadata(ctx, model, clip, vae))


@node(
    "SaveImageOnlyCheckpoint",
    category=CATEGORY,
    title="Save Image-Only Checkpoint",
    aliases=("ImageOnlyCheckpointSave",),
    output=True,
)
def save_image_only_checkpoint(
    ctx: Context,
    model: Model,
    clip_vision: ClipVision,
    vae: Vae,
    filename_prefix: str = "checkpoints/ComfyUI",
) -> None:
    """Write a model that sees pictures (Stable Video Diffusion, Zero123) with its image encoder and VAE as one file.

    Adapters and merges are in the weights then. The file holds the workflow, unless metadata is off.
    """
    from nodes.diffusion.conversion.saving import family_of, model_metadata, model_state, vae_state
    from nodes.diffusion.conversion.vision import vision_state

    family = family_of(ctx, model)
    state = model_state(ctx, model) | vision_state(ctx, clip_vision, family) | vae_state(ctx, vae, family)
    _save(ctx, state, filename_prefix, model_metadata(ctx, model, vae=vae))


@node("SaveModel", category=CATEGORY, title="Save Model", aliases=("ModelSave",), output=True)
def save_model(ctx: Context, model: Model, filename_prefix: str = "diffusion_models/ComfyUI") -> None:
    """Write a diffusion network alone, with all that was added to its weights."""
    from nodes.diffusion.conversion.saving import model_metadata, model_state

    _save(ctx, model_state(ctx, model), filename_prefix, model_metadata(ctx, model))


@node("SaveCLIP", category=CATEGORY, title="Save CLIP", aliases=("CLIPSave",), output=True)
def save_clip(ctx: Context, clip: Clip, filename_prefix: str = "clip/ComfyUI") -> None:
    """Write each text encoder as a file of its own, in the layout of transformers; its part ends the name."""
    from nodes.diffusion.conversion.saving import clip_states, text_metadata

    for part, state in clip_states(ctx, clip).items():
        _save(ctx, state, f"{filename_prefix}_{part}", text_metadata(ctx, clip))


@node("SaveVAE", category=CATEGORY, title="Save VAE", aliases=("VAESave",), output=True)
def save_vae(ctx: Context, vae: Vae, filename_prefix: str = "vae/ComfyUI_vae") -> None:
    """Write a VAE as a file of its own, in the original layout."""
    from nodes.diffusion.conversion.saving import vae_metadata, vae_state

    _save(ctx, vae_state(ctx, vae, None), filename_prefix, vae_metadata(ctx, vae))


@node(
    "ExtractLoRA",
    category="loaders",
    title="Extract and Save LoRA",
    aliases=("LoraSave",),
    output=True,
)
def extract_lora(
    ctx: Context,
    filename_prefix: str = "loras/ComfyUI_extracted_lora",
    rank: Annotated[int, Range(1, 4096, step=1)] = 8,
    *,
    lora_type: Literal["standard", "full_diff"],
    bias_diff: bool = True,
    model_diff: Model | None = None,
    text_encoder_diff: Clip | None = None,
) -> None:
    """Write a difference of models (from Subtract Models) as a LoRA.

    "standard" keeps the `rank` strongest directions of each matrix, by its singular values; "full_diff" keeps all.
    `bias_diff` adds the differences of biases and norms, which diffusers does not read.
    """
    from nodes.diffusion.conversion.extraction import Extraction, extracted

    if model_diff is None and text_encoder_diff is None:
        raise InputError(
            "There is nothing to extract; connect a difference of models, of text encoders, or both.",
            code="missing-input",
        )
    wanted = Extraction(rank=rank, full=lora_type == "full_diff", biases=bias_diff)
    state = extracted(ctx, wanted, model_diff, text_encoder_diff)
    _save(ctx, state, filename_prefix, {"ss_network_module": "networks.lora", "ss_network_dim": str(rank)})


def _save(ctx: Context, state: dict[str, Tensor], prefix: str, metadata: dict[str, str]) -> None:
    from nodes.diffusion.conversion.single_file import write_state

    names = OutputNames(folder=ctx.files.output_dir, prefix=prefix, suffix=".safetensors")
    texts = {**metadata, **ctx.picture_texts()}
    saved = names.fill(lambda draft: write_state(state, draft, texts), {})
    ctx.show("models", {"filename": saved.filename, "subfolder": saved.subfolder, "type": "output"})
