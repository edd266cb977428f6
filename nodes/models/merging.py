"""Nodes that mix models. A mixed model is a new value; weights are mixed when somebody computes with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from graphcore import Context, Range, node
from nodes.choices import Share
from nodes.models.merges import BlockShare, MergePatch
from nodes.values import Clip, Model

Multiplier = Annotated[float, Range(-10.0, 10.0, step=0.01)]
CATEGORY = "advanced/model_merging"


@node("ModelMergeSimple", category=CATEGORY, title="Merge Models")
def model_merge_simple(ctx: Context, model1: Model, model2: Model, ratio: Share = 1.0) -> Model:
    """Mix two models of one family: `ratio` of the first and the rest of the second."""
    return merge_models(ctx, model1, MergePatch(other=model2, own=ratio, others=1 - ratio))


@node("ModelMergeSubtract", category=CATEGORY, title="Subtract Models")
def model_merge_subtract(ctx: Context, model1: Model, model2: Model, multiplier: Multiplier = 1.0) -> Model:
    """The difference of two models, times `multiplier`; with Add Models it carries what one learned into another."""
    return merge_models(ctx, model1, MergePatch(other=model2, own=multiplier, others=-multiplier))


@node("ModelMergeAdd", category=CATEGORY, title="Add Models")
def model_merge_add(ctx: Context, model1: Model, model2: Model) -> Model:
    """Add the weights of the second model, usually a difference, to those of the first."""
    return merge_models(ctx, model1, MergePatch(other=model2, own=1.0, others=1.0))


@node("ModelMergeBlocks", category=CATEGORY, title="Merge Models by Blocks")
def model_merge_blocks(
    ctx: Context, model1: Model, model2: Model, input: Share = 1.0, middle: Share = 1.0, out: Share = 1.0
) -> Model:
    """Mix two models with a share of the first for each third of the network; what is in none takes that of `input`."""
    blocks = {"input": input, "middle": middle, "out": out}
    return merge_models(ctx, model1, by_blocks(model2, blocks))


@node("CLIPMergeSimple", category=CATEGORY, title="Merge CLIPs")
def clip_merge_simple(ctx: Context, clip1: Clip, clip2: Clip, ratio: Share = 1.0) -> Clip:
    """Mix the text encoders of two models: `ratio` of the first and the rest of the second."""
    return _merge_clips(ctx, clip1, MergePatch(other=clip2, own=ratio, others=1 - ratio))


@node("CLIPMergeSubtract", category=CATEGORY, title="Subtract CLIPs")
def clip_merge_subtract(ctx: Context, clip1: Clip, clip2: Clip, multiplier: Multiplier = 1.0) -> Clip:
    """The difference of two models' text encoders, times `multiplier`."""
    return _merge_clips(ctx, clip1, MergePatch(other=clip2, own=multiplier, others=-multiplier))


@node("CLIPMergeAdd", category=CATEGORY, title="Add CLIPs")
def clip_merge_add(ctx: Context, clip1: Clip, clip2: Clip) -> Clip:
    """Add the weights of the second model's text encoders to those of the first."""
    return _merge_clips(ctx, clip1, MergePatch(other=clip2, own=1.0, others=1.0))


def by_blocks(model: Model, shares: dict[str, float]) -> MergePatch:
    """A merge with a share for each prefix of names; the first is for all that no prefix fits."""
    own = next(iter(shares.values()))
    blocks = tuple(BlockShare(prefix=prefix, own=share) for prefix, share in shares.items())
    return MergePatch(other=model, own=own, others=1 - own, blocks=blocks)


def merge_models(ctx: Context, model: Model, patch: MergePatch) -> Model:
    """The model with another mixed in; raises ModelFileError if they are of different families."""
    from nodes.diffusion.merge_fit import require_models_fit

    require_models_fit(ctx, model, patch.other)
    return replace(model, patches=(*model.patches, patch))


def _merge_clips(ctx: Context, clip: Clip, patch: MergePatch) -> Clip:
    from nodes.diffusion.merge_fit import require_clips_fit

    require_clips_fit(ctx, clip, patch.other)
    return replace(clip, patches=(*clip.patches, patch))
