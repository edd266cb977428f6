"""The node pack: every node of this library, and the model folders that come with it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from graphcore import Registry, Settings
from graphcore.cache.codec import Codec
from graphcore.registry import Send
from nodes import environment
from nodes.models import block_merging
from nodes.pictures import resizing

MODULES: Final = (
    "conditioning.clip_vision",
    "conditioning.combining",
    "conditioning.gligen",
    "conditioning.hooks",
    "conditioning.lotus",
    "conditioning.properties",
    "conditioning.style_model",
    "conditioning.text",
    "conditioning.unclip",
    "control.controlnets",
    "control.ip_adapter",
    "control.preprocessors",
    "guidance.model_guidance",
    "guidance.model_patches",
    "guidance.model_sampling",
    "guidance.prediction_guidance",
    "guidance.step_caching",
    "latents.cuts",
    "latents.files",
    "latents.frames",
    "latents.making",
    "latents.vae",
    "logic.arithmetic",
    "logic.flow",
    "logic.primitives",
    "logic.show",
    "models.loaders",
    "models.lora",
    "models.merging",
    "models.model_files",
    "pictures.batches",
    "pictures.comparison",
    "pictures.compositing",
    "pictures.effects",
    "pictures.export",
    "pictures.files",
    "pictures.images",
    "pictures.layout",
    "pictures.masks",
    "pictures.upscaling",
    "safety.filtering",
    "safety.watermark",
    "sampling.ksamplers",
    "sampling.samplers",
    "sampling.schedules",
    "texts.editing",
    "texts.patterns",
    "texts.strings",
    "training.datasets",
    "training.encoded_sets",
    "training.fine_tuning",
    "training.list_edits",
    "training.list_order",
    "video.audio",
    "video.context_windows",
    "video.files",
    "video.flight",
    "video.models",
    "video.motion",
)


def register(registry: Registry) -> None:
    """Add all nodes to a registry, the folders below `embedded` as model folders of their kind, and the examples."""
    for module in node_modules():
        registry.add_module(module)
    for spec in (*block_merging.specs(), *resizing.specs()):
        registry.add_spec(spec)
    registry.add_codecs(_codecs)
    registry.add_environment(environment.describe)
    registry.add_inspector(_inspect)
    registry.use_pack_loader(_load_packs)
    registry.add_examples(Path(__file__).parent / "workflows")
    embedded = Path(__file__).parent / "embedded"
    if embedded.is_dir():
        for folder in sorted(path for path in embedded.iterdir() if path.is_dir()):
            if not folder.name.startswith(("_", ".")):
                registry.add_folder(folder.name, folder)


def _load_packs(registry: Registry, folders: Iterable[Path], settings: Settings, send: Send | None) -> None:
    from nodes.packs.loading import load_packs

    load_packs(registry, folders, settings, send)


def _inspect(kind: str, path: Path) -> Mapping[str, str]:
    from nodes.diffusion.inspection import inspect_file

    return inspect_file(kind, path)


def _codecs() -> Iterable[Codec]:
    from nodes.diffusion.codecs import codecs

    return codecs()


def node_modules() -> tuple[ModuleType, ...]:
    """The modules that declare nodes; importing them imports no torch."""
    return tuple(importlib.import_module(f"nodes.{name}") for name in MODULES)
