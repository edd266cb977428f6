"""Which codec computes with which kind of autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nodes.diffusion.tiny_vae import TinyVaeCodec
from nodes.diffusion.vae import VaeCodec
from nodes.diffusion.video_vae import TemporalVaeCodec

VAE_CODECS: Final[Mapping[str, type[VaeCodec]]] = {
    "vae": VaeCodec,
    "video_vae": TemporalVaeCodec,
    "tiny_vae": TinyVaeCodec,
}
