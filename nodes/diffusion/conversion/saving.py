"""Models as they are used, with all that was added to their weights, as tensors of a single file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from graphcore import Context, InputError
from nodes.diffusion.conversion.folders import tokenizer_metadata
from nodes.diffusion.conversion.original import original_state, place_of
from nodes.diffusion.families import Family, PartPlace
from nodes.diffusion.ksampling import parameterization_of
from nodes.diffusion.layouts.clip import transformers_rules
from nodes.diffusion.layouts.rules import to_original
from nodes.diffusion.model_config import CONFIG_KEY
from nodes.diffusion.parameterization import DiscreteDiffusion
from nodes.diffusion.part import SECTIONS, Part
from nodes.diffusion.store import ModelStore
from nodes.values import Clip, Model, Vae

_DTYPES: Final = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_ARCHITECTURES: Final = {
    "sd1": "stable-diffusion-v1",
    "sd2": "stable-diffusion-v2",
    "sdxl": "stable-diffusion-xl-v1-base",
    "sdxl-refiner": "stable-diffusion-xl-v1-refiner",
    "sd3": "stable-diffusion-v3-medium",
}
_PREDICTIONS: Final = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}
_VAE: Final = PartPlace(name="vae", kind="vae", prefixes=("",))


def family_of(ctx: Context, model: Model) -> Family:
    """The family of a model's network; InputError if its file holds none."""
    family = ctx.service(ModelStore).checkpoint(model.file).family
    if family is None:
        raise InputError(
            f"{model.file.name} holds no diffusion network; choose another file.", code="no-network"
        )
    return family


def model_state(ctx: Context, model: Model) -> dict[str, Tensor]:
    """A network's tensors, in the dtype of its file."""
    store, family = ctx.service(ModelStore), family_of(ctx, model)
    part = store.checkpoint(model.file).part(model.part)
    with store.network_module(model) as network:
        state = in_dtype_of_file(part, network.state_dict())
        found = original_state(place_of(family, "unet"), part.config, state)
    latent = store.checkpoint(model.file).latent_format
    if latent is not None and latent.means:
        found["edm_mean"], found["edm_std"] = torch.tensor(latent.means), torch.tensor(latent.deviations)
    prediction = parameterization_of(ctx, model)
    if isinstance(prediction, DiscreteDiffusion) and family.name.startswith("sdxl"):
        if prediction.prediction == "v_prediction":
            found["v_pred"] = torch.tensor([])
        if prediction.zero_snr:
            found["ztsnr"] = torch.tensor([])
    return found


def clip_state(ctx: Context, clip: Clip, family: Family) -> dict[str, Tensor]:
    """The tensors of text encoders, where the single files of a family have them.

    Raises InputError for the text encoders of another family.
    """
    state: dict[str, Tensor] = {}
    names = {place.name for place in family.places}
    with ctx.service(ModelStore).text_modules(clip) as modules:
        for part, module in modules:
            if part.name not in names:
                raise InputError(
                    f"{family.title} has no text encoder '{part.name}'; connect the CLIP of the same family.",
                    code="wrong-family",
                )
            weights = in_dtype_of_file(part, module.state_dict())
            state |= original_state(place_of(family, part.name), part.config, weights)
    return state


def clip_states(ctx: Context, clip: Clip) -> dict[str, dict[str, Tensor]]:
    """Each text encoder's tensors by its part's name, in the layout of transformers."""
    with ctx.service(ModelStore).text_modules(clip) as modules:
        states = {part.name: in_dtype_of_file(part, module.state_dict()) for part, module in modules}
    return {
        name: to_original(state, transformers_rules(state, "text_model.")) for name, state in states.items()
    }


def vae_state(ctx: Context, vae: Vae, family: Family | None) -> dict[str, Tensor]:
    """A VAE's tensors where a family's single files have them, or without prefix."""
    store = ctx.service(ModelStore)
    part = store.checkpoint(vae.file).part("vae")
    if part.kind == "tiny_vae":
        raise InputError(
            "TAESD cannot be saved as a model's VAE; connect a whole VAE.", code="unsupported-choice"
        )
    place = _VAE if family is None else place_of(family, "vae")
    with store.vae(vae) as codec:
        return original_state(place, part.config, in_dtype_of_file(part, codec.module.state_dict()))


def model_metadata(
    ctx: Context, model: Model, clip: Clip | None = None, vae: Vae | None = None
) -> dict[str, str]:
    """What a saved model's header says: family, prediction, configurations that shapes do not tell, tokenizers."""
    store, family = ctx.service(ModelStore), family_of(ctx, model)
    checkpoint = store.checkpoint(model.file)
    said: dict[str, Any] = {"family": family.name, "unet": _config(checkpoint.part(model.part))}
    if vae is not None:
        said["vae"] = _config(store.checkpoint(vae.file).part("vae"))
    if clip is not None:
        said |= {SECTIONS.get(part.name, part.name): _config(part) for _, part in store.text_parts(clip)}
    sampled = parameterization_of(ctx, model)
    metadata = {"modelspec.sai_model_spec": "1.0.0", "modelspec.title": model.file.name}
    if family.name in _ARCHITECTURES:
        metadata["modelspec.architecture"] = _ARCHITECTURES[family.name]
    if isinstance(sampled, DiscreteDiffusion):
        said["scheduler"] = {
            "prediction_type": sampled.prediction,
            "rescale_betas_zero_snr": sampled.zero_snr,
        }
        metadata["modelspec.prediction_type"] = _PREDICTIONS[sampled.prediction]
    texts = text_metadata(ctx, clip) if clip is not None else {}
    return {**metadata, CONFIG_KEY: json.dumps(said), **texts}


def text_metadata(ctx: Context, clip: Clip) -> dict[str, str]:
    """The tokenizers that a text encoder brings along."""
    store = ctx.service(ModelStore)
    found: dict[str, str] = {}
    for file in clip.files:
        found |= tokenizer_metadata(store.checkpoint(file))
    return found


def vae_metadata(ctx: Context, vae: Vae) -> dict[str, str]:
    """What a saved VAE's header says: the scale that its shapes do not tell."""
    part = ctx.service(ModelStore).checkpoint(vae.file).part("vae")
    return {CONFIG_KEY: json.dumps({"vae": _config(part)})}


def _config(part: Part) -> dict[str, Any]:
    return {key: value for key, value in part.config.items() if not key.startswith("_")}


def in_dtype_of_file(part: Part, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU in the dtype that most of the part's tensors have in its file."""
    counted = Counter(
        info.dtype
        for header in part.headers
        for name, info in header.tensors.items()
        if name.startswith(part.prefix) and info.dtype in _DTYPES
    )
    dtype = _DTYPES[counted.most_common(1)[0][0]] if counted else torch.float32
    return {
        name: tensor.detach().to("cpu", dtype) if tensor.is_floating_point() else tensor.detach().cpu()
        for name, tensor in state.items()
    }
