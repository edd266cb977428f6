"""Pictures become latents and latents pictures as diffusers does it; tiles and scarce memory change little."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from graphcore.errors import InputError, ResourceError
from nodes.diffusion.precision import Precision
from nodes.diffusion.vae import Tiling, VaeCodec, starts, tiled
from tests import models

FULL = Precision(dtype=torch.float32)


@pytest.fixture(scope="module")
def codec() -> VaeCodec:
    return VaeCodec(models.sd1_parts().vae, FULL)


@torch.no_grad()
def test_decoding_equals_diffusers(codec: VaeCodec) -> None:
    latents = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    expected = models.sd1_parts().vae.decode(latents).sample.movedim(1, -1).div(2).add(0.5).clamp(0, 1)
    pixels = codec.decode(latents)
    assert pixels.shape == (2, 48, 40, 3)
    assert pixels.dtype == torch.float32
    torch.testing.assert_close(pixels, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_encoding_gives_the_mean_of_the_distribution(codec: VaeCodec) -> None:
    pixels = torch.rand(2, 32, 48, 3, generator=torch.Generator().manual_seed(0))
    expected = models.sd1_parts().vae.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mode()
    torch.testing.assert_close(codec.encode(pixels), expected, atol=1e-5, rtol=1e-4)


def test_a_picture_does_not_depend_on_its_neighbours(codec: VaeCodec) -> None:
    latents = torch.randn(3, 4, 4, 4)
    assert torch.equal(codec.decode(latents)[1], codec.decode(latents[1:2])[0])


def test_odd_sizes_are_cut_around_the_centre_and_alpha_is_dropped(codec: VaeCodec) -> None:
    pixels = torch.rand(1, 35, 47, 4)
    torch.testing.assert_close(codec.encode(pixels), codec.encode(pixels[:, 1:33, 3:43, :3]))
    with pytest.raises(InputError, match="at least 8"):
        codec.encode(torch.rand(1, 7, 64, 3))


def test_latents_of_another_model_are_told(codec: VaeCodec) -> None:
    with pytest.raises(InputError, match="4 channels"):
        codec.decode(torch.randn(1, 16, 4, 4))


@pytest.mark.parametrize(
    ("length", "size", "overlap"), [(10, 64, 16), (64, 64, 16), (65, 64, 16), (200, 64, 16), (17, 8, 7)]
)
def test_tiles_cover_a_side_and_overlap(length: int, size: int, overlap: int) -> None:
    places = starts(length, Tiling(size=size, overlap=overlap))
    assert places[0] == 0
    assert places[-1] == max(length - size, 0)
    assert all(after - before <= size - overlap for before, after in itertools.pairwise(places))


@pytest.mark.parametrize("scale", [(1, 4), (4, 1)])
def test_tiles_of_something_local_are_the_whole(scale: tuple[int, int]) -> None:
    inside, outside = scale
    picture = torch.randn(1, 2, 40 * inside, 28 * inside)

    def local(part: torch.Tensor) -> torch.Tensor:
        if outside > inside:
            return part.repeat_interleave(4, 2).repeat_interleave(4, 3) * 2
        return torch.nn.functional.avg_pool2d(part, 4) * 2

    joined = tiled(local, picture, Tiling(size=16, overlap=4), in_scale=inside, out_scale=outside)
    torch.testing.assert_close(joined, local(picture))


def test_tiled_pictures_have_no_seams(codec: VaeCodec) -> None:
    """Statistics differ between tiles, but neighbouring pixels differ no more at borders than elsewhere."""
    latents = torch.randn(1, 4, 48, 48, generator=torch.Generator().manual_seed(1))
    whole, joined = codec.decode(latents), codec.decode(latents, tiling=Tiling(size=32, overlap=16))
    assert joined.shape == whole.shape
    steps = (joined - whole).diff(dim=1).abs().mean(dim=(0, 2, 3))
    assert steps[8 * 16 - 2 : 8 * 16 + 2].max() < 4 * steps.mean() + 1e-4
    small = codec.encode(whole, tiling=Tiling(size=32, overlap=16))
    assert small.shape == latents.shape


class ScarceVae:
    """An autoencoder that runs out of memory above a size, as a full GPU would."""

    def __init__(self, limit: int) -> None:
        self.inner: Any = models.sd1_parts().vae
        self.config, self.device, self.limit = self.inner.config, self.inner.device, limit

    def decode(self, latents: torch.Tensor) -> Any:
        if latents.shape[-1] > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.inner.decode(latents)


def test_scarce_memory_leads_to_tiles() -> None:
    latents = torch.randn(1, 4, 8, 80, generator=torch.Generator().manual_seed(0))
    by_hand = VaeCodec(models.sd1_parts().vae, FULL).decode(latents, tiling=Tiling(size=32, overlap=8))
    assert torch.equal(VaeCodec(ScarceVae(40), FULL).decode(latents), by_hand)


def test_no_memory_at_all_is_told() -> None:
    with pytest.raises(ResourceError, match="even in small tiles") as raised:
        VaeCodec(ScarceVae(8), FULL).decode(torch.randn(1, 4, 80, 80))
    assert raised.value.code == "out-of-memory"


def test_other_errors_are_not_swallowed() -> None:
    class Broken(ScarceVae):
        def decode(self, latents: torch.Tensor) -> Any:
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        VaeCodec(Broken(8), FULL).decode(torch.randn(1, 4, 8, 8))


def test_half_precision_stays_close(codec: VaeCodec) -> None:
    import copy

    module = copy.deepcopy(models.sd1_parts().vae).to(torch.bfloat16, memory_format=torch.channels_last)
    half = VaeCodec(module, Precision(dtype=torch.bfloat16, channels_last=True))
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert (half.decode(latents) - codec.decode(latents)).abs().mean() < 0.01
