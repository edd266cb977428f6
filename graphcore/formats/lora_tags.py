"""LoRA tags in prompts, `<lora:name:0.8>`, as A1111's users write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from graphcore.errors import InputError

_TAG: Final = re.compile(r"<(?:lora|lyco):([^:<>]{1,256})((?::[^:<>]{0,64}){0,4})>")
_MOST: Final = 64
_STRONGEST: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraTag:
    """An adapter named in a text, with its strengths."""

    name: str
    strength_model: float
    strength_clip: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedText:
    """A text without its LoRA tags, and the tags in order."""

    text: str
    tags: tuple[LoraTag, ...]


def split_lora_tags(text: str) -> TaggedText:
    """Take the LoRA tags out of a text.

    As in A1111, the first number is the text encoder's strength and, standing alone, the model's too; a second one is
    the model's; `te=` and `unet=` name them. Raises InputError for a strength that is no number, or too many tags.
    """
    tags = [_tag(match.group(1), match.group(2)) for match in _TAG.finditer(text)]
    if len(tags) > _MOST:
        raise InputError(f"The text names {len(tags)} LoRAs, and the limit is {_MOST}.", code="over-budget")
    plain = re.sub(r"[ \t]{2,}", " ", _TAG.sub("", text)).strip()
    return TaggedText(text=plain, tags=tuple(tags))


def _tag(name: str, arguments: str) -> LoraTag:
    plain: list[float] = []
    named: dict[str, float] = {}
    for argument in arguments.split(":")[1:]:
        key, equals, value = argument.rpartition("=")
        try:
            number = float(value)
            if not abs(number) <= _STRONGEST:
                raise ValueError(value)
        except ValueError:
            raise InputError(
                f"'{argument[:40]}' in the tag of the LoRA '{name[:80]}' is no number; write <lora:name:0.8>.",
                code="bad-lora-tag",
            ) from None
        if equals:
            named[key.strip().lower()] = number
        else:
            plain.append(number)
    first = plain[0] if plain else 1.0
    strength_clip = named.get("te", first)
    return LoraTag(
        name=name.strip(),
        strength_model=named.get("unet", plain[1] if len(plain) > 1 else strength_clip),
        strength_clip=strength_clip,
    )
