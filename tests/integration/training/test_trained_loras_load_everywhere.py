"""What TrainLoRA saves loads in diffusers and in our loader, and both then predict what the trained network does."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from graphcore import Engine, RunResult
from nodes.diffusion.store import ModelStore
from nodes.values import Clip, FileRef, LoraPatch, LoraWeights, Model
from tests import models
from tests.integration.test_whole_images import folder_for, pipeline
from tests.integration.training.sketches import training_graph, write_pictures
from tests.models import TinyModels
from tests.tiny_engine import tiny_engine

FAMILIES = ("sd1", "sd2", "sdxl", "sd3")


def prediction(engine: Engine, model: Model) -> Tensor:
    """What a network says of fixed noise and text vectors, with every adapter at work."""
    with engine.services.get(ModelStore).network(model) as network, torch.no_grad():
        return seen_by(network.module)  # type: ignore[attr-defined]


def seen_by(module: Any) -> Tensor:
    stream = torch.Generator().manual_seed(2)
    config = module.config
    x = torch.randn(1, config.in_channels, 8, 8, generator=stream)
    extra: dict[str, Any] = {}
    if hasattr(config, "joint_attention_dim"):
        context = torch.randn(1, 9, config.joint_attention_dim, generator=stream)
        pooled = torch.randn(1, config.pooled_projection_dim, generator=stream)
        found: Tensor = module(
            hidden_states=x,
            timestep=torch.tensor([300.0]),
            encoder_hidden_states=context,
            pooled_projections=pooled,
            return_dict=False,
        )[0]
        return found
    context = torch.randn(1, 9, config.cross_attention_dim, generator=stream)
    if config.addition_embed_type:
        width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        extra["added_cond_kwargs"] = {
            "text_embeds": torch.randn(1, width, generator=stream),
            "time_ids": torch.tensor([[64.0, 64.0, 0.0, 0.0, 64.0, 64.0]]),
        }
    return module(x, torch.tensor(300.0), encoder_hidden_states=context, return_dict=False, **extra)[0]


def train(engine: Engine, checkpoint: str, **inputs: Any) -> tuple[RunResult, Path]:
    write_pictures(engine.files.input_dir / "learn")
    result = engine.run(training_graph(checkpoint, **inputs).workflow())
    saved = result.shown["save"][0]
    return result, engine.files.output_dir / str(saved["subfolder"]) / str(saved["filename"])


def diffusers_module(family: str, folder: Path, lora: Path) -> Any:
    """The network of diffusers' own pipeline with the LoRA loaded."""
    parts = getattr(models, f"{family}_parts")()
    parts = replace(parts, unet=copy.deepcopy(parts.unet))
    if family == "sd3":
        assert not diffusers.SD3Transformer2DModel._hf_peft_config_loaded
        state, _ = diffusers.StableDiffusion3Pipeline.lora_state_dict(lora, return_lora_metadata=True)[:2]
        diffusers.StableDiffusion3Pipeline.load_lora_into_transformer(state, parts.unet)
        return parts.unet
    pipe = pipeline(folder_for(folder, parts, {}), parts, {})
    pipe.load_lora_weights(str(lora))
    return pipe.unet


@pytest.mark.parametrize("family", FAMILIES)
def test_diffusers_loads_it_with_equal_output(
    family: str, tmp_path: Path, tiny_models: TinyModels, no_network: None
) -> None:
    checkpoint = getattr(tiny_models, family)().name
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        result, lora = train(engine, checkpoint)
        trained = result["model"]
        assert isinstance(trained, Model)
        ours = prediction(engine, trained)
        untrained = prediction(engine, replace(trained, patches=()))
    assert float((ours - untrained).abs().max()) > 1e-3
    with torch.no_grad():
        theirs = seen_by(diffusers_module(family, tmp_path / "folder", lora))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_our_own_loader_takes_the_file(family: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    checkpoint = getattr(tiny_models, family)().name
    (tmp_path / "models" / "loras").mkdir(parents=True)
    with tiny_engine(
        tmp_path, tiny_models.folder, models_dirs=(tiny_models.folder, tmp_path / "models")
    ) as engine:
        result, lora = train(engine, checkpoint, train_text_encoder=True)
        model, clip, weights = result["model"], result["clip"], result["lora"]
        assert isinstance(model, Model)
        assert isinstance(clip, Clip)
        assert isinstance(weights, LoraWeights)
        lora.rename(tmp_path / "models" / "loras" / "mine.safetensors")
        file = FileRef(kind="loras", name="mine.safetensors", fingerprint=weights.digest)
        file = replace(
            file, fingerprint=engine.files.fingerprint(engine.files.resolve("loras", "mine.safetensors"))
        )
        patch = LoraPatch(file=file, strength=1.0)
        torch.testing.assert_close(
            prediction(engine, model), prediction(engine, replace(model, patches=(patch,))), rtol=0, atol=0
        )
        store = engine.services.get(ModelStore)
        found = []
        for chosen in (clip, replace(clip, patches=(patch,)), replace(clip, patches=())):
            with store.text_encoder(chosen) as encoder:
                found.append(encoder.encode("a red cat").embeddings)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert float((found[0] - found[2]).abs().max()) > 1e-3


def test_the_file_is_as_kohyas_trainer_writes_it(tmp_path: Path, tiny_models: TinyModels) -> None:
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        _, lora = train(engine, tiny_models.sd1().name, train_text_encoder=True, layers="all")
    with safe_open(lora, framework="pt") as file:
        names, metadata = set(file.keys()), file.metadata()
        alpha = file.get_tensor("lora_unet_mid_block_attentions_0_proj_in.alpha")
        down = file.get_tensor("lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight")
        up = file.get_tensor("lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight")
    modules = {name.partition(".")[0] for name in names}
    assert all(
        {f"{module}.lora_down.weight", f"{module}.lora_up.weight", f"{module}.alpha"} <= names
        for module in modules
    )
    assert "lora_te_text_model_encoder_layers_0_self_attn_q_proj" in modules
    assert float(alpha) == 2.0
    assert down.shape[0] == up.shape[1] == 4
    assert down.shape[2:] == (3, 3)
    assert up.shape[2:] == (1, 1)
    assert metadata["ss_network_dim"] == "4"
    assert metadata["ss_network_module"] == "networks.lora"
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert json.loads(metadata["graphcore.training"])["steps"] == 4
