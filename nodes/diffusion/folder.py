"""Folders in diffusers' layout: a whole pipeline with one sub-folder a part, or a single part.

    model_index.json   unet/  vae/  text_encoder/  text_encoder_2/  scheduler/  tokenizer/

Each part has its config.json and its weights, in one file or in shards with an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphcore.errors import ModelFileError
from graphcore.files import PICKLE_SUFFIXES, pickle_refusal
from nodes.diffusion.checkpoint import Checkpoint, finished
from nodes.diffusion.families import FAMILIES, Families, Family, FolderEvidence
from nodes.diffusion.families.family import PartKind
from nodes.diffusion.model_config import merged, parse_object, read_text
from nodes.diffusion.part import Part
from nodes.diffusion.safetensors_header import Header, read_header
from nodes.diffusion.tiny_vae import scaled_as, scaled_by_name

WEIGHT_NAMES = ("diffusion_pytorch_model", "model")
MAX_SHARDS = 200
SINGLE_PARTS: Mapping[str, tuple[str, PartKind]] = {
    "AutoencoderKL": ("vae", "vae"),
    "AutoencoderKLTemporalDecoder": ("vae", "video_vae"),
    "AutoencoderTiny": ("vae", "tiny_vae"),
    "CLIPTextModel": ("text", "clip"),
    "CLIPTextModelWithProjection": ("text", "clip"),
}


def open_folder(folder: Path, families: Families = FAMILIES) -> Checkpoint:
    """Open a folder in diffusers' layout, reading headers and configurations only.

    Raises ModelFileError if it is none, if its weights are pickles, or if its family is not known.
    """
    if (folder / "config.json").is_file():
        return _single_part(folder, _config(folder / "config.json"), families)
    configs = {path.parent.name: _config(path) for path in sorted(folder.glob("*/config.json"))}
    network = next((name for name in ("unet", "transformer") if name in configs), None)
    if network is None:
        raise ModelFileError(
            f"{folder.name} is no model folder: it has neither unet/config.json nor transformer/config.json.",
            code="model-file-family",
            location=str(folder),
        )
    evidence = FolderEvidence(config=configs[network], folders=frozenset(configs))
    family = _family(folder, evidence, families)
    parts = {"unet": _part("unet", family.network, folder / network, configs[network])}
    if "vae" in configs:
        made = SINGLE_PARTS.get(_made_by(configs["vae"]), ("vae", "vae"))
        parts["vae"] = _part("vae", made[1], folder / "vae", configs["vae"])
        if made[1] == "tiny_vae":
            parts["vae"] = scaled_as(parts["vae"], family.latent)
            del configs["vae"]
    for tower in family.towers:
        if tower.folder in configs:
            parts[tower.part] = _part(tower.part, tower.kind, folder / tower.folder, configs[tower.folder])
    scheduler = folder / "scheduler" / "scheduler_config.json"
    said = {"vae": configs.get("vae", {}), "scheduler": _config(scheduler) if scheduler.is_file() else {}}
    return finished(folder, family, parts, said=said, metadata={})


def _single_part(folder: Path, config: Mapping[str, Any], families: Families) -> Checkpoint:
    made_by = _made_by(config)
    if made_by in SINGLE_PARTS:
        name, kind = SINGLE_PARTS[made_by]
        part = _part(name, kind, folder, config)
        if kind == "tiny_vae":
            part = scaled_by_name(part, folder.name)
        return Checkpoint(path=folder, parts={name: part})
    family = _family(folder, FolderEvidence(config=config), families)
    parts = {"unet": _part("unet", family.network, folder, config)}
    return finished(folder, family, parts, said={}, metadata={})


def _made_by(config: Mapping[str, Any]) -> str:
    architectures = config.get("architectures") or [config.get("_class_name")]
    return str(architectures[0] if isinstance(architectures, list) and architectures else None)


def part_folder(folder: Path, classes: Mapping[str, PartKind], what: str) -> Part:
    """The part in a folder of its own, whose config.json names one of `classes`; ModelFileError if it is no `what`."""
    config = _config(folder / "config.json") if (folder / "config.json").is_file() else {}
    made_by = _made_by(config)
    if made_by not in classes:
        raise ModelFileError(
            f"The folder {folder.name} holds no {what}; choose another.",
            code="model-file-family",
            location=str(folder),
        )
    return _part(folder.name, classes[made_by], folder, config)


def _family(folder: Path, evidence: FolderEvidence, families: Families) -> Family:
    found = families.of_folder(evidence)
    if found is None:
        raise ModelFileError(
            f"The folder {folder.name} holds a {ascii(evidence.made_by)[:60]}, which is of no known model family.",
            code="model-file-family",
            location=str(folder),
        )
    return found


def _part(name: str, kind: PartKind, place: Path, config: Mapping[str, Any]) -> Part:
    headers = _headers(place)
    kept = merged({}, config)
    if kind == "clip" and any("text_projection.weight" in header.tensors for header in headers):
        kept["projection_dim"] = config.get("projection_dim")
    return Part(name=name, kind=kind, config=kept, headers=headers, layout="diffusers")


def _headers(place: Path) -> tuple[Header, ...]:
    shown = f"{place.parent.name}/{place.name}"
    for stem in WEIGHT_NAMES:
        for variant in ("", ".fp16"):
            single = place / f"{stem}{variant}.safetensors"
            if single.is_file():
                return (read_header(single),)
            index = place / f"{stem}.safetensors.index{variant}.json"
            if index.is_file():
                return tuple(read_header(shard) for shard in _shards(place, index))
    pickles = [path for path in sorted(place.iterdir()) if path.suffix in PICKLE_SUFFIXES]
    if pickles:
        raise pickle_refusal(f"{shown}/{pickles[0].name}")
    raise ModelFileError(
        f"There are no weights in {shown}; put the part's .safetensors file there.",
        code="model-file-part",
        location=str(place),
    )


def _shards(place: Path, index: Path) -> list[Path]:
    names = parse_object(read_text(index), f"file {index.name}", index).get("weight_map", {})
    files = sorted({str(name) for name in names.values()}) if isinstance(names, dict) else []
    if not files or len(files) > MAX_SHARDS or any(Path(name).name != name for name in files):
        raise ModelFileError(
            f"{place.name}/{index.name} does not list the files of the weights beside it; get the folder again.",
            code="model-file-damaged",
            location=str(index),
        )
    return [place / name for name in files]


def _config(path: Path) -> dict[str, Any]:
    return parse_object(read_text(path), f"file {path.parent.name}/{path.name}", path)
