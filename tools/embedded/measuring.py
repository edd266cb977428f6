"""Plain measurements of a picture against its scene: colours at places, sky, ground, background, light."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tools.embedded.classifier import Eye, centre
from tools.embedded.drawing import SIDE, drawn
from tools.embedded.palette import GROUND, MOON, PALETTE, SKY, SUN, shade
from tools.embedded.world import SHAPES, Scene, Thing

Pixels = NDArray[np.float32]
_ERODE = 5
_GROUND_TOP = 100


def reduced(picture: Image.Image) -> Image.Image:
    """The picture at the size of drawings, in which places are measured."""
    return picture if picture.width == SIDE else picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def thing_colours(picture: Image.Image, scene: Scene) -> list[bool]:
    """For each thing, whether the commonest palette colour inside its expected outline (eroded) is its own."""
    pixels = _pixels(picture)
    return [_commonest(pixels[mask]) == thing.colour for thing, mask in _outlines(scene)]


def thing_kinds(picture: Image.Image, scene: Scene, eye: Eye) -> list[bool]:
    """For each thing, whether the eye names it at its expected place."""
    drawing = drawn(replace(scene, style="plain"), steady=True)
    centres = [centre(mask) for mask in drawing.masks]
    seen = eye.names(picture, centres)
    return [
        kind == thing.kind
        for kind, thing in zip(seen, sorted(scene.things, key=lambda t: t.row), strict=True)
    ]


def counted_right(picture: Image.Image, scene: Scene, eye: Eye) -> bool:
    """Whether as many patches of the things' colour are there as told (patches of at least 40 pixels)."""
    names = _nearest_names(_pixels(picture).reshape(-1, 3)).reshape(SIDE, SIDE)
    return patches(names == list(PALETTE).index(scene.things[0].colour), least=40) == len(scene.things)


def sky_right(picture: Image.Image, scene: Scene) -> bool:
    """Whether the sky seen is the sky named."""
    return sky_seen(picture) == scene.sky


def sky_seen(picture: Image.Image) -> str:
    """The sky that the upper third, away from things and light, is nearest to."""
    mean = np.median(_pixels(picture)[4:34].reshape(-1, 3), axis=0)
    tones = {name: (np.array(top) * 0.75 + np.array(bottom) * 0.25) for name, (top, bottom) in SKY.items()}
    return min(tones, key=lambda name: float(np.abs(tones[name] - mean).sum()))


def ground_right(picture: Image.Image, scene: Scene) -> bool:
    """Whether the ground seen in this sky's light is the ground named."""
    return ground_seen(picture, str(scene.sky)) == scene.ground


def ground_seen(picture: Image.Image, sky: str) -> str:
    """The ground that the lowest part is nearest to, in the light of `sky`."""
    mean = np.median(_pixels(picture)[_GROUND_TOP + 12 :].reshape(-1, 3), axis=0)
    dim = 0.6 if sky == "night" else 1.0
    tones = {name: np.array(shade(colour, dim)) for name, colour in GROUND.items()}
    return min(tones, key=lambda name: float(np.abs(tones[name] - mean).sum()))


def background_right(picture: Image.Image, scene: Scene) -> bool:
    """Whether the background seen is the one named."""
    return background_seen(picture, scene) == scene.background


def background_seen(picture: Image.Image, scene: Scene) -> str:
    """The palette colour that most of the picture away from the things of `scene` is nearest to."""
    outside = np.ones((SIDE, SIDE), dtype=bool)
    for mask in drawn(replace(scene, style="plain"), steady=True).masks:
        outside &= np.asarray(mask.filter(ImageFilter.MaxFilter(13))) < 40
    return _commonest(_pixels(picture)[outside])


def light_side_right(picture: Image.Image, scene: Scene) -> bool:
    """Whether sun or moon stands on the side named and not on the other."""
    pixels = _pixels(picture)
    tone = np.array(SUN if scene.light == "sun" else MOON, dtype=np.float32)
    here = int(scene.light_side or 0)
    shares = []
    for side in (here, 2 - here):
        x = 23 + 41 * side
        patch = pixels[10:36, x - 14 : x + 14].reshape(-1, 3)
        shares.append(float((np.abs(patch - tone).sum(axis=1) < 130).mean()))
    return shares[0] > 0.3 and shares[1] < 0.3


def patches(found: NDArray[np.bool_], *, least: int) -> int:
    """Number of connected regions (4 neighbours) of at least `least` pixels."""
    left = found.copy()
    count = 0
    while left.any():
        start = tuple(int(v) for v in np.argwhere(left)[0])
        stack, size = [start], 0
        left[start] = False
        while stack:
            y, x = stack.pop()
            size += 1
            for spot in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= spot[0] < left.shape[0] and 0 <= spot[1] < left.shape[1] and left[spot]:
                    left[spot] = False
                    stack.append(spot)
        count += size >= least
    return count


def _outlines(scene: Scene) -> list[tuple[Thing, NDArray[np.bool_]]]:
    drawing = drawn(replace(scene, style="plain"), steady=True)
    outlines: list[tuple[Thing, NDArray[np.bool_]]] = []
    for thing, mask in zip(sorted(scene.things, key=lambda t: t.row), drawing.masks, strict=True):
        inner = np.asarray(mask.filter(ImageFilter.MinFilter(3 if thing.kind in SHAPES else _ERODE))) > 128
        outlines.append((thing, inner if inner.sum() > 12 else np.asarray(mask) > 128))
    return outlines


def _commonest(pixels: Pixels) -> str:
    names = list(PALETTE)
    return names[Counter(_nearest_names(pixels).tolist()).most_common(1)[0][0]] if len(pixels) else ""


def _nearest_names(pixels: Pixels) -> NDArray[np.int64]:
    tones = np.array(list(PALETTE.values()), dtype=np.float32)
    distances = np.square(pixels[:, None, :] - tones[None]).sum(axis=2)
    nearest: NDArray[np.int64] = distances.argmin(axis=1)
    return nearest


def _pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGB"), dtype=np.float32)
