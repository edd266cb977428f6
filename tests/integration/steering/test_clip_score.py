"""The CLIP score is the cosine that transformers' whole CLIP finds between a picture and a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from graphcore import Graph
from graphcore.errors import ExecutionError
from nodes.diffusion.clip_vision import normalised, seen
from tests.integration.steering.steered import model_folder, picture, saved
from tests.models import TinyModels, byte_tokenizer, seeded, text_config
from tests.steering_models import put, vision_tower
from tests.tiny_engine import all_nodes, tiny_engine

TEXT = "a red cat"


def whole_clip() -> Any:
    vision = vision_tower().config.to_dict()
    config = CLIPConfig(text_config=text_config(64), vision_config=vision, projection_dim=64)
    return seeded(lambda: CLIPModel(config), 95)


def score(folder: Path, models: Path, files: list[str], checkpoint: str | None = None) -> tuple[float, str]:
    graph = Graph(all_nodes())
    image = graph.LoadImage(image=files[0]).image
    for file in files[1:]:
        image = graph.ImageBatch(image1=image, image2=graph.LoadImage(image=file).image)
    extra = {} if checkpoint is None else {"clip": graph.LoadCheckpoint(ckpt_name=checkpoint).clip}
    found = graph.CLIPScore(
        clip_vision=graph.CLIPVisionLoader(clip_name="clip.safetensors"), image=image, text=TEXT, **extra
    )
    graph.output("score", found.score)
    graph.output("scores", found.scores)
    with tiny_engine(folder, models) as engine:
        result = engine.run(graph.workflow())
    value, scores = result["score"], result["scores"]
    assert isinstance(value, float)
    assert isinstance(scores, str)
    return value, scores


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    models = tmp_path / "models"
    metadata = {"graphcore.tokenizer": byte_tokenizer()}
    put(models, "clip.safetensors", whole_clip().state_dict(), kind="clip_vision", metadata=metadata)
    for number in range(2):
        saved(tmp_path, picture(number)[0], f"{number}.png")
    return tmp_path, models


def test_as_transformers_finds_it(place: tuple[Path, Path]) -> None:
    words = byte_tokenizer()["vocab"]
    # the vocabulary's words: "a", "red", "cat" with their ends
    row = [words["<|startoftext|>"], words["a</w>"], words["red</w>"], words["cat</w>"]]
    row += [words["<|endoftext|>"]] * (77 - len(row))
    images = torch.cat([picture(0), picture(1)])
    with torch.no_grad():
        found = whole_clip()(
            input_ids=torch.tensor([row]), pixel_values=normalised(seen(images, 28, crop=True))
        )
    cosines = 100 * (found.image_embeds @ found.text_embeds.T)[:, 0]
    value, scores = score(*place, ["0.png", "1.png"])
    assert value == pytest.approx(float(cosines.mean()), abs=1e-3)
    assert [float(part) for part in scores.split(", ")] == pytest.approx(cosines.tolist(), abs=0.01)


def test_with_a_text_encoder_of_its_own_file(place: tuple[Path, Path], tiny_models: TinyModels) -> None:
    folder, models = place
    put(models, "clip.safetensors", vision_tower().state_dict(), kind="clip_vision")
    _, checkpoint = model_folder(folder, tiny_models, "sd1")
    value, _ = score(folder, models, ["0.png"], checkpoint)
    assert -100 <= value <= 100


def test_without_a_text_encoder_it_says_what_to_connect(place: tuple[Path, Path]) -> None:
    put(place[1], "clip.safetensors", vision_tower().state_dict(), kind="clip_vision")
    with pytest.raises(ExecutionError, match="connect clip") as caught:
        score(*place, ["0.png"])
    assert caught.value.code == "no-text-encoder"


def test_vectors_of_two_sizes_are_told(place: tuple[Path, Path], tiny_models: TinyModels) -> None:
    folder, models = place
    put(models, "clip.safetensors", vision_tower(projection=32).state_dict(), kind="clip_vision")
    _, checkpoint = model_folder(folder, tiny_models, "sd1")
    with pytest.raises(ExecutionError, match="not of one size"):
        score(folder, models, ["0.png"], checkpoint)
