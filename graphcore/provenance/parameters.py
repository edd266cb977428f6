"""A1111's `parameters` text for a picture, so that galleries show how it was made.

It is drawn from the graph by the names that inputs of samplers and text encoders have everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from graphcore.checked import CheckedNode

_SAMPLERS: Final[Mapping[str, str]] = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "lms": "LMS",
    "heun": "Heun",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "ddim": "DDIM",
    "uni_pc": "UniPC",
    "lcm": "LCM",
}
_SCHEDULES: Final[Mapping[str, str]] = {
    "normal": "Normal",
    "karras": "Karras",
    "exponential": "Exponential",
    "sgm_uniform": "SGM Uniform",
    "simple": "Simple",
    "ddim_uniform": "DDIM",
    "beta": "Beta",
    "kl_optimal": "KL Optimal",
}


def parameters_text(nodes: Sequence[CheckedNode], index: Mapping[str, int], saver: str) -> str | None:
    """The text for what `saver` saves, or None if no sampler feeds it."""
    sampler = _first(
        nodes, index.get(saver), lambda node: {"steps", "cfg", "positive"} <= set(node.spec.by_name)
    )
    if sampler is None:
        return None
    values = sampler.arguments
    seed = values.get("seed", values.get("noise_seed"))
    name, schedule = str(values.get("sampler_name", "")), str(values.get("scheduler", ""))
    settings = {
        "Steps": values.get("steps"),
        "Sampler": _SAMPLERS.get(name, name) or None,
        "Schedule type": _SCHEDULES.get(schedule, schedule) or None,
        "CFG scale": values.get("cfg"),
        "Seed": seed,
        "Size": _size(nodes, sampler),
        "Model": _model(nodes, sampler),
        "Denoising strength": values.get("denoise") if values.get("denoise", 1.0) != 1.0 else None,
        "Version": "graphcore",
    }
    line = ", ".join(f"{label}: {_quoted(value)}" for label, value in settings.items() if value is not None)
    positive, negative = _text(nodes, sampler, "positive"), _text(nodes, sampler, "negative")
    parts = [positive, f"Negative prompt: {negative}" if negative else "", line]
    return "\n".join(part for part in parts if part)


def _first(nodes: Sequence[CheckedNode], start: int | None, wanted: object) -> CheckedNode | None:
    """The nearest node upstream, breadth first, that `wanted` accepts."""
    assert callable(wanted)
    pending = [] if start is None else [start]
    seen = set(pending)
    for place in pending:
        if wanted(nodes[place]):
            return nodes[place]
        for link in nodes[place].links:
            if link.source >= 0 and link.source not in seen:
                seen.add(link.source)
                pending.append(link.source)
    return None


def _linked(node: CheckedNode, name: str) -> int | None:
    return next((link.source for link in node.links if link.input == name), None)


def _text(nodes: Sequence[CheckedNode], sampler: CheckedNode, side: str) -> str:
    encoder = _first(nodes, _linked(sampler, side), lambda node: isinstance(node.arguments.get("text"), str))
    return "" if encoder is None else str(encoder.arguments["text"])


def _size(nodes: Sequence[CheckedNode], sampler: CheckedNode) -> str | None:
    wanted = {"width", "height"}
    latent = _first(nodes, _linked(sampler, "latent_image"), lambda node: wanted <= set(node.arguments))
    return None if latent is None else f"{latent.arguments['width']}x{latent.arguments['height']}"


def _model(nodes: Sequence[CheckedNode], sampler: CheckedNode) -> str | None:
    loader = _first(
        nodes, _linked(sampler, "model"), lambda node: isinstance(node.arguments.get("ckpt_name"), str)
    )
    return None if loader is None else PurePosixPath(str(loader.arguments["ckpt_name"])).stem


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if "," in text or ":" in text or "\n" in text else text
