"""What is changed inside a UNet: the walk itself changes nothing, and each hook does what its paper says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.utils.torch_utils import apply_freeu, fourier_filter
from safetensors.torch import save_file
from torch import Tensor, nn

from graphcore import Context, InputError, ModelFileError, detached_context
from nodes.conditioning.text import clip_encode
from nodes.diffusion.block_hooks import Downscale, FreeU, damped
from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.conversion.convert import convert_checkpoint
from nodes.diffusion.conversion.single_file import Changes
from nodes.diffusion.hypernetworks import open_hypernetwork
from nodes.diffusion.network import Network
from nodes.diffusion.store import ModelStore
from nodes.diffusion.token_hooks import HyperTile, MergedTokens
from nodes.diffusion.unet_walk import BlockHook, walk
from nodes.diffusion.weight_budget import WEIGHT_SHARE
from nodes.guidance.model_patches import (
    deep_shrink,
    free_u,
    free_u_v2,
    hyper_tile,
    load_hypernetwork,
    token_merging,
)
from nodes.guidance.model_sampling import model_compute_dtype, perturbed_attention_guidance
from nodes.guidance.network_options import DownscaleOption, FreeUOption, HyperTileOption
from nodes.models.loaders import LoadedCheckpoint, load_checkpoint
from nodes.sampling.ksamplers import k_sampler
from nodes.values import Latent, Model
from tests import models
from tests.models import TinyModels


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def ctx(tiny_models: TinyModels, tmp_path: Path) -> Context:
    return detached_context(models_dirs=(tiny_models.folder, tmp_path), device="cpu", dtype="fp32")


@pytest.fixture
def loaded(ctx: Context, tiny_models: TinyModels) -> LoadedCheckpoint:
    return load_checkpoint(ctx, tiny_models.sd1().name)


def predicted(ctx: Context, model: Model, side: int = 8, timestep: float = 900.0) -> Tensor:
    with ctx.service(ModelStore).network(model) as network, torch.no_grad():
        return call(network, side, timestep)


def call(network: Network, side: int = 8, timestep: float = 900.0) -> Tensor:
    context = noise(2, 7, 64, seed=2)
    return network(noise(2, 4, side, side), torch.full((2,), timestep), {"context": context})


@pytest.mark.parametrize("side", [8, 10])
def test_a_walk_is_the_forward_pass(side: int) -> None:
    unet = models.sd1_parts().unet
    x, steps, context = noise(2, 4, side, side), torch.tensor([3.0, 700.0]), noise(2, 7, 64, seed=2)
    expected = unet(x, steps, encoder_hidden_states=context).sample
    assert torch.allclose(walk(unet, (), x, steps, encoder_hidden_states=context), expected, atol=1e-6)


def test_a_walk_with_what_controls_add() -> None:
    unet = models.sd1_parts().unet
    x, steps, context = noise(2, 4, 8, 8), torch.tensor([3.0, 700.0]), noise(2, 7, 64, seed=2)
    skips = [(2, 32, 8, 8), (2, 32, 8, 8), (2, 32, 4, 4), (2, 64, 4, 4)]
    extra: dict[str, Any] = {
        "down_block_additional_residuals": [noise(*shape, seed=5) for shape in skips],
        "mid_block_additional_residual": noise(2, 64, 4, 4, seed=6),
    }
    inside = [noise(2, 32, 8, 8, seed=7), noise(2, 64, 4, 4, seed=8)]
    expected = unet(
        x, steps, encoder_hidden_states=context, down_intrablock_additional_residuals=list(inside), **extra
    ).sample
    found = walk(
        unet,
        (),
        x,
        steps,
        encoder_hidden_states=context,
        down_intrablock_additional_residuals=inside,
        **extra,
    )
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_walk_through_sdxl() -> None:
    unet = models.sdxl_parts().unet
    x, steps, context = noise(2, 4, 8, 8), torch.tensor([3.0, 700.0]), noise(2, 7, 192, seed=2)
    added = {"text_embeds": noise(2, 64), "time_ids": torch.full((2, 6), 64.0)}
    expected = unet(x, steps, encoder_hidden_states=context, added_cond_kwargs=added).sample
    found = walk(unet, (), x, steps, encoder_hidden_states=context, added_cond_kwargs=added)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("side", [8, 16])
def test_free_u_is_that_of_diffusers(side: int) -> None:
    skip, h = noise(2, 32, side, side), noise(2, 64, side, side, seed=2)
    assert torch.allclose(damped(skip, 0.2), fourier_filter(skip, threshold=1, scale=0.2), atol=1e-5)
    hook = FreeU(FreeUOption(b1=9.0, b2=1.2, s1=9.0, s2=0.2), first_width=32)
    ours = hook.rejoined(h, skip)
    theirs = apply_freeu(1, h.clone(), skip, s1=9.0, s2=0.2, b1=9.0, b2=1.2)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(ours, theirs, strict=True))


def test_structured_free_u_strengthens_bright_places() -> None:
    hook = FreeU(FreeUOption(b1=1.4, b2=1.4, s1=1.0, s2=1.0, structured=True), first_width=32)
    h = noise(1, 64, 4, 4).abs()
    found, _ = hook.rejoined(h, noise(1, 32, 4, 4))
    mean = h.mean(dim=1)[0].flatten()
    gain = (found / h)[0, :32].mean(dim=0).flatten()
    assert gain[mean.argmax()] == pytest.approx(1.4)
    assert gain[mean.argmin()] == pytest.approx(1.0)
    assert torch.equal(found[:, 32:], h[:, 32:])


def test_at_rest_nothing_changes(ctx: Context, loaded: LoadedCheckpoint) -> None:
    plain = predicted(ctx, loaded.model)
    for model in (
        free_u(ctx, loaded.model, 1.0, 1.0, 1.0, 1.0),
        free_u_v2(ctx, loaded.model, 1.0, 1.0, 1.0, 1.0),
        hyper_tile(ctx, loaded.model, 2048),
        token_merging(ctx, loaded.model, 0.0),
        model_compute_dtype(loaded.model, "fp32"),
    ):
        assert torch.allclose(predicted(ctx, model), plain, atol=1e-5)


def test_the_model_itself_stays_as_it_is(ctx: Context, loaded: LoadedCheckpoint) -> None:
    plain = predicted(ctx, loaded.model)
    changed = free_u(ctx, hyper_tile(ctx, token_merging(ctx, loaded.model, 0.5), 32), 1.1, 1.2, 0.9, 0.2)
    assert not torch.allclose(predicted(ctx, changed, 16), predicted(ctx, loaded.model, 16), atol=1e-3)
    assert torch.equal(predicted(ctx, loaded.model), plain)


class Sizes(BlockHook):
    """Writes down the sizes that output blocks see."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def rejoined(self, h: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append((h.shape[-1], skip.shape[-1]))
        return h, skip


@pytest.mark.parametrize("after_skip", [True, False])
def test_the_inside_is_computed_smaller_for_a_while(after_skip: bool) -> None:
    unet, context = models.sd1_parts().unet, noise(1, 7, 64, seed=2)
    option = DownscaleOption(block=1, factor=2.0, start=0.0, end=0.35, after_skip=after_skip)
    hook = Downscale(option, first=999.0, last=500.0)
    for timestep, inside in ((900.0, 4), (400.0, 8)):
        sizes = Sizes()
        x = noise(1, 4, 16, 16)
        out = walk(unet, (sizes, hook), x, torch.tensor([timestep]), encoder_hidden_states=context)
        assert out.shape == x.shape
        assert sizes.seen[0] == (inside, inside)


def test_deep_shrink_acts_in_its_part_of_the_run(ctx: Context, loaded: LoadedCheckpoint) -> None:
    shrunk = deep_shrink(
        ctx, loaded.model, 1, 2.0, 0.0, 0.35, downscale_method="bicubic", upscale_method="bicubic"
    )
    assert not torch.allclose(
        predicted(ctx, shrunk, 16, 900.0), predicted(ctx, loaded.model, 16, 900.0), atol=1e-3
    )
    assert torch.allclose(
        predicted(ctx, shrunk, 16, 300.0), predicted(ctx, loaded.model, 16, 300.0), atol=1e-5
    )


class Mean(nn.Module):
    """Attention that gives every token the mean of its row."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden.mean(dim=1, keepdim=True).expand_as(hidden)


def test_tiles_attend_to_themselves_alone() -> None:
    hook = HyperTile(HyperTileOption(tile_size=32, swap_size=1, max_depth=0, scale_depth=False))
    hook.begin(noise(2, 4, 8, 12), torch.zeros(2))
    hidden = noise(2, 96, 5)
    found = hook.attended(Mean(), hidden).reshape(2, 8, 12, 5)
    grid = hidden.reshape(2, 2, 4, 3, 4, 5)
    expected = grid.mean(dim=(2, 4), keepdim=True).expand_as(grid).reshape(2, 8, 12, 5)
    assert torch.allclose(found, expected, atol=1e-6)
    inner = noise(2, 24, 5)
    assert torch.allclose(hook.attended(Mean(), inner), Mean()(inner))


def test_merged_tokens_share_what_they_get() -> None:
    hook = MergedTokens(0.5)
    hook.begin(noise(1, 4, 4, 4), torch.zeros(1))
    corners = noise(1, 4, 6)
    places = torch.arange(16).reshape(4, 4)
    block = (torch.div(torch.arange(4), 2, rounding_mode="floor")[:, None] * 2) + torch.div(
        torch.arange(4), 2, rounding_mode="floor"
    )
    hidden = corners[:, block[places // 4, places % 4].flatten()]
    seen: list[int] = []

    class Counting(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:
            seen.append(tokens.shape[1])
            return tokens * 2

    assert torch.allclose(hook.attended(Counting(), hidden), hidden * 2, atol=1e-5)
    assert seen == [8]


def test_all_of_them_in_a_run(ctx: Context, loaded: LoadedCheckpoint) -> None:
    model = free_u_v2(ctx, hyper_tile(ctx, token_merging(ctx, loaded.model, 0.3), 32), 1.2, 1.1, 0.9, 0.8)
    results = []
    for _ in range(2):
        sampled = k_sampler(
            ctx,
            model=perturbed_attention_guidance(model, 2.0),
            seed=1,
            steps=2,
            cfg=3.0,
            sampler_name="euler",
            scheduler="normal",
            positive=clip_encode(ctx, "a cat", loaded.clip),
            negative=clip_encode(ctx, "", loaded.clip),
            latent_image=Latent(torch.zeros(1, 4, 16, 12)),
        )
        results.append(sampled.samples)
    assert torch.equal(results[0], results[1])
    assert torch.isfinite(results[0]).all()


def test_a_streamed_network_is_changed_too(
    ctx: Context, loaded: LoadedCheckpoint, tiny_models: TinyModels, tmp_path: Path
) -> None:
    """A network that is larger than the device's room gives the same with its layers coming over one by one."""
    size = sum(tensor.nbytes for tensor in models.sd1_parts().unet.state_dict().values())
    small = detached_context(
        models_dirs=(tiny_models.folder,),
        device="cpu",
        dtype="fp32",
        device_memory_bytes=int(size * 0.6 / WEIGHT_SHARE),
    )
    model = free_u_v2(ctx, hyper_tile(ctx, loaded.model, 32), 1.2, 1.1, 0.9, 0.8)
    assert small.service(ModelStore).told_streaming(model) is not None
    assert torch.equal(predicted(small, model, 16), predicted(ctx, model, 16))


def test_another_dtype(ctx: Context, loaded: LoadedCheckpoint) -> None:
    with ctx.service(ModelStore).network(model_compute_dtype(loaded.model, "bf16")) as network:
        assert network.dtype == torch.bfloat16
    with ctx.service(ModelStore).network(model_compute_dtype(loaded.model, "default")) as network:
        assert network.dtype == torch.float32


def test_transformers_are_refused_before_weights_are_read(ctx: Context, tiny_models: TinyModels) -> None:
    model = load_checkpoint(ctx, tiny_models.sd3().name).model
    with pytest.raises(InputError, match="for UNets"):
        free_u(ctx, model)
    assert ctx.service(ModelStore).usage().entries == 0


def hypernetwork(width: int, *, seed: int = 1) -> dict[str, Tensor]:
    """Two layers, twice as wide inside, with a norm between them."""
    found = {}
    for side in range(2):
        prefix = f"{width}.{side}.linear"
        found |= {
            f"{prefix}.0.weight": noise(2 * width, width, seed=seed + side) / 8,
            f"{prefix}.0.bias": noise(2 * width, seed=seed + side + 10),
            f"{prefix}.2.weight": noise(2 * width, seed=seed + side + 20),
            f"{prefix}.2.bias": noise(2 * width, seed=seed + side + 30),
            f"{prefix}.3.weight": noise(width, 2 * width, seed=seed + side + 40) / 8,
            f"{prefix}.3.bias": noise(width, seed=seed + side + 50),
        }
    return found


def write(path: Path, tensors: dict[str, Tensor], activation: str = "relu") -> Path:
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path, metadata={"activation_func": activation, "activate_output": "False"})
    return path


def test_a_hypernetwork_computes_layer_by_layer(tmp_path: Path) -> None:
    tensors = hypernetwork(64)
    network = open_hypernetwork(write(tmp_path / "h.safetensors", tensors)).network(64, 1)
    x = noise(3, 64)
    name = "64.1.linear"
    inner = torch.relu(x @ tensors[f"{name}.0.weight"].T + tensors[f"{name}.0.bias"])
    inner = nn.functional.layer_norm(inner, (128,), tensors[f"{name}.2.weight"], tensors[f"{name}.2.bias"])
    expected = inner @ tensors[f"{name}.3.weight"].T + tensors[f"{name}.3.bias"]
    assert torch.allclose(network(x), expected, atol=1e-4)


def test_a_hypernetwork_changes_what_text_says(
    ctx: Context, loaded: LoadedCheckpoint, tmp_path: Path
) -> None:
    write(tmp_path / "hypernetworks" / "h.safetensors", hypernetwork(64))
    write(tmp_path / "hypernetworks" / "zero.safetensors", {k: v * 0 for k, v in hypernetwork(64).items()})
    plain = predicted(ctx, loaded.model)
    changed = load_hypernetwork(ctx, loaded.model, "h.safetensors", 0.5)
    assert not torch.allclose(predicted(ctx, changed), plain, atol=1e-3)
    twice = load_hypernetwork(ctx, changed, "zero.safetensors", 1.0)
    assert torch.allclose(predicted(ctx, twice), predicted(ctx, changed), atol=1e-5)
    assert load_hypernetwork(ctx, loaded.model, "h.safetensors", 0.0) == loaded.model
    assert torch.equal(predicted(ctx, loaded.model), plain)
    codec = ValueCodec()
    assert codec.decode(codec.encode((twice,))) == (twice,)


def test_a_pickled_hypernetwork_becomes_a_safe_file(tmp_path: Path) -> None:
    tensors = hypernetwork(64)
    sides = [
        {name.split(".", 2)[2]: value for name, value in tensors.items() if name.startswith(f"64.{side}.")}
        for side in range(2)
    ]
    torch.save(
        {64: tuple(sides), "activation_func": "tanh", "activate_output": True, "step": 100, "name": "x"},
        tmp_path / "old.pt",
    )
    convert_checkpoint(tmp_path / "old.pt", tmp_path / "new.safetensors", Changes())
    opened = open_hypernetwork(tmp_path / "new.safetensors")
    assert opened.widths == {64}
    assert opened.activation is nn.Tanh
    assert opened.activates_output


@pytest.mark.parametrize(
    ("tensors", "activation", "message"),
    [
        (hypernetwork(640), "relu", "made for another family"),
        ({"a": torch.zeros(2)}, "relu", "is no hypernetwork"),
        ({k: v for k, v in hypernetwork(64).items() if ".1." not in k}, "relu", "layers are missing"),
        (hypernetwork(64), "exec", "has the activation 'exec'"),
    ],
)
def test_a_file_that_does_not_fit_is_told(
    ctx: Context,
    loaded: LoadedCheckpoint,
    tmp_path: Path,
    tensors: dict[str, Tensor],
    activation: str,
    message: str,
) -> None:
    write(tmp_path / "hypernetworks" / "h.safetensors", tensors, activation)
    with pytest.raises(ModelFileError, match=message):
        load_hypernetwork(ctx, loaded.model, "h.safetensors", 1.0)
    assert ctx.service(ModelStore).usage().entries == 0
