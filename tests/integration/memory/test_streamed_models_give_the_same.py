"""A model that is larger than the memory it may use gives the same pictures, and never takes more than it may."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graphcore import Engine, ExecutionError, ResourceError, RunResult
from nodes.diffusion.store import ModelStore
from nodes.diffusion.streaming import planned, stream, streaming_of
from nodes.diffusion.weight_budget import WEIGHT_SHARE, default_budget, module_bytes, weights_room
from nodes.diffusion.weights import patched
from nodes.values import Image, Latent, Model
from tests import models
from tests.models import TinyModels
from tests.tiny_engine import all_nodes, text_to_image, tiny_engine

CPU = torch.device("cpu")


def network_bytes(family: str) -> int:
    return module_bytes(getattr(models, f"{family}_parts")().unet)


def memory_for(family: str, share: float = 0.6) -> int:
    """An amount of memory whose room for weights is this share of the family's network."""
    return int(network_bytes(family) * share / WEIGHT_SHARE)


def made(engine: Engine, checkpoint: Path, **inputs: Any) -> RunResult:
    graph = text_to_image(checkpoint.name, steps=2, **inputs)
    return engine.run(graph.workflow())


@pytest.mark.parametrize("family", ["sd1", "sdxl", "sd3"])
def test_same_latents_and_pictures(family: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    checkpoint = getattr(tiny_models, family)()
    with tiny_engine(tmp_path / "whole", tiny_models.folder) as engine:
        whole = made(engine, checkpoint)
    memory = memory_for(family)
    with tiny_engine(tmp_path / "streamed", tiny_models.folder, device_memory_bytes=memory) as engine:
        streamed = made(engine, checkpoint)
        store = engine.services.get(ModelStore)
        assert store.usage().bytes <= weights_room(memory)
    for name in ("latent", "image"):
        one, other = whole[name], streamed[name]
        if isinstance(one, Latent) and isinstance(other, Latent):
            assert torch.equal(one.samples, other.samples)
        elif isinstance(one, Image) and isinstance(other, Image):
            torch.testing.assert_close(one.pixels, other.pixels, rtol=0, atol=0.02)
    told = [item for item in streamed.shown["sampler"] if item["kind"] == "warning"]
    assert "streamed from the host's memory" in str(told[0]["text"])
    assert "sampler" not in whole.shown or not whole.shown["sampler"]


def test_patched_models_stream_too(tmp_path: Path, tiny_models: TinyModels) -> None:
    weight = models.sd1_parts().unet.state_dict()["conv_in.weight"]
    folder = tmp_path / "models"
    (folder / "loras").mkdir(parents=True)
    change = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * 0.1
    save_file({"diffusion_model.input_blocks.0.0.diff": change}, folder / "loras" / "change.safetensors")
    found = []
    for name, settings in (("whole", {}), ("streamed", {"device_memory_bytes": memory_for("sd1")})):
        graph = text_to_image(tiny_models.sd1().name, steps=2)
        workflow = graph.workflow()
        entry = workflow.nodes["sampler"]
        patched_model = graph.LoRAModelOnly(
            model=graph.LoadCheckpoint(ckpt_name=tiny_models.sd1().name).model, lora_name="change.safetensors"
        )
        again = graph.KSampler(
            model=patched_model,
            positive=graph.CLIPEncode(
                text="cat", clip=graph.LoadCheckpoint(ckpt_name=tiny_models.sd1().name).clip
            ),
            negative=graph.CLIPEncode(
                text="", clip=graph.LoadCheckpoint(ckpt_name=tiny_models.sd1().name).clip
            ),
            latent_image=graph.EmptyLatentImage(width=64, height=64),
            **{key: entry.inputs[key] for key in ("seed", "steps", "cfg", "sampler_name", "scheduler")},
            denoise=1.0,
        )
        graph.output("patched", again)
        folders = (tiny_models.folder, folder)
        with tiny_engine(tmp_path / name, tiny_models.folder, models_dirs=folders, **settings) as engine:
            result = engine.run(graph.workflow())["patched"]
        assert isinstance(result, Latent)
        found.append(result.samples)
    assert torch.equal(*found)


def test_a_plan_stays_within_its_room() -> None:
    unet = models.sdxl_parts().unet
    size = module_bytes(unet)
    for share in (0.2, 0.5, 0.9):
        module = patched_copy(unet)
        streaming = planned(module, CPU, int(size * share))
        assert streaming.device_bytes <= size * share
        assert streaming.resident_bytes + streaming.streamed_bytes == size
        stream(module, streaming)
        with torch.no_grad():
            run_unet(module)
        assert 0 < streaming.residency.peak <= streaming.largest
        assert streaming.residency.now == 0


def patched_copy(module: Any) -> Any:
    import copy

    return copy.deepcopy(module)


def run_unet(module: Any, seed: int = 1) -> torch.Tensor:
    stream_ = torch.Generator().manual_seed(seed)
    width = module.config.projection_class_embeddings_input_dim - 6 * 256
    extra = {
        "text_embeds": torch.randn(1, width, generator=stream_),
        "time_ids": torch.tensor([[64.0, 64.0, 0.0, 0.0, 64.0, 64.0]]),
    }
    found: torch.Tensor = module(
        torch.randn(1, 4, 8, 8, generator=stream_),
        torch.tensor([500.0]),
        encoder_hidden_states=torch.randn(1, 7, module.config.cross_attention_dim, generator=stream_),
        added_cond_kwargs=extra,
        return_dict=False,
    )[0]
    return found


def test_several_threads_may_call_one_network() -> None:
    unet = models.sdxl_parts().unet
    module = patched_copy(unet)
    stream(module, planned(module, CPU, module_bytes(unet) // 2))
    found: dict[int, torch.Tensor] = {}

    def work(seed: int) -> None:
        with torch.no_grad():
            found[seed] = run_unet(module, seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with torch.no_grad():
        assert all(torch.equal(found[seed], run_unet(unet, seed)) for seed in range(4))


def test_copies_of_a_streamed_network_are_streamed(tiny_models: TinyModels, tmp_path: Path) -> None:
    checkpoint = tiny_models.sdxl()
    with tiny_engine(tmp_path, tiny_models.folder, device_memory_bytes=memory_for("sdxl")) as engine:
        result = made(engine, checkpoint)
        assert result.succeeded
        store = engine.services.get(ModelStore)
        loaded = text_to_image(checkpoint.name)
        model = engine.run(with_model(loaded, checkpoint).workflow())["model"]
        assert isinstance(model, Model)
        part = store.checkpoint(model.file).part("unet")
        with store.network(model) as network:
            twin = patched(part, network.module, {})  # type: ignore[attr-defined]
    assert streaming_of(twin) is not None


def with_model(graph: Any, checkpoint: Path) -> Any:
    graph.output("model", graph.LoadCheckpoint(ckpt_name=checkpoint.name).model)
    return graph


def test_too_little_memory_is_told(tmp_path: Path, tiny_models: TinyModels) -> None:
    checkpoint = tiny_models.sd1()
    with (
        tiny_engine(tmp_path, tiny_models.folder, device_memory_bytes=100_000) as engine,
        pytest.raises(ExecutionError, match="device memory"),
    ):
        made(engine, checkpoint)
    with pytest.raises(ResourceError, match="largest layers"):
        planned(patched_copy(models.sd1_parts().unet), CPU, 10_000)


def test_the_room_for_weights() -> None:
    assert default_budget(CPU, 4 * 2**30) == int(4 * 2**30 * WEIGHT_SHARE)
    assert weights_room(24 * 2**30) > weights_room(8 * 2**30) * 3
    assert all_nodes()


def test_large_pictures_are_decoded_in_tiles(
    tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nodes.diffusion.precision import Precision
    from nodes.diffusion.vae import VaeCodec

    module = models.sd1_parts().vae
    latents = torch.randn(1, 4, 80, 80, generator=torch.Generator().manual_seed(2))
    seen: list[tuple[int, ...]] = []
    plain = VaeCodec._decode

    def watched(self: VaeCodec, part: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(part.shape[2:]))
        return plain(self, part)

    monkeypatch.setattr(VaeCodec, "_decode", watched)
    precision = Precision(dtype=torch.float32)
    whole = VaeCodec(module, precision).decode(latents)
    assert seen == [(80, 80)]
    tiled = VaeCodec(module, precision, memory=1_000_000).decode(latents)
    assert max(seen[1:]) == (64, 64)
    assert tiled.shape == whole.shape


def test_training_beside_a_streamed_network_is_the_same(tmp_path: Path, tiny_models: TinyModels) -> None:
    from nodes.values import LossCurve
    from tests.integration.training.sketches import training_graph, write_pictures

    found = []
    for name, settings in (("whole", {}), ("streamed", {"device_memory_bytes": memory_for("sd1")})):
        with tiny_engine(tmp_path / name, tiny_models.folder, **settings) as engine:
            write_pictures(engine.files.input_dir / "learn")
            loss = engine.run(training_graph(tiny_models.sd1().name).workflow())["loss"]
        assert isinstance(loss, LossCurve)
        found.append(loss.values)
    assert found[0] == pytest.approx(found[1], rel=1e-5)
