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
from nodes import block_merging, environment, resizing

MODULES: Final = (
    "arithmetic",
    "audio",
    "batches",
    "compositing",
    "clip_vision",
    "comparison",
    "conditioning",
    "conditioning_properties",
    "context_windows",
    "control",
    "datasets",
    "flight",
    "flow",
    "gligen",
    "hooks",
    "image_effects",
    "image_export",
    "image_files",
    "image_layout",
    "images",
    "latent_cuts",
    "ip_adapter",
    "latent_files",
    "latent_frames",
    "latents",
    "list_edits",
    "list_order",
    "loaders",
    "lora",
    "lotus",
    "masks",
    "merging",
    "model_files",
    "model_guidance",
    "model_patches",
    "model_sampling",
    "motion",
    "prediction_guidance",
    "preprocessors",
    "primitives",
    "safety",
    "samplers",
    "sampling",
    "schedules",
    "show",
    "step_caching",
    "strings",
    "style_model",
    "text",
    "text_editing",
    "text_patterns",
    "training",
    "training_sets",
    "unclip",
    "upscaling",
    "vae",
    "video",
    "video_models",
    "watermark",
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
