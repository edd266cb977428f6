"""How the shipped checkpoint is trained: sizes, steps, data and curriculum of every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tools.embedded.diffusion_stage import Emphasis, Lesson
from tools.embedded.models import TINY, Sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides the outcome. `growth` lists (share of steps, crop side, batch) for the autoencoder."""

    sizes: Sizes = Sizes()
    seed: int = 1
    vae_steps: int = 1500
    vae_rate: float = 6e-4
    growth: tuple[tuple[float, int, int], ...] = ((0.48, 32, 32), (0.26, 64, 16), (0.26, 128, 4))
    decoder_steps: int = 900
    decoder_rate: float = 4e-4
    decoder_batch: int = 4
    pictures: tuple[tuple[str, int], ...] = (
        ("one", 4096),
        ("light", 4096),
        ("two", 8192),
        ("shapes", 4096),
        ("pairs", 8192),
        ("styled", 2048),
        ("forbidden", 1024),
    )
    probes: int = 256
    text_steps: int = 1600
    text_rate: float = 1e-3
    text_batch: int = 64
    rereading_rate: float = 6e-4
    diffusion_steps: int = 1600
    diffusion_rate: float = 8e-4
    lessons: tuple[Lesson, ...] = (
        Lesson(until=500, batch=24, shares={"one": 0.6, "light": 0.4}),
        Lesson(until=1600, batch=32, shares={"one": 0.2, "light": 0.3, "two": 0.5}),
    )
    safety_steps: int = 3600
    safety_batch: int = 32
    calibration: int = 96
    refining_steps: int = 2000
    refining_rate: float = 6e-4
    refining_emphasis: Emphasis = Emphasis(high_noise_share=0.2, cap=6.0)
    refining: Lesson = Lesson(until=10**9, batch=32, shares={"one": 0.35, "light": 0.35, "two": 0.3})
    pair_reading_steps: int = 6000
    pair_reading_rate: float = 1e-3
    pair_reading: Mapping[str, float] = field(
        default_factory=lambda: {"one": 0.1, "light": 0.15, "two": 0.15, "shapes": 0.1, "pairs": 0.5}
    )
    finishing_steps: int = 6000
    finishing_rate: float = 6e-4
    finishing_emphasis: Emphasis = Emphasis(high_noise_share=0.2, cap=6.0)
    finishing: tuple[Lesson, ...] = (
        Lesson(
            until=2207,
            batch=32,
            shares={"one": 0.15, "light": 0.15, "two": 0.15, "shapes": 0.2, "pairs": 0.35},
        ),
        Lesson(
            until=10**9,
            batch=32,
            shares={
                "one": 0.12,
                "light": 0.13,
                "two": 0.12,
                "shapes": 0.25,
                "pairs": 0.27,
                "styled": 0.06,
                "forbidden": 0.05,
            },
        ),
    )
    upscaler_steps: int = 3000
    upscaler_batch: int = 12
    upscaler_size: tuple[int, int] = (32, 8)
    vision_steps: int = 2000
    vision_batch: int = 48
    vision_size: Mapping[str, int] = field(default_factory=lambda: {"width": 128, "layers": 4})
    control_steps: int = 1000
    control_batch: int = 16
    control_shares: Mapping[str, float] = field(
        default_factory=lambda: {"one": 0.25, "light": 0.3, "two": 0.25, "shapes": 0.2}
    )


SMOKE = Recipe(
    sizes=TINY,
    vae_steps=4,
    growth=((0.5, 16, 4), (0.5, 64, 2)),
    decoder_steps=4,
    decoder_batch=2,
    safety_steps=2,
    safety_batch=2,
    calibration=4,
    pictures=(("one", 8), ("light", 8), ("two", 8), ("shapes", 8), ("pairs", 8)),
    probes=8,
    text_steps=4,
    pair_reading_steps=4,
    text_batch=8,
    diffusion_steps=6,
    lessons=(
        Lesson(until=2, batch=4, shares={"one": 1.0}),
        Lesson(until=4, batch=4, shares={"one": 0.5, "light": 0.5}),
        Lesson(until=6, batch=4, shares={"two": 1.0}),
    ),
    refining_steps=3,
    refining=Lesson(until=10**9, batch=4, shares={"one": 0.5, "two": 0.5}),
    finishing_steps=3,
    finishing=(Lesson(until=10**9, batch=4, shares={"shapes": 0.5, "pairs": 0.5}),),
    upscaler_steps=3,
    upscaler_batch=4,
    upscaler_size=(4, 1),
    vision_steps=3,
    vision_batch=4,
    vision_size={"width": 16, "layers": 1},
    control_steps=3,
    control_batch=2,
)
