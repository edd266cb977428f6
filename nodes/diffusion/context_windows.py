"""Windows over the frames of a video that is longer than its network knows, and how their predictions become one.

At each step the frames are cut into windows that overlap; each window is predicted by itself, and every frame gets the
weighted mean of what its windows say of it (MultiDiffusion, Bar-Tal et al. 2023, arXiv 2302.08113, eq. 5, along time).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from nodes.diffusion.noise import generator
from nodes.video.context_options import ContextOption

Window = tuple[int, ...]
_LEAST = 1e-6


def windows_at(option: ContextOption, frames: int, step: int) -> list[Window]:
    """The windows of a step, as numbers of frames; together they hold every frame. One window if all frames fit."""
    if frames <= option.length:
        return [tuple(range(frames))]
    return _SCHEDULES[option.schedule](option, frames, step)


def _static(option: ContextOption, frames: int, step: int) -> list[Window]:
    """Even steps from the first frame on; the last window ends at the last frame."""
    last = frames - option.length
    starts = [*range(0, last, option.length - option.overlap), last]
    return [tuple(range(start, start + option.length)) for start in starts]


def _batched(option: ContextOption, frames: int, step: int) -> list[Window]:
    """One after another without overlap; the last may be shorter."""
    starts = range(0, frames, option.length)
    return [tuple(range(start, min(start + option.length, frames))) for start in starts]


def _looped(option: ContextOption, frames: int, step: int) -> list[Window]:
    """Windows that begin elsewhere at each step and run on over the end into the beginning.

    Besides those of neighbouring frames there are such as take every second, fourth ... frame, up to `stride` kinds.
    """
    offset = _halving(step)
    begin = round(frames * offset)
    end = frames + begin - (0 if option.closed_loop else option.overlap)
    kinds = min(option.stride, math.ceil(math.log2(frames / option.length)) + 1)
    found: dict[Window, None] = {}
    for gap in (2**kind for kind in range(kinds)):
        span = gap * option.length
        for start in range(begin + int(offset * gap), end, span - option.overlap):
            found[tuple(place % frames for place in range(start, start + span, gap))] = None
    return [window for window in found if len(set(window)) == len(window)]


def _uniform(option: ContextOption, frames: int, step: int) -> list[Window]:
    """Windows that begin elsewhere at each step; those that would run over the end are moved back to end there."""
    found: dict[Window, None] = {}
    for window in _looped(option, frames, step):
        gap = (window[1] - window[0]) % frames if len(window) > 1 else 1
        latest = frames - 1 - gap * (option.length - 1)
        if latest >= 0:
            first = min(window[0], latest)
            found[tuple(range(first, first + gap * option.length, gap))] = None
    for frame in range(frames):
        if not any(frame in window for window in found):
            start = min(frame, frames - option.length)
            found[tuple(range(start, start + option.length))] = None
    return list(found)


_SCHEDULES: Mapping[str, Callable[[ContextOption, int, int], list[Window]]] = MappingProxyType(
    {
        "standard_static": _static,
        "standard_uniform": _uniform,
        "looped_uniform": _looped,
        "batched": _batched,
    }
)


def _halving(step: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8 ...: a step's binary digits behind the point, in reverse (van der Corput's sequence)."""
    value, part = 0.0, 0.5
    while step:
        value += part * (step & 1)
        step, part = step >> 1, part / 2
    return value


def weights_of(option: ContextOption, window: Window, frames: int) -> Tensor:
    """How much a window's prediction counts for each of its frames: (length,), all above 0.

    "pyramid" rises to its middle by whole numbers; "relative" falls evenly from its middle to both
    ends; "flat" is 1; "overlap-linear" is 1 but for ramps where it overlaps with others.
    """
    count = len(window)
    places = torch.arange(count)
    if option.fuse == "pyramid":
        return torch.minimum(places + 1, count - places).float()
    if option.fuse == "relative":
        middle, half = (count - 1) / 2, (count - 0.99) / 2
        return (1 - (places - middle).abs() / half).clamp_min(0.01)
    weights = torch.ones(count)
    ramp = min(option.overlap, count)
    if option.fuse == "overlap-linear" and ramp:
        rising = torch.linspace(0, 1, ramp).clamp_min(_LEAST)
        if min(window) > 0:
            weights[:ramp] = rising
        if max(window) < frames - 1:
            weights[-ramp:] = torch.minimum(weights[-ramp:], rising.flip(0))
    return weights


def shuffled_noise(option: ContextOption, noise: Tensor, seed: int) -> Tensor:
    """Noise (frames, ...) whose frames beyond the first window are those before, shuffled within what windows move by.

    So windows far apart start alike (FreeNoise, Qiu et al. 2023, arXiv 2310.15169, section 3.2).
    """
    step = option.length - option.overlap
    frames = list(range(min(option.length, len(noise))))
    stream = generator(seed)
    for place in range(option.length, len(noise), step):
        count = min(step, len(noise) - place)
        order = torch.randperm(count, generator=stream)
        earlier = frames[place - option.length : place - option.length + count]
        frames += [earlier[index] for index in order.tolist()]
    return noise[frames]
