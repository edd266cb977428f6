"""Nodes that let pictures be prompts: IP-Adapters."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from graphcore import Context, FileChoice, Range, node
from nodes.conditioning.combining import Moment
from nodes.control.controlnets import Controlled
from nodes.control.steering import ClipVisionOutput, IpAdapter, IpAdapterHint
from nodes.models.loaders import file_ref
from nodes.values import Conditioning, Mask


@node("LoadIPAdapter", category="loaders", title="Load IP-Adapter", aliases=("IPAdapterModelLoader",))
def load_ip_adapter(ctx: Context, ipadapter_file: Annotated[str, FileChoice("ipadapter")]) -> IpAdapter:
    """Load an IP-Adapter for SD 1.x or SDXL: plain, plus, plus-face or full-face, as `.safetensors`."""
    from nodes.diffusion.ip_adapter import open_ip_adapter
    from nodes.diffusion.store import ModelStore

    file = file_ref(ctx, "ipadapter", ipadapter_file)
    ctx.service(ModelStore).opened(file, open_ip_adapter)
    return IpAdapter(file=file)


@node("ApplyIPAdapter", category="conditioning/ipadapter", title="Apply IP-Adapter")
def apply_ip_adapter(
    ctx: Context,
    *,
    positive: Conditioning,
    negative: Conditioning,
    ipadapter: IpAdapter,
    clip_vision_output: ClipVisionOutput,
    weight: Annotated[float, Range(-1.0, 5.0, step=0.01)] = 1.0,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
    pictures: Literal["together", "one a sample"] = "together",
    mask: Mask | None = None,
) -> Controlled:
    """Let sampling follow what pictures show, beside the text.

    The pictures come from CLIPVisionEncode, with the encoder that the adapter was made for. Each sample follows all of
    them together, or its own. `mask` says where (1), and `weight` how much. Several may come one after another.
    """
    from nodes.diffusion.ip_adapter import open_ip_adapter, wanted_of
    from nodes.diffusion.store import ModelStore

    if weight == 0:
        return Controlled(positive, negative)
    wanted_of(ctx.service(ModelStore).opened(ipadapter.file, open_ip_adapter), clip_vision_output)
    hint = IpAdapterHint(
        adapter=ipadapter,
        output=clip_vision_output,
        strength=weight,
        start=start_percent,
        end=end_percent,
        mask=None if mask is None else mask.values,
        together=pictures == "together",
    )
    return Controlled(_with_hint(positive, hint), _with_hint(negative, replace(hint, blank=True)))


def _with_hint(conditioning: Conditioning, hint: IpAdapterHint) -> Conditioning:
    return Conditioning(tuple(replace(entry, hints=(*entry.hints, hint)) for entry in conditioning.entries))
