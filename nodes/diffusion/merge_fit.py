"""Whether two models can be mixed, told before any weights are loaded."""

from __future__ import annotations

from graphcore import Context, ModelFileError
from nodes.diffusion.patches.merge import misfit
from nodes.diffusion.store import ModelStore
from nodes.values import Clip, Model


def require_models_fit(ctx: Context, model: Model, other: Model | Clip) -> None:
    """Raise ModelFileError unless the networks of two models have the same layers."""
    if not isinstance(other, Model):
        raise _different(model.file.name, "a text encoder", "the network")
    store = ctx.service(ModelStore)
    outlines = [
        store.outline(each.file, store.checkpoint(each.file).part(each.part)) for each in (model, other)
    ]
    found = misfit(*outlines)
    if found is not None:
        raise _different(model.file.name, other.file.name, found)


def require_clips_fit(ctx: Context, clip: Clip, other: Clip | Model) -> None:
    """Raise ModelFileError unless two models' text encoders are the same ones, with the same layers."""
    if not isinstance(other, Clip):
        raise _different(clip.files[0].name, "a network", "the text encoder")
    store = ctx.service(ModelStore)
    own, theirs = (
        {part.name: store.outline(file, part) for file, part in store.text_parts(each)}
        for each in (clip, other)
    )
    for name, outline in own.items():
        found = misfit(outline, theirs[name]) if name in theirs else name
        if found is not None:
            raise _different(clip.files[0].name, other.files[0].name, found)


def _different(one: str, other: str, where: str) -> ModelFileError:
    return ModelFileError(
        f"'{one}' and '{other}' cannot be mixed: they differ in {where}; choose models of one family.",
        code="wrong-family",
        location=other,
    )
