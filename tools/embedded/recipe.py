"""How the shipped checkpoint is trained: sizes, steps, data and curriculum of every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tools.embedded.diffusion_stage import Emphasis, Lesson
from tools.embedded.models import TINY, Sizes
from tools.embedded.sharpening_stage import Sharpening


def _polished() -> dict[str, float]:
    return {
        "one": 0.1,
        "light": 0.1,
        "two": 0.12,
        "shapes": 0.18,
        "pairs": 0.22,
        "pointed": 0.15,
        "styled": 0.06,
        "forbidden": 0.03,
        "skulls": 0.04,
    }


def _larger(count: int) -> tuple[tuple[str, int], ...]:
    return tuple((phase, round(share * count)) for phase, share in _polished().items())


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
        ("pointed", 3072),
        ("skulls", 1024),
    )
    larger_pictures: Mapping[int, tuple[tuple[str, int], ...]] = field(
        default_factory=lambda: {192: _larger(4096), 256: _larger(2560)}
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
    sharpening_steps: int = 4000
    sharpening_rate: float = 6e-4
    sharpening: Sharpening = field(
        default_factory=lambda: Sharpening(shares=_polished(), sides={128: 0.7, 192: 0.2, 256: 0.1})
    )
    polishing_steps: int = 3800
    polishing_rate: float = 4e-4
    polishing_emphasis: Emphasis = Emphasis(high_noise_share=0.2, cap=6.0, forms=2.0)
    polishing: Lesson = field(
        default_factory=lambda: Lesson(
            until=10**9, batch=32, shares=_polished(), sides={128: 0.55, 192: 0.25, 256: 0.2}
        )
    )
    upscaler_steps: int = 3000
    upscaler_batch: int = 12
    upscaler_size: tuple[int, int] = (32, 8)
    vision_steps: int = 2000
    vision_batch: int = 48
    vision_size: Mapping[str, int] = field(default_factory=lambda: {"width": 128, "layers": 4})
    masked_pictures: int = 6144
    inpainting_steps: int = 1600
    inpainting_rate: float = 4e-4
    inpainting_batch: int = 32
    inpainting_shares: Mapping[str, float] = field(
        default_factory=lambda: {
            "one": 0.14,
            "light": 0.16,
            "two": 0.2,
            "shapes": 0.18,
            "pairs": 0.24,
            "pointed": 0.08,
        }
    )
    embedding_steps: int = 400
    embedding_batch: int = 8
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
    larger_pictures={192: (("pairs", 4),)},
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
    sharpening_steps=3,
    sharpening=Sharpening(shares={"pairs": 1.0}, sides={128: 1.0}, batch=2, whole=0.5),
    polishing_steps=3,
    polishing=Lesson(until=10**9, batch=8, shares={"pairs": 1.0}, sides={128: 0.5, 192: 0.5}),
    upscaler_steps=3,
    upscaler_batch=4,
    upscaler_size=(4, 1),
    vision_steps=3,
    vision_batch=4,
    vision_size={"width": 16, "layers": 1},
    masked_pictures=8,
    inpainting_steps=3,
    inpainting_batch=2,
    embedding_steps=3,
    embedding_batch=2,
    control_steps=3,
    control_batch=2,
)
