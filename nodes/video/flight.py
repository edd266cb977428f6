"""Nodes that fly through pictures frame by frame, in the manner of Deforum."""

from __future__ import annotations

from typing import Annotated, Literal

from graphcore import Context, OutputName, Range, Text, node
from graphcore.files import Files
from nodes.choices import GuidanceScale, SamplerName, ScheduleName, SeedInt, StepCount
from nodes.conditioning.embedding_files import embeddings_state
from nodes.values import Clip, Image, Latent, Model, Vae
from nodes.video.keyframes import read_prompts, read_schedule

Keyframes = Annotated[str, Text(multiline=False, placeholder="0:(1.0), 10:(1.05)")]
Frame = Annotated[int, Range(0, 1_000_000)]


@node("KeyframeValue", category="image/animation", title="Value at Keyframe")
def keyframe_value(
    schedule: Keyframes = "0:(0.0), 10:(1.0)", frame: Frame = 0
) -> Annotated[float, OutputName("value")]:
    """The value that a schedule `0:(1.0), 10:(1.05)` has at a frame, interpolated between keyframes."""
    return read_schedule(schedule, "schedule").at(frame)


def _prompt_embeddings(files: Files, prompts: str = "", negative: str = "") -> str:
    return embeddings_state(files, prompts, negative)


@node(
    "FlyThroughPictures",
    category="image/animation",
    title="Fly through Pictures (Deforum)",
    fingerprint=_prompt_embeddings,
)
def fly_through_pictures(
    ctx: Context,
    *,
    model: Model,
    clip: Clip,
    vae: Vae,
    prompts: Annotated[str, Text(multiline=True, placeholder="0: a house\n20: a castle")] = "",
    negative: Annotated[str, Text(multiline=True)] = "",
    frames: Annotated[int, Range(1, 4096, role="batch")] = 24,
    width: Annotated[int, Range(16, 8192, step=8, role="width")] = 512,
    height: Annotated[int, Range(16, 8192, step=8, role="height")] = 512,
    seed: SeedInt = 0,
    seed_change: Literal["increment", "fixed"] = "increment",
    steps: StepCount = 20,
    cfg: GuidanceScale = 7.0,
    sampler_name: SamplerName = "euler",
    scheduler: ScheduleName = "normal",
    zoom: Keyframes = "0:(1.03)",
    angle: Keyframes = "0:(0)",
    pan_x: Keyframes = "0:(0)",
    pan_y: Keyframes = "0:(0)",
    strength: Keyframes = "0:(0.6)",
    noise: Keyframes = "0:(0.02)",
    border: Literal["reflect", "wrap", "edge"] = "reflect",
    keep_colours: bool = True,
    blend_prompts: bool = True,
    first_frame: Image | None = None,
) -> Image:
    """Make an animation: each frame is the one before, moved, with a little noise, and sampled again.

    Schedules are written `0:(1.0), 10:(1.05)`, with formulas of the frame `t` if wanted. `zoom` is a factor a frame,
    `angle` degrees to the left, `pan_x` and `pan_y` pixels to the right and down; `strength` is how much of a frame
    stays in the next (0 nothing, 1 all), `noise` what is added to its pixels. Prompts are one a line, `20: a castle`,
    and change slowly with `blend_prompts`. Without a first frame the first prompt draws one.
    """
    from nodes.diffusion.flight import Camera, Sampling, flown

    camera = Camera(
        zoom=read_schedule(zoom, "zoom"),
        angle=read_schedule(angle, "angle"),
        right=read_schedule(pan_x, "pan_x"),
        down=read_schedule(pan_y, "pan_y"),
        strength=read_schedule(strength, "strength"),
        noise=read_schedule(noise, "noise"),
        border=border,
        keeps_colours=keep_colours,
    )
    sampling = Sampling(
        model=model,
        clip=clip,
        vae=vae,
        prompts=read_prompts(prompts),
        negative=negative,
        blend=blend_prompts,
        seed=seed,
        seed_change=seed_change,
        steps=steps,
        cfg=cfg,
        sampler=sampler_name,
        schedule=scheduler,
    )
    return flown(ctx, sampling, camera, _first(first_frame, width, height), frames)


def _first(picture: Image | None, width: int, height: int) -> Image | Latent:
    """The picture to start from at the frames' size, or an empty latent of that size."""
    import torch

    from nodes.diffusion.picture_batches import resized
    from nodes.diffusion.pictures import require_picture

    if picture is None:
        return Latent(torch.zeros(1, 4, height // 8, width // 8))
    require_picture(picture)
    return resized(Image(picture.pixels[:1]), width, height, "bilinear", crop=True)
