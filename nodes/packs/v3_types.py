"""`comfy_api`'s types that are several: any, one of some, and the same wherever a template stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nodes.packs.v3_inputs import ComfyTypeIO, Input, Options, Output, comfytype

_Input = Input
_Output = Output


@comfytype("*")
class AnyType(ComfyTypeIO):
    """Anything."""


def _type_names(types: Any) -> str:
    listed = types if isinstance(types, (list, tuple)) else (types,)
    names = [kind if isinstance(kind, str) else str(kind.io_type) for kind in listed]
    return ",".join(dict.fromkeys(names))


@comfytype("COMFY_MULTITYPED_V3")
class MultiType:
    """One of several types."""

    Type = Any

    class Input(_Input):
        """An input of one of `types`; an input in the place of an id gives it a widget while nothing is linked."""

        def __init__(
            self,
            id: str | Input,
            types: Sequence[Any],
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            **kwargs: Any,
        ) -> None:
            self.override = None if isinstance(id, str) else id
            name = id if isinstance(id, str) else id.id
            super().__init__(name, display_name, optional, tooltip, **kwargs)
            self._types = list(types)

        @property
        def io_types(self) -> list[Any]:
            """The types, that of the widget first."""
            own = [] if self.override is None else [self.override.get_io_type()]
            return [*own, *self._types]

        def get_io_type(self) -> str:
            return _type_names(self.io_types)

        def as_dict(self) -> Options:
            if self.override is None:
                return super().as_dict()
            return {
                "widgetType": str(self.override.get_io_type()),
                **self.override.as_dict(),
                **super().as_dict(),
            }


class _Template:
    """What inputs and outputs of one type of a node share."""

    def __init__(self, template_id: str, allowed_types: Any = AnyType) -> None:
        self.template_id = template_id
        self.allowed_types = allowed_types

    def as_dict(self) -> Options:
        """As editors read it."""
        return {"template_id": self.template_id, "allowed_types": _type_names(self.allowed_types)}


@comfytype("COMFY_MATCHTYPE_V3")
class MatchType(ComfyTypeIO):
    """The same type, whichever it is, wherever a template stands."""

    Template = _Template

    class Input(_Input):
        """An input of the template's type."""

        def __init__(self, id: str, template: _Template, *args: Any, **kwargs: Any) -> None:
            super().__init__(id, *args, **kwargs)
            self.template = template

        def own_options(self) -> Options:
            return {"template": self.template.as_dict()}

    class Output(_Output):
        """An output of the template's type."""

        def __init__(
            self,
            template: _Template,
            id: str | None = None,
            display_name: str | None = None,
            tooltip: str | None = None,
            is_output_list: bool = False,
        ) -> None:
            super().__init__(id, display_name, tooltip, is_output_list)
            self.template = template
