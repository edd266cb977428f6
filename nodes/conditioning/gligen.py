"""Nodes that say where in a picture things are: GLIGEN."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from graphcore import Context, FileChoice, Range, Text, node
from nodes.choices import MAX_SIDE, CellOffset
from nodes.conditioning.embedding_files import text_embeddings
from nodes.control.steering import Gligen, GligenBox, GligenHint
from nodes.models.loaders import file_ref
from nodes.values import Clip, Conditioning, ConditioningEntry

BoxSide = Annotated[int, Range(8, MAX_SIDE, step=8)]


@node("LoadGLIGEN", category="loaders", title="Load GLIGEN", aliases=("GLIGENLoader",))
def load_gligen(ctx: Context, gligen_name: Annotated[str, FileChoice("gligen")]) -> Gligen:
    """Load a GLIGEN text-box model for SD 1.x."""
    from nodes.diffusion.gligen import open_gligen
    from nodes.diffusion.store import ModelStore

    file = file_ref(ctx, "gligen", gligen_name)
    ctx.service(ModelStore).opened(file, open_gligen)
    return Gligen(file=file)


@node(
    "GLIGENTextBoxApply",
    category="conditioning/gligen",
    title="Apply GLIGEN Text Box",
    fingerprint=text_embeddings,
)
def gligen_text_box_apply(
    ctx: Context,
    *,
    conditioning_to: Conditioning,
    clip: Clip,
    gligen_textbox_model: Gligen,
    text: Annotated[str, Text(multiline=True, dynamic_prompts=True)],
    width: BoxSide = 64,
    height: BoxSide = 64,
    x: CellOffset = 0,
    y: CellOffset = 0,
) -> Conditioning:
    """Put what a text says into a box of the picture, in pixels. Thirty boxes at most may follow each other."""
    from nodes.diffusion.gligen import text_vector
    from nodes.diffusion.store import ModelStore

    with ctx.service(ModelStore).text_encoder(clip) as encoder:
        vector = text_vector(encoder, text)
    box = GligenBox(text=vector, x=x, y=y, width=width, height=height)
    return Conditioning(
        tuple(_with_box(entry, gligen_textbox_model, box) for entry in conditioning_to.entries)
    )


def _with_box(entry: ConditioningEntry, gligen: Gligen, box: GligenBox) -> ConditioningEntry:
    last = next((hint for hint in reversed(entry.hints) if isinstance(hint, GligenHint)), None)
    boxes = last.boxes if last is not None and last.gligen == gligen else ()
    others = tuple(hint for hint in entry.hints if not isinstance(hint, GligenHint))
    return replace(entry, hints=(*others, GligenHint(gligen=gligen, boxes=(*boxes, box))))
