"""Engines over tiny models, and the graph of a picture made with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphcore import Engine, Graph, Registry, Settings
from nodes.pack import register


def all_nodes() -> Registry:
    """A registry of this library's nodes alone."""
    registry = Registry()
    register(registry)
    return registry


def tiny_engine(folder: Path, models: Path, **settings: Any) -> Engine:
    """An engine on the CPU in fp32 that writes below `folder` and finds its models in `models`."""
    for name in ("input", "output"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    chosen: dict[str, Any] = {
        "models_dirs": (models,),
        "input_dir": folder / "input",
        "output_dir": folder / "output",
        "device": "cpu",
        "dtype": "fp32",
        **settings,
    }
    return Engine(all_nodes(), settings=Settings(**chosen))


def text_to_image(checkpoint: str, *, side: int = 64, batch_size: int = 1, **sampler: Any) -> Graph:
    """A graph from a prompt to a saved picture; `sampler` are inputs of its KSampler, whose node id is "sampler"."""
    graph = Graph(all_nodes())
    loaded = graph.LoadCheckpoint(ckpt_name=checkpoint, node_id="checkpoint")
    inputs: dict[str, Any] = {
        "seed": 3,
        "steps": 4,
        "cfg": 5.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "latent_image": graph.EmptyLatentImage(
            width=side, height=side, batch_size=batch_size, node_id="latent"
        ),
        **sampler,
    }
    sampled = graph.KSampler(
        model=loaded.model,
        positive=graph.CLIPEncode(text="a red cat and a dog", clip=loaded.clip, node_id="positive"),
        negative=graph.CLIPEncode(text="blurred, cat", clip=loaded.clip, node_id="negative"),
        node_id="sampler",
        **inputs,
    )
    decoded = graph.VAEDecode(samples=sampled, vae=loaded.vae, node_id="decode")
    graph.SaveImage(images=decoded, node_id="save")
    graph.output("image", decoded)
    graph.output("latent", sampled)
    return graph
