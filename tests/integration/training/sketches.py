"""Graphs that train on a few coloured squares."""

from __future__ import annotations

from typing import Any

import torch

from graphcore import Graph
from nodes.values import Image
from tests.tiny_engine import all_nodes


def squares(count: int = 3, side: int = 64) -> Image:
    """Pictures of one random colour each, with a brighter square in the middle."""
    stream = torch.Generator().manual_seed(11)
    pixels = torch.rand(count, 1, 1, 3, generator=stream).expand(count, side, side, 3).clone()
    pixels[:, side // 4 : side // 2, side // 4 : side // 2] += 0.3
    return Image(pixels.clamp(0, 1))


def training_graph(checkpoint: str, **inputs: Any) -> Graph:
    """A graph that trains on the pictures in the folder "learn" of the input folder, and saves the LoRA."""
    graph = Graph(all_nodes())
    loaded = graph.LoadCheckpoint(ckpt_name=checkpoint, node_id="checkpoint")
    pictures = graph.LoadImageTextDataSetFromFolder(folder="learn", node_id="pictures")
    settings: dict[str, Any] = {
        "steps": 4,
        "learning_rate": 0.01,
        "rank": 4,
        "alpha": 2.0,
        "batch_size": 2,
        "seed": 5,
        **inputs,
    }
    trained = graph.TrainLoRA(
        model=loaded.model,
        clip=loaded.clip,
        vae=loaded.vae,
        images=pictures.images,
        captions=pictures.texts,
        node_id="train",
        **settings,
    )
    graph.SaveLoRA(lora=trained.lora, prefix="loras/learned", node_id="save")
    for name in ("model", "clip", "lora", "loss_curve", "loss"):
        graph.output(name, getattr(trained, name))
    return graph


def write_pictures(folder: Any, count: int = 3) -> None:
    """Three pictures with captions, as a dataset holds them."""
    from nodes.diffusion.pictures import png_bytes

    folder.mkdir(parents=True, exist_ok=True)
    captions = ("red cat", "dog", "a red dog and a cat")
    for number, picture in enumerate(squares(count).pixels):
        (folder / f"{number}.png").write_bytes(png_bytes(picture, {}))
        (folder / f"{number}.txt").write_text(captions[number % 3], encoding="utf-8")
