"""Packs that use MODEL, CLIP and VAE through ComfyUI's modules get the numbers that our own nodes give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graphcore import ExecutionError
from nodes.values import Image, Latent
from tests.models import TinyModels
from tests.packs_shims.conftest import PACKS
from tests.packs_shims.loaded import Loaded, Prompt, node

SAMPLERS = ("PackSample", "PackSampleByHand", "PackSampleByClass", "PackSampleByGuider")


@pytest.fixture
def loaded(tmp_path: Path, tiny_models: TinyModels) -> Iterator[Loaded]:
    tiny_models.sd1()
    with Loaded.of(PACKS / "models", tmp_path, models_dirs=(tiny_models.folder,)) as made:
        yield made


def graph(tiny_models: TinyModels, **more: Prompt) -> dict[str, Prompt]:
    name = tiny_models.sd1().name
    return {
        "c": node("CheckpointLoaderSimple", ckpt_name=name),
        "p": node("PackEncode", clip=["c", 1], text="a (red:1.3) cat"),
        "n": node("PackEncode", clip=["c", 1], text="dog"),
        "l": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        **more,
    }


def output(loaded: Loaded, prompt: dict[str, Prompt], node_id: str, place: int = 0) -> Any:
    """Run a prompt; one output of it."""
    found = loaded.engine.run(prompt, targets={node_id}).nodes[node_id]
    return list(found.values())[place]


def sampling(class_type: str) -> Prompt:
    return node(
        class_type,
        model=["c", 0],
        positive=["p", 0],
        negative=["n", 0],
        latent=["l", 0],
        sampler="euler",
        scheduler="normal",
    )


def ours(tiny_models: TinyModels, **changed: Any) -> dict[str, Prompt]:
    """The same picture by our own nodes."""
    inputs = {
        "model": ["c", 0],
        "positive": ["p", 0],
        "negative": ["n", 0],
        "latent_image": ["l", 0],
        "seed": 3,
        "steps": 3,
        "cfg": 5.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
        **changed,
    }
    return {
        **graph(tiny_models),
        "p": node("CLIPTextEncode", clip=["c", 1], text="a (red:1.3) cat"),
        "n": node("CLIPTextEncode", clip=["c", 1], text="dog"),
        "s": node("KSampler", **inputs),
    }


@pytest.mark.parametrize("class_type", SAMPLERS)
def test_sampling_is_ours(loaded: Loaded, tiny_models: TinyModels, class_type: str) -> None:
    made = output(loaded, graph(tiny_models, s=sampling(class_type)), "s")
    expected = output(loaded, ours(tiny_models), "s")
    assert isinstance(made, Latent)
    torch.testing.assert_close(made.samples, expected.samples)


def test_what_a_pack_keeps_beside_a_latent_reaches_other_packs(
    loaded: Loaded, tiny_models: TinyModels
) -> None:
    made = output(loaded, graph(tiny_models, s=sampling("PackSampleByHand")), "s")
    assert dict(made.beside) == {"by": "hand"}


def test_prompts_are_encoded_as_ours(loaded: Loaded, tiny_models: TinyModels) -> None:
    (made,) = output(loaded, graph(tiny_models), "p").entries
    (expected,) = output(loaded, ours(tiny_models), "p").entries
    assert torch.equal(made.embeddings, expected.embeddings)
    assert torch.equal(made.pooled, expected.pooled)
    assert made.extra == (("flavour", "sweet"),)


def test_guidance_by_a_function_is_guidance(loaded: Loaded, tiny_models: TinyModels) -> None:
    plain = output(loaded, ours(tiny_models), "s")
    guided = {**ours(tiny_models, model=["g", 0]), "g": node("PackGuide", model=["c", 0], share=1.0)}
    torch.testing.assert_close(output(loaded, guided, "s").samples, plain.samples, atol=1e-4, rtol=1e-4)
    less = {**ours(tiny_models, model=["g", 0]), "g": node("PackGuide", model=["c", 0], share=0.5)}
    assert not torch.allclose(output(loaded, less, "s").samples, plain.samples, atol=1e-2)


def test_pictures_are_decoded_and_encoded_as_ours(loaded: Loaded, tiny_models: TinyModels) -> None:
    prompt = graph(
        tiny_models,
        d=node("PackDecode", vae=["c", 2], latent=["l", 0]),
        o=node("VAEDecode", vae=["c", 2], samples=["l", 0]),
        e=node("VAEEncode", vae=["c", 2], pixels=["o", 0]),
    )
    decoded, expected = output(loaded, prompt, "d"), output(loaded, prompt, "o")
    assert isinstance(decoded, Image)
    assert torch.equal(decoded.pixels, expected.pixels)
    torch.testing.assert_close(output(loaded, prompt, "d", 1).pixels, expected.pixels)
    assert torch.equal(output(loaded, prompt, "d", 2).samples, output(loaded, prompt, "e").samples)


def test_our_nodes_sample_a_packs_conditioning(loaded: Loaded, tiny_models: TinyModels) -> None:
    mixed = {**ours(tiny_models), **{key: graph(tiny_models)[key] for key in ("p", "n")}}
    made, expected = output(loaded, mixed, "s"), output(loaded, ours(tiny_models), "s")
    assert torch.equal(made.samples, expected.samples)


@pytest.mark.parametrize(
    ("how", "missing"), [("method", "set_model_attn1_patch"), ("wrapper", "model_function_wrapper")]
)
def test_what_cannot_be_done_is_named(
    loaded: Loaded, tiny_models: TinyModels, how: str, missing: str
) -> None:
    prompt = graph(tiny_models, m=node("PackPatches", model=["c", 0], how=how))
    with pytest.raises(ExecutionError, match=missing):
        output(loaded, prompt, "m")


def test_adapters_are_applied_as_ours(tmp_path: Path, tiny_models: TinyModels) -> None:
    folder = tmp_path / "models" / "loras"
    folder.mkdir(parents=True)
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    width = 32
    down = {f"{name}.lora_down.weight": torch.ones(1, width), f"{name}.lora_up.weight": torch.ones(width, 1)}
    save_file(down, folder / "a.safetensors")
    tiny_models.sd1()
    with Loaded.of(
        PACKS / "models", tmp_path, models_dirs=(tiny_models.folder, tmp_path / "models")
    ) as loaded:
        prompt = graph(
            tiny_models,
            a=node("PackAdapt", model=["c", 0], clip=["c", 1], name="a.safetensors", how="file"),
            o=node(
                "LoraLoader",
                model=["c", 0],
                clip=["c", 1],
                lora_name="a.safetensors",
                strength_model=0.5,
                strength_clip=0.25,
            ),
        )
        for place in (0, 1):
            assert output(loaded, prompt, "a", place) == output(loaded, prompt, "o", place)
        prompt["a"]["inputs"]["how"] = "tensors"
        with pytest.raises(ExecutionError, match="tensors that it has made"):
            output(loaded, prompt, "a")
