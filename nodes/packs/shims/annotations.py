"""`comfy.comfy_types`: names of socket types, and shapes of declarations, for people and type checkers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, Protocol, TypedDict


class IO(str, Enum):  # noqa: UP042 (its members compare as ComfyUI's do)
    """The socket types of ComfyUI's own nodes."""

    STRING = "STRING"
    IMAGE = "IMAGE"
    MASK = "MASK"
    LATENT = "LATENT"
    BOOLEAN = "BOOLEAN"
    INT = "INT"
    FLOAT = "FLOAT"
    COMBO = "COMBO"
    CONDITIONING = "CONDITIONING"
    SAMPLER = "SAMPLER"
    SIGMAS = "SIGMAS"
    GUIDER = "GUIDER"
    NOISE = "NOISE"
    CLIP = "CLIP"
    CONTROL_NET = "CONTROL_NET"
    VAE = "VAE"
    MODEL = "MODEL"
    LORA_MODEL = "LORA_MODEL"
    LOSS_MAP = "LOSS_MAP"
    CLIP_VISION = "CLIP_VISION"
    CLIP_VISION_OUTPUT = "CLIP_VISION_OUTPUT"
    STYLE_MODEL = "STYLE_MODEL"
    GLIGEN = "GLIGEN"
    UPSCALE_MODEL = "UPSCALE_MODEL"
    AUDIO = "AUDIO"
    AUDIO_ENCODER = "AUDIO_ENCODER"
    AUDIO_ENCODER_OUTPUT = "AUDIO_ENCODER_OUTPUT"
    POINT = "POINT"
    FACE_ANALYSIS = "FACE_ANALYSIS"
    BBOX = "BBOX"
    SEGS = "SEGS"
    VIDEO = "VIDEO"
    SVG = "SVG"
    ANY = "*"
    NUMBER = "FLOAT,INT"
    PRIMITIVE = "STRING,FLOAT,INT,BOOLEAN"

    __str__ = str.__str__
    __hash__ = str.__hash__

    def __ne__(self, value: object) -> bool:
        if self.value == "*" or value == "*":
            return False
        if not isinstance(value, str):
            return True
        return not set(self.value.split(",")).issubset(set(value.split(",")))

    def __eq__(self, value: object) -> bool:
        return str.__eq__(self.value, value) is True


class InputTypeOptions(TypedDict, total=False):
    """The options of an input."""

    default: Any
    defaultInput: bool
    forceInput: bool
    lazy: bool
    rawLink: bool
    tooltip: str
    socketless: bool
    widgetType: str
    min: float
    max: float
    step: float
    round: float
    label_on: str
    label_off: str
    multiline: bool
    placeholder: str
    dynamicPrompts: bool
    image_upload: bool
    image_folder: Literal["input", "output", "temp"]
    remote: dict[str, Any]
    control_after_generate: bool
    options: list[Any]
    multi_select: dict[str, Any]
    display: Literal["slider", "number", "knob"]


class HiddenInputTypeDict(TypedDict, total=False):
    """Inputs that no client sends."""

    node_id: Literal["UNIQUE_ID"]
    unique_id: Literal["UNIQUE_ID"]
    prompt: Literal["PROMPT"]
    extra_pnginfo: Literal["EXTRA_PNGINFO"]
    dynprompt: Literal["DYNPROMPT"]


class InputTypeDict(TypedDict, total=False):
    """What INPUT_TYPES returns."""

    required: dict[str, Any]
    optional: dict[str, Any]
    hidden: HiddenInputTypeDict


class ComfyNodeABC(ABC):
    """What a node class declares."""

    DESCRIPTION: str
    CATEGORY: str
    EXPERIMENTAL: bool
    DEPRECATED: bool
    API_NODE: bool | None
    RETURN_TYPES: tuple[Any, ...]
    RETURN_NAMES: tuple[str, ...]
    OUTPUT_TOOLTIPS: tuple[str, ...]
    OUTPUT_IS_LIST: tuple[bool, ...]
    INPUT_IS_LIST: bool
    OUTPUT_NODE: bool
    FUNCTION: str

    @classmethod
    @abstractmethod
    def INPUT_TYPES(s) -> InputTypeDict:  # noqa: N802, N804 (ComfyUI's names)
        """The inputs of the node."""
        return {"required": {}}


class CheckLazyMixin:
    """Asks for every lazy input that is not there yet."""

    def check_lazy_status(self, **kwargs: Any) -> list[str]:
        """The names of the inputs that are still wanted."""
        return [name for name, value in kwargs.items() if value is None]


class FileLocator(TypedDict):
    """A file that a node shows."""

    filename: str
    subfolder: str
    type: Literal["input", "output", "temp"]


class UnetApplyFunction(Protocol):
    """A function that calls the network."""

    def __call__(self, x: Any, t: Any, **kwargs: Any) -> Any: ...


class UnetParams(TypedDict):
    """What a function that wraps the network is given."""

    input: Any
    timestep: Any
    c: dict[str, Any]
    cond_or_uncond: Any


UnetWrapperFunction = Callable[[UnetApplyFunction, UnetParams], Any]
ControlNetBase = Any
