"""A node as a small SVG drawing: its sockets left and right, coloured by type, and its values with their defaults.

The box brings its own dark background, so that it can be read on light and on dark pages. Widths are reckoned with the
letters of DejaVu Sans, which are wider than those of the other fonts that browsers take for `sans-serif`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Final

from graphcore.spec import MISSING, InputSpec, NodeSpec, OutputSpec

ROW: Final = 18
HEAD: Final = 24
MARGIN: Final = 6
PADDING: Final = 12
NARROWEST, WIDEST = 190, 330
MAX_VALUES: Final = 14
MAX_BYTES: Final = 3072
TEXT_SIZE: Final = 11
TITLE_SIZE: Final = 12
_MOST_OF_NAME: Final = (WIDEST - 2 * PADDING - 16) / 2
_BOLD: Final = 1.15
_LETTERS: Final = (
    (0.30, "ijlIJ'"),
    (0.37, " ,./:;\\|f-"),
    (0.42, "()[]t!r"),
    (0.54, '"*_`sz?'),
    (0.61, "cLFkvxyP"),
    (0.64, "TYaoeESbdghnpqu$0123456789{}"),
    (0.70, "KAVBRXZC"),
    (0.79, "UHNDG&OQ"),
    (0.84, "w#+<=>^~"),
    (0.99, "Mm%W"),
)
_WIDEST_LETTER: Final = 1.0
_COLOURS: Final = {
    "IMAGE": "#5aa9f0",
    "MASK": "#74c47a",
    "LATENT": "#f490ea",
    "CONDITIONING": "#f5a53c",
    "MODEL": "#ab93d6",
    "CLIP": "#f2d024",
    "VAE": "#f56a6a",
    "CONTROL_NET": "#62d6ac",
    "CLIP_VISION": "#9cc4d8",
    "CLIP_VISION_OUTPUT": "#c79a66",
    "STYLE_MODEL": "#bce08e",
    "SIGMAS": "#c3dfe6",
    "SAMPLER": "#d0c06a",
    "GUIDER": "#66d0d0",
    "NOISE": "#b0b8c0",
    "INT": "#8fb56a",
    "FLOAT": "#a9c98b",
    "STRING": "#d8d2a4",
    "BOOLEAN": "#d98f7a",
    "COMBO": "#b9a7c9",
    "*": "#9aa0a8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """A row of the box: the name of a value, and what it is at first."""

    name: str
    text: str


def drawing(spec: NodeSpec) -> str:
    """The SVG text of a node's drawing, of at most 3 KB."""
    sockets = [declared for declared in spec.inputs if not declared.is_widget]
    values = [_Value(name=entry.name, text=first_value(entry)) for entry in spec.inputs if entry.is_widget]
    shown, more = values[:MAX_VALUES], len(values) - MAX_VALUES
    title = spec.title or spec.name
    width = _width(title, sockets, spec.outputs, shown)
    lines = max(len(sockets), len(spec.outputs))
    rows = lines + len(shown) + (more > 0)
    height = HEAD + rows * ROW + 8
    parts = [
        _opening(spec.name, width, height),
        _text(MARGIN + 10, 16, fitted(title, width - 20, TITLE_SIZE * _BOLD), "t"),
    ]
    parts += [_input(socket, index) for index, socket in enumerate(sockets)]
    parts += [_output(output, index, width) for index, output in enumerate(spec.outputs)]
    parts.append(_values(shown, HEAD + lines * ROW, width))
    if more > 0:
        parts.append(_text(MARGIN + PADDING, HEAD + (rows - 1) * ROW + 14, f"and {more} more", "d"))
    return "".join([*parts, "</svg>\n"])


def first_value(declared: InputSpec) -> str:
    """What an editor shows in a value's field at first; nothing where people must write or choose something."""
    if declared.default is not MISSING and declared.default is not None:
        return _plain(declared.default)
    if declared.choices:
        return _plain(declared.choices[0])
    if declared.file is not None:
        return declared.file.empty or f"({declared.file.kind})"
    return ""


def text_width(text: str, size: float) -> float:
    """How wide a text is at most, in pixels, in any usual sans-serif font."""
    return size * sum(_letter(letter) for letter in text)


def fitted(text: str, width: float, size: float) -> str:
    """A text, cut with an ellipsis where it is wider."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def type_colour(name: str) -> str:
    """The colour of a socket type; types without one of their own get one by their name."""
    known = _COLOURS.get(name) or _COLOURS.get(name.split(",", maxsplit=1)[0])
    if known is not None:
        return known
    hue = int.from_bytes(sha256(name.encode()).digest()[:2], "big") % 360
    return f"hsl({hue},45%,68%)"


def _letter(letter: str) -> float:
    return next((width for width, letters in _LETTERS if letter in letters), _WIDEST_LETTER)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    return " ".join(str(value).split())


def _width(
    title: str, sockets: Sequence[InputSpec], outputs: Sequence[OutputSpec], values: Iterable[_Value]
) -> int:
    """As wide as the longest row wants, between the narrowest and the widest box."""
    wanted = [text_width(title, TITLE_SIZE * _BOLD) + 24]
    for index in range(max(len(sockets), len(outputs))):
        names = [row[index].name for row in (sockets, outputs) if index < len(row)]
        wanted.append(sum(text_width(name, TEXT_SIZE) + PADDING for name in names) + 16)
    wanted += [
        text_width(value.name, TEXT_SIZE) + min(text_width(value.text, TEXT_SIZE), 120) + 44
        for value in values
    ]
    return round(min(WIDEST, max(NARROWEST, *wanted)))


def _opening(name: str, width: int, height: int) -> str:
    outer = width + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{outer}" height="{height + 4}" '
        f'viewBox="0 0 {outer} {height + 4}" role="img"><title>{escape(name)}</title>'
        "<style>text{font:11px Helvetica,Arial,sans-serif;fill:#d5d9df}.t{font-weight:600;font-size:12px;fill:#fff}"
        ".e{text-anchor:end}.d{fill:#8d959f}</style>"
        f'<rect x="{MARGIN}" y="2" width="{width}" height="{height}" rx="7" fill="#2a2e35" stroke="#7a828d"/>'
        f'<path d="M{MARGIN} {HEAD}v-15a7 7 0 0 1 7-7h{width - 14}a7 7 0 0 1 7 7v15z" fill="#454c57"/>'
    )


def _input(socket: InputSpec, index: int) -> str:
    middle = HEAD + index * ROW + 13
    kind = socket.comfy_type
    name = fitted(socket.name, _MOST_OF_NAME, TEXT_SIZE)
    mark = _mark(MARGIN, middle, kind, many=socket.gather, hollow=not socket.required)
    return mark + _text(MARGIN + PADDING, middle + 4, name)


def _output(output: OutputSpec, index: int, width: int) -> str:
    middle = HEAD + index * ROW + 13
    mark = _mark(MARGIN + width, middle, output.type.name, many=output.each, hollow=False)
    return mark + _text(
        MARGIN + width - PADDING, middle + 4, fitted(output.name, _MOST_OF_NAME, TEXT_SIZE), "e"
    )


def _mark(x: int, y: int, kind: str, *, many: bool, hollow: bool) -> str:
    """A dot; a square for a list, hollow where nothing needs to be linked."""
    colour = type_colour(kind)
    paint = f'fill="#2a2e35" stroke="{colour}" stroke-width="2"' if hollow else f'fill="{colour}"'
    if many:
        return f'<rect x="{x - 4}" y="{y - 4}" width="8" height="8" {paint}/>'
    return f'<circle cx="{x}" cy="{y}" r="{4 if hollow else 5}" {paint}/>'


def _values(values: Sequence[_Value], top: int, width: int) -> str:
    """The rows of values: one path for all fields, and two texts a row."""
    if not values:
        return ""
    left, right = MARGIN + 8, MARGIN + width - 8
    fields = "".join(
        f"M{left} {top + index * ROW + 5}h{right - left}v15H{left}z" for index in range(len(values))
    )
    parts = [f'<path d="{fields}" fill="#1c1f24"/>']
    for index, value in enumerate(values):
        base = top + index * ROW + 16
        inner = right - left - 12
        name = fitted(value.name, inner, TEXT_SIZE)
        parts.append(_text(left + 5, base, name, "d"))
        room = inner - text_width(name, TEXT_SIZE) - 8
        text = fitted(value.text, room, TEXT_SIZE) if value.text else ""
        if text.strip("…"):
            parts.append(_text(right - 5, base, text, "e"))
    return "".join(parts)


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    """A text; `kind` is its class: a title, aligned at its end, or dimmed."""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{named}>{escape(text, quote=False)}</text>'
