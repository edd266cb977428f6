"""What the saving nodes write is loaded by this library and by diffusers, and holds what was merged and adapted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from graphcore import Context, ExecutionError, Graph, InputError, detached_context
from nodes.conditioning.text import clip_encode
from nodes.diffusion.conversion.extraction import low_rank
from nodes.diffusion.store import ModelStore
from nodes.guidance.model_sampling import model_sampling_discrete
from nodes.models.loaders import (
    LoadedCheckpoint,
    load_checkpoint,
    load_clip,
    load_diffusion_model,
    load_triple_clip,
    load_vae,
)
from nodes.models.lora import lora
from nodes.models.merging import clip_merge_subtract, model_merge_simple, model_merge_subtract
from nodes.models.model_files import extract_lora, save_checkpoint, save_clip, save_model, save_vae
from nodes.values import Clip, Model
from tests import models
from tests.tiny_engine import all_nodes, tiny_engine

FAMILIES = ("sd1", "sd2", "sdxl", "sd3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("saving")
    for name in FAMILIES:
        state = getattr(models, f"{name}_state")()
        metadata = {
            "graphcore.tokenizer": models.byte_tokenizer(),
            "graphcore.tokenizer_t5": models.t5_tokenizer(),
        }
        models.write(made / "models" / "checkpoints" / f"{name}.safetensors", state, metadata=metadata)
        stream = torch.Generator().manual_seed(4)
        moved = {key: _moved(value, stream) for key, value in state.items()}
        models.write(made / "models" / "checkpoints" / f"{name}-tuned.safetensors", moved, metadata=metadata)
    return made


def _moved(value: Tensor, stream: torch.Generator) -> Tensor:
    if not value.is_floating_point():
        return value
    if value.ndim < 2:
        return value + 0.05 * torch.randn(value.shape, generator=stream)
    flat = value.flatten(1)
    up, down = torch.randn(len(flat), 2, generator=stream), torch.randn(2, flat.shape[1], generator=stream)
    return value + 0.05 * (up @ down).reshape(value.shape)


@pytest.fixture
def ctx(folder: Path, tmp_path: Path) -> Context:
    """Models are found where they are written, too."""
    return detached_context(
        models_dirs=(folder / "models", tmp_path), output_dir=tmp_path, device="cpu", dtype="fp32"
    )


def pair(ctx: Context, name: str) -> tuple[LoadedCheckpoint, LoadedCheckpoint]:
    return load_checkpoint(ctx, f"{name}.safetensors"), load_checkpoint(ctx, f"{name}-tuned.safetensors")


def weights(ctx: Context, model: Model) -> dict[str, Tensor]:
    with ctx.service(ModelStore).network(model) as network:
        return {name: tensor.clone() for name, tensor in network.module.state_dict().items()}  # type: ignore[attr-defined]


def assert_alike(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 0.0) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.allclose(tensor, other[name], rtol=0, atol=tolerance), name


@pytest.mark.parametrize("name", FAMILIES)
def test_a_merged_checkpoint(ctx: Context, name: str, tmp_path: Path) -> None:
    first, second = pair(ctx, name)
    mixed = model_merge_simple(ctx, first.model, second.model, 0.5)
    save_checkpoint(ctx, mixed, first.clip, second.vae, "checkpoints/mine")
    assert [item["filename"] for item in ctx.shown] == ["mine_00001_.safetensors"]
    again = load_checkpoint(ctx, "mine_00001_.safetensors")
    assert_alike(weights(ctx, again.model), weights(ctx, mixed))
    one, other = clip_encode(ctx, "a red cat", first.clip), clip_encode(ctx, "a red cat", again.clip)
    assert torch.equal(one.entries[0].embeddings, other.entries[0].embeddings)
    store = ctx.service(ModelStore)
    with store.vae(second.vae) as old, store.vae(again.vae) as new:
        assert_alike(old.module.state_dict(), new.module.state_dict())
    assert store.checkpoint(again.model.file).family == store.checkpoint(first.model.file).family


@pytest.mark.parametrize("name", ["sd1", "sdxl"])
def test_diffusers_reads_a_saved_checkpoint(ctx: Context, name: str, tmp_path: Path) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    loaded, _ = pair(ctx, name)
    save_checkpoint(ctx, loaded.model, loaded.clip, loaded.vae, "checkpoints/mine")
    parts = getattr(models, f"{name}_parts")()
    config = models.write_folder(tmp_path / "config", parts)
    file = str(tmp_path / "checkpoints" / "mine_00001_.safetensors")
    unet = UNet2DConditionModel.from_single_file(
        file, config=str(config), subfolder="unet", local_files_only=True
    )
    assert_alike(unet.state_dict(), parts.unet.state_dict())
    vae = AutoencoderKL.from_single_file(file, config=str(config), subfolder="vae", local_files_only=True)
    assert_alike(vae.state_dict(), parts.vae.state_dict())


def test_the_dtype_of_the_file_is_kept(folder: Path, tmp_path: Path) -> None:
    models.write(
        tmp_path / "checkpoints" / "half.safetensors",
        models.sd1_state(),
        dtype=torch.float16,
        metadata={"graphcore.tokenizer": models.byte_tokenizer()},
    )
    ctx = detached_context(models_dirs=(tmp_path,), output_dir=tmp_path, device="cpu", dtype="fp32")
    loaded = load_checkpoint(ctx, "half.safetensors")
    save_model(ctx, loaded.model, "diffusion_models/half")
    written = load_file(tmp_path / "diffusion_models" / "half_00001_.safetensors")
    source = load_file(tmp_path / "checkpoints" / "half.safetensors")
    assert {tensor.dtype for tensor in written.values()} == {torch.float16}
    assert all(torch.equal(tensor, source[name]) for name, tensor in written.items())


@pytest.mark.parametrize("name", FAMILIES)
def test_the_parts_by_themselves(ctx: Context, name: str) -> None:
    loaded, _ = pair(ctx, name)
    save_model(ctx, loaded.model, f"diffusion_models/{name}")
    save_clip(ctx, loaded.clip, f"text_encoders/{name}")
    save_vae(ctx, loaded.vae, f"vae/{name}")
    network = load_diffusion_model(ctx, f"{name}_00001_.safetensors", "default")
    assert_alike(weights(ctx, network), weights(ctx, loaded.model))
    files = [str(item["filename"]) for item in ctx.shown if item["subfolder"] == "text_encoders"]
    expected = clip_encode(ctx, "a cat", loaded.clip).entries[0].embeddings
    if name == "sd3":
        found = clip_encode(ctx, "a cat", load_triple_clip(ctx, *files)).entries[0].embeddings
        assert torch.equal(found, expected)
    elif name == "sd1":
        found = clip_encode(ctx, "a cat", load_clip(ctx, files[0], "stable_diffusion")).entries[0].embeddings
        assert torch.equal(found, expected)
    assert len(files) == {"sd1": 1, "sd2": 1, "sdxl": 2, "sd3": 3}[name]
    store = ctx.service(ModelStore)
    vae = load_vae(ctx, f"{name}_00001_.safetensors")
    with store.vae(loaded.vae) as old, store.vae(vae) as new:
        assert_alike(old.module.state_dict(), new.module.state_dict())


def test_what_a_model_predicts_is_written_too(ctx: Context, tmp_path: Path) -> None:
    loaded, _ = pair(ctx, "sdxl")
    told = model_sampling_discrete(ctx, loaded.model, "v_prediction", zsnr=True)
    save_checkpoint(ctx, told, loaded.clip, loaded.vae, "checkpoints/v")
    again = load_checkpoint(ctx, "v_00001_.safetensors")
    found: Any = ctx.service(ModelStore).checkpoint(again.model.file).parameterization
    assert (found.prediction, found.zero_snr) == ("v_prediction", True)
    with safe_open(tmp_path / "checkpoints" / "v_00001_.safetensors", framework="pt") as file:
        assert {"v_pred", "ztsnr"} <= set(file.keys())
        assert file.metadata()["modelspec.prediction_type"] == "v"


def test_the_text_encoders_of_another_family_are_refused(ctx: Context) -> None:
    one, other = load_checkpoint(ctx, "sd1.safetensors"), load_checkpoint(ctx, "sd2.safetensors")
    with pytest.raises(InputError, match=r"Stable Diffusion 1\.x has no text encoder 'clip_h'"):
        save_checkpoint(ctx, one.model, other.clip, one.vae, "checkpoints/none")


def test_the_workflow_is_in_the_file_and_a_prefix_stays_inside(folder: Path, tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    loaded = graph.LoadCheckpoint(ckpt_name="sd1.safetensors")
    graph.SaveModel(model=loaded.model, filename_prefix="diffusion_models/mine", node_id="save")
    with tiny_engine(tmp_path, folder / "models") as engine:
        assert engine.run(graph.workflow()).succeeded
        file = engine.files.output_dir / "diffusion_models" / "mine_00001_.safetensors"
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata()
        assert json.loads(metadata["prompt"])["save"]["class_type"] in ("SaveModel", "ModelSave")
        graph = Graph(all_nodes())
        loaded = graph.LoadCheckpoint(ckpt_name="sd1.safetensors")
        graph.SaveModel(model=loaded.model, filename_prefix="../mine", node_id="save")
        with pytest.raises(ExecutionError, match="inside the output folder"):
            engine.run(graph.workflow())
    assert not list(tmp_path.glob("mine*"))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_difference_becomes_a_lora(ctx: Context, name: str) -> None:
    """The difference has rank two everywhere, so that two directions say all of it."""
    base, tuned = pair(ctx, name)
    texts: Clip | None = clip_merge_subtract(ctx, tuned.clip, base.clip, 1.0) if name != "sd3" else None
    difference = model_merge_subtract(ctx, tuned.model, base.model, 1.0)
    extract_lora(
        ctx,
        "loras/difference",
        2,
        lora_type="standard",
        bias_diff=True,
        model_diff=difference,
        text_encoder_diff=texts,
    )
    patched = lora(ctx, base.model, base.clip, "difference_00001_.safetensors", 1.0, 1.0)
    found, wanted = weights(ctx, patched.model), weights(ctx, tuned.model)
    for key, tensor in wanted.items():
        if "pos_embed.pos_embed" not in key:
            assert torch.allclose(found[key], tensor, atol=3e-3), key
    if texts is not None:
        assert_texts_alike(ctx, patched.clip, tuned.clip)


def assert_texts_alike(ctx: Context, one: Clip, other: Clip) -> None:
    """All but the tables of tokens and places, which LoRAs do not change."""
    store = ctx.service(ModelStore)
    with store.text_modules(one) as ours, store.text_modules(other) as theirs:
        for (part, module), (_, wanted) in zip(ours, theirs, strict=True):
            expected = wanted.state_dict()
            for key, tensor in module.state_dict().items():
                if "embeddings" not in key:
                    assert torch.allclose(tensor, expected[key], atol=3e-3), (part.name, key)


def test_diffusers_reads_an_extracted_lora(ctx: Context, tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    base, tuned = pair(ctx, "sd1")
    difference = model_merge_subtract(ctx, tuned.model, base.model, 1.0)
    extract_lora(ctx, "loras/plain", 2, lora_type="standard", bias_diff=False, model_diff=difference)
    state, alphas = StableDiffusionPipeline.lora_state_dict(
        str(tmp_path / "loras"), weight_name="plain_00001_.safetensors", local_files_only=True
    )
    assert any("attn1" in key and "to_q" in key for key in state)
    assert set(alphas.values()) <= {2.0, 1.0}


def test_the_nearest_matrix_of_a_rank() -> None:
    weight = torch.randn(40, 24, 3, 3, generator=torch.Generator().manual_seed(1))
    up, down = low_rank(weight, 5)
    assert up.shape == (40, 5, 1, 1)
    assert down.shape == (5, 24, 3, 3)
    left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    best = (left[:, :5] * values[:5]) @ right[:5]
    assert torch.allclose(up.flatten(1) @ down.flatten(1), best, atol=1e-4)


def test_large_matrices_give_the_same_each_time() -> None:
    stream = torch.Generator().manual_seed(2)
    weight = torch.randn(900, 3, generator=stream) @ torch.randn(3, 800, generator=stream)
    torch.manual_seed(5)
    one = low_rank(weight, 4)
    torch.manual_seed(6)
    other = low_rank(weight, 4)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert torch.allclose(one[0] @ one[1], weight, atol=1e-3)


def test_nothing_to_extract_is_told(ctx: Context) -> None:
    with pytest.raises(InputError, match="nothing to extract"):
        extract_lora(ctx, "loras/none", 2, lora_type="standard")
