"""A flight through pictures, in the manner of Deforum: each frame is the one before, moved, noised and sampled again.

frame ──move──> ──colours──> ──pixel noise──> VAE ──sample from 1 - strength──> VAE ──> next frame
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from graphcore.context import Context, Preview
from nodes.diffusion.embeddings import averaged
from nodes.diffusion.ksampling import ScheduleChoice, cfg_guider, run_sampler
from nodes.diffusion.noise import generator
from nodes.diffusion.store import ModelStore
from nodes.diffusion.warping import Border, Movement, moved, with_colours_of
from nodes.values import (
    Clip,
    Conditioning,
    ConditioningEntry,
    Image,
    Latent,
    Model,
    Noise,
    Sampler,
    Vae,
)
from nodes.video.keyframes import PromptSchedule, Schedule

SeedChange = Literal["increment", "fixed"]
_SEEDS = 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """How the view moves from frame to frame, and how much of a frame stays in the next."""

    zoom: Schedule
    angle: Schedule
    right: Schedule
    down: Schedule
    strength: Schedule
    noise: Schedule
    border: Border
    keeps_colours: bool

    def movement(self, frame: int) -> Movement:
        """How the picture moves into a frame."""
        zoom = max(self.zoom.at(frame), 1e-3)
        return Movement(
            zoom=zoom, angle=self.angle.at(frame), right=self.right.at(frame), down=self.down.at(frame)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How each frame is sampled."""

    model: Model
    clip: Clip
    vae: Vae
    prompts: PromptSchedule
    negative: str
    blend: bool
    seed: int
    seed_change: SeedChange
    steps: int
    cfg: float
    sampler: str
    schedule: str


def flown(ctx: Context, sampling: Sampling, camera: Camera, first: Image | Latent, frames: int) -> Image:
    """All frames; `first` is the picture to start from, or an empty latent of the frames' size."""
    texts = _Texts(ctx, sampling)
    made: list[Tensor] = []
    for frame in range(frames):
        ctx.check_cancelled()
        if frame == 0 and isinstance(first, Image):
            made.append(first.pixels[:1])
            continue
        if frame == 0 and isinstance(first, Latent):
            latent, denoise = first, 1.0
        else:
            latent = _encoded(ctx, sampling, _prepared(made, camera, frame, sampling.seed))
            denoise = min(max(1 - camera.strength.at(frame), 0.0), 1.0)
        seed = (sampling.seed + (frame if sampling.seed_change == "increment" else 0)) % _SEEDS
        sampled = run_sampler(
            _part_of(ctx, frame, frames),
            guider=cfg_guider(sampling.model, texts.at(frame), texts.negative, sampling.cfg),
            sampler=Sampler(name=sampling.sampler),
            schedule=ScheduleChoice(name=sampling.schedule, steps=sampling.steps, denoise=denoise),
            noise=Noise(seed=seed),
            latent=latent,
        ).latent
        with ctx.service(ModelStore).vae(sampling.vae) as codec:
            made.append(codec.decode(sampled.samples).clone())
    return Image(torch.cat(made))


def _prepared(made: list[Tensor], camera: Camera, frame: int, seed: int) -> Tensor:
    picture = moved(made[-1], camera.movement(frame), camera.border)
    if camera.keeps_colours:
        picture = with_colours_of(picture, made[0])
    amount = camera.noise.at(frame)
    if amount > 0:
        picture = picture + torch.randn(picture.shape, generator=generator(seed + 1 + frame)) * amount
    return picture.clamp(0, 1)


def _encoded(ctx: Context, sampling: Sampling, picture: Tensor) -> Latent:
    with ctx.service(ModelStore).vae(sampling.vae) as codec:
        return Latent(codec.encode(picture).clone())


class _Texts:
    """The prompts of a flight, each encoded once."""

    def __init__(self, ctx: Context, sampling: Sampling) -> None:
        self._sampling = sampling
        self._known: dict[str, Conditioning] = {}
        wanted = {sampling.negative, *(text for _, text in sampling.prompts.keyframes)}
        with ctx.service(ModelStore).text_encoder(sampling.clip) as encoder:
            for text in sorted(wanted):
                encoded: Any = encoder.encode(text, layer=sampling.clip.stop_at_layer)
                entry = ConditioningEntry(embeddings=encoded.embeddings, pooled=encoded.pooled)
                self._known[text] = Conditioning((entry,))

    @property
    def negative(self) -> Conditioning:
        return self._known[self._sampling.negative]

    def at(self, frame: int) -> Conditioning:
        """What guides a frame: its prompt, or a mixture of two on the way from one to the next."""
        text, coming, share = self._sampling.prompts.at(frame, blend=self._sampling.blend)
        if not share or coming == text:
            return self._known[text]
        return averaged(self._known[coming], self._known[text], share)


def _part_of(ctx: Context, frame: int, frames: int) -> Context:
    """The context with the progress of one frame told as that of all."""
    if ctx.listener is None:
        return ctx
    listener = ctx.listener

    def tell(done: int, total: int, preview: Preview | None) -> None:
        listener(frame * total + done, frames * total, preview)

    return replace(ctx, listener=tell)
