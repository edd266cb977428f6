"""TrainLoRA teaches the embedded model a colour scheme that it never saw: everything in dark and light teal.

The contact sheet (above without, below with the LoRA) is written to the folder that GRAPHCORE_SHEETS names.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from graphcore import Graph
from nodes.diffusion.pictures import to_pillow
from nodes.values import Image, LossCurve
from tests.tiny_engine import all_nodes, tiny_engine
from tools.embedded.teach import DARK, LIGHT, WORDS, write_pictures

PROMPTS = (
    "a red house on the left on the grass by day",
    "a yellow boat on the right on the sea at night",
    "a blue star in the middle on a white background",
    "a purple tree on the left in the desert by day",
)


def off_scheme(image: Image) -> float:
    """How far the mean pixel lies from the line between the two tones, in grey levels."""
    pixels = image.pixels.reshape(-1, 3).double().numpy() * 255
    direction = (LIGHT - DARK) / np.linalg.norm(LIGHT - DARK)
    along = (pixels - DARK) @ direction
    nearest = DARK + np.clip(along, 0, np.linalg.norm(LIGHT - DARK))[:, None] * direction
    return float(np.linalg.norm(pixels - nearest, axis=1).mean())


def lesson(steps: int) -> Graph:
    graph = Graph(all_nodes())
    loaded = graph.LoadCheckpoint(ckpt_name="scenes-v1.safetensors")
    pictures = graph.LoadImageTextDataSetFromFolder(folder="teal")
    trained = graph.TrainLoRA(
        model=loaded.model, clip=loaded.clip, vae=loaded.vae, images=pictures.images, captions=pictures.texts,
        steps=steps, learning_rate=2e-3, rank=16, alpha=16.0, batch_size=4, seed=1, layers="all",
    )  # fmt: skip
    graph.output("loss", trained.loss)
    negative = graph.CLIPEncode(text="", clip=loaded.clip)
    for kind, model in (("before", loaded.model), ("after", trained.model)):
        pictures_made = []
        for place, prompt in enumerate(PROMPTS):
            sampled = graph.KSampler(
                model=model, seed=11 + place, steps=12, cfg=4.0, sampler_name="dpmpp_2m", scheduler="karras",
                positive=graph.CLIPEncode(text=f"{prompt}, {WORDS}", clip=loaded.clip), negative=negative,
                latent_image=graph.EmptyLatentImage(width=128, height=128), denoise=1.0,
            )  # fmt: skip
            pictures_made.append(graph.VAEDecode(samples=sampled, vae=loaded.vae))
        graph.output(kind, graph.JoinImages(images=pictures_made))
    return graph


@pytest.mark.slow
@pytest.mark.embedded
def test_a_colour_scheme_is_learned(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    write_pictures(tmp_path / "input" / "teal", count=48)
    with tiny_engine(tmp_path, tmp_path, dtype="auto") as engine:
        result = engine.run(lesson(300).workflow())
    before, after, loss = result["before"], result["after"], result["loss"]
    assert isinstance(before, Image)
    assert isinstance(after, Image)
    assert isinstance(loss, LossCurve)
    _write_sheet(before, after)
    assert off_scheme(before) > 50
    assert off_scheme(after) < 0.6 * off_scheme(before)
    assert sum(loss.values[-50:]) < sum(loss.values[:50])


def _write_sheet(before: Image, after: Image) -> None:
    folder = os.environ.get("GRAPHCORE_SHEETS")
    if folder is None:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    rows = [torch.cat(list(image.pixels), dim=1) for image in (before, after)]
    to_pillow(torch.cat(rows)).save(Path(folder) / "train-lora.png")
