"""`comfy_api`'s inputs, outputs and socket types: a node's schema is made of them.

A type is a class with an `Input`, an `Output`, and `io_type`, its name on sockets. What an input says of itself is
written as ComfyUI's editor reads it: options that are not set are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    return {name: _plain(value) for name, value in options.items() if value is not None}


def _plain(value: Any) -> Any:
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


@comfytype("BOOLEAN")
class Boolean(ComfyTypeIO):
    """True or false."""

    Type = bool

    class Input(WidgetInput):
        """A switch; the labels are shown for true and false."""

        def __init__(
            self,
            id: str,
            *args: Any,
            label_on: str | None = None,
            label_off: str | None = None,
            **kwargs: Any,
        ) -> None:
            super().__init__(id, *args, **kwargs)
            self.label_on = label_on
            self.label_off = label_off

        def own_options(self) -> Options:
            return {**super().own_options(), "label_on": self.label_on, "label_off": self.label_off}


class _Number(WidgetInput):
    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Any = None,
        min: float | None = None,
        max: float | None = None,
        step: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.display_mode = kwargs.pop("display_mode", None)
        super().__init__(id, display_name, optional, tooltip, lazy, default, **kwargs)
        self.min = min
        self.max = max
        self.step = step

    def own_options(self) -> Options:
        bounds = {"min": self.min, "max": self.max, "step": self.step, "display": self.display_mode}
        return {**super().own_options(), **bounds}


@comfytype("INT")
class Int(ComfyTypeIO):
    """A whole number."""

    Type = int

    class Input(_Number):
        """A whole number between `min` and `max`."""

        def __init__(self, id: str, *args: Any, control_after_generate: Any = None, **kwargs: Any) -> None:
            super().__init__(id, *args, **kwargs)
            self.control_after_generate = control_after_generate

        def own_options(self) -> Options:
            return {**super().own_options(), "control_after_generate": self.control_after_generate}


@comfytype("FLOAT")
class Float(ComfyTypeIO):
    """A number."""

    Type = float

    class Input(_Number):
        """A number between `min` and `max`."""

        def __init__(
            self, id: str, *args: Any, round: Any = None, gradient_stops: Any = None, **kwargs: Any
        ) -> None:
            super().__init__(id, *args, **kwargs)
            self.round = round
            self.gradient_stops = gradient_stops

        def own_options(self) -> Options:
            own = {"round": self.round, "gradient_stops": self.gradient_stops}
            return {**super().own_options(), **own}


@comfytype("STRING")
class String(ComfyTypeIO):
    """A text."""

    Type = str

    class Input(WidgetInput):
        """A text of one line, or of several."""

        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            lazy: bool | None = None,
            multiline: bool = False,
            placeholder: str | None = None,
            default: str | None = None,
            dynamic_prompts: bool | None = None,
            **kwargs: Any,
        ) -> None:
            super().__init__(id, display_name, optional, tooltip, lazy, default, **kwargs)
            self.multiline = multiline
            self.placeholder = placeholder
            self.dynamic_prompts = dynamic_prompts

        def own_options(self) -> Options:
            return {
                **super().own_options(),
                "multiline": self.multiline,
                "placeholder": self.placeholder,
                "dynamicPrompts": self.dynamic_prompts,
            }


def _choices(options: Any) -> list[Any] | None:
    if options is None:
        return None
    if isinstance(options, type) and issubclass(options, Enum):
        return [choice.value for choice in options]
    return [_plain(choice) for choice in options]


class _ComboInput(WidgetInput):
    multiselect = False

    def __init__(
        self,
        id: str,
        options: Sequence[Any] | type[Enum] | None = None,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Any = None,
        control_after_generate: Any = None,
        upload: UploadType | None = None,
        image_folder: FolderType | None = None,
        remote: RemoteOptions | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, default, **kwargs)
        self.options = _choices(options)
        self.control_after_generate = control_after_generate
        self.upload = upload
        self.image_folder = image_folder
        self.remote = remote

    def own_options(self) -> Options:
        found = {
            "multiselect": self.multiselect,
            "options": self.options,
            **super().own_options(),
            "control_after_generate": self.control_after_generate,
            "image_folder": self.image_folder,
            "remote": None if self.remote is None else self.remote.as_dict(),
        }
        if self.upload is not None:
            found[self.upload.value] = True
        return found


@comfytype("COMBO")
class Combo(ComfyTypeIO):
    """One of several choices."""

    Type = str

    class Input(_ComboInput):
        """One of `options`: a list, or an Enum's values."""

    class Output(Output):
        """A choice; `options` are the choices that may come."""

        def __init__(
            self,
            id: str | None = None,
            display_name: str | None = None,
            options: Sequence[Any] | type[Enum] | None = None,
            tooltip: str | None = None,
            is_output_list: bool = False,
        ) -> None:
            super().__init__(id, display_name, tooltip, is_output_list)
            self.options = _choices(options)

        def get_io_type(self) -> Any:
            return self.options or "COMBO"


@comfytype("COMBO")
class MultiCombo(ComfyTypeI):
    """Several of several choices."""

    Type = list

    class Input(_ComboInput):
        """Some of `options`, as a list."""

        multiselect = True

        def __init__(
            self, id: str, *args: Any, placeholder: str | None = None, chip: bool | None = None, **kwargs: Any
        ) -> None:
            super().__init__(id, *args, **kwargs)
            self.placeholder = placeholder
            self.chip = chip

        def own_options(self) -> Options:
            own = {"multi_select": True, "placeholder": self.placeholder, "chip": self.chip}
            return {**super().own_options(), **own}


@comfytype("WEBCAM")
class Webcam(ComfyTypeIO):
    """A picture taken with a camera."""

    Type = str

    class Input(WidgetInput):
        """What the camera took."""
