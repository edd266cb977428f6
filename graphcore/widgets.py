"""What `Annotated[...]` may say of an input: its range, its choices, how an editor shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["width", "height", "batch", "steps"]


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, both inclusive.

    `step` and `round` guide editors and are not enforced. `role` tells the validator which budget the
    number counts against (pixels are width x height x batch).
    """

    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    round: float | None = None
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text field: `multiline`, and whether an editor expands `{a|b}` choices before it submits."""

    multiline: bool = True
    dynamic_prompts: bool = False
    placeholder: str = ""


@dataclass(frozen=True, slots=True)
class FileChoice:
    """The name of a file in one of the folders of a kind ("checkpoints", "loras", "input" ...).

    The file's fingerprint enters the node's key. `upload` ("image", "video" ...) lets editors offer an upload.
    `empty` is a further choice that stands for no file.
    """

    kind: str
    upload: str | None = None
    empty: str | None = None


@dataclass(frozen=True, slots=True)
class Growing:
    """A list whose items an editor of ComfyUI's links one by one, in sockets that grow from `least` up to `most`."""

    least: int = 1
    most: int = 50


@dataclass(frozen=True, slots=True)
class Seed:
    """A random seed; editors offer to change it after each run."""

    control: bool = True


@dataclass(frozen=True, slots=True)
class Toggle:
    """The words an editor shows for true and false."""

    on: str = "true"
    off: str = "false"


@dataclass(frozen=True, slots=True)
class Shown:
    """How an input is presented: its title, a tooltip, whether it is kept out of sight or must be linked."""

    title: str | None = None
    tooltip: str | None = None
    force_input: bool = False
    advanced: bool = False


@dataclass(frozen=True, slots=True)
class OutputName:
    """The name of a node's only output, where the socket type's own name in lower case does not fit."""

    name: str


@dataclass(frozen=True, slots=True)
class Secret:
    """The value is a secret: never echoed, stored, or written into pictures; its digest alone enters the key."""


Widget = Range | Text | FileChoice | Growing | Seed | Toggle | Shown | Secret
