"""`comfy_api`'s types that editors show widgets for: numbers, texts, switches, choices."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from nodes.packs.v3_inputs import (
    ComfyTypeI,
    ComfyTypeIO,
    FolderType,
    Options,
    Output,
    RemoteOptions,
    UploadType,
    WidgetInput,
    comfytype,
    plain,
)

_Output = Output


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
    return [plain(choice) for choice in options]


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

    class Output(_Output):
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
