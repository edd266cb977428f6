"""Nodes that name model files.

They read headers, to tell a wrong file where it is named, and no weights: the model store does, when somebody computes
with them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

from graphcore import Context, FileChoice, InputError, Shown, node
from nodes.values import Clip, FileRef, Model, PredictionOption, Vae

TextEncoderName = Annotated[str, FileChoice("text_encoders")]

WeightDtype = Literal["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]
ClipType = Literal[
    "stable_diffusion",
    "stable_cascade",
    "sd3",
    "stable_audio",
    "mochi",
    "ltxv",
    "pixart",
    "cosmos",
    "lumina2",
    "wan",
    "hidream",
    "chroma",
    "ace",
    "omnigen2",
    "qwen_image",
    "hunyuan_image",
    "flux2",
    "ovis",
]
DualClipType = Literal[
    "sdxl",
    "sd3",
    "flux",
    "hunyuan_video",
    "hidream",
    "hunyuan_image",
    "hunyuan_video_15",
    "kandinsky5",
    "kandinsky5_image",
    "ltxv",
    "newbie",
]
_CLIP_FAMILIES = {"stable_diffusion": None, "sdxl": "sdxl", "sd3": "sd3"}


class LoadedCheckpoint(NamedTuple):
    """The three parts of a checkpoint."""

    model: Model
    clip: Clip
    vae: Vae


def file_ref(ctx: Context, kind: str, name: str) -> FileRef:
    """The reference to a model file; raises ResourceError if it is not there, ModelFileError for a pickle."""
    path = ctx.files.resolve(kind, name)
    reference = FileRef(kind=kind, name=name, fingerprint=ctx.files.fingerprint(path))
    noted = ctx.facts.get("files")
    known = noted if isinstance(noted, dict) else {}
    ctx.note(files={**known, f"{kind}/{name}": reference.fingerprint})
    return reference


def model_file(ctx: Context, kind: str, name: str, part: str) -> FileRef:
    """The reference to a file that holds a part ("unet", "vae"), as its header says; raises ModelFileError if not."""
    from nodes.diffusion.store import ModelStore

    file = file_ref(ctx, kind, name)
    ctx.service(ModelStore).checkpoint(file).part(part)
    return file


def _text_encoders(ctx: Context, names: tuple[str, ...], family: str | None) -> Clip:
    """Text encoders from files of their own; raises ModelFileError if one that the family needs is in none of them."""
    from nodes.diffusion.store import ModelStore

    clip = Clip(files=tuple(file_ref(ctx, "text_encoders", name) for name in names), family=family)
    ctx.service(ModelStore).text_parts(clip)
    return clip


@node("LoadCheckpoint", category="loaders", title="Load Checkpoint", aliases=("CheckpointLoaderSimple",))
def load_checkpoint(ctx: Context, ckpt_name: Annotated[str, FileChoice("checkpoints")]) -> LoadedCheckpoint:
    """Load a whole model: the diffusion network, its text encoders and its VAE.

    Files in the original layout (`.safetensors`) and folders in diffusers' layout are read; the family is found
    from the tensors. A file without a VAE says so at once, before anything is sampled for it.
    """
    from nodes.diffusion.store import ModelStore

    file = model_file(ctx, "checkpoints", ckpt_name, "unet")
    if "vae" not in ctx.service(ModelStore).checkpoint(file).parts:
        told = f"{file.name} holds no VAE; decode with one of its own file (LoadVAE)."
        ctx.show("warning", {"text": told})
    return LoadedCheckpoint(Model(file=file), Clip(files=(file,)), Vae(file=file))


@node("LoadVAE", category="loaders", title="Load VAE", aliases=("VAELoader",))
def load_vae(ctx: Context, vae_name: Annotated[str, FileChoice("vae")]) -> Vae:
    """Load a VAE of its own file, or TAESD: `taesd` stands for its encoder and decoder among `vae_approx`."""
    return Vae(file=model_file(ctx, "vae", vae_name, "vae"))


@node("LoadDiffusionModel", category="loaders", title="Load Diffusion Model", aliases=("UNETLoader",))
def load_diffusion_model(
    ctx: Context,
    unet_name: Annotated[str, FileChoice("diffusion_models")],
    weight_dtype: WeightDtype,
) -> Model:
    """Load a diffusion network of its own file, without text encoder and VAE.

    `weight_dtype` is for 8-bit weights; only "default" (the engine's dtype) is supported.
    """
    if weight_dtype != "default":
        raise InputError(
            f"8-bit weights ({weight_dtype}) are not supported; set weight_dtype to default.",
            code="unsupported-choice",
        )
    return Model(file=model_file(ctx, "diffusion_models", unet_name, "unet"))


def _clip_family(kind: str) -> str | None:
    if kind not in _CLIP_FAMILIES:
        known = ", ".join(_CLIP_FAMILIES)
        raise InputError(
            f"Text encoders of the type '{kind}' are not supported; use one of {known}.",
            code="unsupported-choice",
        )
    return _CLIP_FAMILIES[kind]


@node("LoadCLIP", category="loaders", title="Load CLIP", aliases=("CLIPLoader",))
def load_clip(
    ctx: Context,
    clip_name: TextEncoderName,
    type: ClipType,
    device: Annotated[Literal["default", "cpu"], Shown(advanced=True)] | None = None,
) -> Clip:
    """Load a text encoder of its own file; SD 1.x, SD 2.x and the refiner are told apart by its width.

    `device` changes nothing: prompts are encoded where the engine computes.
    """
    del device
    return _text_encoders(ctx, (clip_name,), _clip_family(type))


@node("LoadDualCLIP", category="loaders", title="Load Two CLIPs", aliases=("DualCLIPLoader",))
def load_dual_clip(
    ctx: Context,
    clip_name1: TextEncoderName,
    clip_name2: TextEncoderName,
    type: DualClipType,
    device: Annotated[Literal["default", "cpu"], Shown(advanced=True)] | None = None,
) -> Clip:
    """Load the two text encoders of SDXL, or two of SD 3's, in either order, from files of their own.

    `device` changes nothing: prompts are encoded where the engine computes.
    """
    del device
    return _text_encoders(ctx, (clip_name1, clip_name2), _clip_family(type))


@node("LoadTripleCLIP", category="loaders", title="Load Three CLIPs", aliases=("TripleCLIPLoader",))
def load_triple_clip(
    ctx: Context, clip_name1: TextEncoderName, clip_name2: TextEncoderName, clip_name3: TextEncoderName
) -> Clip:
    """Load the three text encoders of SD 3 (CLIP-L, CLIP-G, T5), in any order, from files of their own."""
    return _text_encoders(ctx, (clip_name1, clip_name2, clip_name3), "sd3")


def _no_four() -> str:
    return "Four text encoders belong to HiDream, which is not supported; use LoadTripleCLIP for the three of SD 3."


@node(
    "LoadQuadrupleCLIP",
    category="loaders",
    title="Load Four CLIPs",
    aliases=("QuadrupleCLIPLoader",),
    check=_no_four,
)
def load_quadruple_clip(
    clip_name1: TextEncoderName,
    clip_name2: TextEncoderName,
    clip_name3: TextEncoderName,
    clip_name4: TextEncoderName,
) -> Clip:
    """Refused with a reason: four text encoders belong to a family that is not supported (HiDream)."""
    del clip_name1, clip_name2, clip_name3, clip_name4
    raise InputError(_no_four(), code="unsupported-choice")


@node("LoadDiffusersFolder", category="loaders", title="Load Diffusers Folder", aliases=("DiffusersLoader",))
def load_diffusers_folder(
    ctx: Context, model_path: Annotated[str, FileChoice("diffusers")]
) -> LoadedCheckpoint:
    """Load a whole model from a folder in diffusers' layout (with a model_index.json)."""
    file = model_file(ctx, "diffusers", model_path, "unet")
    return LoadedCheckpoint(Model(file=file), Clip(files=(file,)), Vae(file=file))


@node(
    "LoadCheckpointWithConfig",
    category="loaders",
    title="Load Checkpoint with a Configuration",
    aliases=("CheckpointLoader",),
    deprecated=True,
)
def load_checkpoint_with_config(
    ctx: Context,
    config_name: Annotated[str, FileChoice("configs")],
    ckpt_name: Annotated[str, FileChoice("checkpoints")],
) -> LoadedCheckpoint:
    """Load a whole model, and what it predicts and which text layer it takes from a configuration file.

    Of the configuration (YAML, as the original code of SD has it) `parameterization` and `layer_idx` are read; all
    else is found from the tensors.
    """
    from nodes.models.ldm_config import read_ldm_config

    said = read_ldm_config(ctx.files.resolve("configs", config_name))
    loaded = load_checkpoint(ctx, ckpt_name)
    model = loaded.model
    if said.prediction is not None:
        model = replace(model, options=(PredictionOption(prediction=said.prediction),))
    return loaded._replace(model=model, clip=replace(loaded.clip, stop_at_layer=said.text_layer))
