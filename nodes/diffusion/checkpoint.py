"""A model file opened: its family, its parts and their configurations, from the header alone.

    path ──header──> explicit config (side-car, header metadata) ─┐
                     shapes ──recognise family, find parts────────┴──> Checkpoint ──> Part ──weights.load──> module

What is said explicitly wins over what shapes tell. `<file>.json` beside the file, or the header's metadata key
`graphcore.config`, hold JSON objects under "unet", "vae", "text_encoder", "text_encoder_2", "scheduler" in the terms
of diffusers and transformers, and "family"; `modelspec.prediction_type` and the marker tensors `v_pred` and
`ztsnr` are honoured too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graphcore.errors import ModelFileError
from nodes.diffusion.families import BY_NAME, FAMILIES, Evidence, Family, PartPlace
from nodes.diffusion.families.family import Layout, PartKind
from nodes.diffusion.layouts import clip, unet, vae
from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.network import LatentFormat, LatentRgb
from nodes.diffusion.parameterization import Parameterization
from nodes.diffusion.safetensors_header import Header, TensorInfo, read_header

CONFIG_KEY = "graphcore.config"
TOKENIZER_KEY = "graphcore.tokenizer"
SIDE_CAR_BYTES = 1_000_000
EMA_PREFIX = "model_ema.diffusion_model"
NETWORK_PARTS = ("unet", "mmdit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One network in one or more files: where its tensors are, and its configuration.

    `prefix` stands before each of its names in the file. `ema`: the averaged weights that some files hold
    beside the others, under names without dots.
    """

    name: str
    kind: PartKind
    config: Mapping[str, Any]
    headers: tuple[Header, ...]
    prefix: str = ""
    layout: Layout | str = "original"
    ema: bool = False

    @property
    def path(self) -> Path:
        """The (first) file."""
        return self.headers[0].path

    def configured(self, *, name: str, config: Mapping[str, Any]) -> Part:
        """The same tensors under another name and configuration."""
        return replace(self, name=name, config=config)

    def names(self) -> Iterator[str]:
        """The names of the tensors that stand under the part's prefix, without it."""
        for header in self.headers:
            for name in header.tensors:
                if name.startswith(self.prefix):
                    yield name[len(self.prefix) :]

    def find(self, name: str) -> tuple[Header, str, TensorInfo] | None:
        """Where the tensor called `name` (without prefix) is: file, full name, and entry in its header."""
        full = EMA_PREFIX + name.replace(".", "") if self.ema else self.prefix + name
        for header in self.headers:
            info = header.tensors.get(full)
            if info is not None:
                return header, full, info
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """An opened model file or folder.

    `family` is None for files that hold only a VAE or a text encoder. `parts` are by name: "unet", "unet_ema",
    "vae", and the family's text encoders ("clip_l"); a text encoder of its own file is called "text".
    """

    path: Path
    parts: Mapping[str, Part]
    family: Family | None = None
    parameterization: Parameterization | None = None
    latent_format: LatentFormat | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def part(self, name: str) -> Part:
        """The part of that name; ModelFileError if the file has none."""
        found = self.parts.get(name)
        if found is None:
            held = ", ".join(sorted(self.parts)) or "nothing known"
            raise ModelFileError(
                f"{self.path.name} holds no '{name}' (it holds {held}); choose another file for it.",
                code="model-file-part",
                location=str(self.path),
            )
        return found


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a `.safetensors` file, or a folder in diffusers' layout, reading headers and configurations only.

    Raises ModelFileError for pickles, damaged files, and files of no known family.
    """
    if path.is_dir():
        from nodes.diffusion.folder import open_folder

        return open_folder(path)
    header = read_header(path)
    explicit = explicit_config(header)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    prefix = _network_prefix(shapes)
    if prefix is None:
        return _without_network(header, shapes, explicit)
    evidence = Evidence(shapes=shapes, network=_below(shapes, prefix))
    family = recognise(evidence, explicit, path)
    parts: dict[str, Part] = {}
    for place in family.places:
        part = _part_at(header, shapes, place, explicit)
        if part is not None:
            parts[part.name] = part
    if any(name.startswith(EMA_PREFIX) for name in shapes) and "unet" in parts:
        parts["unet_ema"] = replace(parts["unet"], name="unet_ema", ema=True)
    return finished(path, family, parts, explicit, header.metadata, _marked(header, family))


def finished(
    path: Path,
    family: Family,
    parts: Mapping[str, Part],
    explicit: Mapping[str, Any],
    metadata: Mapping[str, str],
    found: Mapping[str, Any],
) -> Checkpoint:
    """A checkpoint with its sampling settings: those that were said, else found, else the family's."""
    scheduler = {**found, **explicit.get("scheduler", {})}
    try:
        parameterization = family.parameterization(scheduler)
        latent = _latent_format(family, explicit)
    except (TypeError, ValueError) as error:
        raise ModelFileError(
            f"The configuration that {path.name} brings along is wrong ({error}); correct it in {path.name}.json.",
            code="model-file-config",
            location=str(path),
        ) from error
    return Checkpoint(
        path=path,
        parts=parts,
        family=family,
        parameterization=parameterization,
        latent_format=latent,
        metadata=metadata,
    )


def recognise(evidence: Evidence, explicit: Mapping[str, Any], path: Path) -> Family:
    """The family that the explicit configuration names, or the first that recognises the shapes."""
    named = explicit.get("family")
    if named is not None:
        if named not in BY_NAME:
            raise ModelFileError(
                f"{path.name} says it is of the family {ascii(named)[:40]}, which is not known "
                f"({', '.join(BY_NAME)} are).",
                code="model-file-family",
                location=str(path),
            )
        return BY_NAME[named]
    for family in FAMILIES:
        if family.recognises(evidence):
            return family
    raise unknown_family(path)


def unknown_family(path: Path) -> ModelFileError:
    """The error for a file in which no known network is found."""
    titles = ", ".join(family.title for family in FAMILIES)
    return ModelFileError(
        f"{path.name} is of no known model family ({titles}); if it is a LoRA, an embedding or a ControlNet, "
        "use the node for it.",
        code="model-file-family",
        location=str(path),
    )


def explicit_config(header: Header) -> dict[str, Any]:
    """What the side-car file and the header's metadata say; the side-car wins."""
    path = header.path
    said = _json_object(header.metadata.get(CONFIG_KEY), f"metadata '{CONFIG_KEY}' of {path.name}", path)
    side_car = path.with_name(path.name + ".json")
    if side_car.is_file():
        said |= _json_object(read_text(side_car), side_car.name, path)
    return said


def read_text(path: Path) -> str:
    """A small text file; ModelFileError if it cannot be read."""
    try:
        if path.stat().st_size > SIDE_CAR_BYTES:
            raise ModelFileError(
                f"{path.name} is larger than {SIDE_CAR_BYTES} bytes, so it is no configuration; remove it.",
                location=str(path),
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path.name} cannot be read as text: {error}.", location=str(path)) from error


def parse_object(text: str, name: str, path: Path) -> dict[str, Any]:
    """A JSON object, or ModelFileError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ModelFileError(
            f"The {name} is not a JSON object; correct or remove it.",
            code="model-file-config",
            location=str(path),
        )
    return value


def _json_object(text: str | None, name: str, path: Path) -> dict[str, Any]:
    if text is None:
        return {}
    value = parse_object(text, name, path)
    sections = ("unet", "vae", "text_encoder", "text_encoder_2", "scheduler", "latent_rgb")
    for section in sections:
        if not isinstance(value.get(section, {}), dict):
            raise ModelFileError(
                f"'{section}' in the {name} is not a JSON object; correct or remove it.",
                code="model-file-config",
                location=str(path),
            )
    return value


def _network_prefix(shapes: Shapes) -> str | None:
    for prefix in ("model.diffusion_model.", "diffusion_model.", ""):
        if any(prefix + name in shapes for name in ("input_blocks.0.0.weight", "x_embedder.proj.weight")):
            return prefix
    return None


def _below(shapes: Shapes, prefix: str) -> Shapes:
    return {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}


def _part_at(header: Header, shapes: Shapes, place: PartPlace, explicit: Mapping[str, Any]) -> Part | None:
    for prefix in place.prefixes:
        inner = _below(shapes, prefix)
        config = config_of(place.kind, place.layout, inner)
        if config is None:
            continue
        return Part(
            name=place.name,
            kind=place.kind,
            config=merged(config, explicit.get(_section(place.name), {})),
            headers=(header,),
            prefix=prefix,
            layout=place.layout,
        )
    return None


def _section(part: str) -> str:
    return {"clip_l": "text_encoder", "clip_h": "text_encoder", "clip_g": "text_encoder_2"}.get(part, part)


def config_of(kind: PartKind, layout: Layout, shapes: Shapes) -> dict[str, Any] | None:
    """The configuration of a part from the shapes below its prefix, or None if its tensors are not there."""
    try:
        if kind == "unet":
            return unet.config_from(shapes) if "input_blocks.0.0.weight" in shapes else None
        if kind == "vae":
            return vae.config_from(shapes) if "decoder.conv_in.weight" in shapes else None
        if kind == "clip" and layout == "openclip":
            return clip.config_from_openclip(shapes) if "positional_embedding" in shapes else None
        if kind == "clip":
            inner = clip.text_prefix(shapes)
            return None if inner is None else clip.config_from_transformers(shapes, inner)
    except (KeyError, IndexError, ValueError, StopIteration):
        return {}
    return None


def merged(config: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with what was said explicitly put over it; null and private keys say nothing.

    A text encoder's projection is there if its tensor is, whatever was said.
    """
    kept = {key: value for key, value in said.items() if value is not None and key[:1] != "_"}
    kept.pop("projection_dim", None)
    return {**config, **kept}


def _without_network(header: Header, shapes: Shapes, explicit: Mapping[str, Any]) -> Checkpoint:
    places = (
        PartPlace(name="vae", kind="vae", prefixes=("first_stage_model.", "vae.", "")),
        PartPlace(
            name="text", kind="clip", prefixes=("cond_stage_model.model.", "model.", ""), layout="openclip"
        ),
        PartPlace(
            name="text",
            kind="clip",
            prefixes=("cond_stage_model.transformer.", "transformer.", ""),
            layout="transformers",
        ),
    )
    parts = {part.name: part for place in places if (part := _part_at(header, shapes, place, explicit))}
    if not parts:
        raise unknown_family(header.path)
    return Checkpoint(path=header.path, parts=parts, metadata=header.metadata)


def _marked(header: Header, family: Family) -> dict[str, Any]:
    """What metadata and marker tensors say of the prediction type."""
    found: dict[str, Any] = {}
    if family.name == "sd2":
        found |= {"prediction_type": sd2_prediction(header)}
    spec = header.metadata.get("modelspec.prediction_type", "")
    if spec in ("v", "epsilon"):
        found["prediction_type"] = "v_prediction" if spec == "v" else "epsilon"
    if "v_pred" in header.tensors:
        found["prediction_type"] = "v_prediction"
    if "ztsnr" in header.tensors:
        found["rescale_betas_zero_snr"] = True
    return found


def sd2_prediction(header: Header) -> str:
    """Whether an SD 2.x network predicts v: not visible in shapes, but in the spread of one norm's biases.

    Networks with extra input channels (inpainting, depth, upscaling) predict epsilon; so does 512-base, whose last
    transformer block has a spread below 0.09 there.
    """
    from nodes.diffusion.weights import read_tensor

    prefix = "model.diffusion_model."
    first = header.tensors.get(prefix + "input_blocks.0.0.weight")
    name = prefix + "output_blocks.11.1.transformer_blocks.0.norm1.bias"
    if first is None or first.shape[1] != 4 or name not in header.tensors:
        return "epsilon"
    spread = float(read_tensor(header, name).float().std(correction=0))
    return "v_prediction" if spread > 0.09 else "epsilon"


def _latent_format(family: Family, explicit: Mapping[str, Any]) -> LatentFormat:
    said = explicit.get("vae", {})
    latent = replace(
        family.latent,
        channels=int(said.get("latent_channels") or family.latent.channels),
        scale_factor=float(said.get("scaling_factor") or family.latent.scale_factor),
        shift_factor=float(said.get("shift_factor") or family.latent.shift_factor),
    )
    if "block_out_channels" in said:
        latent = replace(latent, downscale=2 ** (len(said["block_out_channels"]) - 1))
    rgb = explicit.get("latent_rgb")
    if rgb is not None:
        factors = tuple((float(red), float(green), float(blue)) for red, green, blue in rgb["factors"])
        red, green, blue = rgb.get("bias", (0.0, 0.0, 0.0))
        return replace(latent, rgb=LatentRgb(factors=factors, bias=(float(red), float(green), float(blue))))
    custom = said.get("scaling_factor") not in (None, family.latent.scale_factor)
    return replace(latent, rgb=None) if custom else latent
