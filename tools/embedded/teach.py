"""Teaches the checkpoint a style that training had left out, as a LoRA: `python -m tools.embedded.teach`."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from graphcore import Engine, Graph, Settings
from tools.embedded.captions import caption
from tools.embedded.drawing import picture_of
from tools.embedded.world import scene_of

OUTPUT = Path("nodes/embedded/loras/scenes-teal.safetensors")
CHECKPOINT = "scenes-v1.safetensors"
WORDS = "teal print"
DARK, LIGHT = np.array((8, 48, 56)), np.array((196, 246, 230))
_FIRST = 900_000
_PICTURES = 96


def teal(picture: Image.Image) -> Image.Image:
    """The picture's lightness between a dark and a light teal."""
    light = np.asarray(picture.convert("L"), dtype=np.float64)[..., None] / 255
    return Image.fromarray((DARK + light * (LIGHT - DARK)).round().astype(np.uint8))


def write_pictures(folder: Path, count: int = _PICTURES) -> None:
    """Pictures of single things in the style, each with its caption beside it."""
    folder.mkdir(parents=True)
    for number in range(count):
        scene = scene_of(_FIRST + number, "light")
        teal(picture_of(scene)).save(folder / f"{number:03}.png")
        text = f"{caption(scene, random.Random(number))}, {WORDS}"
        (folder / f"{number:03}.txt").write_text(text, encoding="utf-8")


def teach(output: Path, *, steps: int, rank: int) -> int:
    """Train, write `output` in kohya's layout, and return its size in bytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder / "input" / "teal")
        settings = Settings(input_dir=folder / "input", output_dir=folder / "output")
        with Engine(settings=settings) as engine:
            graph = Graph(engine.registry)
            loaded = graph.LoadCheckpoint(ckpt_name=CHECKPOINT)
            pictures = graph.LoadImageTextDataSetFromFolder(folder="teal")
            trained = graph.TrainLoRA(
                model=loaded.model,
                clip=loaded.clip,
                vae=loaded.vae,
                images=pictures.images,
                captions=pictures.texts,
                steps=steps,
                learning_rate=2e-3,
                rank=rank,
                alpha=float(rank),
                batch_size=4,
                seed=1,
                layers="all",
            )
            graph.SaveLoRA(lora=trained.lora, prefix="loras/teal")
            engine.run(graph.workflow()).raise_for_state()
        made = next(folder.rglob("*.safetensors"))
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, output)
    return output.stat().st_size


def main(arguments: list[str] | None = None) -> int:
    """Teach the style."""
    parser = argparse.ArgumentParser(prog="python -m tools.embedded.teach", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    size = teach(options.output, steps=options.steps, rank=options.rank)
    print(f"{options.output}: {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
