"""`comfy_api`'s inputs, outputs and socket types: a node's schema is made of them.

A type is a class with an `Input`, an `Output`, and `io_type`, its name on sockets. What an input says of itself is
written as ComfyUI's editor reads it: options that are not set are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar, TypeVar

Options = dict[str, Any]
ClassT = TypeVar("ClassT", bound=type)


class FolderType(str, Enum):  # noqa: UP042 (its members compare as ComfyUI's do)
    """The folders of files that people see."""

    input = "input"
    output = "output"
    temp = "temp"

    __str__ = str.__str__


class UploadType(str, Enum):  # noqa: UP042
    """What an editor offers to upload for an input."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"

    __str__ = str.__str__


class NumberDisplay(str, Enum):  # noqa: UP042
    """How an editor shows a number."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"

    __str__ = str.__str__


class ControlAfterGenerate(str, Enum):  # noqa: UP042
    """What an editor does to a value after each run."""

    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"

    __str__ = str.__str__


class RemoteOptions:
    """Choices that an editor fetches from a route."""

    def __init__(
        self,
        route: str,
        refresh_button: bool,
        control_after_refresh: str = "first",
        timeout: int | None = None,
        max_retries: int | None = None,
        refresh: int | None = None,
    ) -> None:
        self.options = pruned(
            {
                "route": route,
                "refresh_button": refresh_button,
                "control_after_refresh": control_after_refresh,
                "timeout": timeout,
                "max_retries": max_retries,
                "refresh": refresh,
            }
        )

    def as_dict(self) -> Options:
        """As editors read it."""
        return dict(self.options)


def pruned(options: Mapping[str, Any]) -> Options:
    """The options that are set."""
    return {name: plain(value) for name, value in options.items() if value is not None}


def plain(value: Any) -> Any:
    """A value, or what a member of an Enum stands for."""
    return value.value if isinstance(value, Enum) else value


class Input:
    """An input of a node; `id` is the name that `execute` is given it by."""

    io_type: Any = "*"
    Parent: Any = None

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        raw_link: bool | None = None,
        advanced: bool | None = None,
        **rest: Any,
    ) -> None:
        self.id = id
        self.display_name = display_name
        self.optional = optional
        self.tooltip = tooltip
        self.lazy = lazy
        self.extra_dict = {**(extra_dict or {}), **rest}
        self.rawLink = raw_link
        self.advanced = advanced

    def own_options(self) -> Options:
        """The options of this kind of input alone."""
        return {}

    def as_dict(self) -> Options:
        """The options, as editors read them."""
        shared = {
            "display_name": self.display_name,
            "tooltip": self.tooltip,
            "lazy": self.lazy,
            "rawLink": self.rawLink,
            "advanced": self.advanced,
        }
        return pruned({**shared, **self.own_options(), **self.extra_dict})

    def get_io_type(self) -> Any:
        """The type's name on sockets."""
        return self.io_type

    def declared(self) -> tuple[Any, Options]:
        """The input as INPUT_TYPES lists it."""
        return self.get_io_type(), self.as_dict()


class WidgetInput(Input):
    """An input that an editor shows a widget for."""

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Any = None,
        socketless: bool | None = None,
        widget_type: str | None = None,
        force_input: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        raw_link: bool | None = None,
        advanced: bool | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, extra_dict, raw_link, advanced, **rest)
        self.default = default
        self.socketless = socketless
        self.widget_type = widget_type
        self.force_input = force_input

    def own_options(self) -> Options:
        return {
            "default": self.default,
            "socketless": self.socketless,
            "widgetType": self.widget_type,
            "forceInput": self.force_input,
        }


class Output:
    """An output of a node."""

    io_type: Any = "*"
    Parent: Any = None

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> None:
        self.id = id
        self.display_name = display_name or id
        self.tooltip = tooltip
        self.is_output_list = is_output_list

    def get_io_type(self) -> Any:
        """The type's name on sockets."""
        return self.io_type

    @property
    def name(self) -> str:
        """What people see of it."""
        kind = self.get_io_type()
        return self.display_name or (kind if isinstance(kind, str) else "COMBO")


class _ComfyType:
    """Base of all types."""

    Type: Any = Any
    io_type: ClassVar[str] = "*"
    Parent: Any = None


class ComfyTypeI(_ComfyType):
    """A type that has inputs alone."""

    class Input(Input):
        """An input of this type."""


class ComfyTypeIO(ComfyTypeI):
    """A type that has inputs and outputs."""

    class Output(Output):
        """An output of this type."""


def comfytype(io_type: str, **members: Any) -> Callable[[ClassT], ClassT]:
    """Class decorator: the class is a type, called `io_type` on sockets."""

    def mark(cls: ClassT) -> ClassT:
        cls.io_type = io_type  # type: ignore[attr-defined]
        for name, value in members.items():
            setattr(cls, name, value)
        for name in ("Input", "Output"):
            inner = getattr(cls, name, None)
            if isinstance(inner, type):
                own = inner if name in vars(cls) else type(name, (inner,), {"__module__": cls.__module__})
                own.io_type = io_type  # type: ignore[attr-defined]
                own.Parent = cls  # type: ignore[attr-defined]
                setattr(cls, name, own)
        return cls

    return mark


def Custom(io_type: str) -> Any:  # noqa: N802 (ComfyUI's name)
    """A type of a pack's own."""
    return comfytype(io_type)(type("Custom", (ComfyTypeIO,), {}))


def plain_type(name: str, io_type: str, python: Any = Any) -> Any:
    """A type whose inputs and outputs have no options of their own."""
    return comfytype(io_type)(type(name, (ComfyTypeIO,), {"Type": python}))


def widget_type(name: str, io_type: str, python: Any = Any) -> Any:
    """A type whose inputs have a widget with a default."""
    own = type("Input", (WidgetInput,), {})
    return comfytype(io_type)(type(name, (ComfyTypeIO,), {"Type": python, "Input": own}))
