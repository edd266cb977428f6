"""All architectures of networks that enlarge pictures, in the order in which files are asked."""

from __future__ import annotations

from typing import Final

from nodes.diffusion.upscaling import compact, dat, drct, esrgan, hat, omnisr, plksr, span, swinir
from nodes.diffusion.upscaling.architecture import Architecture

ARCHITECTURES: Final[tuple[Architecture, ...]] = (
    esrgan.ARCHITECTURE,
    compact.ARCHITECTURE,
    swinir.ARCHITECTURE,
    hat.ARCHITECTURE,
    dat.ARCHITECTURE,
    drct.ARCHITECTURE,
    omnisr.ARCHITECTURE,
    span.ARCHITECTURE,
    plksr.ARCHITECTURE,
)
TITLES: Final = ", ".join(architecture.title for architecture in ARCHITECTURES)
