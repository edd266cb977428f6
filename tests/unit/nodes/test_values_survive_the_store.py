"""Every value that travels on a wire comes back from the persistent store as it was, bit for bit."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import torch

from nodes.diffusion.codecs import ValueCodec
from nodes.values import (
    Area,
    Clip,
    Conditioning,
    ConditioningEntry,
    FileRef,
    Image,
    Latent,
    Mask,
    Model,
    SafetyVerdict,
    Sampler,
    Sigmas,
)

FILE = FileRef(kind="checkpoints", name="a/b.safetensors", fingerprint="sha256:00")


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, (tuple, list)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, entry.name), getattr(other, entry.name)) for entry in fields(one)
        )
    return bool(one == other)


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).to(dtype)


VALUES = {
    "latent": Latent(noise(2, 4, 8, 8), noise_mask=noise(2, 8, 8), batch_index=(3, 4)),
    "bf16 latent": Latent(noise(1, 4, 8, 8, dtype=torch.bfloat16)),
    "strided latent": Latent(noise(1, 8, 8, 4).permute(0, 3, 1, 2)),
    "float image": Image(noise(1, 5, 7, 3).sigmoid()),
    "eight-bit image": Image(torch.arange(105 * 2).reshape(2, 5, 7, 3).remainder(256).float() / 255),
    "judged image": Image(
        torch.zeros(1, 2, 2, 3), (SafetyVerdict(flagged=True, scores=(0.5,), action="blur"),)
    ),
    "mask": Mask(noise(1, 4, 4)),
    "sigmas": Sigmas(noise(21)),
    "sampler": Sampler(name="euler", options=(("eta", 0.5),)),
    "model": Model(file=FILE),
    "clip": Clip(files=(FILE,), stop_at_layer=-2),
    "conditioning": Conditioning(
        (
            ConditioningEntry(embeddings=noise(1, 77, 8), pooled=noise(1, 8), size=(1.0, 2.0)),
            ConditioningEntry(
                embeddings=noise(1, 154, 8), area=Area(x=0, y=1, width=2, height=3), strength=0.5
            ),
        )
    ),
    "tied tensors": Conditioning((ConditioningEntry(embeddings=(shared := noise(1, 4, 4)), pooled=shared),)),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    codec = ValueCodec()
    assert codec.accepts(value)
    assert same(value, codec.decode(codec.encode(value)))


def test_eight_bit_pictures_are_small() -> None:
    codec = ValueCodec()
    flat = Image(torch.full((1, 64, 64, 3), 51 / 255))
    assert len(codec.encode(flat)) < flat.pixels.nbytes / 20


def test_unknown_classes_are_left_alone() -> None:
    assert not ValueCodec().accepts(object())
    assert not ValueCodec().accepts(Latent(object()))  # type: ignore[arg-type]


def test_only_known_classes_are_made() -> None:
    codec = ValueCodec()
    data = codec.encode(Mask(noise(1, 2, 2))).replace(b"Mask", b"Path")
    with pytest.raises(KeyError):
        codec.decode(data)
