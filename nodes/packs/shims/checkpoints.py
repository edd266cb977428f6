"""`comfy.sd`: loading by path, where the path lies in one of the engine's model folders."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from graphcore.errors import InputError
from nodes.models.loaders import file_ref
from nodes.packs.clip_face import ClipFace
from nodes.packs.faces import VaeFace, run_context
from nodes.packs.model_face import ModelFace
from nodes.packs.shims.weights import FileTensors
from nodes.values import Clip, FileRef, LoraPatch, Model, Vae

VAE = VaeFace
CLIP = ClipFace


class CLIPType(Enum):
    """What a text encoder's file is for."""

    STABLE_DIFFUSION = 1
    STABLE_CASCADE = 2
    SD3 = 3
    STABLE_AUDIO = 4
    HUNYUAN_DIT = 5
    FLUX = 6
    MOCHI = 7
    LTXV = 8
    HUNYUAN_VIDEO = 9
    PIXART = 10
    COSMOS = 11
    LUMINA2 = 12
    WAN = 13
    HIDREAM = 14
    CHROMA = 15
    ACE = 16
    OMNIGEN2 = 17
    QWEN_IMAGE = 18


def _reference(path: Any, kinds: tuple[str, ...]) -> FileRef:
    """The reference to a file by its path; raises InputError for one that lies in none of the folders."""
    ctx, wanted = run_context(), Path(path).absolute()
    for kind in kinds:
        for folder in ctx.files.base(kind):
            if wanted.is_relative_to(folder.absolute()):
                return file_ref(ctx, kind, wanted.relative_to(folder.absolute()).as_posix())
    raise InputError(
        f"'{wanted.name}' lies in none of the folders of {kinds[0]}; put it there, or name its folder in the settings.",
        code="file-not-found",
    )


def load_checkpoint_guess_config(
    ckpt_path: Any,
    output_vae: bool = True,
    output_clip: bool = True,
    output_clipvision: bool = False,
    embedding_directory: Any = None,
    output_model: bool = True,
    **options: object,
) -> tuple[Any, Any, Any, None]:
    """Model, text encoders and VAE of a checkpoint (None where they are not asked for), and None."""
    del embedding_directory, options
    if output_clipvision:
        raise InputError("A checkpoint's CLIP vision model is not offered to node packs here.")
    file = _reference(ckpt_path, ("checkpoints",))
    return (
        ModelFace(Model(file=file)) if output_model else None,
        ClipFace(Clip(files=(file,))) if output_clip else None,
        VaeFace(Vae(file=file)) if output_vae else None,
        None,
    )


def load_diffusion_model(unet_path: Any, model_options: Mapping[str, Any] | None = None) -> ModelFace:
    """A network of its own file."""
    del model_options
    return ModelFace(Model(file=_reference(unet_path, ("diffusion_models",))))


load_unet = load_diffusion_model


def load_clip(
    ckpt_paths: Any,
    embedding_directory: Any = None,
    clip_type: CLIPType = CLIPType.STABLE_DIFFUSION,
    model_options: Mapping[str, Any] | None = None,
) -> ClipFace:
    """Text encoders of files of their own."""
    del embedding_directory, model_options
    files = tuple(_reference(path, ("text_encoders",)) for path in ckpt_paths)
    family = "sd3" if clip_type is CLIPType.SD3 else "sdxl" if len(files) == 2 else None
    return ClipFace(Clip(files=files, family=family))


def load_vae(path: Any) -> VaeFace:
    """A VAE of its own file."""
    return VaeFace(Vae(file=_reference(path, ("vae",))))


def load_lora_for_models(
    model: ModelFace | None, clip: ClipFace | None, lora: Any, strength_model: float, strength_clip: float
) -> tuple[ModelFace | None, ClipFace | None]:
    """A model and its text encoders with an adapter, which `comfy.utils.load_torch_file` has read.

    Raises InputError for tensors that are no file's of the loras folders, or that fit neither.
    """
    from nodes.diffusion.lora_fit import require_fit

    if not isinstance(lora, FileTensors):
        raise InputError(
            "A node pack patches a model with tensors that it has made, which is not offered here; load the LoRA with "
            "LoraLoader.",
            code="unsupported-patch",
        )
    file = _reference(lora.path, ("loras",))
    if model is not None:
        require_fit(run_context(), file, model.value, None if clip is None else clip.value)
    return (
        model
        if model is None or not strength_model
        else model.with_patch(LoraPatch(file=file, strength=strength_model)),
        clip
        if clip is None or not strength_clip
        else clip.with_patch(LoraPatch(file=file, strength=strength_clip)),
    )
