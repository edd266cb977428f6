"""A studio with the embedded checkpoint, in which tests make pictures and look at them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor

from graphcore import Engine, Graph, Settings
from graphcore.builder import NodeHandle, Output
from nodes.diffusion.pictures import to_pillow
from nodes.values import Image
from tools.embedded.sampling import contact_sheet

CHECKPOINT = "scenes-v1.safetensors"


@dataclass(slots=True)
class Studio:
    """Makes pictures with the engine's nodes; `sheet` collects what was made, to be looked at."""

    engine: Engine
    sheet: list[Pillow.Image] = field(default_factory=list)

    def graph(self) -> tuple[Graph, NodeHandle]:
        """A new graph with the checkpoint loaded."""
        graph = Graph(self.engine.registry)
        return graph, graph.LoadCheckpoint(ckpt_name=CHECKPOINT)

    def text(self, graph: Graph, checkpoint: NodeHandle, words: str) -> NodeHandle:
        return graph.CLIPEncode(clip=checkpoint.clip, text=words)

    def sampled(
        self,
        graph: Graph,
        checkpoint: NodeHandle,
        positive: NodeHandle | Output,
        negative: NodeHandle | Output,
        latent: NodeHandle | Output,
        **settings: Any,
    ) -> NodeHandle:
        """20 steps of DPM++ 2M with Karras sigmas at guidance 5, unless said otherwise."""
        chosen = {"seed": 11, "steps": 20, "cfg": 5.0, "sampler_name": "dpmpp_2m", "scheduler": "karras"}
        model = settings.pop("model", checkpoint.model)
        return graph.KSampler(
            model=model, positive=positive, negative=negative, latent_image=latent, **{**chosen, **settings}
        )

    def show(self, graph: Graph, checkpoint: NodeHandle, samples: NodeHandle | Output) -> Tensor:
        """Decode, run, and return the pictures: (batch, height, width, 3) in [0, 1]."""
        decoded = graph.VAEDecode(samples=samples, vae=checkpoint.vae)
        graph.output("image", decoded)
        image = self.engine.run(graph.workflow())["image"]
        assert isinstance(image, Image)
        pixels = image.pixels
        self.sheet += [to_pillow(one) for one in pixels]
        return pixels

    def draw(self, prompt: str, negative: str = "", *, side: int = 128, **settings: Any) -> Tensor:
        """One picture of a prompt: (height, width, 3)."""
        graph, checkpoint = self.graph()
        latent = graph.EmptyLatentImage(width=side, height=side, batch_size=1)
        samples = self.sampled(
            graph,
            checkpoint,
            self.text(graph, checkpoint, prompt),
            self.text(graph, checkpoint, negative),
            latent,
            **settings,
        )
        return self.show(graph, checkpoint, samples)[0]


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    torch.set_num_threads(1)
    with Engine(settings=Settings(output_dir=folder / "output", data_dir=folder / "data")) as engine:
        yield Studio(engine)


@pytest.fixture(autouse=True)
def contact_sheet_of_the_test(
    studio: Studio, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Each test leaves its pictures as one sheet, in the folder $GRAPHCORE_SHEETS or pytest's temporary one."""
    studio.sheet.clear()
    yield
    if studio.sheet:
        folder = Path(os.environ.get("GRAPHCORE_SHEETS") or tmp_path_factory.getbasetemp() / "sheets")
        folder.mkdir(parents=True, exist_ok=True)
        columns = min(8, len(studio.sheet))
        contact_sheet(studio.sheet, columns=columns).save(folder / f"{request.node.name}.png")
