"""Whether what is put into a UNet fits a model, told before any weights are loaded."""

from __future__ import annotations

from graphcore import Context, ModelFileError
from nodes.diffusion.hypernetworks import open_hypernetwork
from nodes.diffusion.network_hooks import not_for_transformers
from nodes.diffusion.store import ModelStore
from nodes.values import FileRef, Model


def require_unet(ctx: Context, model: Model, *, video: bool = False) -> None:
    """Raise InputError unless the model's network is a UNet; with `video`, that of a video model will do."""
    kinds = ("unet", "video_unet") if video else ("unet",)
    if ctx.service(ModelStore).checkpoint(model.file).part(model.part).kind not in kinds:
        raise not_for_transformers()


def require_hypernetwork_fits(ctx: Context, file: FileRef, model: Model) -> None:
    """Raise ModelFileError unless a hypernetwork changes widths that the model's attention has."""
    require_unet(ctx, model)
    store = ctx.service(ModelStore)
    checkpoint = store.checkpoint(model.file)
    opened = open_hypernetwork(store.resolve(file))
    outline = store.outline(model.file, checkpoint.part(model.part))
    widths = {shape[1] for name, shape in outline.items() if name.endswith(".to_k.weight")}
    if not opened.widths & widths:
        title = checkpoint.family.title if checkpoint.family is not None else "this model"
        raise ModelFileError(
            f"'{file.name}' was made for another family of models: {title} has no attention of the widths that it "
            "changes; choose another.",
            code="wrong-family",
            location=file.name,
        )
