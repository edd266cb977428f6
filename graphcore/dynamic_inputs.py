"""Inputs that a node has more or fewer of, as ComfyUI describes them, by their dotted names in a prompt.

    COMFY_AUTOGROW_V3       images.image0, images.image1 ...
    COMFY_DYNAMICCOMBO_V3   mode, mode.width ...     (those of the chosen option)
    COMFY_DYNAMICSLOT_V3    mask, mask.feather ...   (there once the slot is linked)

Inputs are groups ("required", "optional") of declarations by name: a list of a type and options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

AUTOGROW: Final = "COMFY_AUTOGROW_V3"
COMBO: Final = "COMFY_DYNAMICCOMBO_V3"
SLOT: Final = "COMFY_DYNAMICSLOT_V3"
DYNAMIC: Final = (AUTOGROW, COMBO, SLOT)
_MOST: Final = 100

Declared = Sequence[Any]
Groups = Mapping[str, Mapping[str, Declared]]


def is_dynamic(declared: Declared) -> bool:
    """True for an input that stands for others."""
    return bool(declared) and declared[0] in DYNAMIC


def choices_of(declared: Declared) -> tuple[str, ...] | None:
    """The choices of a dynamic combo; None for another input."""
    if declared[0] != COMBO:
        return None
    return tuple(str(option.get("key")) for option in _options(declared).get("options", ()))


def within(groups: Groups, name: str) -> Declared | None:
    """The declaration that a name means, dotted or not; None if there is none."""
    first, dot, rest = name.partition(".")
    for group in ("required", "optional"):
        declared = (groups.get(group) or {}).get(first)
        if declared is None:
            continue
        if not dot:
            return declared
        for inner in _inner(declared):
            found = within(inner, rest)
            if found is not None:
                return found
    return None


def missing(groups: Groups, given: Mapping[str, object], path: str = "") -> Iterator[str]:
    """The names of inputs that dynamic ones require and that are not given; those of plain ones are not looked at."""
    for group in ("required", "optional"):
        for own, declared in (groups.get(group) or {}).items():
            name = path + own
            if is_dynamic(declared):
                begun = name in given or any(other.startswith(f"{name}.") for other in given)
                if group == "required" or begun:
                    yield from _missing_within(declared, name, given)
            elif path and group == "required" and name not in given:
                yield name


def _missing_within(declared: Declared, name: str, given: Mapping[str, object]) -> Iterator[str]:
    if declared[0] == COMBO:
        if name not in given:
            yield name
            return
        chosen = [
            option for option in _options(declared).get("options", ()) if option.get("key") == given[name]
        ]
        for option in chosen[:1]:
            yield from missing(option.get("inputs") or {}, given, f"{name}.")
    elif declared[0] == AUTOGROW or name in given:
        for inner in _inner(declared):
            yield from missing(inner, given, f"{name}.")


def _inner(declared: Declared) -> Iterator[Groups]:
    """The inputs that a dynamic one may bring."""
    options = _options(declared)
    if declared[0] == AUTOGROW:
        yield _grown(options.get("template") or {})
    elif declared[0] == COMBO:
        for option in options.get("options", ()):
            yield option.get("inputs") or {}
    elif declared[0] == SLOT:
        yield options.get("inputs") or {}


def _grown(template: Mapping[str, Any]) -> Groups:
    names = template.get("names")
    if not isinstance(names, list):
        count = min(int(template.get("max", _MOST)), _MOST)
        names = [f"{template.get('prefix', '')}{number}" for number in range(count)]
    groups: Groups = template.get("input") or {}
    for group in ("required", "optional"):
        for declared in (groups.get(group) or {}).values():
            least = int(template.get("min", 1)) if group == "required" else 0
            return {
                "required": dict.fromkeys(names[:least], declared),
                "optional": dict.fromkeys(names[least:], declared),
            }
    return {}


def _options(declared: Declared) -> Mapping[str, Any]:
    found = declared[1] if len(declared) > 1 else {}
    return found if isinstance(found, Mapping) else {}
