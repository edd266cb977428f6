"""What cannot be trained is told in a sentence: too few texts, no pictures, a wrong LoRA, a loss that explodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graphcore import Engine, ExecutionError, Graph
from tests.integration.training.sketches import training_graph, write_pictures
from tests.models import TinyModels
from tests.tiny_engine import all_nodes, tiny_engine


@pytest.fixture
def engine(tmp_path: Path, tiny_models: TinyModels) -> Iterator[Engine]:
    tiny_models.sd1()
    with tiny_engine(tmp_path, tiny_models.folder) as made:
        write_pictures(made.files.input_dir / "learn")
        yield made


def failure(engine: Engine, graph: Graph) -> str:
    with pytest.raises(ExecutionError) as caught:
        engine.run(graph.workflow())
    return str(caught.value)


def from_parts(checkpoint: str, *, captions: list[str]) -> Graph:
    graph = Graph(all_nodes())
    loaded = graph.LoadCheckpoint(ckpt_name=checkpoint)
    graph.TrainLoRA(
        model=loaded.model,
        clip=loaded.clip,
        vae=loaded.vae,
        images=graph.EmptyImage(width=64, height=64, batch_size=3),
        captions=graph.ListOf(items=captions),
        steps=1,
        node_id="train",
    )
    return graph


def test_too_few_texts(engine: Engine, tiny_models: TinyModels) -> None:
    workflow = from_parts(tiny_models.sd1().name, captions=["one", "two"]).workflow()
    with pytest.raises(ExecutionError, match="3 pictures and 2 texts"):
        engine.run(workflow, targets=["train"])


@pytest.mark.parametrize("folder", ["nowhere", "../learn", "/etc", "learn/../.."])
def test_no_such_folder(folder: str, engine: Engine, tiny_models: TinyModels) -> None:
    graph = Graph(all_nodes())
    graph.output("images", graph.LoadImageDataSetFromFolder(folder=folder))
    assert "no folder" in failure(engine, graph)


def test_an_empty_folder(engine: Engine) -> None:
    (engine.files.input_dir / "empty").mkdir()
    graph = Graph(all_nodes())
    graph.output("images", graph.LoadImageDataSetFromFolder(folder="empty"))
    assert "no picture in the folder 'empty'" in failure(engine, graph)


def test_a_loss_that_explodes(engine: Engine, tiny_models: TinyModels) -> None:
    graph = training_graph(tiny_models.sd1().name, steps=60, learning_rate=1.0, layers="all", rank=128)
    message = failure(engine, graph)
    assert "lower the learning rate" in message


def test_algorithms_that_are_not_there(engine: Engine, tiny_models: TinyModels) -> None:
    graph = Graph(all_nodes())
    loaded = graph.LoadCheckpoint(ckpt_name=tiny_models.sd1().name)
    made = graph.TrainLoraNode(
        model=loaded.model,
        latents=graph.EmptyLatentImage(width=64, height=64),
        positive=graph.CLIPEncode(text="", clip=loaded.clip),
        algorithm="OFT",
    )
    graph.output("lora", made.lora)
    assert "LoHa or LoKr" in failure(engine, graph)


def test_a_name_that_leads_out(engine: Engine, tiny_models: TinyModels) -> None:
    assert "cannot be that of a file" in failure(engine, training_graph(tiny_models.sd1().name, name="../x"))
