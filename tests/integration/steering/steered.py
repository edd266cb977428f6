"""The same steered picture twice: by a graph of our nodes, and by one of diffusers' pipelines."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

from graphcore import Graph
from nodes.diffusion.noise import starting_noise
from nodes.diffusion.parameterization import DiscreteDiffusion
from nodes.diffusion.store import ModelStore
from nodes.values import Clip, FileRef, Latent
from tests.integration.test_whole_images import NEGATIVE, PROMPT, folder_for, pipeline
from tests.models import TinyModels
from tests.steering_models import parts_of
from tests.tiny_engine import all_nodes, tiny_engine

SEED, STEPS, SCALE, SIDE = 3, 4, 5.0, 64
Steer = Callable[[Graph, Any], tuple[Any, Any]]
"""Given the graph and its parts (checkpoint, positive, negative), the steered positive and negative."""


class Parts:
    """What a steering test may connect to."""

    def __init__(self, checkpoint: Any, positive: Any, negative: Any, latent: Any) -> None:
        self.checkpoint, self.positive, self.negative, self.latent = checkpoint, positive, negative, latent
        self.model = checkpoint.model


def model_folder(folder: Path, models: TinyModels, family: str) -> tuple[Path, str]:
    """A folder of models of its own, with the checkpoint of a family; and the checkpoint's name."""
    file = getattr(models, family)()
    place = folder / "models" / "checkpoints"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, place / file.name)
    return folder / "models", file.name


def ours(
    folder: Path,
    models: Path,
    checkpoint: str,
    steer: Steer,
    *,
    batch_size: int = 1,
    loader: str = "LoadCheckpoint",
    dtype: str = "fp32",
    rest_from: int | None = None,
    **sampler: Any,
) -> Tensor:
    """The latent that a graph makes, as the VAE takes it; with `rest_from`, only the steps from there on."""
    graph = Graph(all_nodes())
    loaded = getattr(graph, loader)(ckpt_name=checkpoint)
    latent = graph.EmptyLatentImage(width=SIDE, height=SIDE, batch_size=batch_size)
    parts = Parts(
        loaded,
        graph.CLIPEncode(text=PROMPT, clip=loaded.clip),
        graph.CLIPEncode(text=NEGATIVE, clip=loaded.clip),
        latent,
    )
    positive, negative = steer(graph, parts)
    shared = {
        "model": parts.model,
        "positive": positive,
        "negative": negative,
        "latent_image": parts.latent,
        "sampler_name": "euler",
        "scheduler": "normal",
        "steps": STEPS,
        "cfg": SCALE,
    }
    if rest_from is None:
        sampled = graph.KSampler(**{"seed": SEED, "denoise": 1.0, **shared, **sampler})
    else:
        sampled = graph.KSamplerAdvanced(
            **shared,
            noise_seed=SEED,
            add_noise="disable",
            start_at_step=rest_from,
            end_at_step=STEPS,
            return_with_leftover_noise="disable",
        )
    graph.output("latent", sampled)
    with tiny_engine(folder, models, dtype=dtype) as engine:
        result = engine.run(graph.workflow())
        assert result.succeeded, result.error
        found = result["latent"]
    assert isinstance(found, Latent)
    return found.samples


def noise(batch: int = 1) -> Tensor:
    """Our starting noise, as diffusers' Euler schedulers want it."""
    highest = DiscreteDiffusion().sigmas[-1]
    return starting_noise((batch, 4, SIDE // 8, SIDE // 8), SEED) * (1 + highest**2) ** 0.5 / highest


def texts(path: Path) -> dict[str, Any]:
    """The prompts as our text encoder reads them, for pipelines that would read them otherwise."""
    store = ModelStore(resolve=lambda ref: path, device="cpu", dtype="fp32", budget_bytes=10**9)
    file = FileRef(kind="checkpoints", name=path.name, fingerprint="test")
    with store.text_encoder(Clip(files=(file,))) as encoder:
        positive, negative = encoder.encode(PROMPT), encoder.encode(NEGATIVE)
    read: dict[str, Any] = {"prompt": None, "negative_prompt": None}
    read |= {"prompt_embeds": positive.embeddings, "negative_prompt_embeds": negative.embeddings}
    if positive.pooled is not None:
        read |= {"pooled_prompt_embeds": positive.pooled, "negative_pooled_prompt_embeds": negative.pooled}
    return read


def loaded_pipeline(folder: Path, family: str, kind: str, *, extra: dict[str, Any]) -> Any:
    """Diffusers' pipeline class `kind` for the tiny model of a family; `extra` are its further components."""
    parts = parts_of(family)
    plain = pipeline(folder_for(folder / "folder", parts, {}), parts, {})
    made_by = getattr(diffusers, kind)
    settings = {
        "requires_safety_checker": False,
        "force_zeros_for_empty_prompt": False,
        "add_watermarker": False,
        **plain.components,
        **extra,
    }
    known = inspect.signature(made_by).parameters
    made = made_by(**{name: value for name, value in settings.items() if name in known})
    made.set_progress_bar_config(disable=True)
    return made


def settings_for(models: TinyModels, family: str) -> dict[str, Any]:
    """What pipelines are asked for, so that they make our picture."""
    given: dict[str, Any] = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "num_inference_steps": STEPS,
        "guidance_scale": SCALE,
        "latents": noise(),
        "output_type": "latent",
        "height": SIDE,
        "width": SIDE,
    }
    return given | (texts(getattr(models, family)()) if family == "sd2" else {})


def theirs(
    folder: Path, models: TinyModels, family: str, kind: str, *, extra: dict[str, Any], **arguments: Any
) -> Tensor:
    """The latent that diffusers' pipeline class `kind` makes, as the VAE takes it; `extra` are its components."""
    made = loaded_pipeline(folder, family, kind, extra=extra)
    latent: Tensor = made(**settings_for(models, family), **arguments).images
    return latent / made.vae.config.scaling_factor


def assert_alike(one: Tensor, other: Tensor) -> None:
    """Equal to 1e-4, relative."""
    assert float((one - other).norm() / other.norm()) < 1e-4


def picture(seed: int = 0, batch: int = 1) -> Tensor:
    """A random picture (batch, height, width, 3), exact in eight bits."""
    levels = torch.randint(0, 256, (batch, SIDE, SIDE, 3), generator=torch.Generator().manual_seed(seed))
    return levels.float() / 255


def saved(folder: Path, pixels: Tensor, name: str = "map.png") -> str:
    """A picture as a file in the input folder; its name there."""
    from PIL import Image as Pillow

    place = folder / "input"
    place.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray((pixels * 255).round().byte().numpy()).save(place / name)
    return name
