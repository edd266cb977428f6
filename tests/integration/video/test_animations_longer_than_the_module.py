"""Windows over the frames let AnimateDiff and Stable Video Diffusion make videos longer than their networks know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphcore import Engine, ExecutionError, Graph
from nodes.values import Latent
from tests.integration.steering.steered import model_folder, ours
from tests.integration.video.test_animatediff_equals_its_pipeline import write_motion
from tests.models import TinyModels
from tests.steering_models import adapter, adapter_state, control_net, control_state, put
from tests.tiny_engine import all_nodes, tiny_engine
from tests.video_models import write_svd

SIDE, LENGTH, OVERLAP = 64, 16, 4
WINDOWS: dict[str, Any] = {
    "context_length": LENGTH,
    "context_overlap": OVERLAP,
    "context_schedule": "standard_static",
    "fuse_method": "pyramid",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, tiny_models: TinyModels) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("long")
    write_motion(folder / "models")
    write_svd(folder / "models")
    with tiny_engine(folder, tiny_models.folder, models_dirs=(tiny_models.folder, folder / "models")) as made:
        yield made


def sampled(
    engine: Engine,
    checkpoint: str,
    frames: int,
    *,
    start: int = 0,
    motion: bool = True,
    steps: int = 2,
    **windows: Any,
) -> Tensor:
    """Latents of an animation; with `start` those frames of the noise of 32 alone."""
    made = Graph(all_nodes())
    loaded = made.LoadCheckpoint(ckpt_name=checkpoint)
    model = loaded.model
    if motion:
        model = made.AnimateDiffApply(
            model=model, motion_module=made.AnimateDiffLoader(motion_name="motion.safetensors")
        )
    if windows:
        model = made.ContextWindowsManual(model=model, **windows)
    latent = made.EmptyLatentImage(width=SIDE, height=SIDE, batch_size=32 if start else frames)
    if start:
        latent = made.LatentFromBatch(samples=latent, batch_index=start, length=frames)
    made.output(
        "latent",
        made.KSampler(
            model=model,
            positive=made.CLIPEncode(text="a red cat", clip=loaded.clip),
            negative=made.CLIPEncode(text="a dog", clip=loaded.clip),
            latent_image=latent,
            seed=7,
            steps=steps,
            cfg=4.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
    )
    found = engine.run(made.workflow())["latent"]
    assert isinstance(found, Latent)
    return found.samples


def test_a_short_animation_is_what_it_was(engine: Engine, tiny_models: TinyModels) -> None:
    file = tiny_models.sd1().name
    assert torch.equal(sampled(engine, file, 8, **WINDOWS), sampled(engine, file, 8))


def test_seams_are_blended_from_both_windows(engine: Engine, tiny_models: TinyModels) -> None:
    """After one step each frame is the weighted mean of what its windows give by themselves."""
    file = tiny_models.sd1().name
    together = sampled(engine, file, 32, steps=1, **WINDOWS)
    summed, weights = torch.zeros_like(together), torch.zeros(32, 1, 1, 1)
    rising = torch.tensor([*range(1, 9), *range(8, 0, -1)]).reshape(-1, 1, 1, 1).float()
    parts = {}
    for start in (0, 12, 16):
        parts[start] = sampled(engine, file, LENGTH, start=start, steps=1)
        summed[start : start + LENGTH] += parts[start] * rising
        weights[start : start + LENGTH] += rising
    torch.testing.assert_close(together, summed / weights, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together[:12], parts[0][:12], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together[13], parts[12][1], rtol=1e-2), "frames in two windows are of both"


@pytest.mark.parametrize("schedule", ["standard_uniform", "looped_uniform", "batched"])
def test_every_schedule_makes_long_animations(engine: Engine, tiny_models: TinyModels, schedule: str) -> None:
    changed = {**WINDOWS, "context_schedule": schedule, "closed_loop": True, "freenoise": True}
    found = sampled(engine, tiny_models.sd1().name, 20, **changed)
    assert found.shape == (20, 4, SIDE // 8, SIDE // 8)
    assert found.isfinite().all()
    assert not torch.allclose(found, sampled(engine, tiny_models.sd1().name, 20, **WINDOWS))


@pytest.mark.parametrize("fuse", ["pyramid", "relative", "flat", "overlap-linear"])
def test_frames_that_do_not_see_each_other_are_the_same_in_any_windows(
    engine: Engine, tiny_models: TinyModels, fuse: str
) -> None:
    file = tiny_models.sd1().name
    changed = {**WINDOWS, "context_length": 5, "context_overlap": 2, "fuse_method": fuse}
    plain = sampled(engine, file, 12, motion=False)
    torch.testing.assert_close(
        sampled(engine, file, 12, motion=False, **changed), plain, rtol=1e-3, atol=2e-3
    )


def test_windows_longer_than_the_module_knows_are_told(engine: Engine, tiny_models: TinyModels) -> None:
    with pytest.raises(ExecutionError, match="16 frames at most, and here are 20"):
        sampled(engine, tiny_models.sd1().name, 32, **{**WINDOWS, "context_length": 20})


def steered(engine: Engine, checkpoint: str, **windows: Any) -> Tensor:
    """Six pictures, each under a mask of its own, beside an area, guided by self-attention."""
    made = Graph(all_nodes())
    loaded = made.LoadCheckpoint(ckpt_name=checkpoint)
    model = made.SelfAttentionGuidance(model=loaded.model, scale=0.7)
    if windows:
        model = made.ContextWindowsManual(model=model, **windows)
    weak, strong = (
        made.EmptyImage(width=SIDE, height=SIDE, batch_size=count, color=color)
        for count, color in ((2, 0x7F0000), (4, 0xFF0000))
    )
    masks = made.ImageToMask(image=made.ImageBatch(image1=weak, image2=strong), channel="red")
    positive = made.ConditioningCombine(
        conditioning_1=made.ConditioningSetMask(
            conditioning=made.CLIPEncode(text="a red cat", clip=loaded.clip),
            mask=masks, strength=1.0, set_cond_area="default",
        ),
        conditioning_2=made.ConditioningSetAreaPercentage(
            conditioning=made.CLIPEncode(text="a boat", clip=loaded.clip),
            width=1.0, height=0.5, x=0.0, y=0.5, strength=1.0,
        ),
    )  # fmt: skip
    made.output(
        "latent",
        made.KSampler(
            model=model, positive=positive, negative=made.CLIPEncode(text="", clip=loaded.clip),
            latent_image=made.EmptyLatentImage(width=SIDE, height=SIDE, batch_size=6),
            seed=7, steps=2, cfg=4.0, sampler_name="euler_ancestral", scheduler="normal", denoise=1.0,
        ),
    )  # fmt: skip
    found = engine.run(made.workflow())["latent"]
    assert isinstance(found, Latent)
    return found.samples


def test_masks_areas_and_self_attention_guidance_go_along(engine: Engine, tiny_models: TinyModels) -> None:
    file = tiny_models.sd1().name
    changed = {**WINDOWS, "context_length": 4, "context_overlap": 1}
    torch.testing.assert_close(steered(engine, file, **changed), steered(engine, file), rtol=1e-3, atol=1e-3)


def video(engine: Engine, frames: int, **windows: Any) -> Tensor:
    made = Graph(all_nodes())
    loaded = made.ImageOnlyCheckpointLoader(ckpt_name="svd.safetensors")
    conditioned = made.SVD_img2vid_Conditioning(
        clip_vision=loaded.clip_vision,
        init_image=made.EmptyImage(width=SIDE, height=SIDE, batch_size=1, color=0x336699),
        vae=loaded.vae, width=SIDE, height=SIDE, video_frames=frames,
    )  # fmt: skip
    model = made.ContextWindowsManual(model=loaded.model, **windows) if windows else loaded.model
    made.output(
        "latent",
        made.KSampler(
            model=made.VideoLinearCFGGuidance(model=model, min_cfg=1.0),
            positive=conditioned.positive, negative=conditioned.negative, latent_image=conditioned.latent,
            seed=7, steps=2, cfg=3.0, sampler_name="euler", scheduler="karras", denoise=1.0,
        ),
    )  # fmt: skip
    found = engine.run(made.workflow())["latent"]
    assert isinstance(found, Latent)
    return found.samples


def test_stable_video_diffusion_goes_on_too(engine: Engine) -> None:
    changed = {**WINDOWS, "context_length": 3, "context_overlap": 1}
    assert torch.equal(video(engine, 3, **changed), video(engine, 3))
    longer = video(engine, 5, **changed)
    assert len(longer) == 5
    assert longer.isfinite().all()
    assert not torch.allclose(longer, video(engine, 5), rtol=1e-2)


@pytest.mark.parametrize("kind", ["control net", "adapter"])
def test_each_frame_follows_its_own_map(kind: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    state = control_state(control_net("sd1")) if kind == "control net" else adapter_state(adapter())
    put(models, "map.safetensors", state)

    def steer(graph: Graph, parts: Any, windowed: bool) -> tuple[Any, Any]:
        one, other = (
            graph.EmptyImage(width=SIDE, height=SIDE, batch_size=3, color=color) for color in (0xFF0000, 0xFF)
        )
        both = graph.ControlNetApplyAdvanced(
            positive=parts.positive,
            negative=parts.negative,
            control_net=graph.ControlNetLoader(control_net_name="map.safetensors"),
            image=graph.ImageBatch(image1=one, image2=other),
            strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
        )
        if windowed:
            changed = {**WINDOWS, "context_length": 3, "context_overlap": 1}
            parts.model = graph.ContextWindowsManual(model=parts.model, **changed)
        return both.positive, both.negative

    plain, windowed = (
        ours(
            tmp_path,
            models,
            checkpoint,
            lambda graph, parts, windowed=windowed: steer(graph, parts, windowed),
            batch_size=6,
        )
        for windowed in (False, True)
    )
    torch.testing.assert_close(windowed, plain, rtol=1e-3, atol=5e-3)
