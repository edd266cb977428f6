"""`nodes`, as node packs import it: our node types as classes that are called as ComfyUI's are.

nodes.NODE_CLASS_MAPPINGS["VAEDecode"]().decode(vae, samples)      nodes.common_ksampler(...)
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, Self

from graphcore.context import Context
from graphcore.formats.object_info import input_info
from graphcore.lists import Each
from graphcore.spec import InputSpec, NodeSpec
from nodes.choices import MAX_SIDE
from nodes.packs.awaiting import settle
from nodes.packs.classic_functions import before_node_execution, common_ksampler, interrupt_processing
from nodes.packs.classic_pictures import changed, save_images, saves_into, validated
from nodes.packs.exchange import from_comfy, to_comfy
from nodes.packs.faces import run_context
from nodes.packs.host import PackHost, current_host

MAX_RESOLUTION: Final = MAX_SIDE
_FUNCTIONS: Final = MappingProxyType(
    {
        "KSampler": "sample",
        "KSamplerAdvanced": "sample",
        "CLIPTextEncode": "encode",
        "CLIPSetLastLayer": "set_last_layer",
        "VAEDecode": "decode",
        "VAEDecodeTiled": "decode",
        "VAEEncode": "encode",
        "VAEEncodeTiled": "encode",
        "VAEEncodeForInpaint": "encode",
        "SaveImage": "save_images",
        "PreviewImage": "save_images",
        "LoadImage": "load_image",
        "LoadImageMask": "load_image",
        "CheckpointLoaderSimple": "load_checkpoint",
        "VAELoader": "load_vae",
        "UNETLoader": "load_unet",
        "CLIPLoader": "load_clip",
        "DualCLIPLoader": "load_clip",
        "LoraLoader": "load_lora",
        "LoraLoaderModelOnly": "load_lora_model_only",
        "ControlNetLoader": "load_controlnet",
        "ControlNetApply": "apply_controlnet",
        "ControlNetApplyAdvanced": "apply_controlnet",
        "EmptyLatentImage": "generate",
        "LatentUpscale": "upscale",
        "LatentUpscaleBy": "upscale",
        "LatentFromBatch": "frombatch",
        "RepeatLatentBatch": "repeat",
        "LatentComposite": "composite",
        "LatentRotate": "rotate",
        "LatentFlip": "flip",
        "LatentCrop": "crop",
        "SetLatentNoiseMask": "set_mask",
        "ImageScale": "upscale",
        "ImageScaleBy": "upscale",
        "ImageInvert": "invert",
        "ImageBatch": "batch",
        "ImagePadForOutpaint": "expand_image",
        "EmptyImage": "generate",
        "ConditioningCombine": "combine",
        "ConditioningAverage": "addWeighted",
        "ConditioningConcat": "concat",
        "ConditioningSetArea": "append",
        "ConditioningSetMask": "append",
        "ConditioningZeroOut": "zero_out",
        "ConditioningSetTimestepRange": "set_range",
        "InpaintModelConditioning": "encode",
    }
)

_ORDERS: Final = MappingProxyType(
    {
        "CLIPTextEncode": ("clip", "text"),
        "ConditioningSetMask": ("conditioning", "mask", "set_cond_area", "strength"),
        "InpaintModelConditioning": ("positive", "negative", "pixels", "vae", "mask", "noise_mask"),
        "VAEDecode": ("vae", "samples"),
        "VAEDecodeTiled": ("vae", "samples", "tile_size", "overlap", "temporal_size", "temporal_overlap"),
        "VAEEncode": ("vae", "pixels"),
        "VAEEncodeForInpaint": ("vae", "pixels", "mask", "grow_mask_by"),
        "VAEEncodeTiled": ("vae", "pixels", "tile_size", "overlap", "temporal_size", "temporal_overlap"),
    }
)


class ClassicNode:
    """One of our node types as a class of ComfyUI's shape; subclasses may call the method that FUNCTION names."""

    FUNCTION = "run"
    RETURN_TYPES: tuple[str, ...] = ()
    _spec: NodeSpec
    _order: tuple[str, ...] = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:  # noqa: N802 (ComfyUI's name)
        """The inputs, with the choices of files as they are now."""
        files = current_host().files()
        groups: dict[str, dict[str, Any]] = {"required": {}}
        for declared in cls._spec.inputs:
            group = "optional" if declared.optional or declared.default is None else "required"
            shown = input_info(declared, files)
            assert isinstance(shown, list)
            groups.setdefault(group, {})[declared.name] = tuple(shown)
        return groups

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run the node on ComfyUI's values, in the run of the caller; a tuple of its outputs, or what it shows."""
        spec = self._spec
        given = dict(zip(self._order, args, strict=False)) | kwargs
        inputs: dict[str, Any] = {}
        for name, value in given.items():
            declared = spec.input(name)
            if declared is not None:
                inputs[name] = _taken(declared, value)
        context = replace(run_context(), shown=[])
        if spec.context_name is not None:
            inputs[spec.context_name] = context
        returned = settle(lambda: spec.function(**inputs))
        outputs = returned if isinstance(returned, tuple) and not spec.single_output else (returned,)
        made = tuple(
            _given(output.type.name, value) for output, value in zip(spec.outputs, outputs, strict=False)
        )
        return {"ui": _ui(context), "result": made} if spec.output else made


def _taken(declared: InputSpec, value: Any) -> Any:
    if isinstance(value, list) and declared.gather:
        return [from_comfy(declared.type.name, item) for item in value]
    return from_comfy(declared.type.name, value)


def _given(kind: str, value: Any) -> Any:
    if isinstance(value, Each):
        return [to_comfy(kind, item) for item in value]
    return to_comfy(kind, value)


def _ui(context: Context) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for item in context.shown:
        rest = {name: value for name, value in item.items() if name != "kind"}
        found.setdefault(str(item["kind"]), []).append(rest)
    return found


def classic_class(spec: NodeSpec, name: str) -> type[ClassicNode]:
    """The class of a node type, under one of its names."""
    function = _FUNCTIONS.get(name, "run")
    members: dict[str, Any] = {
        "_spec": spec,
        "_order": _ORDERS.get(name) or tuple(declared.name for declared in spec.inputs),
        "FUNCTION": function,
        "CATEGORY": spec.category,
        "DESCRIPTION": spec.description,
        "OUTPUT_NODE": spec.output,
        "RETURN_TYPES": tuple(output.type.name for output in spec.outputs),
        "RETURN_NAMES": tuple(output.name for output in spec.outputs),
        "OUTPUT_IS_LIST": tuple(output.each for output in spec.outputs),
        "__module__": "nodes",
        "__doc__": spec.description,
    }
    if function != "run":
        members[function] = ClassicNode.run
    if name in ("SaveImage", "PreviewImage"):
        members |= {
            "save_images": save_images,
            "__init__": saves_into("output" if name == "SaveImage" else "temp"),
        }
    if name == "LoadImage":
        members |= {"IS_CHANGED": classmethod(changed), "VALIDATE_INPUTS": classmethod(validated)}
    return type(name, (ClassicNode,), members)


class NodeClasses:
    """The classes of all node types of a host by name: ours as they are needed, and those that packs have brought."""

    def __init__(self, host: PackHost) -> None:
        self._registry = host.registry
        self.classes: dict[str, Any] = {}
        self.display_names: dict[str, str] = {}
        self.web_folders: dict[str, str] = {}

    @classmethod
    def create(cls, host: PackHost) -> Self:
        """The classes of a host."""
        return cls(host)

    def note(self, name: str, cls: Any, display_name: str | None) -> None:
        """Add the class of a pack."""
        self.classes[name] = cls
        self.display_names[name] = display_name or name

    def get(self, name: str) -> Any:
        """The class of a node type, or None."""
        if name not in self.classes:
            spec = self._registry.get(name)
            if spec is None:
                return None
            self.classes[name] = classic_class(spec, name)
        return self.classes[name]

    def all(self) -> dict[str, Any]:
        """All classes by name; packs may add to it."""
        for name in self._registry.comfy_names():
            self.get(name)
        return self.classes

    def titles(self) -> dict[str, str]:
        """The titles of all node types by name."""
        for name, spec in self._registry.comfy_names().items():
            self.display_names.setdefault(name, spec.title or name)
        return self.display_names


def offered(name: str) -> Any:
    """What `nodes` offers packs under a name; raises AttributeError for what it does not."""
    plain = {
        "MAX_RESOLUTION": MAX_RESOLUTION,
        "common_ksampler": common_ksampler,
        "interrupt_processing": interrupt_processing,
        "before_node_execution": before_node_execution,
    }
    if name in plain:
        return plain[name]
    classes = current_host().part(NodeClasses)
    if name == "NODE_CLASS_MAPPINGS":
        return classes.all()
    if name == "NODE_DISPLAY_NAME_MAPPINGS":
        return classes.titles()
    if name == "EXTENSION_WEB_DIRS":
        return classes.web_folders
    found = classes.get(name)
    if found is None:
        raise AttributeError(name)
    return found
