"""The exported file is the original layout in fp16; reading it back through diffusers' conversion loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tools.embedded.export import Parts, export, load, read_header, same_outputs
from tools.embedded.models import TINY, new_text_encoder, new_unet, new_vae
from tools.embedded.sampling import Sampling, sample
from tools.embedded.tokenizer import vocabulary


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Parts, Path]:
    torch.manual_seed(4)
    words = vocabulary()
    parts = Parts(
        unet=new_unet(TINY),
        vae=new_vae(TINY),
        vocabulary=words,
        text_encoder=new_text_encoder(TINY, vocabulary=len(words.tokens)),
    )
    for model in (parts.unet, parts.vae, parts.text_encoder):
        model.half().float().eval()
    torch.nn.init.normal_(parts.unet.conv_out.weight.data, std=0.1)
    parts.unet.half().float()
    parts.vae.register_to_config(scaling_factor=0.4)
    path = tmp_path_factory.mktemp("export") / "tiny.safetensors"
    export(parts, path, title="tiny", date="2000-01-01", training={"steps": 0})
    return parts, path


def test_read_back_it_computes_the_same(written: tuple[Parts, Path]) -> None:
    parts, path = written
    assert same_outputs(parts, load(path))


def test_it_is_the_original_layout_in_half_precision(written: tuple[Parts, Path]) -> None:
    tensors = load_file(written[1])
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    for name in (
        "model.diffusion_model.input_blocks.0.0.weight",
        "model.diffusion_model.time_embed.0.weight",
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "first_stage_model.decoder.up.0.block.0.conv1.weight",
        "first_stage_model.quant_conv.weight",
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    ):
        assert name in tensors


def test_the_header_tells_what_shapes_cannot(written: tuple[Parts, Path]) -> None:
    header = read_header(written[1])
    assert header["modelspec.architecture"] == "stable-diffusion-v1"
    assert header["modelspec.license"] == "CC0-1.0"
    config = json.loads(header["graphcore.config"])
    assert config["vae"]["scaling_factor"] == 0.4
    assert config["unet"]["norm_num_groups"] == TINY.unet_groups
    assert config["text_encoder"]["eos_token_id"] == config["text_encoder"]["vocab_size"] - 1
    words = json.loads(header["graphcore.tokenizer"])
    assert len(words["vocab"]) == config["text_encoder"]["vocab_size"]
    assert json.loads(header["graphcore.training"]) == {"steps": 0}


def test_a_seed_gives_the_same_picture_in_any_batch(written: tuple[Parts, Path]) -> None:
    parts, _ = written
    settings = Sampling(steps=2, side=64, batch=2, compute=torch.float32)
    both = sample(parts, ["a red circle", "a blue star"], [1, 2], settings=settings)
    alone = sample(parts, ["a blue star"], [2], settings=settings)
    difference = torch.tensor(list(both[1].tobytes())).int() - torch.tensor(list(alone[0].tobytes())).int()
    assert difference.abs().max() <= 1
