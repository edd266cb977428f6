"""What adapter files call the modules of a network: every known name of a module leads to its weight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nodes.diffusion.layouts import unet

_TEXT_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "clip_l": ("lora_te_", "lora_te1_", "text_encoder.", "te.", "te1.", "text_encoders.clip_l.transformer."),
    "clip_h": ("lora_te_", "lora_te1_", "text_encoder.", "te.", "text_encoders.clip_h.transformer."),
    "clip_g": ("lora_te2_", "text_encoder_2.", "te2.", "text_encoders.clip_g.transformer."),
}
_UNET_PREFIXES: Final = ("unet.", "base_model.model.unet.", "base_model.model.")
_ORIGINAL_PREFIXES: Final = ("diffusion_model.", "model.diffusion_model.")
_OLD_TEXT: Final = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out.0"}


@dataclass(frozen=True, slots=True)
class Target:
    """A module of a network: the names of its weight and of its bias."""

    weight: str
    bias: str


def module_names(
    kind: str, name: str, config: Mapping[str, Any], weights: Iterable[str]
) -> dict[str, Target]:
    """Every name that adapter files have for the modules of a network, with what they mean.

    `kind` is "unet", "clip" or "mmdit", `name` the part's name ("clip_g"), `weights` its tensors' names.
    """
    modules = [weight.removesuffix(".weight") for weight in weights if weight.endswith(".weight")]
    names: dict[str, Target] = {}
    if kind == "unet":
        originals = {
            rule.target: rule.original for rule in unet.rules(config, (f"{m}.weight" for m in modules))
        }
        for module in modules:
            target = Target(f"{module}.weight", f"{module}.bias")
            original = originals[f"{module}.weight"].removesuffix(".weight")
            for alias in _unet_aliases(module, original):
                names.setdefault(alias, target)
    elif kind == "clip":
        for module in modules:
            target = Target(f"{module}.weight", f"{module}.bias")
            for alias in _text_aliases(name, module):
                names.setdefault(alias, target)
    else:
        for module in modules:
            target = Target(f"{module}.weight", f"{module}.bias")
            names[f"transformer.{module}"] = target
            names[f"lora_transformer_{_flat(module)}"] = target
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
