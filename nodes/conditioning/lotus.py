"""The conditioning of Lotus, a model of depth and normals that takes no prompt (He et al. 2024, arXiv 2409.18124)."""

from __future__ import annotations

from typing import Final

from graphcore import Context, ResourceError, node
from graphcore.files import Files
from nodes.models.loaders import file_ref
from nodes.values import Clip, Conditioning, ConditioningEntry

KINDS: Final = ("text_encoders", "checkpoints")
TOKENS: Final = 2


def _listing(files: Files) -> str:
    """The files that are looked through."""
    return "\n".join(f"{kind}/{name}" for kind in KINDS for name in sorted(files.names(kind)))


@node("LotusConditioning", category="conditioning/lotus", title="Lotus Conditioning", fingerprint=_listing)
def lotus_conditioning(ctx: Context) -> Conditioning:
    """What Lotus was trained under: the empty prompt of SD 2's text encoder, without padding.

    The encoder is found by itself: in `text_encoders`, or inside a checkpoint of SD 2.x.
    """
    from nodes.diffusion.store import ModelStore

    with ctx.service(ModelStore).text_encoder(_sd2_text(ctx)) as encoder:
        embeddings = encoder.encode("").embeddings
    return Conditioning((ConditioningEntry(embeddings=embeddings[:, :TOKENS].clone()),))


def _sd2_text(ctx: Context) -> Clip:
    from nodes.diffusion.lotus import FAMILY, holds_sd2_text

    for kind in KINDS:
        for name in sorted(ctx.files.names(kind)):
            if holds_sd2_text(ctx.files.resolve(kind, name)):
                return Clip(files=(file_ref(ctx, kind, name),), family=FAMILY)
    raise ResourceError(
        "Lotus wants the text encoder of SD 2.x; put one (OpenCLIP ViT-H, .safetensors) into 'text_encoders', or a "
        "checkpoint of SD 2.x into 'checkpoints'.",
        code="no-sd2-text-encoder",
    )
