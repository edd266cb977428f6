"""The loss curve as a picture, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from pathlib import Path

from PIL import Image, ImageDraw

_WIDTH, _HEIGHT, _MARGIN = 800, 420, 50


def draw_curve(
    points: Sequence[tuple[int, float]], figures: Sequence[dict[str, float]], path: Path, *, title: str
) -> None:
    """Draw loss against step (logarithmic), faint for each point and dark for a running mean; name last figures."""
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle([_MARGIN, _MARGIN, _WIDTH - _MARGIN, _HEIGHT - _MARGIN], outline=(120, 120, 120))
    pen.text((_MARGIN, 8), title, fill="black")
    if figures:
        said = "  ".join(f"{name} {value:.4g}" for name, value in figures[-1].items())
        pen.text((_MARGIN, 26), said, fill=(60, 60, 60))
    if len(points) > 1:
        _draw_lines(pen, points)
    image.save(path)


def _draw_lines(pen: ImageDraw.ImageDraw, points: Sequence[tuple[int, float]]) -> None:
    heights = [log10(max(1e-6, loss)) for _, loss in points]
    low, high = min(heights), max(*heights, min(heights) + 1e-3)
    last = max(1, points[-1][0])

    def spot(step: int, height: float) -> tuple[float, float]:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * step / last
        return x, _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * (height - low) / (high - low)

    pen.line([spot(step, h) for (step, _), h in zip(points, heights, strict=True)], fill=(200, 210, 235))
    window = max(1, len(points) // 40)
    means = [
        sum(heights[max(0, k - window) : k + 1]) / len(heights[max(0, k - window) : k + 1])
        for k in range(len(heights))
    ]
    pen.line([spot(step, h) for (step, _), h in zip(points, means, strict=True)], fill=(30, 60, 150), width=2)
    pen.text((6, _MARGIN), f"{10**high:.3g}", fill="black")
    pen.text((6, _HEIGHT - _MARGIN - 12), f"{10**low:.3g}", fill="black")
    pen.text((_WIDTH - _MARGIN - 40, _HEIGHT - _MARGIN + 6), f"{last}", fill="black")
