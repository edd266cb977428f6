"""What adapter files call the modules of a network: every known name of a module leads to its weight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nodes.diffusion.layouts import mmdit, unet

_TEXT_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "clip_l": ("lora_te_", "lora_te1_", "text_encoder.", "te.", "te1.", "text_encoders.clip_l.transformer."),
    "clip_h": ("lora_te_", "lora_te1_", "text_encoder.", "te.", "text_encoders.clip_h.transformer."),
    "clip_g": ("lora_te2_", "text_encoder_2.", "te2.", "text_encoders.clip_g.transformer."),
    "t5": ("lora_te3_", "text_encoder_3.", "te3.", "text_encoders.t5xxl.transformer."),
}
_UNET_PREFIXES: Final = ("unet.", "base_model.model.unet.", "base_model.model.")
_ORIGINAL_PREFIXES: Final = ("diffusion_model.", "model.diffusion_model.")
_OLD_TEXT: Final = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out.0"}


@dataclass(frozen=True, slots=True)
class Target:
    """A module of a network: the names of its weight and of its bias.

    Where files keep several modules in one, it is part `index` of the `count` equal ones along the rows.
    """

    weight: str
    bias: str
    index: int = 0
    count: int = 1


Targets = Mapping[str, tuple[Target, ...]]
"""What each name that adapter files have means."""


def module_names(
    kind: str, name: str, config: Mapping[str, Any], weights: Iterable[str]
) -> dict[str, tuple[Target, ...]]:
    """Every name that adapter files have for the modules of a network, with what they mean.

    `kind` is "unet", "clip", "t5" or "mmdit", `name` the part's name ("clip_g"), `weights` its tensors' names.
    """
    modules = [weight.removesuffix(".weight") for weight in weights if weight.endswith(".weight")]
    names: dict[str, tuple[Target, ...]] = {}
    if kind == "mmdit":
        return _mmdit_names(config, modules)
    originals: dict[str, str] = {}
    if kind == "unet":
        rules = unet.rules(config, (f"{module}.weight" for module in modules))
        originals = {rule.target.removesuffix(".weight"): rule.original for rule in rules}
    for module in modules:
        target = (Target(f"{module}.weight", f"{module}.bias"),)
        if kind == "unet":
            aliases = _unet_aliases(module, originals[module].removesuffix(".weight"))
        else:
            aliases = _text_aliases(name, module)
        for alias in aliases:
            names.setdefault(alias, target)
    return names


def _mmdit_names(config: Mapping[str, Any], modules: Iterable[str]) -> dict[str, tuple[Target, ...]]:
    """SD 3: diffusers' names, and those of single files, where query, key and value are one module.

    What single files hold with halves swapped has no name of theirs.
    """
    names: dict[str, tuple[Target, ...]] = {}
    pieces: dict[str, list[Target]] = {}
    for rule in mmdit.rules(config, [f"{module}.weight" for module in modules]):
        module, original = rule.target.removesuffix(".weight"), rule.original.removesuffix(".weight")
        target = Target(f"{module}.weight", f"{module}.bias")
        for alias in (f"transformer.{module}", module, f"base_model.model.{module}"):
            names[alias] = (target,)
        for prefix in ("lora_transformer_", "lycoris_", "lora_unet_"):
            names[prefix + _flat(module)] = (target,)
        if rule.form.kind == "rows":
            split = Target(target.weight, target.bias, rule.form.index, rule.form.count)
            pieces.setdefault(original, []).append(split)
        elif rule.form.kind == "plain":
            pieces[original] = [target]
    for original, targets in pieces.items():
        for alias in (
            f"lora_unet_{_flat(original)}",
            *(f"{prefix}{original}" for prefix in _ORIGINAL_PREFIXES),
        ):
            names[alias] = tuple(targets)
    return names


def _unet_aliases(module: str, original: str) -> list[str]:
    aliases = [
        f"lora_unet_{_flat(module)}",
        f"lora_unet_{_flat(original)}",
        f"lycoris_{_flat(module)}",
        module,
    ]
    aliases += [f"{prefix}{module}" for prefix in _UNET_PREFIXES]
    aliases += [f"{prefix}{original}" for prefix in _ORIGINAL_PREFIXES]
    return aliases


def _text_aliases(part: str, module: str) -> list[str]:
    aliases = []
    _, _, layer = module.rpartition(".")
    forms = [module]
    if not module.startswith("text_model.") and module != "text_projection":
        forms.append(f"text_model.{module}")
    if layer in _OLD_TEXT:
        forms += [f"{form.rpartition('.')[0]}.{_OLD_TEXT[layer]}" for form in list(forms)]
    for prefix in _TEXT_PREFIXES.get(part, _TEXT_PREFIXES["clip_l"]):
        for form in forms:
            aliases.append(prefix + (_flat(form) if prefix.endswith("_") else form))
            short = form.removeprefix("text_model.")
            if short != form and not prefix.endswith("_"):
                aliases.append(prefix + short)
    return aliases


def _flat(name: str) -> str:
    return name.replace(".", "_")
