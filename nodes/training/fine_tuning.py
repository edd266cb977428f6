"""Nodes that fine-tune: LoRAs that learn from pictures and captions, and what is done with them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

from graphcore import Context, FileChoice, InputError, Range, Seed, Text, node
from nodes.choices import SeedInt
from nodes.models.loaders import file_ref
from nodes.models.lora import Patched, Strength
from nodes.output_files import OutputNames
from nodes.values import (
    Clip,
    Conditioning,
    Image,
    Latent,
    LoraWeights,
    LossCurve,
    Model,
    TrainedPatch,
    Vae,
)

Rank = Annotated[int, Range(1, 128)]
Rate = Annotated[float, Range(1e-7, 1.0, step=1e-7)]
Steps = Annotated[int, Range(1, 100_000)]
NONE = "[None]"


class TrainedLora(NamedTuple):
    """The model and text encoder with what they learned, the LoRA by itself, and how the loss went."""

    model: Model
    clip: Clip
    lora: LoraWeights
    loss_curve: Image
    loss: LossCurve


class TrainedModel(NamedTuple):
    """The model with what it learned, the LoRA by itself, its losses, and the steps that it took."""

    model: Model
    lora: LoraWeights
    loss_map: LossCurve
    steps: int


@node("TrainLoRA", category="training", title="Train LoRA")
def train_lora(
    ctx: Context,
    *,
    model: Model,
    clip: Clip,
    vae: Vae,
    images: list[Image],
    captions: list[str],
    name: Annotated[str, Text(multiline=False)] = "lora",
    steps: Steps = 500,
    learning_rate: Rate = 1e-3,
    rank: Rank = 16,
    alpha: Annotated[float, Range(0.01, 1024.0, step=0.01)] = 16.0,
    batch_size: Annotated[int, Range(1, 1024)] = 4,
    seed: SeedInt = 0,
    layers: Literal["attention", "all"] = "attention",
    train_text_encoder: bool = False,
    gradient_checkpointing: bool = False,
) -> TrainedLora:
    """Teach a model from pictures and captions: one caption for each picture, or one for all.

    The LoRA adds `alpha` / `rank` times what it learned, beside the layers of attention or beside all; pictures may
    differ in size. The loss curve is shown while it runs. Its state is kept as `training/<name>.state.safetensors` in
    the output folder: cancelled and run again, or given more steps, it goes on from there, and ends as if it had never
    stopped. `gradient_checkpointing` takes more time and less memory.
    """
    from nodes.diffusion.training.examples import paired
    from nodes.diffusion.training.loss_curve import curve_image
    from nodes.diffusion.training.low_rank import RankChoice
    from nodes.diffusion.training.session import TrainingRequest, train, training_examples
    from nodes.diffusion.training.trainer import TrainingPlan
    from nodes.training.datasets import spread_texts

    texts = spread_texts(captions, sum(len(image.pixels) for image in images))
    latents, conditionings = _encoded(ctx, images, texts, vae, clip)
    plan = TrainingPlan(
        rank=RankChoice(rank=rank, alpha=alpha, layers=layers),
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
        checkpointing=gradient_checkpointing,
    )
    request = TrainingRequest(
        model=model,
        examples=training_examples(paired(latents, conditionings), texts),
        plan=plan,
        clip=clip if train_text_encoder else None,
        name=name,
    )
    trained = train(ctx, request)
    patch = TrainedPatch(lora=trained.lora, strength=1.0)
    if train_text_encoder:
        clip = replace(clip, patches=(*clip.patches, patch))
    return TrainedLora(
        replace(model, patches=(*model.patches, patch)),
        clip,
        trained.lora,
        curve_image(trained.losses),
        LossCurve(values=trained.losses),
    )


def _encoded(
    ctx: Context, images: list[Image], texts: list[str], vae: Vae, clip: Clip
) -> tuple[list[Latent], list[Conditioning]]:
    from nodes.diffusion.pictures import require_picture
    from nodes.training.datasets import make_training_dataset

    for image in images:
        require_picture(image)
    made = make_training_dataset(ctx, images, vae, clip, texts)
    return list(made.latents), list(made.conditioning)


@node("TrainLoraNode", category="training", title="Train LoRA (Latents)")
def train_lora_node(
    ctx: Context,
    *,
    model: Model,
    latents: list[Latent],
    positive: list[Conditioning],
    batch_size: Annotated[int, Range(1, 10000)] = 1,
    grad_accumulation_steps: Annotated[int, Range(1, 1024)] = 1,
    steps: Steps = 16,
    learning_rate: Rate = 0.0005,
    rank: Rank = 8,
    optimizer: Literal["AdamW", "Adam", "SGD", "RMSprop"] = "AdamW",
    loss_function: Literal["MSE", "L1", "Huber", "SmoothL1"] = "MSE",
    seed: Annotated[int, Range(0, 2**64 - 1), Seed()] = 0,
    training_dtype: Literal["bf16", "fp32"] = "bf16",
    lora_dtype: Literal["bf16", "fp32"] = "bf16",
    algorithm: Literal["LoRA", "LoHa", "LoKr", "OFT"] = "LoRA",
    gradient_checkpointing: bool = True,
    existing_lora: Annotated[str, FileChoice("loras", empty=NONE)] = NONE,
    bucket_mode: bool = False,
) -> TrainedModel:
    """Teach a model from latents and their conditionings, with adapters beside all layers; alpha is 1.

    The network computes in the engine's dtype whatever `training_dtype` says; adapters learn in float32, and are given
    out in `lora_dtype`. Latents of several sizes need no `bucket_mode`: a batch always holds one size. With
    `existing_lora` it goes on from a LoRA of the same rank. The algorithm OFT is not supported. State is kept as in
    Train LoRA.
    """
    import torch

    from nodes.diffusion.training.examples import paired
    from nodes.diffusion.training.low_rank import RankChoice
    from nodes.diffusion.training.session import TrainingRequest, train
    from nodes.diffusion.training.trainer import TrainingPlan

    del training_dtype, bucket_mode
    if algorithm == "OFT":
        raise InputError(
            "Adapters of the kind OFT cannot be trained; set algorithm to LoRA, LoHa or LoKr.",
            code="unsupported-choice",
        )
    plan = TrainingPlan(
        rank=RankChoice(rank=rank, alpha=1.0, layers="all", algorithm=algorithm),
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        accumulate=grad_accumulation_steps,
        optimizer=optimizer,
        loss=loss_function,
        seed=seed,
        checkpointing=gradient_checkpointing,
    )
    request = TrainingRequest(
        model=model,
        examples=paired(latents, positive),
        plan=plan,
        dtype=torch.bfloat16 if lora_dtype == "bf16" else torch.float32,
        existing=None if existing_lora == NONE else file_ref(ctx, "loras", existing_lora),
    )
    trained = train(ctx, request)
    patch = TrainedPatch(lora=trained.lora, strength=1.0)
    return TrainedModel(
        replace(model, patches=(*model.patches, patch)),
        trained.lora,
        LossCurve(values=trained.losses),
        trained.lora.steps,
    )


@node("LoraModelLoader", category="loaders", title="Apply Trained LoRA (Model Only)")
def lora_model_loader(ctx: Context, model: Model, lora: LoraWeights, strength_model: Strength = 1.0) -> Model:
    """Add a LoRA that was just trained to a model."""
    from nodes.diffusion.lora_fit import require_adapters_fit
    from nodes.diffusion.patches.adapter_file import held_adapters

    if strength_model == 0:
        return model
    require_adapters_fit(ctx, held_adapters(lora), "the trained LoRA", model, None)
    return replace(model, patches=(*model.patches, TrainedPatch(lora=lora, strength=strength_model)))


@node("ApplyTrainedLoRA", category="loaders", title="Apply Trained LoRA")
def apply_trained_lora(
    ctx: Context,
    model: Model,
    clip: Clip,
    lora: LoraWeights,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
) -> Patched:
    """Add a LoRA that was just trained to a model and its text encoder."""
    from nodes.diffusion.lora_fit import require_adapters_fit
    from nodes.diffusion.patches.adapter_file import held_adapters

    require_adapters_fit(ctx, held_adapters(lora), "the trained LoRA", model, clip)
    if strength_model != 0:
        patch = TrainedPatch(lora=lora, strength=strength_model)
        model = replace(model, patches=(*model.patches, patch))
    if strength_clip != 0:
        clip = replace(clip, patches=(*clip.patches, TrainedPatch(lora=lora, strength=strength_clip)))
    return Patched(model, clip)


@node("SaveLoRA", category="loaders", title="Save LoRA", output=True)
def save_lora(
    ctx: Context,
    lora: LoraWeights,
    prefix: Annotated[str, Text(multiline=False)] = "loras/ComfyUI_trained_lora",
    steps: int | None = None,
) -> None:
    """Write a LoRA into the output folder, as LoRA loaders read it; `steps` enters the file's name.

    The workflow goes into the file's header unless metadata is off.
    """
    from safetensors.torch import save

    texts = {
        name: text
        for name, text in ctx.picture_texts().items()
        if name in ("prompt", "workflow", "graphcore")
    }
    stem = prefix if steps is None else f"{prefix}_{steps}_steps"
    data = save(dict(lora.tensors), metadata={**lora.metadata, **texts})
    saved = OutputNames(folder=ctx.files.output_dir, prefix=stem, suffix=".safetensors").write(data, {})
    ctx.show("files", {"filename": saved.filename, "subfolder": saved.subfolder, "type": "output"})


@node("LossGraphNode", category="training", title="Plot Loss", output=True)
def loss_graph_node(
    ctx: Context, loss: LossCurve, filename_prefix: Annotated[str, Text(multiline=False)] = "loss_graph"
) -> None:
    """Draw how the loss of a training went, and write it into the output folder as a PNG file."""
    from nodes.diffusion.pictures import png_bytes
    from nodes.diffusion.training.loss_curve import curve_image

    drawn = curve_image(loss.values)
    height, width = drawn.pixels.shape[1:3]
    texts = {**ctx.picture_texts(), "losses": json.dumps(loss.values)} if ctx.settings.metadata else {}
    names = OutputNames(folder=ctx.files.output_dir, prefix=filename_prefix, suffix=".png")
    saved = names.write(png_bytes(drawn.pixels[0], texts), {"width": width, "height": height})
    ctx.show("images", {"filename": saved.filename, "subfolder": saved.subfolder, "type": "output"})
