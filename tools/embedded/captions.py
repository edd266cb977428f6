"""Says a scene in words, in several ways, leaving things out as people do."""

from __future__ import annotations

import random
from collections.abc import Set
from dataclasses import dataclass

from tools.embedded import words
from tools.embedded.world import FORBIDDEN, OBJECTS, SHAPES, Scene, Thing

_WITH_VOWEL = "aeiou"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How likely captions leave things out or add empty words."""

    drop_place: float = 0.05
    drop_colour: float = 0.05
    drop_setting: float = 0.1
    drop_light: float = 0.1
    drop_extra: float = 0.3
    filler: float = 0.2
    nonsense: float = 0.03
    tags: float = 0.25


FULL = Manner(
    drop_place=0, drop_colour=0, drop_setting=0, drop_light=0, drop_extra=0, filler=0, nonsense=0, tags=0
)


def caption(scene: Scene, rng: random.Random, manner: Manner | None = None) -> str:
    """One caption of `scene`. With manner FULL it names everything a checker can look for."""
    return _Speaker(scene, rng, manner or Manner()).caption()


def caption_besides(avoid: Set[str], scene: Scene, rng: random.Random) -> str:
    """A caption that is none of those to `avoid`."""
    text = caption(scene, rng)
    while text in avoid:
        text = caption(scene, rng)
    return text


@dataclass(frozen=True, slots=True)
class _Speaker:
    scene: Scene
    rng: random.Random
    manner: Manner

    def caption(self) -> str:
        said = self._things()
        setting = self._setting()
        extras = self._extras()
        style = self.rng.choice(words.STYLE_WORDS[self.scene.style])
        if self._by_chance(self.manner.tags):
            parts = [*said, *(_bare(part) for part in setting + extras)]
            self.rng.shuffle(parts)
            text = ", ".join([_bare(p) for p in parts])
        else:
            text = self._sentence(said, setting, extras, style)
        text = self._with_style(text, style)
        return self._with_filler(text)

    def _sentence(self, said: list[str], setting: list[str], extras: list[str], style: str) -> str:
        self.rng.shuffle(setting)
        tail = " ".join(setting)
        body = self._joined(said)
        front = self._by_chance(0.15) and bool(tail)
        text = f"{tail}, {body}" if front else f"{body} {tail}".strip()
        opening = self.rng.choice(words.OPENINGS) if not front and not style.endswith("of") else ""
        return ", ".join([f"{opening} {text}".strip(), *extras])

    def _joined(self, said: list[str]) -> str:
        return said[0] if len(said) == 1 else f"{said[0]} {self.rng.choice(('and', 'and', 'with'))} {said[1]}"

    def _things(self) -> list[str]:
        things = list(self.scene.things)
        if self.scene.counted:
            return [self._count(things)]
        if len(things) == 1:
            return [self._thing(things[0], place=not self._by_chance(self.manner.drop_place))]
        self.rng.shuffle(things)
        first, second = things
        if self._by_chance(0.4):
            relation = self._relation(first, second)
            return [f"{self._thing(first, place=False)} {relation} {self._thing(second, place=False)}"]
        named = not self._by_chance(self.manner.drop_place)
        return [self._thing(first, place=named), self._thing(second, place=named)]

    def _count(self, things: list[Thing]) -> str:
        number = self.rng.choice(words.COUNT_WORDS[len(things)])
        return f"{number} {self._colour(things[0].colour)} {words.PLURALS[things[0].kind]}"

    def _relation(self, first: Thing, second: Thing) -> str:
        if first.column != second.column:
            if first.column < second.column:
                return self.rng.choice(("left of", "to the left of"))
            return self.rng.choice(("right of", "to the right of"))
        return (
            self.rng.choice(("above", "over"))
            if first.row < second.row
            else self.rng.choice(("below", "under"))
        )

    def _thing(self, thing: Thing, *, place: bool) -> str:
        size = self.rng.choice(words.SIZE_WORDS[thing.size])
        colourless = thing.kind == FORBIDDEN or self._by_chance(self.manner.drop_colour)
        colour = "" if colourless else self._colour(thing.colour)
        noun = " ".join(w for w in (size, colour, self.rng.choice(words.KIND_WORDS[thing.kind])) if w)
        article = "an" if noun[0] in _WITH_VOWEL else "a"
        article = "the" if self._by_chance(0.06) else article
        return f"{article} {noun} {self._place(thing)}" if place else f"{article} {noun}"

    def _place(self, thing: Thing) -> str:
        rng = self.rng
        if (
            thing.kind in OBJECTS
            or thing.kind == FORBIDDEN
            or (len(self.scene.things) == 2 and self._one_row())
        ):
            return rng.choice(words.COLUMN_WORDS[thing.column])
        row, column = words.ROW_NAMES[thing.row], words.COLUMN_NAMES[thing.column]
        if thing.row == 1:
            return rng.choice(words.COLUMN_WORDS[thing.column])
        if thing.column == 1:
            return rng.choice((f"at the {row}", f"at the {row}", f"at the {row} middle"))
        level = {"top": "upper", "bottom": "lower"}[row]
        return rng.choice(
            (
                f"at the {row} {column}",
                f"in the {row} {column}",
                f"in the {row} {column} corner",
                f"in the {level} {column}",
                f"in the {level} {column} corner",
            )
        )

    def _one_row(self) -> bool:
        return len({thing.row for thing in self.scene.things}) == 1

    def _setting(self) -> list[str]:
        scene, rng = self.scene, self.rng
        if scene.background is not None:
            if self._by_chance(self.manner.drop_setting):
                return []
            colour = self._colour(scene.background)
            article = "an" if colour[0] in _WITH_VOWEL else "a"
            return [
                rng.choice(
                    (
                        f"on {article} {colour} background",
                        f"on {article} {colour} background",
                        f"on {colour}",
                        f"against {article} {colour} backdrop",
                        f"{colour} background",
                    )
                )
            ]
        parts = []
        if not self._by_chance(self.manner.drop_setting):
            parts.append(rng.choice(words.GROUND_WORDS[str(scene.ground)]))
        if not self._by_chance(self.manner.drop_setting):
            parts.append(rng.choice(words.SKY_WORDS[str(scene.sky)]))
        return parts

    def _extras(self) -> list[str]:
        scene, rng = self.scene, self.rng
        extras = []
        if scene.light_side is not None and not self._by_chance(self.manner.drop_light):
            side = rng.choice(words.COLUMN_WORDS[scene.light_side])
            extras.append(f"{rng.choice(words.LIGHT_WORDS[scene.light])} {side}")
        if scene.clouds and not self._by_chance(self.manner.drop_extra):
            extras.append(rng.choice(words.CLOUD_WORDS))
        if scene.mountains and not self._by_chance(self.manner.drop_extra):
            extras.append(rng.choice(words.MOUNTAIN_WORDS))
        rng.shuffle(extras)
        return extras

    def _with_style(self, text: str, style: str) -> str:
        if not style:
            return text
        if style.endswith("of"):
            return f"{style} {text}"
        return f"{style}, {text}" if self._by_chance(0.5) else f"{text}, {style}"

    def _with_filler(self, text: str) -> str:
        if self._by_chance(self.manner.filler):
            extra = ", ".join(self.rng.sample(words.FILLER, self.rng.randint(1, 3)))
            text = f"{text}, {extra}" if self._by_chance(0.6) else f"{extra}, {text}"
        if self._by_chance(self.manner.nonsense):
            letters = "".join(self.rng.choices("abcdefghijklmnopqrstuvwxyz", k=self.rng.randint(2, 7)))
            text = f"{text} {letters}"
        return text

    def _colour(self, colour: str) -> str:
        return self.rng.choice(words.COLOUR_WORDS[colour])

    def _by_chance(self, share: float) -> bool:
        return self.rng.random() < share


def _bare(phrase: str) -> str:
    """A clause as a tag: without its leading preposition and article."""
    for lead in (
        "on a ",
        "on an ",
        "on the ",
        "in a ",
        "in an ",
        "in the ",
        "at the ",
        "under a ",
        "under an ",
        "against a ",
        "against an ",
        "with ",
        "in front of ",
        "a ",
        "an ",
        "the ",
        "at ",
        "by ",
        "in ",
        "on ",
    ):
        if phrase.startswith(lead):
            return phrase[len(lead) :]
    return phrase


def named_kinds() -> tuple[str, ...]:
    """All kinds a caption may name."""
    return (*SHAPES, *OBJECTS, FORBIDDEN)
