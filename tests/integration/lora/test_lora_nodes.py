"""LoRA nodes: a patched model is a new value, undone bit for bit; what does not fit is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from graphcore import Engine, ExecutionError, Graph, InputError, Registry, Settings, Workflow
from graphcore.formats.lora_tags import LoraTag, split_lora_tags
from graphcore.node import spec_of
from nodes import pack
from nodes.diffusion.store import ModelStore
from nodes.values import Clip, Latent, LoraPatch, Model
from tests.models import TinyModels, sd1_parts

QUERY = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    pack.register(registry)
    return registry


@pytest.fixture
def engine(tiny_models: TinyModels, registry: Registry, tmp_path: Path) -> Engine:
    tiny_models.sd1()
    (tmp_path / "loras" / "styles").mkdir(parents=True)
    settings = Settings(models_dirs=(tiny_models.folder, tmp_path), output_dir=tmp_path / "out", dtype="fp32")
    return Engine(registry, settings=settings)


def write_lora(
    path: Path, *, seed: int = 1, extra: dict[str, torch.Tensor] | None = None, width: int | None = None
) -> None:
    weight = sd1_parts().unet.state_dict()[
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    ]
    source = torch.Generator().manual_seed(seed)
    tensors = {
        f"{QUERY}.lora_up.weight": torch.randn(weight.shape[0], 4, generator=source),
        f"{QUERY}.lora_down.weight": torch.randn(4, width or weight.shape[1], generator=source),
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.randn(128, 4, generator=source),
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.randn(4, 64, generator=source),
    }
    save_file({**tensors, **(extra or {})}, path)


def sampled(registry: Registry, models: TinyModels, loras: list[tuple[str, float]]) -> Workflow:
    graph = Graph(registry)
    checkpoint = graph.LoadCheckpoint(ckpt_name=models.sd1().name)
    model, clip = checkpoint.model, checkpoint.clip
    for name, strength in loras:
        patched = graph.LoRA(
            model=model, clip=clip, lora_name=name, strength_model=strength, strength_clip=strength
        )
        model, clip = patched.model, patched.clip
    text = graph.CLIPEncode(text="a cat", clip=clip)
    latent = graph.EmptyLatentImage(width=64, height=64)
    graph.output(
        "latent",
        graph.KSampler(
            model=model, seed=1, steps=2, cfg=2.0, sampler_name="euler", scheduler="normal",
            positive=text, negative=text, latent_image=latent, denoise=1.0,
        ),
    )  # fmt: skip
    graph.output("model", model)
    graph.output("clip", clip)
    return graph.workflow()


def latent(value: object) -> torch.Tensor:
    assert isinstance(value, Latent)
    return value.samples


def test_a_lora_changes_the_picture_and_is_undone_exactly(
    engine: Engine, registry: Registry, tiny_models: TinyModels, tmp_path: Path
) -> None:
    write_lora(tmp_path / "loras" / "one.safetensors")
    plain = engine.run(sampled(registry, tiny_models, []))
    with_lora = engine.run(sampled(registry, tiny_models, [("one.safetensors", 1.0)]))
    engine.cache.clear()
    again = engine.run(sampled(registry, tiny_models, []))
    assert not torch.allclose(latent(plain["latent"]), latent(with_lora["latent"]))
    assert torch.equal(latent(plain["latent"]), latent(again["latent"]))


def test_a_patched_model_is_a_new_value_that_names_its_patches_in_order(
    engine: Engine, registry: Registry, tiny_models: TinyModels, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        write_lora(tmp_path / "loras" / f"{name}.safetensors")
    loras = [("one.safetensors", 1.0), ("two.safetensors", -0.5)]
    result = engine.run(sampled(registry, tiny_models, loras), targets=["model", "clip"])
    model, clip = result["model"], result["clip"]
    assert isinstance(model, Model)
    assert isinstance(clip, Clip)
    for patches in (model.patches, clip.patches):
        assert [(patch.file.name, patch.strength) for patch in patches] == loras  # type: ignore[attr-defined]
    assert engine.services.get(ModelStore).usage().bytes == 0, "adding a LoRA must load no weights"


def test_strength_zero_is_no_lora_at_all(
    engine: Engine, registry: Registry, tiny_models: TinyModels, tmp_path: Path
) -> None:
    write_lora(tmp_path / "loras" / "one.safetensors")
    plain = engine.run(sampled(registry, tiny_models, []))
    zero = engine.run(sampled(registry, tiny_models, [("one.safetensors", 0.0)]))
    assert torch.equal(latent(plain["latent"]), latent(zero["latent"]))
    assert plain["model"] == zero["model"]


def test_a_changed_lora_file_is_a_new_result(
    engine: Engine, registry: Registry, tiny_models: TinyModels, tmp_path: Path
) -> None:
    write_lora(tmp_path / "loras" / "one.safetensors", seed=1)
    first = engine.run(sampled(registry, tiny_models, [("one.safetensors", 1.0)]))
    write_lora(tmp_path / "loras" / "one.safetensors", seed=2)
    second = engine.run(sampled(registry, tiny_models, [("one.safetensors", 1.0)]))
    assert not torch.allclose(latent(first["latent"]), latent(second["latent"]))


def test_the_base_weights_are_shared_and_a_second_use_patches_nothing(
    engine: Engine, registry: Registry, tiny_models: TinyModels, tmp_path: Path
) -> None:
    write_lora(tmp_path / "loras" / "one.safetensors")
    result = engine.run(sampled(registry, tiny_models, [("one.safetensors", 1.0)]))
    patched_model = result["model"]
    assert isinstance(patched_model, Model)
    store = engine.services.get(ModelStore)
    before = store.usage().entries
    with store.network(patched_model) as first, store.network(patched_model) as second:
        assert first.module is second.module  # type: ignore[attr-defined]
    assert store.usage().entries == before


def test_keys_that_match_nothing_are_shown(
    engine: Engine, registry: Registry, tiny_models: TinyModels, tmp_path: Path
) -> None:
    stray = {
        "lora_unet_no_such_layer.lora_up.weight": torch.zeros(4, 4),
        "lora_unet_no_such_layer.lora_down.weight": torch.zeros(4, 4),
        "junk": torch.zeros(1),
    }
    write_lora(tmp_path / "loras" / "one.safetensors", extra=stray)
    result = engine.run(sampled(registry, tiny_models, [("one.safetensors", 1.0)]), targets=["model"])
    (shown,) = next(iter(result.shown.values()))
    assert "lora_unet_no_such_layer" in str(shown["text"])
    assert "junk" in str(shown["text"])


@pytest.mark.parametrize("width", [None, 48])
def test_a_lora_of_another_family_is_refused(
    engine: Engine, registry: Registry, tiny_models: TinyModels, tmp_path: Path, width: int | None
) -> None:
    path = tmp_path / "loras" / "other.safetensors"
    if width is None:
        tensors = {f"lora_transformer_x.lora_{end}.weight": torch.zeros(4, 4) for end in ("up", "down")}
        save_file(tensors, path)
    else:
        write_lora(path, width=width)
    with pytest.raises(ExecutionError) as caught:
        engine.run(sampled(registry, tiny_models, [("other.safetensors", 1.0)]))
    assert caught.value.code == "wrong-family"
    assert "another family" in caught.value.message


def test_a_file_without_adapters_is_refused(
    engine: Engine, registry: Registry, tiny_models: TinyModels, tmp_path: Path
) -> None:
    save_file({"weights": torch.zeros(4)}, tmp_path / "loras" / "none.safetensors")
    with pytest.raises(ExecutionError) as caught:
        engine.run(sampled(registry, tiny_models, [("none.safetensors", 1.0)]))
    assert caught.value.code == "not-an-adapter"


def test_loras_are_named_in_a_prompt_through_a_node_that_says_so(
    engine: Engine, registry: Registry, tiny_models: TinyModels, tmp_path: Path
) -> None:
    write_lora(tmp_path / "loras" / "styles" / "one.safetensors")
    graph = Graph(registry)
    checkpoint = graph.LoadCheckpoint(ckpt_name=tiny_models.sd1().name)
    named = graph.LoRAFromText(
        model=checkpoint.model, clip=checkpoint.clip, text="a cat <lora:one:0.8:0.5>, sitting"
    )
    for output in ("model", "clip", "text"):
        graph.output(output, getattr(named, output))
    result = engine.run(graph.workflow())
    model, clip = result["model"], result["clip"]
    assert isinstance(model, Model)
    assert isinstance(clip, Clip)
    assert result["text"] == "a cat , sitting"
    assert [patch.strength for patch in (*model.patches, *clip.patches)] == [0.5, 0.8]  # type: ignore[attr-defined]


def test_a_file_that_a_text_names_is_read_again_when_it_was_replaced(
    engine: Engine, registry: Registry, tiny_models: TinyModels, tmp_path: Path
) -> None:
    graph = Graph(registry)
    loaded = graph.LoadCheckpoint(ckpt_name=tiny_models.sd1().name)
    made = graph.LoRAFromText(model=loaded.model, clip=loaded.clip, text="a cat <lora:style:0.5>")
    graph.output("model", made.model)
    found = []
    for seed in (1, 1, 2):
        write_lora(tmp_path / "loras" / "style.safetensors", seed=seed)
        model = engine.run(graph.workflow())["model"]
        assert isinstance(model, Model)
        assert isinstance(model.patches[0], LoraPatch)
        found.append(model.patches[0].file.fingerprint)
    assert found[0] == found[1] != found[2]


def test_tags_are_taken_out_of_texts() -> None:
    split = split_lora_tags("x <lora:a/b:0.5> y <lora:c> <lora:d:1:te=0.2> <lora:e:0.4:0.6> (z:1.2)")
    assert split.text == "x y (z:1.2)"
    assert split.tags == (
        LoraTag(name="a/b", strength_model=0.5, strength_clip=0.5),
        LoraTag(name="c", strength_model=1.0, strength_clip=1.0),
        LoraTag(name="d", strength_model=0.2, strength_clip=0.2),
        LoraTag(name="e", strength_model=0.6, strength_clip=0.4),
    )
    with pytest.raises(InputError, match="no number"):
        split_lora_tags("<lora:a:much>")


def test_comfyui_names_are_aliases_with_the_same_inputs(registry: Registry) -> None:
    full, alone = registry.get("LoraLoader"), registry.get("LoraLoaderModelOnly")
    assert full is not None
    assert alone is not None
    assert list(full.by_name) == ["model", "clip", "lora_name", "strength_model", "strength_clip"]
    assert list(alone.by_name) == ["model", "lora_name", "strength_model"]
    assert spec_of(full.function) is full
