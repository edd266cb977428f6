"""Adapters learn what they are shown; checkpointing, accumulation and mixed sizes do not change what is learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch

from graphcore import Engine, Graph
from nodes.values import Image, LoraWeights, LossCurve, Model
from tests.integration.training.sketches import squares, training_graph, write_pictures
from tests.integration.training.test_trained_loras_load_everywhere import seen_by
from tests.models import TinyModels
from tests.tiny_engine import all_nodes, tiny_engine


def trained(engine: Engine, checkpoint: str, **inputs: Any) -> tuple[LoraWeights, LossCurve, Image]:
    write_pictures(engine.files.input_dir / "learn")
    result = engine.run(training_graph(checkpoint, **inputs).workflow())
    lora, loss, curve = result["lora"], result["loss"], result["loss_curve"]
    assert isinstance(lora, LoraWeights)
    assert isinstance(loss, LossCurve)
    assert isinstance(curve, Image)
    return lora, loss, curve


def test_the_loss_falls_and_is_drawn(tmp_path: Path, tiny_models: TinyModels) -> None:
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        _, loss, curve = trained(engine, tiny_models.sd1().name, steps=80, learning_rate=0.02, layers="all")
    assert mean(loss.values[-20:]) < 0.8 * mean(loss.values[:20])
    assert curve.pixels.shape == (1, 400, 640, 3)
    assert float((curve.pixels[0, :, :, 2] - curve.pixels[0, :, :, 0]).max()) > 0.4


def test_gradient_checkpointing_changes_nothing(tmp_path: Path, tiny_models: TinyModels) -> None:
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        plain, _, _ = trained(engine, tiny_models.sd1().name, name="a")
        saving, _, _ = trained(engine, tiny_models.sd1().name, name="b", gradient_checkpointing=True)
    for name, tensor in plain.tensors.items():
        torch.testing.assert_close(tensor, saving.tensors[name], rtol=1e-4, atol=1e-6)


def test_pictures_of_several_sizes(tmp_path: Path, tiny_models: TinyModels) -> None:
    from nodes.diffusion.pictures import png_bytes

    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        learn = engine.files.input_dir / "learn"
        learn.mkdir()
        for side in (48, 64, 80):
            (learn / f"{side}.png").write_bytes(png_bytes(squares(1, side).pixels[0], {}))
        result = engine.run(training_graph(tiny_models.sdxl().name, steps=6).workflow())
    loss = result["loss"]
    assert isinstance(loss, LossCurve)
    assert len(loss.values) == 6


def test_comfyuis_node_learns_from_latents_and_goes_on_from_a_lora(
    tmp_path: Path, tiny_models: TinyModels
) -> None:
    def graph(existing: str, rank: int = 2) -> Graph:
        graph = Graph(all_nodes())
        loaded = graph.CheckpointLoaderSimple(ckpt_name=tiny_models.sd1().name)
        latent = graph.VAEEncode(pixels=graph.EmptyImage(width=64, height=64, color=0x2266AA), vae=loaded.vae)
        text = graph.CLIPTextEncode(text="a red cat", clip=loaded.clip)
        made = graph.TrainLoraNode(
            model=loaded.model,
            latents=latent,
            positive=text,
            steps=3,
            grad_accumulation_steps=2,
            learning_rate=0.01,
            rank=rank,
            lora_dtype="fp32",
            existing_lora=existing,
        )
        graph.SaveLoRA(lora=made.lora, prefix="loras/first", steps=made.steps, node_id="save")
        applied = graph.LoraModelLoader(model=loaded.model, lora=made.lora, strength_model=1.0)
        graph.output("model", applied)
        graph.output("lora", made.lora)
        return graph

    folders = (tiny_models.folder, tmp_path / "models")
    (tmp_path / "models" / "loras").mkdir(parents=True)
    with tiny_engine(tmp_path, tiny_models.folder, models_dirs=folders) as engine:
        first = engine.run(graph("[None]").workflow())
        name = str(first.shown["save"][0]["filename"])
        assert name.startswith("first_3_steps_")
        (engine.files.output_dir / "loras" / name).rename(tmp_path / "models" / "loras" / "first.safetensors")
        second = engine.run(graph("first.safetensors").workflow())
        model, one, other = second["model"], first["lora"], second["lora"]
        assert isinstance(model, Model)
        assert isinstance(one, LoraWeights)
        assert isinstance(other, LoraWeights)
    assert model.patches[0].lora == other  # type: ignore[attr-defined]
    key = "lora_unet_conv_in.lora_down.weight"
    change = float((one.tensors[key] - other.tensors[key]).abs().max())
    assert 0 < change < 0.1


@pytest.mark.parametrize("algorithm", ["LoRA", "LoHa", "LoKr"])
def test_what_the_file_adds_is_what_was_trained(
    algorithm: str, tmp_path: Path, tiny_models: TinyModels
) -> None:
    """The patched network predicts what the network with its adapters predicts, for each kind."""
    from nodes.diffusion.noise import generator
    from nodes.diffusion.store import ModelStore
    from nodes.diffusion.training.lora_tensors import content_digest, named_tensors
    from nodes.diffusion.training.low_rank import RankChoice, attached, fresh_adapters, parameters_of
    from nodes.values import TrainedPatch

    choice = RankChoice(rank=3, alpha=2.0, layers="all", algorithm=algorithm)  # type: ignore[arg-type]
    graph = Graph(all_nodes())
    graph.output("model", graph.LoadCheckpoint(ckpt_name=tiny_models.sdxl().name).model)
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        model = engine.run(graph.workflow())["model"]
        assert isinstance(model, Model)
        store = engine.services.get(ModelStore)
        with store.trainable(model) as network, torch.no_grad():
            module = network.module  # type: ignore[attr-defined]
            adapters = fresh_adapters(module, choice, generator(1))
            before = seen_by(module)
            with attached(module, adapters):
                torch.testing.assert_close(seen_by(module), before, rtol=0, atol=1e-5)
            stream = torch.Generator().manual_seed(3)
            for parameter in parameters_of([adapters]):
                parameter.add_(torch.randn(parameter.shape, generator=stream) * 0.05)
            with attached(module, adapters):
                trained = seen_by(module)
        tensors = named_tensors(adapters, "lora_unet_", torch.float32)
        lora = LoraWeights(digest=content_digest(tensors), steps=1, tensors=tensors, metadata={})
        patch = TrainedPatch(lora=lora, strength=1.0)
        with store.network(replace(model, patches=(patch,))) as network, torch.no_grad():
            patched = seen_by(network.module)  # type: ignore[attr-defined]
    assert float((trained - before).abs().max()) > 1e-2
    torch.testing.assert_close(patched, trained, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("algorithm", ["LoHa", "LoKr"])
def test_other_kinds_learn_too(algorithm: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    graph = Graph(all_nodes())
    loaded = graph.CheckpointLoaderSimple(ckpt_name=tiny_models.sd1().name)
    latent = graph.VAEEncode(pixels=graph.EmptyImage(width=64, height=64, color=0x2266AA), vae=loaded.vae)
    made = graph.TrainLoraNode(
        model=loaded.model, latents=latent, positive=graph.CLIPTextEncode(text="a cat", clip=loaded.clip),
        steps=40, learning_rate=0.02, rank=4, batch_size=4, algorithm=algorithm,
    )  # fmt: skip
    graph.output("loss", made.loss_map)
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        loss = engine.run(graph.workflow())["loss"]
    assert isinstance(loss, LossCurve)
    assert mean(loss.values[-10:]) < mean(loss.values[:10])
