"""Whether an adapter file fits a model, told before any weights are loaded."""

from __future__ import annotations

from graphcore import Context, ModelFileError
from nodes.diffusion.patches.adapter_file import AdapterFile, open_adapters
from nodes.diffusion.patches.lora import Fit, fit
from nodes.diffusion.store import ModelStore
from nodes.values import Clip, FileRef, Model

_SHOWN = 5


def require_fit(ctx: Context, file: FileRef, model: Model, clip: Clip | None) -> None:
    """Raise ModelFileError if the adapters fit nothing, or are of another family; show what is left out."""
    require_adapters_fit(ctx, open_adapters(ctx.files.resolve(file.kind, file.name)), file.name, model, clip)


def require_adapters_fit(
    ctx: Context, adapters: AdapterFile, name: str, model: Model, clip: Clip | None
) -> None:
    """The same for adapters that are open already; `name` is what they are called."""
    fits = _fits(ctx, adapters, model, clip)
    matched = frozenset[str]().union(*(found.matched for found in fits))
    misfit = next((found.misfit for found in fits if found.misfit is not None), None)
    family = ctx.service(ModelStore).checkpoint(model.file).family
    title = family.title if family is not None else "this model"
    if misfit is not None or not matched:
        first = misfit or adapters.entries[0].module
        why = "has weights of another size" if misfit is not None else "has no weight that it names"
        raise ModelFileError(
            f"'{name}' was made for another family of models: {title} {why} ({first}); choose a LoRA for {title}.",
            code="wrong-family",
            location=name,
        )
    left = [entry.module for entry in adapters.entries if entry.module not in matched]
    if clip is None:
        left = [module for module in left if not module.startswith(("lora_te", "text_encoder", "te"))]
    left += adapters.unknown
    if left:
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        ctx.show(
            "warning",
            {
                "text": f"'{name}': {len(left)} of its keys match nothing in {title} and were left out: "
                f"{', '.join(left[:_SHOWN])}{more}"
            },
        )
    ctx.note(adapters=len(matched), left_out=len(left))


def _fits(ctx: Context, adapters: AdapterFile, model: Model, clip: Clip | None) -> list[Fit]:
    store = ctx.service(ModelStore)
    part = store.checkpoint(model.file).part(model.part)
    fits = [fit(adapters, part, store.outline(model.file, part))]
    if clip is not None:
        for text_file, text_part in store.text_parts(clip):
            fits.append(fit(adapters, text_part, store.outline(text_file, text_part)))
    return fits
