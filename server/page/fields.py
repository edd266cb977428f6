"""Fields of a form: what an input takes, in the words that a page draws it from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from graphcore.files import MODEL_KINDS, Files
from graphcore.spec import MISSING, InputSpec
from graphcore.workflow import InputTarget
from server.page.models import FieldModel, TargetModel
from server.sealing import is_mark

_WHOLE: Final = ("int", "seed")
_MAX_SEED: Final = 2**64 - 1
_LONG_TEXT: Final = 80


class Choices:
    """The choices of a sheet's fields, each list once: hundreds of nodes may offer the same thousand files."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._keys: dict[object, str] = {}
        self.lists: dict[str, list[Any]] = {}

    def of(self, declared: InputSpec) -> str | None:
        """The name of an input's list of choices, or None if it takes whatever there is."""
        source: object = declared.choices
        if declared.file is not None:
            source = (declared.file.kind, declared.file.empty)
        if source is None:
            return None
        key = self._keys.setdefault((type(declared.file), source), str(len(self._keys)))
        if key not in self.lists:
            self.lists[key] = self._listed(declared)
        return key

    def _listed(self, declared: InputSpec) -> list[Any]:
        if declared.file is None:
            return [plain(choice) for choice in declared.choices or ()]
        names = list(self._files.names(declared.file.kind))
        return names if declared.file.empty is None else [declared.file.empty, *names]


def field_of(
    name: str,
    title: str,
    description: str,
    targets: Sequence[InputTarget],
    value: object,
    declared: InputSpec | None,
    choices: Choices,
) -> FieldModel:
    """A field for a value of an input; without a declaration it is drawn from the value."""
    kind = _kind(declared) if declared is not None else _kind_of(value)
    options = _options(declared, kind) if declared is not None else {}
    if declared is not None:
        options["choices"] = choices.of(declared)
    return FieldModel(
        name=name,
        title=title,
        description=description or (declared.shown.tooltip or "" if declared is not None else ""),
        kind=kind,
        targets=[TargetModel(node=target.node, input=target.input) for target in targets],
        required=declared is not None and _is_required(declared, kind, value),
        value=_shown(value, kind),
        **options,
    )


def words(name: str) -> str:
    """An input's name as a label: `ckpt_name` is `Ckpt name`."""
    spaced = name.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]


def plain(value: object) -> Any:
    """A value as JSON; what is none is None."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return {str(key): plain(item) for key, item in value.items()} if isinstance(value, dict) else None


def _kind(declared: InputSpec) -> str:
    if declared.secret:
        return "secret"
    if declared.file is not None:
        if declared.file.upload == "image":
            return "image"
        return "model" if declared.file.kind in MODEL_KINDS else "choice"
    if declared.choices is not None:
        return "choice"
    if declared.gather:
        return "json"
    if declared.seed is not None:
        return "seed"
    kinds = {"INT": "int", "FLOAT": "float", "BOOLEAN": "boolean"}
    if declared.type.name == "STRING":
        return "multiline" if declared.text is not None and declared.text.multiline else "text"
    return kinds.get(declared.type.name, "json")


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "multiline" if len(value) > _LONG_TEXT or "\n" in value else "text"
    return "json"


def _options(declared: InputSpec, kind: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if declared.range is not None:
        bounds = declared.range
        options = {"minimum": bounds.minimum, "maximum": bounds.maximum, "step": bounds.step}
    if kind == "seed":
        options = {"minimum": options.get("minimum") or 0, "maximum": options.get("maximum") or _MAX_SEED}
    if kind in _WHOLE:
        options = {name: None if bound is None else str(int(bound)) for name, bound in options.items()}
    if declared.toggle is not None:
        options["labels"] = [declared.toggle.off, declared.toggle.on]
    if declared.text is not None:
        options["placeholder"] = declared.text.placeholder
    return options


def _is_required(declared: InputSpec, kind: str, value: object) -> bool:
    """True if the field must be filled in; a secret is forgotten once its run has ended."""
    return is_mark(value) or (declared.required and not value) if kind == "secret" else declared.required


def _shown(value: object, kind: str) -> Any:
    if kind == "secret" or value is MISSING:
        return None
    if kind in _WHOLE and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(int(value)) if value == int(value) else str(value)
    return plain(value)
