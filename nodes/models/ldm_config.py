"""The configuration files of the original code of Stable Diffusion, as far as tensors do not tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from graphcore import InputError

_PREDICTIONS = {"eps": "eps", "v": "v_prediction", "x0": "x0"}
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LdmConfig:
    """What was said: what the network predicts ("eps", "v_prediction", "x0"), and the text layer from the end."""

    prediction: str | None = None
    text_layer: int | None = None


def read_ldm_config(path: Path) -> LdmConfig:
    """Read a configuration; raises InputError if it is none."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(
                f"'{path.name}' is too large for a configuration; choose another.", code="bad-config"
            )
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"'{path.name}' cannot be read as YAML; correct it.", code="bad-config") from error
    params = _inner(document, "model", "params")
    if not params:
        raise InputError(
            f"'{path.name}' is no configuration of a model: it has no model.params; choose another.",
            code="bad-config",
        )
    named = params.get("parameterization")
    if named is not None and named not in _PREDICTIONS:
        known = ", ".join(_PREDICTIONS)
        raise InputError(
            f"'{path.name}' has the parameterization {ascii(named)[:40]}; use one of {known}.",
            code="bad-config",
        )
    text = _inner(params, "cond_stage_config", "params")
    layer = text.get("layer_idx") if text.get("layer") == "hidden" else None
    if layer is None and text.get("layer") == "penultimate":
        layer = -2
    if layer is not None and not (isinstance(layer, int) and -24 <= layer <= -1):
        raise InputError(
            f"'{path.name}' has the text layer {ascii(layer)[:40]}; use one from -24 to -1.",
            code="bad-config",
        )
    return LdmConfig(prediction=None if named is None else _PREDICTIONS[named], text_layer=layer)


def _inner(document: object, *names: str) -> Mapping[str, object]:
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}
