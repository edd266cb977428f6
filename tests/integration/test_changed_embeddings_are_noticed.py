"""A prompt is encoded again when a file of an embedding that it names was replaced, came or went, and only then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graphcore import Engine, ExecutionError, Graph
from graphcore.events import NodeStarted
from nodes.values import Conditioning
from tests.models import TinyModels
from tests.tiny_engine import all_nodes, tiny_engine

ENCODERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "CLIPEncode": ("sd1", {"text": "{}"}),
    "CLIPEncodeSDXL": ("sdxl", {"text_g": "a cat", "text_l": "{}"}),
    "CLIPEncodeSDXLRefiner": ("refiner", {"text": "{}"}),
    "CLIPEncodeSD3": ("sd3", {"clip_l": "a", "clip_g": "{}", "t5xxl": "", "empty_padding": "none"}),
}


@pytest.fixture
def engine(tiny_models: TinyModels, tmp_path: Path) -> Engine:
    (tmp_path / "embeddings").mkdir()
    return tiny_engine(tmp_path, tmp_path, models_dirs=(tiny_models.folder, tmp_path))


def write(folder: Path, fill: float, name: str = "style") -> None:
    widths = {"clip_l": 64, "clip_g": 128}
    vectors = {part: torch.full((1, width), fill) for part, width in widths.items()}
    save_file(vectors, folder / "embeddings" / f"{name}.safetensors")


def encoded(
    engine: Engine, models: TinyModels, node: str, prompt: str, *, linked: bool = False
) -> tuple[Conditioning, bool]:
    """What a prompt is encoded to, and whether that was there already."""
    family, inputs = ENCODERS[node]
    graph = Graph(all_nodes())
    text: Any = graph.TextLine(value=prompt) if linked else prompt
    given = {name: text if value == "{}" else value for name, value in inputs.items()}
    loaded = graph.LoadCheckpoint(ckpt_name=getattr(models, family)().name)
    graph.output("text", getattr(graph, node)(clip=loaded.clip, node_id="encoder", **given))
    seen: list[Any] = []
    result: Any = engine.run(graph.workflow(), listener=seen.append)["text"]
    return result, not any(isinstance(event, NodeStarted) and event.node == "encoder" for event in seen)


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("node", ENCODERS)
def test_a_replaced_file(
    node: str, linked: bool, engine: Engine, tiny_models: TinyModels, tmp_path: Path
) -> None:
    prompt = "a (embedding:style:1.2), cat"
    write(tmp_path, 0.1)
    write(tmp_path, 0.1, "other")
    with engine:
        first, _ = encoded(engine, tiny_models, node, prompt, linked=linked)
        write(tmp_path, 0.7, "other")
        again, was_there = encoded(engine, tiny_models, node, prompt, linked=linked)
        assert was_there
        assert torch.equal(first.entries[0].embeddings, again.entries[0].embeddings)
        write(tmp_path, 0.7)
        changed, was_there = encoded(engine, tiny_models, node, prompt, linked=linked)
    assert not was_there
    assert not torch.equal(first.entries[0].embeddings, changed.entries[0].embeddings)


def test_a_file_that_goes(engine: Engine, tiny_models: TinyModels, tmp_path: Path) -> None:
    write(tmp_path, 0.1)
    with engine:
        encoded(engine, tiny_models, "CLIPEncode", "embedding:style")
        (tmp_path / "embeddings" / "style.safetensors").unlink()
        with pytest.raises(ExecutionError, match="There is no embedding 'style'"):
            encoded(engine, tiny_models, "CLIPEncode", "embedding:style")


def test_prompts_without_embeddings_do_not_care(
    engine: Engine, tiny_models: TinyModels, tmp_path: Path
) -> None:
    with engine:
        encoded(engine, tiny_models, "CLIPEncode", "a cat")
        write(tmp_path, 0.1)
        assert encoded(engine, tiny_models, "CLIPEncode", "a cat")[1]
