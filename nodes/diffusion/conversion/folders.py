"""Folders in diffusers' layout from single files, and single files from folders; exact both ways."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file
from torch import Tensor

from graphcore.errors import ModelFileError
from nodes.diffusion.checkpoint import Checkpoint, open_checkpoint
from nodes.diffusion.conversion.original import original_state, place_of
from nodes.diffusion.families import Family
from nodes.diffusion.parameterization import RectifiedFlow
from nodes.diffusion.part import Part
from nodes.diffusion.tokenizer import T5_TOKENIZER_KEY, TOKENIZER_KEY, find_t5_tokenizer, find_tokenizer
from nodes.diffusion.weights import load

_FOLDERS: Final = {
    "clip_l": "text_encoder",
    "clip_h": "text_encoder",
    "clip_g": "text_encoder_2",
    "t5": "text_encoder_3",
}
_PIPELINES: Final = {
    "sd1": "StableDiffusionPipeline",
    "sd2": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "sdxl-refiner": "StableDiffusionXLImg2ImgPipeline",
    "sd3": "StableDiffusion3Pipeline",
}


def folder_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a folder in diffusers' layout, in the original layout of its family."""
    checkpoint = open_checkpoint(path)
    family = _family(checkpoint)
    state: dict[str, Tensor] = {}
    for name, part in checkpoint.parts.items():
        state |= original_state(place_of(family, name), part.config, load(part).state_dict())
    return state


def file_metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """What shapes cannot tell of a folder's parts, as header metadata for a single file."""
    said: dict[str, Any] = {"family": _family(checkpoint).name}
    for name, part in checkpoint.parts.items():
        section = _FOLDERS.get(name, name)
        said[section] = {key: value for key, value in part.config.items() if not key.startswith("_")}
    scheduler = checkpoint.path / "scheduler" / "scheduler_config.json"
    if scheduler.is_file():
        said["scheduler"] = json.loads(scheduler.read_text())
    metadata = {"graphcore.config": json.dumps(said)}
    return {**metadata, **tokenizer_metadata(checkpoint)}


def tokenizer_metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """The tokenizers of a model's text encoders, as header metadata; those that are not there are left out."""
    metadata: dict[str, str] = {}
    texts = [part for part in checkpoint.parts.values() if part.kind == "clip"]
    with contextlib.suppress(ModelFileError):
        if texts:
            metadata[TOKENIZER_KEY] = json.dumps(_words(checkpoint, texts[0]))
    with contextlib.suppress(ModelFileError):
        if any(part.kind == "t5" for part in checkpoint.parts.values()):
            metadata[T5_TOKENIZER_KEY] = find_t5_tokenizer(checkpoint.path, checkpoint.metadata).to_str()
    return metadata


def write_folder(checkpoint: Checkpoint, folder: Path) -> None:
    """Write an opened single file as a folder in diffusers' layout: every part, its configuration, the tokenizers."""
    family = _family(checkpoint)
    index: dict[str, Any] = {"_class_name": _PIPELINES.get(family.name, "StableDiffusionPipeline")}
    for name, part in checkpoint.parts.items():
        if name == "unet_ema":
            continue
        place = "transformer" if part.kind == "mmdit" else _FOLDERS.get(name, name)
        module = load(part)
        index[place] = _write_part(part, module, folder / place)
        tokenizer = place.replace("text_encoder", "tokenizer")
        if part.kind == "clip":
            index[tokenizer] = _write_tokenizer(checkpoint, part, folder / tokenizer)
        elif part.kind == "t5":
            index[tokenizer] = _write_t5_tokenizer(checkpoint, folder / tokenizer)
    index["scheduler"] = _write_scheduler(checkpoint, folder / "scheduler")
    index["safety_checker"] = index["feature_extractor"] = [None, None]
    index["requires_safety_checker"] = False
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))


def _write_part(part: Part, module: Any, folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous().clone() for name, tensor in module.state_dict().items()}
    if part.kind == "t5":
        config = {
            **part.config,
            "architectures": ["T5EncoderModel"],
            "model_type": "t5",
            "tie_word_embeddings": True,
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return ["transformers", "T5EncoderModel"]
    if part.kind != "clip":
        config = {**dict(module.config), "_class_name": type(module).__name__}
        (folder / "config.json").write_text(json.dumps(config, indent=2, default=list))
        save_file(state, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
        return ["diffusers", type(module).__name__]
    projected = "text_projection.weight" in state
    kind = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    config = {**module.text_model.config.to_dict(), "architectures": [kind], "model_type": "clip_text_model"}
    if projected:
        config["projection_dim"] = state["text_projection.weight"].shape[0]
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return ["transformers", kind]


def _write_tokenizer(checkpoint: Checkpoint, part: Part, folder: Path) -> list[str]:
    words = _words(checkpoint, part)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(words["vocab"]), encoding="utf-8")
    merges = "\n".join(" ".join(pair) for pair in words["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": part.config["max_position_embeddings"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return ["transformers", "CLIPTokenizer"]


def _write_t5_tokenizer(checkpoint: Checkpoint, folder: Path) -> list[str]:
    found = find_t5_tokenizer(checkpoint.path, checkpoint.metadata)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(found.to_str(), encoding="utf-8")
    config = {"tokenizer_class": "T5TokenizerFast", "pad_token": "<pad>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return ["transformers", "T5TokenizerFast"]


def _words(checkpoint: Checkpoint, part: Part) -> dict[str, Any]:
    """The vocabulary and merges of a part's tokenizer; raises ModelFileError if there is none to be had."""
    size = int(part.config["vocab_size"])
    found = find_tokenizer(checkpoint.path, checkpoint.metadata, size=size, folders=())
    model = json.loads(found.bpe.to_str())["model"]
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    return {"vocab": model["vocab"], "merges": pairs}


def _write_scheduler(checkpoint: Checkpoint, folder: Path) -> list[str]:
    said = json.loads(checkpoint.metadata.get("graphcore.config", "{}")).get("scheduler", {})
    prediction = getattr(checkpoint.parameterization, "prediction", "epsilon")
    flow = checkpoint.parameterization
    config: dict[str, Any] = {
        "_class_name": "DDIMScheduler",
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "num_train_timesteps": 1000,
        "prediction_type": prediction,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        **said,
    }
    if isinstance(flow, RectifiedFlow):
        config = {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "num_train_timesteps": flow.timesteps,
            "shift": flow.shift,
            **said,
        }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scheduler_config.json").write_text(json.dumps(config, indent=2))
    return ["diffusers", str(config["_class_name"])]


def _family(checkpoint: Checkpoint) -> Family:
    if checkpoint.family is None:
        raise ModelFileError(
            f"{checkpoint.path.name} holds no diffusion network; only whole checkpoints become folders, and back.",
            code="model-file-family",
            location=checkpoint.path.name,
        )
    return checkpoint.family
