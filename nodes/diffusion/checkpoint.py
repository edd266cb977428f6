"""A model file opened: its family, its parts and their configurations, from the header alone.

    path ──header──> what is said (side-car, header metadata) ─┐
                     shapes ──recognise family, find parts─────┴──> Checkpoint ──> Part ──weights.load──> module

What is said explicitly wins over what shapes tell; for the prediction type, `modelspec.prediction_type` and the
marker tensors `v_pred` and `ztsnr` speak too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graphcore.errors import ModelFileError
from nodes.diffusion.families import FAMILIES, Evidence, Families, Family, PartPlace
from nodes.diffusion.model_config import explicit_config, latent_format
from nodes.diffusion.network import LatentFormat
from nodes.diffusion.parameterization import Parameterization
from nodes.diffusion.part import EMA_PREFIX, Part, network_shapes, part_at
from nodes.diffusion.safetensors_header import Header, read_header
from nodes.diffusion.tiny_vae import open_tiny_vae

LOOSE_PLACES = (
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
    PartPlace(name="text", kind="t5", prefixes=("transformer.", ""), layout="transformers"),
)
"""Where parts stand in files without a diffusion network."""
PLAYGROUND = frozenset({"edm_mean", "edm_std"})
"""The tensors by which Playground v2.5's files tell how their latents are normalized."""
PLAYGROUND_SCALE = 0.5


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


def open_checkpoint(path: Path, families: Families = FAMILIES) -> Checkpoint:
    """Open a `.safetensors` file, or a folder in diffusers' layout, reading headers and configurations only.

    Raises ModelFileError for pickles, damaged files, and files of no known family.
    """
    if path.is_dir():
        from nodes.diffusion.folder import open_folder

        return open_folder(path, families)
    header = read_header(path)
    said = explicit_config(header)
    said = {**said, "vae": {**_latents(header), **said.get("vae", {})}}
    shapes = {name: info.shape for name, info in header.tensors.items()}
    network = network_shapes(shapes)
    if network is None:
        return _without_network(header, said, families)
    family = recognise(Evidence(shapes=shapes, network=network), said.get("family"), path, families)
    found = [part_at(header, place, said) for place in family.places]
    parts = {part.name: part for part in found if part is not None}
    if any(name.startswith(EMA_PREFIX) for name in shapes) and "unet" in parts:
        parts["unet_ema"] = replace(parts["unet"], name="unet_ema", ema=True)
    return finished(
        path,
        family,
        parts,
        said={**said, "scheduler": _scheduler(header, family, said)},
        metadata=header.metadata,
    )


def finished(
    path: Path,
    family: Family,
    parts: Mapping[str, Part],
    *,
    said: Mapping[str, Any],
    metadata: Mapping[str, str],
) -> Checkpoint:
    """A checkpoint with its sampling settings: those that were said, else the family's."""
    try:
        parameterization = family.parameterization(said.get("scheduler", {}))
        latent = latent_format(family.latent, said)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
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


def recognise(evidence: Evidence, named: object, path: Path, families: Families) -> Family:
    """The family that was named, or the first that recognises the shapes."""
    if named is None:
        found = families.of_file(evidence)
        if found is None:
            raise unknown_family(path, families)
        return found
    found = families.named(named)
    if found is None:
        raise ModelFileError(
            f"{path.name} says it is of the family {ascii(named)[:40]}, which is not known "
            f"({', '.join(families.names)} are).",
            code="model-file-family",
            location=str(path),
        )
    return found


def unknown_family(path: Path, families: Families) -> ModelFileError:
    """The error for a file in which no known network is found."""
    return ModelFileError(
        f"{path.name} is of no known model family ({families.titles}); if it is a LoRA, an embedding or a ControlNet, "
        "use the node for it.",
        code="model-file-family",
        location=str(path),
    )


def _without_network(header: Header, said: Mapping[str, Any], families: Families) -> Checkpoint:
    parts = {part.name: part for place in LOOSE_PLACES if (part := part_at(header, place, said))}
    tiny = None if parts else open_tiny_vae(header, said)
    if tiny is not None:
        parts = {"vae": tiny}
    if not parts:
        raise unknown_family(header.path, families)
    return Checkpoint(path=header.path, parts=parts, metadata=header.metadata)


def _scheduler(header: Header, family: Family, said: Mapping[str, Any]) -> dict[str, Any]:
    """What a file tells of its noise schedule: heuristics, then metadata, then markers, then what is said."""
    found: dict[str, Any] = {}
    if family.name == "sd2":
        found["prediction_type"] = sd2_prediction(header)
    spec = header.metadata.get("modelspec.prediction_type", "")
    if spec in ("v", "epsilon"):
        found["prediction_type"] = "v_prediction" if spec == "v" else "epsilon"
    if "v_pred" in header.tensors:
        found["prediction_type"] = "v_prediction"
    if "ztsnr" in header.tensors:
        found["rescale_betas_zero_snr"] = True
    if header.tensors.keys() >= PLAYGROUND:
        found |= {"_class_name": "EDMDPMSolverMultistepScheduler", "prediction_type": "epsilon"}
    if "edm_vpred.sigma_max" in header.tensors:
        found |= _continuous(header)
    return {**found, **said.get("scheduler", {})}


def _latents(header: Header) -> dict[str, Any]:
    """What marker tensors say of a VAE's latents (Playground v2.5), as diffusers' configurations say it."""
    from nodes.diffusion.weights import read_tensor

    if not header.tensors.keys() >= PLAYGROUND:
        return {}
    mean, deviation = (
        read_tensor(header, name).float().flatten().tolist() for name in ("edm_mean", "edm_std")
    )
    return {"latents_mean": mean, "latents_std": deviation, "scaling_factor": PLAYGROUND_SCALE}


def _continuous(header: Header) -> dict[str, Any]:
    """What marker tensors say of a model on continuous sigmas (CosXL)."""
    from nodes.diffusion.weights import read_tensor

    found: dict[str, Any] = {"_class_name": "EDMEulerScheduler", "prediction_type": "v_prediction"}
    for name in ("sigma_min", "sigma_max"):
        if f"edm_vpred.{name}" in header.tensors:
            found[name] = float(read_tensor(header, f"edm_vpred.{name}").float().flatten()[0])
    return found


def sd2_prediction(header: Header) -> str:
    """Whether an SD 2.x network predicts v: not visible in shapes, but in the spread of one norm's biases.

    Networks with extra input channels (inpainting, depth, upscaling) predict epsilon; so does 512-base, whose last
    transformer block has a spread below 0.09 there.
    """
    from nodes.diffusion.weights import read_tensor

    for prefix in ("model.diffusion_model.", "diffusion_model.", ""):
        first = header.tensors.get(prefix + "input_blocks.0.0.weight")
        name = prefix + "output_blocks.11.1.transformer_blocks.0.norm1.bias"
        if first is not None and first.shape[1] == 4 and name in header.tensors:
            spread = float(read_tensor(header, name).float().std(correction=0))
            return "v_prediction" if spread > 0.09 else "epsilon"
    return "epsilon"
