"""Which network a diffusion module is to sampling, as the family of its file says."""

from __future__ import annotations

from torch import nn

from graphcore.errors import ModelFileError
from nodes.diffusion.checkpoint import Checkpoint
from nodes.diffusion.mmdit_network import MmditNetwork
from nodes.diffusion.network import Network
from nodes.diffusion.precision import Precision
from nodes.diffusion.unclip import augmentor_of
from nodes.diffusion.unet_network import UNetNetwork
from nodes.diffusion.video_network import VideoNetwork


def network_of(checkpoint: Checkpoint, module: nn.Module, precision: Precision) -> Network:
    """The module of a file's diffusion part as a network. Raises ModelFileError if the file has no such part."""
    family, parameterization = checkpoint.family, checkpoint.parameterization
    latent_format = checkpoint.latent_format
    if family is None or parameterization is None or latent_format is None:
        raise ModelFileError(f"{checkpoint.path.name} holds no diffusion network; choose another file.")
    if family.network in ("mmdit", "video_unet"):
        kind = MmditNetwork if family.network == "mmdit" else VideoNetwork
        return kind(
            module, parameterization=parameterization, latent_format=latent_format, precision=precision
        )
    return UNetNetwork(
        module,
        rule=family.conditioning,
        augmentor=augmentor_of(checkpoint) if family.conditioning == "text+picture" else None,
        parameterization=parameterization,
        latent_format=latent_format,
        precision=precision,
    )
