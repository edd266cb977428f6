"""A training as nodes run it: models leased, examples made ready, progress shown, adapters as a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from graphcore.context import Context
from graphcore.errors import InputError
from graphcore.files import safe_parts
from nodes.diffusion.network import Network
from nodes.diffusion.patches.adapter_file import open_adapters
from nodes.diffusion.patches.lora import matching
from nodes.diffusion.patches.module_names import module_names
from nodes.diffusion.store import ModelStore
from nodes.diffusion.training.examples import Example
from nodes.diffusion.training.lora_tensors import (
    content_digest,
    file_metadata,
    named_tensors,
    network_prefix,
    text_prefix,
)
from nodes.diffusion.training.loss_curve import curve_preview
from nodes.diffusion.training.trainer import Learned, Trainer, TrainingPlan
from nodes.values import Clip, FileRef, LoraWeights, Model

PREVIEWS: Final = 100
"""About how often the loss curve is drawn while a training runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """What to train: a model, and with `clip` its text encoders too, on examples, by a plan.

    `name` is that of the file that keeps the state, below `training/` in the output folder ("" for the identity).
    `existing` is an adapter file to go on from.
    """

    model: Model
    examples: Sequence[Example]
    plan: TrainingPlan
    clip: Clip | None = None
    name: str = ""
    dtype: torch.dtype = torch.float32
    existing: FileRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The adapters, and each step's loss."""

    lora: LoraWeights
    losses: tuple[float, ...]


def train(ctx: Context, request: TrainingRequest) -> Trained:
    """Train, or go on with a training of the same identity; raises Cancelled after its state was written."""
    store = ctx.service(ModelStore)
    checkpoint = store.checkpoint(request.model.file)
    family = checkpoint.family.name if checkpoint.family is not None else ""
    identity = request.plan.identity(_said_of(request), request.examples)
    state_file = _state_file(ctx, request.name or f"state-{identity[:12]}")
    with ExitStack() as stack:
        network = stack.enter_context(store.trainable(request.model))
        encoder = None
        if request.clip is not None:
            encoder = stack.enter_context(store.text_encoder(request.clip, own_modules=True))
        trainer = Trainer(network, request.examples, request.plan, encoder=encoder)
        if request.existing is not None:
            trainer.begin_from(_existing(ctx, request, network))
        learned = trainer.run(identity=identity, state_file=state_file, progress=_Report(ctx))
    if trainer.resumed_from:
        ctx.show("text", {"text": f"The training went on from step {trainer.resumed_from}."})
    ctx.note(
        steps=len(learned.losses),
        resumed_from=trainer.resumed_from,
        loss=learned.losses[-1] if learned.losses else None,
    )
    return Trained(lora=_weights(request, learned, family), losses=learned.losses)


def _said_of(request: TrainingRequest) -> str:
    """What is trained, as text that changes when any of it does."""
    return repr((request.model, request.clip, request.existing))


def _state_file(ctx: Context, name: str) -> Path:
    parts = safe_parts(name)
    if parts is None:
        raise InputError(
            f"The name {name[:80]!r} cannot be that of a file; give a plain name.", code="bad-filename-prefix"
        )
    folder = ctx.files.output_dir / "training"
    return folder.joinpath(*parts[:-1], f"{parts[-1]}.state.safetensors")


class _Report:
    """Tells the run of each step, with the loss curve every so often."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def __call__(self, done: int, total: int, losses: Sequence[float]) -> None:
        due = self._ctx.previews and (done % max(1, total // PREVIEWS) == 0 or done == total)
        self._ctx.progress(done, total, curve_preview(losses, total) if due else None)


def _weights(request: TrainingRequest, learned: Learned, family: str) -> LoraWeights:
    prefix = network_prefix("mmdit" if family == "sd3" else "unet")
    tensors = named_tensors(learned.network, prefix, request.dtype)
    for part, adapters in learned.texts.items():
        known = text_prefix(family, part)
        if known is None:
            raise InputError(
                f"LoRA files have no name for the text encoder '{part}' of this model; train without it.",
                code="unsupported-choice",
            )
        tensors |= named_tensors(adapters, known, request.dtype)
    plan = request.plan
    settings = {
        "steps": len(learned.losses),
        "learning_rate": plan.learning_rate,
        "batch_size": plan.batch_size * plan.accumulate,
        "optimizer": plan.optimizer,
        "loss": plan.loss,
        "seed": plan.seed,
        "pictures": len(request.examples),
        "model": request.model.file.name,
    }
    return LoraWeights(
        digest=content_digest(tensors),
        steps=len(learned.losses),
        tensors=tensors,
        metadata=file_metadata(family, plan.rank, settings),
    )


def _existing(
    ctx: Context, request: TrainingRequest, network: Network
) -> Mapping[str, tuple[Tensor, Tensor]]:
    """The plain LoRA layers of a file by layer, scaled as the plan scales them."""
    file = request.existing
    assert file is not None
    adapters = open_adapters(ctx.files.resolve(file.kind, file.name))
    part = ctx.service(ModelStore).checkpoint(request.model.file).part(request.model.part)
    weights = network.module.state_dict()  # type: ignore[attr-defined]
    found = matching(adapters, module_names(part.kind, part.name, part.config, weights), weights)
    tensors: dict[str, tuple[Tensor, Tensor]] = {}
    wanted = request.plan.rank.alpha / request.plan.rank.rank
    for match, adapter in zip(found, adapters.load(match.entry for match in found), strict=True):
        if adapter.kind != "lora" or "mid" in adapter.tensors:
            raise InputError(
                f"'{file.name}' is of a kind that training cannot go on from; choose a plain LoRA.",
                code="unsupported-choice",
            )
        down, up = adapter.tensors["down"].float(), adapter.tensors["up"].float()
        alpha = adapter.tensors.get("alpha")
        scale = adapter.scale if alpha is None else float(alpha) / len(down)
        tensors[match.tensor.removesuffix(".weight")] = (down, up * (scale / wanted))
    if not tensors:
        raise InputError(
            f"'{file.name}' names no layer of this model; choose a LoRA that was made for it.",
            code="wrong-family",
        )
    return tensors


def training_examples(examples: Sequence[Example], captions: Sequence[str]) -> list[Example]:
    """The examples with their captions as text."""
    return [replace(example, caption=caption) for example, caption in zip(examples, captions, strict=True)]
