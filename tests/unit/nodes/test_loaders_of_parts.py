"""Loaders of parts, folders and configurations: what they mean, and what they refuse before any weights are read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcore import Context, Graph, InputError, ModelFileError, detached_context
from nodes.conditioning.text import clip_encode, clip_set_last_layer
from nodes.diffusion.ksampling import parameterization_of
from nodes.diffusion.parameterization import DiscreteDiffusion
from nodes.diffusion.store import ModelStore
from nodes.models.loaders import (
    load_checkpoint,
    load_checkpoint_with_config,
    load_clip,
    load_diffusers_folder,
    load_diffusion_model,
    load_dual_clip,
    load_triple_clip,
    load_vae,
)
from tests import models
from tests.models import TinyModels
from tests.tiny_engine import all_nodes, tiny_engine

CONFIG = """
model:
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    parameterization: "v"
    cond_stage_config:
      target: ldm.modules.encoders.modules.FrozenCLIPEmbedder
      params:
        layer: "hidden"
        layer_idx: -2
"""


@pytest.fixture
def folder(tmp_path: Path, tiny_models: TinyModels) -> Path:
    for name in ("checkpoints", "configs", "text_encoders", "diffusers"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoints" / "m.safetensors").symlink_to(tiny_models.sd1())
    metadata = {
        "graphcore.tokenizer": models.byte_tokenizer(),
        "graphcore.tokenizer_t5": models.t5_tokenizer(),
    }
    for name, module in models.sd3_parts().texts.items():
        state = module.state_dict() if name == "t5" else models.clip_state(module)
        models.write(tmp_path / "text_encoders" / f"{name}.safetensors", state, metadata=metadata)
    return tmp_path


@pytest.fixture
def ctx(folder: Path) -> Context:
    return detached_context(models_dirs=(folder,), device="cpu", dtype="fp32")


def test_a_configuration_says_what_is_predicted_and_the_layer_of_text(ctx: Context, folder: Path) -> None:
    (folder / "configs" / "v.yaml").write_text(CONFIG)
    loaded, plain = (
        load_checkpoint_with_config(ctx, "v.yaml", "m.safetensors"),
        load_checkpoint(ctx, "m.safetensors"),
    )
    found = parameterization_of(ctx, loaded.model)
    assert isinstance(found, DiscreteDiffusion)
    assert found.prediction == "v_prediction"
    one = clip_encode(ctx, "a cat", loaded.clip).entries[0].embeddings
    other = clip_encode(ctx, "a cat", clip_set_last_layer(plain.clip, -2)).entries[0].embeddings
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{", "cannot be read as YAML"),
        ("a: 1", "is no configuration of a model"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as YAML"),
        ("model: {params: {parameterization: flow}}", "has the parameterization 'flow'"),
        (CONFIG.replace("-2", "3"), "has the text layer 3"),
    ],
)
def test_a_configuration_that_is_none_is_told(ctx: Context, folder: Path, text: str, message: str) -> None:
    (folder / "configs" / "bad.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_checkpoint_with_config(ctx, "bad.yaml", "m.safetensors")


def test_a_folder_is_offered_and_loaded(ctx: Context, folder: Path) -> None:
    models.write_folder(folder / "diffusers" / "tiny", models.sd1_parts())
    (folder / "diffusers" / "tiny" / "model_index.json").write_text("{}")
    assert ctx.files.names("diffusers") == ("tiny",)
    store = ctx.service(ModelStore)
    with (
        store.network(load_diffusers_folder(ctx, "tiny").model) as one,
        store.network(load_checkpoint(ctx, "m.safetensors").model) as other,
    ):
        x, context = torch.ones(1, 4, 8, 8), {"context": torch.ones(1, 7, 64)}
        assert torch.allclose(
            one(x, torch.tensor([5.0]), context), other(x, torch.tensor([5.0]), context), atol=1e-6
        )


def test_the_text_encoders_of_sd3_in_any_order(ctx: Context, tiny_models: TinyModels) -> None:
    names = ("t5.safetensors", "clip_g.safetensors", "clip_l.safetensors")
    one, other = load_triple_clip(ctx, *names), load_triple_clip(ctx, *reversed(names))
    found = [clip_encode(ctx, "a red cat", clip).entries[0] for clip in (one, other)]
    assert torch.equal(found[0].embeddings, found[1].embeddings)
    without_t5 = clip_encode(ctx, "a red cat", load_dual_clip(ctx, *names[1:], "sd3")).entries[0]
    assert without_t5.pooled is not None
    assert torch.equal(without_t5.pooled, found[0].pooled)  # type: ignore[arg-type]


def test_a_text_encoder_that_is_missing_is_named_before_anything_is_encoded(ctx: Context) -> None:
    with pytest.raises(ModelFileError, match="No text encoder 'clip_l' of SDXL"):
        load_dual_clip(ctx, "t5.safetensors", "t5.safetensors", "sdxl")


def test_files_that_hold_something_else_are_told_where_they_are_named(ctx: Context, folder: Path) -> None:
    for place in ("checkpoints", "vae", "diffusion_models"):
        (folder / place).mkdir(exist_ok=True)
        (folder / place / "cut.safetensors").write_bytes(
            (folder / "checkpoints/m.safetensors").read_bytes()[:-9]
        )
        (folder / place / "text.safetensors").symlink_to(folder / "text_encoders/clip_l.safetensors")
    for load in (load_checkpoint, load_vae, lambda ctx, name: load_diffusion_model(ctx, name, "default")):
        with pytest.raises(ModelFileError, match=r"cut\.safetensors is truncated"):
            load(ctx, "cut.safetensors")
        with pytest.raises(
            ModelFileError, match=r"text\.safetensors holds no '(unet|vae)' \(it holds text\)"
        ):
            load(ctx, "text.safetensors")


def test_a_checkpoint_without_a_vae_says_so_when_it_is_loaded(folder: Path, tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in models.sd1_state().items() if "first_stage" not in name}
    models.write(folder / "checkpoints" / "bare.safetensors", state)
    shown = {}
    for name in ("bare", "m"):
        graph = Graph(all_nodes())
        graph.output("model", graph.LoadCheckpoint(ckpt_name=f"{name}.safetensors").model)
        with tiny_engine(tmp_path / name, folder) as engine:
            shown[name] = str(engine.run(graph.workflow()).shown)
    assert "bare.safetensors holds no VAE; decode with one of its own file" in shown["bare"]
    assert "VAE" not in shown["m"]


@pytest.mark.parametrize("kind", ["wan", "hidream", "flux2"])
def test_text_encoders_of_other_families_are_refused(ctx: Context, kind: str) -> None:
    with pytest.raises(InputError, match=f"type '{kind}' are not supported"):
        load_clip(ctx, "clip_l.safetensors", kind)  # type: ignore[arg-type]


def test_four_text_encoders_are_refused_when_the_workflow_is_checked(folder: Path, tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    names = {f"clip_name{number}": "clip_l.safetensors" for number in range(1, 5)}
    clip = graph.QuadrupleCLIPLoader(**names)
    graph.output("text", graph.CLIPEncode(text="a", clip=clip))
    with tiny_engine(tmp_path / "engine", folder) as engine:
        problems = engine.validate(graph.workflow())
    assert ["HiDream" in problem.message for problem in problems] == [True]
