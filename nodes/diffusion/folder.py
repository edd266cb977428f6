"""Folders in diffusers' layout: one sub-folder a part, each with its config.json and its weights.

model_index.json   unet/  vae/  text_encoder/  text_encoder_2/  scheduler/  tokenizer/
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphcore.errors import ModelFileError
from graphcore.files import PICKLE_SUFFIXES, pickle_refusal
from nodes.diffusion.checkpoint import Checkpoint, Part, finished, merged, parse_object, read_text
from nodes.diffusion.families import BY_NAME, Family
from nodes.diffusion.families.family import PartKind
from nodes.diffusion.safetensors_header import Header, read_header

WEIGHT_NAMES = ("diffusion_pytorch_model", "model")
INDEX = ".safetensors.index.json"
MAX_SHARDS = 200


def open_folder(folder: Path) -> Checkpoint:
    """Open a folder in diffusers' layout, reading headers and configurations only.

    Raises ModelFileError if it is none, if its weights are pickles, or if its family is not known.
    """
    configs = {path.parent.name: _config(path) for path in sorted(folder.glob("*/config.json"))}
    network = next((name for name in ("unet", "transformer") if name in configs), None)
    if network is None:
        raise ModelFileError(
            f"{folder.name} is no model folder: it has neither unet/config.json nor transformer/config.json.",
            code="model-file-family",
            location=str(folder),
        )
    family = _family(folder, network, configs)
    parts = {"unet": _part(folder, "unet", network, family.network, configs[network])}
    if "vae" in configs:
        parts["vae"] = _part(folder, "vae", "vae", "vae", configs["vae"])
    for tower in family.towers:
        if tower.folder in configs:
            kind: PartKind = "clip"
            parts[tower.part] = _part(folder, tower.part, tower.folder, kind, configs[tower.folder])
    scheduler = folder / "scheduler" / "scheduler_config.json"
    explicit = {"vae": configs.get("vae", {}), "scheduler": _config(scheduler) if scheduler.is_file() else {}}
    return finished(folder, family, parts, explicit, {}, {})


def _family(folder: Path, network: str, configs: Mapping[str, Mapping[str, Any]]) -> Family:
    config = configs[network]
    if network == "unet":
        if config.get("addition_embed_type") == "text_time":
            return BY_NAME["sdxl" if "text_encoder" in configs else "sdxl-refiner"]
        if config.get("addition_embed_type") is None and config.get("cross_attention_dim") is not None:
            return BY_NAME["sd2" if config.get("use_linear_projection") else "sd1"]
    if network == "transformer" and config.get("_class_name") == "SD3Transformer2DModel" and "sd3" in BY_NAME:
        return BY_NAME["sd3"]
    raise ModelFileError(
        f"The folder {folder.name} holds a {ascii(config.get('_class_name'))[:60]}, which is of no known model family.",
        code="model-file-family",
        location=str(folder),
    )


def _part(folder: Path, name: str, place: str, kind: PartKind, config: Mapping[str, Any]) -> Part:
    headers = _headers(folder / place)
    kept = merged({}, config)
    if kind == "clip" and any("text_projection.weight" in header.tensors for header in headers):
        kept["projection_dim"] = config.get("projection_dim")
    return Part(name=name, kind=kind, config=kept, headers=headers, layout="diffusers")


def _headers(place: Path) -> tuple[Header, ...]:
    files = sorted(place.glob("*.safetensors"))
    for stem in WEIGHT_NAMES:
        for variant in ("", ".fp16"):
            single = place / f"{stem}{variant}.safetensors"
            if single in files:
                return (read_header(single),)
            index = place / f"{stem}{INDEX}" if not variant else place / f"{stem}{INDEX[:-5]}{variant}.json"
            if index.is_file():
                return tuple(read_header(shard) for shard in _shards(place, index))
    pickles = [path for path in sorted(place.iterdir()) if path.suffix in PICKLE_SUFFIXES]
    if pickles:
        raise pickle_refusal(f"{place.parent.name}/{place.name}/{pickles[0].name}")
    raise ModelFileError(
        f"There are no weights in {place.parent.name}/{place.name}; put the part's .safetensors file there.",
        code="model-file-part",
        location=str(place),
    )


def _shards(place: Path, index: Path) -> list[Path]:
    names = parse_object(read_text(index), index.name, index).get("weight_map", {})
    files = sorted({str(name) for name in names.values()}) if isinstance(names, dict) else []
    if not files or len(files) > MAX_SHARDS or any(Path(name).name != name for name in files):
        raise ModelFileError(
            f"{place.name}/{index.name} does not list the files of the weights beside it; get the folder again.",
            code="model-file-damaged",
            location=str(index),
        )
    return [place / name for name in files]


def _config(path: Path) -> dict[str, Any]:
    return parse_object(read_text(path), f"{path.parent.name}/{path.name}", path)
