"""Node types as ComfyUI describes them (GET /object_info): what its editor, its clients and UI graphs are read with."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from graphcore.files import Files
from graphcore.growing import item_name
from graphcore.jsontext import JSON
from graphcore.registry import Registry
from graphcore.spec import MISSING, InputSpec, NodeSpec, OutputSpec
from graphcore.widgets import Growing

_MAX_SEED: Final = 2**64 - 1


def object_info(registry: Registry, files: Files | None = None) -> dict[str, JSON]:
    """Describe every node type under each of its names; file choices are listed if `files` is given."""
    return {name: node_info(spec, name, files) for name, spec in registry.comfy_names().items()}


def node_info(spec: NodeSpec, name: str | None = None, files: Files | None = None) -> JSON:
    """Describe one node type, under one of its names."""
    if spec.foreign is not None:
        current = spec.foreign.fresh() if spec.foreign.fresh is not None else spec
        assert current.foreign is not None
        return dict(current.foreign.info)
    required: dict[str, JSON] = {}
    optional: dict[str, JSON] = {}
    for declared in spec.inputs:
        group = optional if declared.optional or declared.default is None else required
        group[declared.name] = input_info(declared, files)
    inputs: dict[str, JSON] = {"required": required}
    order: dict[str, JSON] = {"required": list(required)}
    if optional:
        inputs["optional"] = optional
        order["optional"] = list(optional)
    shown = name or spec.name
    info: dict[str, JSON] = {
        "input": inputs,
        "input_order": order,
        "output": [_output_type(output) for output in spec.outputs],
        "output_is_list": [output.each for output in spec.outputs],
        "output_name": [_output_name(output) for output in spec.outputs],
        "name": shown,
        "display_name": spec.title or shown,
        "description": spec.description,
        "python_module": spec.module or "nodes",
        "category": spec.category or "sd",
        "output_node": spec.output,
    }
    if any(output.tooltip for output in spec.outputs):
        info["output_tooltips"] = [output.tooltip for output in spec.outputs]
    if spec.deprecated:
        info["deprecated"] = True
    if spec.experimental:
        info["experimental"] = True
    return info


def _output_type(output: OutputSpec) -> JSON:
    return output.type.name


def _output_name(output: OutputSpec) -> str:
    plain = output.name == "value" or output.name == output.type.name.lower()
    return output.type.name if plain else output.name


def input_info(declared: InputSpec, files: Files | None = None) -> JSON:
    """Describe one input: its type, or its list of choices, and its options."""
    if declared.info is not None:
        return list(declared.info)  # type: ignore[arg-type]
    if declared.growing is not None:
        return _growing_info(declared, declared.growing, files)
    options: dict[str, JSON] = {}
    if declared.default is not MISSING and declared.default is not None:
        options["default"] = declared.default  # type: ignore[assignment]
    _add_range(declared, options)
    _add_widgets(declared, options)
    options.update(declared.options)  # type: ignore[arg-type]
    if declared.lazy:
        options["lazy"] = True
    if declared.raw_link:
        options["rawLink"] = True
    kind: JSON = declared.type.name
    if declared.choices is not None:
        kind = list(declared.choices)  # type: ignore[arg-type]
    elif declared.file is not None:
        kind = list(files.names(declared.file.kind)) if files is not None else []
        if declared.file.empty is not None:
            kind = [declared.file.empty, *kind]
    return [kind, options]


def _growing_info(declared: InputSpec, growing: Growing, files: Files | None) -> JSON:
    item = item_name(declared.name)
    template: dict[str, JSON] = {
        "input": {"required": {item: input_info(replace(declared, growing=None), files)}},
        "prefix": item,
        "min": growing.least,
        "max": growing.most,
    }
    return ["COMFY_AUTOGROW_V3", {"template": template}]


def _add_range(declared: InputSpec, options: dict[str, JSON]) -> None:
    bounds = declared.range
    if bounds is not None:
        for name, value in (
            ("min", bounds.minimum),
            ("max", bounds.maximum),
            ("step", bounds.step),
            ("round", bounds.round),
        ):
            if value is not None:
                options[name] = value
    if declared.seed is not None:
        options.setdefault("min", 0)
        options.setdefault("max", _MAX_SEED)
        if declared.seed.control:
            options["control_after_generate"] = True


def _add_widgets(declared: InputSpec, options: dict[str, JSON]) -> None:
    if declared.text is not None:
        options["multiline"] = declared.text.multiline
        if declared.text.dynamic_prompts:
            options["dynamicPrompts"] = True
        if declared.text.placeholder:
            options["placeholder"] = declared.text.placeholder
    if declared.toggle is not None:
        options["label_on"] = declared.toggle.on
        options["label_off"] = declared.toggle.off
    if declared.file is not None and declared.file.upload is not None:
        options[f"{declared.file.upload}_upload"] = True
    if declared.shown.tooltip:
        options["tooltip"] = declared.shown.tooltip
    if declared.shown.force_input:
        options["forceInput"] = True
