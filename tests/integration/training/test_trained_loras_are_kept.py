"""What was trained is kept between processes like any result, and a trained model can be sampled."""

from __future__ import annotations

from pathlib import Path

import torch

from nodes.values import Image, Latent, LoraWeights, LossCurve
from tests.integration.training.sketches import training_graph, write_pictures
from tests.models import TinyModels
from tests.tiny_engine import tiny_engine


def test_a_second_process_trains_nothing(tmp_path: Path, tiny_models: TinyModels) -> None:
    workflow = training_graph(tiny_models.sd1().name, train_text_encoder=True).workflow()
    found = []
    for _ in range(2):
        with tiny_engine(tmp_path, tiny_models.folder, data_dir=tmp_path / "data") as engine:
            write_pictures(engine.files.input_dir / "learn")
            result = engine.run(workflow)
            found.append(result)
    sources = {report.node: report.source for report in found[1].reports}
    assert sources["train"] != "run"
    one, other = found[0]["lora"], found[1]["lora"]
    assert isinstance(one, LoraWeights)
    assert isinstance(other, LoraWeights)
    assert one == other
    assert one.metadata == other.metadata
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())
    assert isinstance(found[1]["loss"], LossCurve)
    assert isinstance(found[1]["loss_curve"], Image)


def test_a_trained_model_draws_otherwise(tmp_path: Path, tiny_models: TinyModels) -> None:
    graph = training_graph(tiny_models.sd1().name, learning_rate=0.05)
    loaded = graph.LoadCheckpoint(ckpt_name=tiny_models.sd1().name)
    text = graph.CLIPEncode(text="a cat", clip=loaded.clip)
    trained = graph.TrainLoRA(
        model=loaded.model, clip=loaded.clip, vae=loaded.vae, images=graph.EmptyImage(width=64, height=64),
        captions="a cat", steps=3, learning_rate=0.05, name="drawn",
    )  # fmt: skip
    for name, model in (("without", loaded.model), ("with", trained.model)):
        graph.output(
            name,
            graph.KSampler(
                model=model, seed=1, steps=2, cfg=2.0, sampler_name="euler", scheduler="normal",
                positive=text, negative=text, latent_image=graph.EmptyLatentImage(width=64, height=64),
                denoise=1.0,
            ),
        )  # fmt: skip
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        write_pictures(engine.files.input_dir / "learn")
        result = engine.run(graph.workflow())
    without, learned = result["without"], result["with"]
    assert isinstance(without, Latent)
    assert isinstance(learned, Latent)
    assert float((without.samples - learned.samples).abs().max()) > 1e-3
