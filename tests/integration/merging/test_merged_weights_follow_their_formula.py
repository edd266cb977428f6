"""Merged models compute with own * first + others * second, in the order of the nodes, and cost nothing until then."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphcore import Context, ModelFileError, Registry, detached_context
from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.layouts import mmdit, unet
from nodes.diffusion.store import ModelStore
from nodes.guidance.model_patches import clip_attention_multiply, unet_cross_attention_multiply
from nodes.models.loaders import LoadedCheckpoint, load_checkpoint
from nodes.models.merging import (
    clip_merge_add,
    clip_merge_simple,
    clip_merge_subtract,
    model_merge_add,
    model_merge_blocks,
    model_merge_simple,
    model_merge_subtract,
)
from nodes.pack import register
from nodes.values import Clip, Model
from tests import models

State = Mapping[str, Tensor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_models: models.TinyModels) -> Path:
    made = tmp_path_factory.mktemp("merging")
    (made / "checkpoints").mkdir()
    metadata = {"graphcore.tokenizer": models.byte_tokenizer()}
    for name, state in (
        ("sd1", models.sd1_state()),
        ("sdxl", models.sdxl_state()),
        ("sd3", models.sd3_state()),
        ("inpaint", models.sd1_state(in_channels=9)),
    ):
        models.write(made / "checkpoints" / f"{name}.safetensors", state, metadata=metadata)
        stream = torch.Generator().manual_seed(9)
        moved = {
            key: value + 0.1 * torch.randn(value.shape, generator=stream)
            if value.is_floating_point()
            else value
            for key, value in state.items()
        }
        models.write(made / "checkpoints" / f"{name}-tuned.safetensors", moved, metadata=metadata)
    return made


@pytest.fixture(scope="module")
def ctx(folder: Path) -> Context:
    return detached_context(models_dirs=(folder,), device="cpu", dtype="fp32")


def pair(ctx: Context, name: str) -> tuple[LoadedCheckpoint, LoadedCheckpoint]:
    return load_checkpoint(ctx, f"{name}.safetensors"), load_checkpoint(ctx, f"{name}-tuned.safetensors")


def weights(ctx: Context, model: Model) -> dict[str, Tensor]:
    with ctx.service(ModelStore).network(model) as network:
        return {name: tensor.clone() for name, tensor in network.module.state_dict().items()}  # type: ignore[attr-defined]


def text_weights(ctx: Context, clip: Clip) -> dict[str, Tensor]:
    with ctx.service(ModelStore).text_modules(clip) as modules:
        return {
            f"{part.name}.{name}": tensor.clone()
            for part, module in modules
            for name, tensor in module.state_dict().items()
        }


def assert_mixed(found: State, one: State, other: State, own: float, others: float) -> None:
    assert found.keys() == one.keys()
    for name, tensor in found.items():
        assert torch.allclose(tensor, own * one[name] + others * other[name], atol=1e-6), name


@pytest.mark.parametrize("name", ["sd1", "sdxl", "sd3"])
def test_simple_subtract_and_add(ctx: Context, name: str) -> None:
    first, second = pair(ctx, name)
    one, other = weights(ctx, first.model), weights(ctx, second.model)
    mixed = model_merge_simple(ctx, first.model, second.model, 0.3)
    assert_mixed(weights(ctx, mixed), one, other, 0.3, 0.7)
    difference = model_merge_subtract(ctx, second.model, first.model, 0.5)
    assert_mixed(weights(ctx, difference), other, one, 0.5, -0.5)
    assert_mixed(weights(ctx, model_merge_add(ctx, first.model, difference)), one, other, 0.5, 0.5)


@pytest.mark.parametrize("name", ["sd1", "sdxl", "sd3"])
def test_text_encoders(ctx: Context, name: str) -> None:
    first, second = (loaded.clip for loaded in pair(ctx, name))
    one, other = text_weights(ctx, first), text_weights(ctx, second)
    assert len({key.partition(".")[0] for key in one}) == {"sd1": 1, "sdxl": 2, "sd3": 3}[name]
    assert_mixed(text_weights(ctx, clip_merge_simple(ctx, first, second, 0.25)), one, other, 0.25, 0.75)
    difference = clip_merge_subtract(ctx, second, first, 1.0)
    assert_mixed(text_weights(ctx, clip_merge_add(ctx, first, difference)), one, other, 0.0, 1.0)


def test_thirds_of_a_unet(ctx: Context) -> None:
    first, second = pair(ctx, "sd1")
    one, other = weights(ctx, first.model), weights(ctx, second.model)
    found = weights(ctx, model_merge_blocks(ctx, first.model, second.model, 0.9, 0.5, 0.2))
    originals = {rule.target: rule.original for rule in unet.rules(models.SD1_UNET, one)}
    for name, tensor in found.items():
        shares = {"input_blocks": 0.9, "middle_block": 0.5, "output_blocks": 0.2, "out": 0.2}
        own = shares.get(originals[name].partition(".")[0], 0.9)
        assert torch.allclose(tensor, own * one[name] + (1 - own) * other[name], atol=1e-6), name


def test_every_block_by_its_name(ctx: Context) -> None:
    registry = Registry()
    register(registry)
    first, second = pair(ctx, "sd3")
    one, other = weights(ctx, first.model), weights(ctx, second.model)
    spec = registry.get("ModelMergeSD3_2B")
    assert spec is not None
    shares: dict[str, Any] = {
        item.name: number / 100 for number, item in enumerate(spec.inputs) if item.type.name == "FLOAT"
    }
    merged = spec.function(ctx=ctx, model1=first.model, model2=second.model, **shares)
    config = dict(models.sd3_parts().unet.config)
    originals = {rule.target: rule.original for rule in mmdit.rules(config, one)}
    for name, tensor in weights(ctx, merged).items():
        own = max(
            (
                (len(prefix), share)
                for prefix, share in shares.items()
                if f"{originals[name]}.".startswith(prefix)
            ),
        )[1]
        assert torch.allclose(tensor, own * one[name] + (1 - own) * other[name], atol=1e-5), name


@pytest.mark.parametrize(
    ("name", "count", "some"),
    [
        ("ModelMergeSD1", 30, "input_blocks.11."),
        ("ModelMergeSD2", 30, "middle_block.2."),
        ("ModelMergeSDXL", 24, "output_blocks.8"),
        ("ModelMergeSD3_2B", 30, "joint_blocks.23."),
        ("ModelMergeSD35_Large", 44, "joint_blocks.37."),
    ],
)
def test_the_names_are_those_of_comfyui(name: str, count: int, some: str) -> None:
    registry = Registry()
    register(registry)
    spec = registry.get(name)
    assert spec is not None
    shares = [item for item in spec.inputs if item.type.name == "FLOAT"]
    assert len(shares) == count
    assert some in spec.by_name
    assert all(item.default == 1.0 for item in shares)


def test_what_a_network_for_inpainting_sees_beside_is_kept(ctx: Context) -> None:
    """The known recipe: what a model learned over its base, added to the inpainting model of that base."""
    base, tuned = pair(ctx, "sd1")
    inpaint = load_checkpoint(ctx, "inpaint.safetensors")
    before = weights(ctx, inpaint.model)
    learned = model_merge_subtract(ctx, tuned.model, base.model, 1.0)
    after = weights(ctx, model_merge_add(ctx, inpaint.model, learned))
    gained = weights(ctx, learned)
    assert torch.allclose(
        after["conv_in.weight"][:, :4], before["conv_in.weight"][:, :4] + gained["conv_in.weight"]
    )
    assert torch.equal(after["conv_in.weight"][:, 4:], before["conv_in.weight"][:, 4:])
    assert torch.allclose(after["conv_out.weight"], before["conv_out.weight"] + gained["conv_out.weight"])


def test_models_of_different_families_are_refused_before_weights_are_read(ctx: Context, folder: Path) -> None:
    fresh = detached_context(models_dirs=(folder,), device="cpu", dtype="fp32")
    one, other = load_checkpoint(fresh, "sd1.safetensors"), load_checkpoint(fresh, "sdxl.safetensors")
    with pytest.raises(ModelFileError, match=r"'sd1\.safetensors' and 'sdxl\.safetensors' cannot be mixed"):
        model_merge_simple(fresh, one.model, other.model, 0.5)
    with pytest.raises(ModelFileError, match="cannot be mixed"):
        clip_merge_add(fresh, other.clip, one.clip)
    assert fresh.service(ModelStore).usage().entries == 0


def test_merging_alone_reads_no_weights_and_the_originals_stay(ctx: Context, folder: Path) -> None:
    fresh = detached_context(models_dirs=(folder,), device="cpu", dtype="fp32")
    first, second = pair(fresh, "sd1")
    before = weights(ctx, first.model)
    mixed = model_merge_simple(fresh, first.model, second.model, 0.5)
    assert fresh.service(ModelStore).usage().entries == 0
    weights(fresh, mixed)
    after = weights(fresh, first.model)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_merge_of_one_with_itself_is_itself(ctx: Context) -> None:
    first, _ = pair(ctx, "sd1")
    mixed = weights(ctx, model_merge_simple(ctx, first.model, first.model, 0.5))
    assert all(
        torch.allclose(mixed[key], value, atol=1e-7) for key, value in weights(ctx, first.model).items()
    )


def test_a_file_that_was_replaced_meanwhile_is_not_mixed_in(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "checkpoints", tmp_path / "checkpoints")
    ctx = detached_context(models_dirs=(tmp_path,), device="cpu", dtype="fp32")
    first, second = pair(ctx, "sd1")
    mixed = model_merge_simple(ctx, first.model, second.model, 0.5)
    other = tmp_path / "checkpoints" / "sd1-tuned.safetensors"
    other.unlink()
    shutil.copy(tmp_path / "checkpoints" / "sdxl.safetensors", other)
    with pytest.raises(ModelFileError, match="replaced by another file"):
        weights(ctx, mixed)


def test_projections_of_attention_are_multiplied(ctx: Context) -> None:
    first, second = pair(ctx, "sd1")
    one, other = weights(ctx, first.model), weights(ctx, second.model)
    mixed = model_merge_simple(ctx, first.model, second.model, 0.5)
    found = weights(ctx, unet_cross_attention_multiply(ctx, mixed, 2.0, 1.0, 1.0, 0.5))
    for name, tensor in found.items():
        factor = 2.0 if ".attn2.to_q." in name else 0.5 if ".attn2.to_out.0." in name else 1.0
        assert torch.allclose(tensor, factor * 0.5 * (one[name] + other[name]), atol=1e-6), name
    texts, plain = (
        text_weights(ctx, clip_attention_multiply(first.clip, k=3.0)),
        text_weights(ctx, first.clip),
    )
    for name, tensor in texts.items():
        assert torch.allclose(tensor, plain[name] * (3.0 if ".self_attn.k_proj." in name else 1.0)), name


def test_a_merge_survives_the_store(ctx: Context) -> None:
    first, second = pair(ctx, "sd1")
    mixed = model_merge_blocks(ctx, first.model, second.model, 0.9, 0.5, 0.2)
    codec = ValueCodec()
    assert codec.accepts((mixed,))
    assert codec.decode(codec.encode((mixed,))) == (mixed,)
