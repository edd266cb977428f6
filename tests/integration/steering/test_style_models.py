"""Style adapters put what CLIP sees behind the text, as TencentARC's network computes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graphcore import Graph
from graphcore.errors import ExecutionError
from nodes.diffusion.clip_vision import normalised, seen
from nodes.diffusion.layouts.style_model import StyleNetwork
from nodes.values import Conditioning
from tests.integration.steering.steered import model_folder, picture, saved
from tests.models import TinyModels, seeded
from tests.steering_models import put, vision_tower
from tests.tiny_engine import all_nodes, tiny_engine


def style_network(context: int = 64) -> Any:
    return seeded(lambda: StyleNetwork(width=64, context=context, tokens=3, layers=2), 90)


def with_content(network: Any) -> Any:
    """Its learnt tokens and its projection begin as zeros."""
    stream = torch.Generator().manual_seed(1)
    for parameter in (network.style_embedding, network.proj):
        parameter.copy_(torch.randn(parameter.shape, generator=stream) / 8)
    return network


def by_torch(network: Any, places: Tensor) -> Tensor:
    """The same network made of torch's own transformer layers."""
    hidden = torch.cat([places, network.style_embedding.expand(len(places), -1, -1)], dim=1)
    hidden = network.ln_pre(hidden)
    for layer in network.transformer_layes:
        plain = nn.TransformerEncoderLayer(
            64, 8, 256, 0.0, lambda x: x * torch.sigmoid(1.702 * x), batch_first=True, norm_first=True
        ).eval()
        names = {"ln_1": "norm1", "ln_2": "norm2", "mlp.c_fc": "linear1", "mlp.c_proj": "linear2"}
        state = {}
        for name, tensor in layer.state_dict().items():
            head, _, last = name.rpartition(".")
            state[f"{names.get(head, head.replace('attn', 'self_attn'))}.{last}"] = tensor
        plain.load_state_dict(state)
        hidden = plain(hidden)
    made: Tensor = network.ln_post(hidden[:, -3:]) @ network.proj
    return made


def run(folder: Path, models: Path, checkpoint: str, files: list[str], **inputs: Any) -> tuple[Any, Any]:
    graph = Graph(all_nodes())
    clip = graph.LoadCheckpoint(ckpt_name=checkpoint).clip
    text = graph.CLIPEncode(text="a red cat", clip=clip)
    image = graph.LoadImage(image=files[0]).image
    for file in files[1:]:
        image = graph.ImageBatch(image1=image, image2=graph.LoadImage(image=file).image)
    settings: dict[str, Any] = {"strength": 1.0, "strength_type": "multiply", **inputs}
    styled = graph.StyleModelApply(
        conditioning=text,
        style_model=graph.StyleModelLoader(style_model_name="style.safetensors"),
        clip_vision_output=graph.CLIPVisionEncode(
            clip_vision=graph.CLIPVisionLoader(clip_name="vision.safetensors"), image=image, crop="center"
        ),
        **settings,
    )
    graph.output("text", text)
    graph.output("styled", styled)
    with tiny_engine(folder, models) as engine:
        result = engine.run(graph.workflow())
    before, after = result["text"], result["styled"]
    assert isinstance(before, Conditioning)
    assert isinstance(after, Conditioning)
    return before.entries[0].embeddings, after.entries[0].embeddings


@pytest.fixture
def place(tmp_path: Path, tiny_models: TinyModels) -> tuple[Path, Path, str]:
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    put(models, "vision.safetensors", vision_tower().state_dict(), kind="clip_vision")
    put(models, "style.safetensors", with_content(style_network()).state_dict(), kind="style_models")
    for number in range(2):
        saved(tmp_path, picture(number)[0], f"{number}.png")
    return tmp_path, models, checkpoint


def test_tokens_follow_the_text(place: tuple[Path, Path, str]) -> None:
    before, after = run(*place, ["0.png"], strength=0.5)
    inputs = normalised(seen(picture(), 28, crop=True))
    with torch.no_grad():
        places = vision_tower()(inputs).last_hidden_state
        expected = by_torch(with_content(style_network()), places) * 0.5
    assert torch.equal(after[:, :77], before)
    torch.testing.assert_close(after[:, 77:], expected, atol=1e-5, rtol=1e-4)


def test_pictures_come_one_after_another(place: tuple[Path, Path, str]) -> None:
    _, both = run(*place, ["0.png", "1.png"])
    _, second = run(*place, ["1.png"])
    assert both.shape[1] == 77 + 6
    torch.testing.assert_close(both[:, 80:], second[:, 77:], atol=1e-5, rtol=1e-4)


def test_what_does_not_fit_is_told(place: tuple[Path, Path, str]) -> None:
    with pytest.raises(ExecutionError, match="works with Flux only"):
        run(*place, ["0.png"], strength=0.5, strength_type="attn_bias")
    folder, models, checkpoint = place
    put(models, "style.safetensors", style_network(128).state_dict(), kind="style_models")
    with pytest.raises(ExecutionError, match="tokens 128 wide"):
        run(folder, models, checkpoint, ["0.png"])
    put(models, "style.safetensors", {"redux_down.weight": torch.ones(1)}, kind="style_models")
    with pytest.raises(ExecutionError, match="Redux"):
        run(folder, models, checkpoint, ["0.png"])
    put(models, "style.safetensors", {"other": torch.ones(1)}, kind="style_models")
    with pytest.raises(ExecutionError, match="is no style model"):
        run(folder, models, checkpoint, ["0.png"])
    put(models, "style.safetensors", with_content(style_network()).state_dict(), kind="style_models")
    put(models, "vision.safetensors", vision_tower(128).state_dict(), kind="clip_vision")
    with pytest.raises(ExecutionError, match="CLIP's view 64 wide"):
        run(folder, models, checkpoint, ["0.png"])
