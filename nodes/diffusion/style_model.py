"""Style models: pictures' style as tokens of a prompt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from graphcore.errors import InputError, ModelFileError
from nodes.control.steering import ClipVisionOutput, StyleModel
from nodes.diffusion.layouts import style_model
from nodes.diffusion.layouts.rules import NOT_THERE
from nodes.diffusion.part import Part
from nodes.diffusion.precision import Precision
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.store import ModelStore
from nodes.diffusion.weights import expected_bytes, load
from nodes.values import Conditioning


def open_style_model(path: Path) -> Part:
    """The style model in a file, from its header alone.

    Raises ModelFileError for pickles, damaged files, and files of other kinds.
    """
    header = read_header(path)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    if "redux_down.weight" in shapes:
        what = "is a Redux model for Flux, which is not supported; use a T2I style adapter"
    else:
        try:
            config = style_model.config_from(shapes)
            return Part(name="style_model", kind="style_model", config=config, headers=(header,))
        except NOT_THERE:
            what = "is no style model; choose a T2I style adapter"
    raise ModelFileError(f"{path.name} {what}.", code="model-file-family", location=str(path))


@torch.no_grad()
def styled(
    store: ModelStore,
    conditioning: Conditioning,
    value: StyleModel,
    output: ClipVisionOutput,
    strength: float,
) -> Conditioning:
    """The conditioning with the tokens of pictures' style behind those of its texts.

    Raises InputError if CLIP's view, or the text, is of another width than the model was made for.
    """
    part = store.opened(value.file, open_style_model)
    width, context = int(part.config["width"]), int(part.config["context"])
    if output.last_hidden.shape[-1] != width:
        raise InputError(
            f"'{value.file.name}' takes CLIP's view {width} wide, but '{output.vision.file.name}' gives "
            f"{output.last_hidden.shape[-1]}; choose the CLIP vision model that it was made for (CLIP-L).",
            code="wrong-family",
        )
    wrong = next((e for e in conditioning.entries if e.embeddings.shape[-1] != context), None)
    if wrong is not None:
        raise InputError(
            f"'{value.file.name}' makes tokens {context} wide, but the conditioning's are "
            f"{wrong.embeddings.shape[-1]}; use it with a model of its family.",
            code="wrong-family",
        )
    precision = Precision(dtype=store.text_precision.dtype)
    lease = store.companion(
        ("style_model", value.file),
        lambda: load(part),
        precision=precision,
        expected_bytes=expected_bytes(part, precision),
    )
    with lease as module:
        network: Any = module
        made = network(output.last_hidden.to(network.proj.device)).float().cpu()
    tokens = made.flatten(0, 1)[None] * strength
    return Conditioning(
        tuple(
            replace(
                entry,
                embeddings=torch.cat(
                    [entry.embeddings, tokens.to(entry.embeddings).expand(len(entry.embeddings), -1, -1)],
                    dim=1,
                ),
            )
            for entry in conditioning.entries
        )
    )
