"""The network that sampling sees computes what diffusers' UNet computes, with each family's extra conditions."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.families import FAMILIES
from nodes.diffusion.families.family import diffusion
from nodes.diffusion.network import LatentScene, Network, Residuals
from nodes.diffusion.precision import Precision
from nodes.diffusion.store import ModelStore
from nodes.diffusion.unet_network import UNetNetwork
from nodes.values import ConditioningEntry, FileRef, Model
from tests import models
from tests.models import TinyModels

STEPS = torch.tensor([3.0, 601.0])


def network(name: str, module: Any, dtype: torch.dtype = torch.float32) -> UNetNetwork:
    family = FAMILIES[name]
    return UNetNetwork(
        copy.deepcopy(module).to(dtype),
        rule=family.conditioning,
        parameterization=diffusion({}),
        latent_format=family.latent,
        precision=Precision(dtype=dtype),
    )


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def scene(mask: Tensor | None = None) -> LatentScene:
    return LatentScene(latent=noise(2, 4, 8, 8), noise=noise(2, 4, 8, 8), noise_mask=mask)


def two_rows(conditions: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.expand(2, *tensor.shape[1:]) for name, tensor in conditions.items()}


@torch.no_grad()
@pytest.mark.parametrize("name", ["sd1", "sd2"])
def test_text_networks_equal_diffusers(name: str) -> None:
    module = {"sd1": models.sd1_parts, "sd2": models.sd2_parts}[name]().unet
    ours = network(name, module)
    context = noise(1, 77, module.config.cross_attention_dim)
    x = noise(2, 4, 8, 8)
    conditions = ours.conditions(ConditioningEntry(embeddings=context), scene())
    assert set(conditions) == {"context"}
    expected = module(x, STEPS, encoder_hidden_states=context.expand(2, -1, -1)).sample
    torch.testing.assert_close(ours(x, STEPS, two_rows(conditions)), expected)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "sizes"),
    [("sdxl", (64.0, 64.0, 0.0, 0.0, 64.0, 64.0)), ("sdxl-refiner", (64.0, 64.0, 0.0, 0.0, 6.0))],
)
def test_sizes_are_those_of_the_picture_unless_given(name: str, sizes: tuple[float, ...]) -> None:
    module = {"sdxl": models.sdxl_parts, "sdxl-refiner": models.refiner_parts}[name]().unet
    ours = network(name, module)
    context, pooled, x = noise(1, 77, module.config.cross_attention_dim), noise(1, 64), noise(2, 4, 8, 8)

    def expected(numbers: tuple[float, ...]) -> Tensor:
        added = {"text_embeds": pooled.expand(2, -1), "time_ids": torch.tensor([numbers] * 2)}
        out: Tensor = module(
            x, STEPS, encoder_hidden_states=context.expand(2, -1, -1), added_cond_kwargs=added
        ).sample
        return out

    def found(size: tuple[float, ...] | None) -> Tensor:
        entry = ConditioningEntry(embeddings=context, pooled=pooled, size=size)
        return ours(x, STEPS, two_rows(ours.conditions(entry, scene())))

    torch.testing.assert_close(found(None), expected(sizes))
    given = (1080.0, 1921.0, 3.0, 5.0, 1023.0, 777.0)[: len(sizes)]
    torch.testing.assert_close(found(given), expected(given))


def test_sizes_survive_a_short_dtype() -> None:
    ours = network("sdxl", models.make_unet(**models.SDXL_UNET), torch.bfloat16)
    size = (1081.0, 1921.0, 3.0, 5.0, 1023.0, 777.0)
    entry = ConditioningEntry(embeddings=noise(1, 77, 192), pooled=noise(1, 64), size=size)
    packed = ours.conditions(entry, scene())["size"]
    assert packed.dtype == torch.bfloat16
    coarse, fine = packed.float().chunk(2, dim=1)
    assert (coarse + fine)[0].tolist() == list(size)


def test_embeddings_of_another_model_are_told() -> None:
    ours = network("sd1", models.sd1_parts().unet)
    with pytest.raises(InputError, match="768 wide, but this model takes 64"):
        ours.conditions(ConditioningEntry(embeddings=noise(1, 77, 768)), scene())
    sdxl = network("sdxl", models.sdxl_parts().unet)
    for pooled in (None, noise(1, 768)):
        with pytest.raises(InputError, match="pooled text vector of 64"):
            sdxl.conditions(ConditioningEntry(embeddings=noise(1, 77, 192), pooled=pooled), scene())


@torch.no_grad()
def test_control_residuals_reach_the_skips_and_the_middle() -> None:
    module = models.sd1_parts().unet
    ours = network("sd1", module)
    context, x = noise(2, 77, 64), noise(2, 4, 8, 8)
    down = tuple(noise(2, width, side, side) for width, side in ((32, 8), (32, 8), (32, 4), (64, 4)))
    mid = noise(2, 64, 4, 4)
    expected = module(
        x, STEPS, context, down_block_additional_residuals=down, mid_block_additional_residual=mid
    ).sample
    torch.testing.assert_close(
        ours(x, STEPS, {"context": context}, residuals=Residuals(down=down, mid=mid)), expected
    )
    plain = ours(x, STEPS, {"context": context})
    assert not torch.allclose(plain, expected)
    nothing = Residuals(mid=torch.zeros_like(mid))
    torch.testing.assert_close(ours(x, STEPS, {"context": context}, residuals=nothing), plain)


@torch.no_grad()
def test_inpainting_networks_take_mask_and_picture() -> None:
    ours = network("sd1", models.sd1_parts(9).unet)
    embeddings = noise(1, 77, 64)
    mask = torch.zeros(2, 1, 8, 8)
    mask[..., 4:] = 1
    masked = ours.conditions(ConditioningEntry(embeddings=embeddings), scene(mask))["concat"]
    assert masked.shape == (2, 5, 8, 8)
    assert torch.equal(masked[:, :1], mask)
    assert torch.equal(masked[:, 1:], scene().latent)
    picture = noise(1, 4, 8, 8)
    entry = ConditioningEntry(embeddings=embeddings, concat_latent=picture, concat_mask=torch.ones(1, 64, 64))
    given = ours.conditions(entry, scene())["concat"]
    assert given.shape == (1, 5, 8, 8)
    assert torch.all(given[:, 0] == 1)
    torch.testing.assert_close(given[:, 1:], picture * 0.18215)
    without = ours.conditions(ConditioningEntry(embeddings=embeddings), scene())["concat"]
    assert torch.all(without[:, 0] == 1)
    assert without[0, 1, 0, 0] == pytest.approx(0.8223)


@torch.no_grad()
def test_picture_editing_networks_take_the_unscaled_picture() -> None:
    ours = network("sd1", models.sd1_parts(8).unet)
    picture = noise(1, 4, 8, 8)
    entry = ConditioningEntry(embeddings=noise(1, 77, 64), concat_latent=picture)
    conditions = ours.conditions(entry, scene())
    assert torch.equal(conditions["concat"], picture)
    assert ours(noise(2, 4, 8, 8), STEPS, two_rows(conditions)).shape == (2, 4, 8, 8)


@torch.no_grad()
def test_perturbed_attention_looks_only_at_itself() -> None:
    module = models.sd1_parts().unet
    ours = network("sd1", module)
    context, x = noise(2, 77, 64), noise(2, 4, 8, 8)
    plain = ours(x, STEPS, {"context": context})
    perturbed = ours(x, STEPS, {"context": context}, perturbation="pag:mid")
    assert not torch.allclose(plain, perturbed)
    assert torch.equal(ours(x, STEPS, {"context": context}), plain)
    with pytest.raises(InputError, match="no perturbation"):
        ours(x, STEPS, {"context": context}, perturbation="other")


def test_the_store_shares_one_network_between_equal_values(tiny_models: TinyModels) -> None:
    file = tiny_models.sd1()
    store = ModelStore(resolve=lambda ref: file, device="cpu", dtype="fp32", budget_bytes=10**9)
    model = Model(file=FileRef(kind="checkpoints", name=file.name, fingerprint="1"))
    with store.network(model) as one, store.network(Model(file=model.file)) as other:
        assert one.module is other.module  # type: ignore[attr-defined]
        assert store.usage().entries == 1


def test_patched_networks_share_what_is_not_patched(tiny_models: TinyModels) -> None:
    file = tiny_models.sd1()

    def patcher(part: Any, weights: Any, patches: Any) -> dict[str, Tensor]:
        return {"conv_in.bias": weights["conv_in.bias"] + len(patches)}

    from nodes.values import Patch

    store = ModelStore(
        resolve=lambda ref: file, device="cpu", dtype="fp32", budget_bytes=10**9, patcher=patcher
    )
    plain = Model(file=FileRef(kind="checkpoints", name=file.name, fingerprint="1"))
    changed = Model(file=plain.file, patches=(Patch(),))
    with store.network(plain) as before, store.network(changed) as after:
        left, right = before.module.state_dict(), after.module.state_dict()  # type: ignore[attr-defined]
        assert torch.equal(right["conv_in.bias"], left["conv_in.bias"] + 1)
        assert all(left[name].data_ptr() == right[name].data_ptr() for name in left if name != "conv_in.bias")
        assert store.usage().bytes < 1.1 * sum(tensor.nbytes for tensor in left.values())


def test_networks_satisfy_the_protocol(tiny_models: TinyModels) -> None:
    store = ModelStore(resolve=lambda ref: Path(ref.name), device="cpu", dtype="fp32", budget_bytes=10**9)
    with store.network(
        Model(file=FileRef(kind="checkpoints", name=str(tiny_models.sdxl()), fingerprint="1"))
    ) as made:
        typed: Network = made
        assert typed.dtype == torch.float32
        assert typed.device.type == "cpu"
        assert typed.latent_format.scale_factor == 0.13025
