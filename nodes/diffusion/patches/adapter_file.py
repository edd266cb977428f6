"""Adapter files: which weights they speak of, in whatever way they name them.

kohya (`lora_unet_…lora_down.weight`), PEFT and diffusers (`unet.….lora_A.weight`,
`…processor.to_q_lora.down.weight`), plain model names (`diffusion_model.….lora_up.weight`), LyCORIS (`hada_*`,
`lokr_*`, `oft_blocks`), full differences (`diff`, `diff_b`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from safetensors import safe_open
from torch import Tensor

from graphcore.errors import ModelFileError
from nodes.diffusion.patches.adapter import Adapter, AdapterKind
from nodes.diffusion.safetensors_header import Header, TensorInfo, read_header
from nodes.values import LoraWeights

_ROLES: Final[Mapping[str, tuple[AdapterKind, str]]] = {
    "lora_down.weight": ("lora", "down"),
    "lora_up.weight": ("lora", "up"),
    "lora_mid.weight": ("lora", "mid"),
    "lora_A.weight": ("lora", "down"),
    "lora_B.weight": ("lora", "up"),
    "lora_A.default.weight": ("lora", "down"),
    "lora_B.default.weight": ("lora", "up"),
    "lora.down.weight": ("lora", "down"),
    "lora.up.weight": ("lora", "up"),
    "lora_linear_layer.down.weight": ("lora", "down"),
    "lora_linear_layer.up.weight": ("lora", "up"),
    "hada_w1_a": ("loha", "w1_a"),
    "hada_w1_b": ("loha", "w1_b"),
    "hada_w2_a": ("loha", "w2_a"),
    "hada_w2_b": ("loha", "w2_b"),
    "hada_t1": ("loha", "t1"),
    "hada_t2": ("loha", "t2"),
    "lokr_w1": ("lokr", "w1"),
    "lokr_w1_a": ("lokr", "w1_a"),
    "lokr_w1_b": ("lokr", "w1_b"),
    "lokr_w2": ("lokr", "w2"),
    "lokr_w2_a": ("lokr", "w2_a"),
    "lokr_w2_b": ("lokr", "w2_b"),
    "lokr_t2": ("lokr", "t2"),
    "a1.weight": ("glora", "a1"),
    "a2.weight": ("glora", "a2"),
    "b1.weight": ("glora", "b1"),
    "b2.weight": ("glora", "b2"),
    "oft_blocks": ("oft", "blocks"),
    "rescale": ("oft", "rescale"),
    "diff": ("diff", "diff"),
    "w_norm": ("diff", "diff"),
    "diff_b": ("bias", "diff"),
    "b_norm": ("bias", "diff"),
}
_SHARED: Final = {
    "alpha": "alpha",
    "dora_scale": "dora_scale",
    "lora_magnitude_vector": "magnitude",
    "lora_magnitude_vector.weight": "magnitude",
    "lora_magnitude_vector.default.weight": "magnitude",
}
_PROCESSOR: Final = re.compile(r"(?:\.processor)?\.(to_q|to_k|to_v|to_out)_lora\.(down|up)\.weight\Z")
_NEEDED: Final[Mapping[AdapterKind, tuple[tuple[str, ...], ...]]] = {
    "lora": (("up", "down"),),
    "loha": (("w1_a", "w1_b", "w2_a", "w2_b"),),
    "lokr": (("w1", "w2"), ("w1_a", "w1_b", "w2"), ("w1", "w2_a", "w2_b"), ("w1_a", "w1_b", "w2_a", "w2_b")),
    "glora": (("a1", "a2", "b1", "b2"),),
    "oft": (("blocks",),),
    "diff": (("diff",),),
    "bias": (("diff",),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterEntry:
    """One adapter in a file: the module it speaks of, by the file's name, its kind, its tensors' names by role."""

    module: str
    kind: AdapterKind
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdapterFile:
    """An adapter file, read up to its header. `unknown` names the tensors that are no part of any adapter.

    `held` are the tensors themselves, where they are in memory and not in a file.
    """

    header: Header
    entries: tuple[AdapterEntry, ...]
    unknown: tuple[str, ...]
    scales: Mapping[str, float]
    held: Mapping[str, Tensor] | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self.header.path

    def load(self, entries: Iterable[AdapterEntry]) -> list[Adapter]:
        """The tensors of some of the adapters, mapped from the file."""
        if self.held is not None:
            return [self._adapter(entry, self.held.__getitem__) for entry in entries]
        with safe_open(self.path, framework="pt") as file:
            return [self._adapter(entry, file.get_tensor) for entry in entries]

    def _adapter(self, entry: AdapterEntry, tensor: Callable[[str], Tensor]) -> Adapter:
        return Adapter(
            kind=entry.kind,
            tensors={role: tensor(name) for role, name in entry.names.items()},
            scale=self.scales.get(entry.module, 1.0),
        )


def open_adapters(path: Path) -> AdapterFile:
    """Read an adapter file's header; raises ModelFileError if it holds no adapter."""
    return _adapters_in(read_header(path))


def held_adapters(lora: LoraWeights) -> AdapterFile:
    """A trained adapter as if it were read from a file."""
    infos = {name: TensorInfo("F32", tuple(tensor.shape), 0, 0) for name, tensor in lora.tensors.items()}
    header = Header(path=Path("trained LoRA"), tensors=infos, metadata=lora.metadata)
    return replace(_adapters_in(header), held=lora.tensors)


def _adapters_in(header: Header) -> AdapterFile:
    parts: dict[tuple[str, AdapterKind], dict[str, str]] = {}
    shared: dict[str, dict[str, str]] = {}
    unknown: list[str] = []
    for name in header.tensors:
        found = _split(name)
        if found is None:
            unknown.append(name)
            continue
        module, kind, role = found
        if kind is None:
            shared.setdefault(module, {})[role] = name
        else:
            parts.setdefault((module, kind), {})[role] = name
    entries = []
    for (module, kind), names in parts.items():
        if not any(set(needed) <= set(names) for needed in _NEEDED[kind]):
            unknown.extend(names.values())
            continue
        extra = shared.get(module, {}) if kind != "bias" else {}
        entries.append(AdapterEntry(module=module, kind=kind, names={**names, **extra}))
    _refuse_whole_numbers(header, entries)
    if not entries:
        raise ModelFileError(
            f"{header.path.name} holds no LoRA or other adapter; choose an adapter file.",
            code="not-an-adapter",
            location=header.path.name,
        )
    return AdapterFile(
        header=header, entries=tuple(entries), unknown=tuple(unknown), scales=_scales(header, entries)
    )


def _refuse_whole_numbers(header: Header, entries: Iterable[AdapterEntry]) -> None:
    for entry in entries:
        for role, name in entry.names.items():
            if role != "alpha" and not header.tensors[name].dtype.startswith(("F", "BF")):
                raise ModelFileError(
                    f"{header.path.name} is quantized: {name} is stored in whole numbers, which is not supported; get "
                    "the file in fp16, bf16 or fp8.",
                    code="model-file-quantized",
                    location=header.path.name,
                )


def _split(name: str) -> tuple[str, AdapterKind | None, str] | None:
    """A tensor's name as module, kind of adapter (None for what all kinds share) and role."""
    processor = _PROCESSOR.search(name)
    if processor is not None:
        layer = "to_out.0" if processor.group(1) == "to_out" else processor.group(1)
        return f"{name[: processor.start()]}.{layer}", "lora", processor.group(2)
    for suffix, (kind, role) in _ROLES.items():
        if name.endswith(f".{suffix}"):
            return name[: -len(suffix) - 1], kind, role
    for suffix, role in _SHARED.items():
        if name.endswith(f".{suffix}"):
            return name[: -len(suffix) - 1], None, role
    return None


def _scales(header: Header, entries: Iterable[AdapterEntry]) -> dict[str, float]:
    """Scales that PEFT keeps in the header, by module: lora_alpha over r, or over its root (rank-stabilized LoRA)."""
    text = header.metadata.get("lora_adapter_metadata")
    if text is None:
        return {}
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(said, dict):
        return {}
    scales: dict[str, float] = {}
    for entry in entries:
        component, _, module = entry.module.partition(".")
        prefix = f"{component}." if any(key.startswith(f"{component}.") for key in said) else ""
        alpha, rank = said.get(f"{prefix}lora_alpha"), said.get(f"{prefix}r")
        alphas, ranks = said.get(f"{prefix}alpha_pattern"), said.get(f"{prefix}rank_pattern")
        if isinstance(alphas, dict):
            alpha = alphas.get(module, alpha)
        if isinstance(ranks, dict):
            rank = ranks.get(module, rank)
        if isinstance(alpha, (int, float)) and isinstance(rank, (int, float)) and rank > 0:
            scales[entry.module] = alpha / (math.sqrt(rank) if said.get(f"{prefix}use_rslora") else rank)
    return scales
