"""Checks a plain value against the input it stands at: strictly, or with ComfyUI's conversions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from graphcore.files import PICKLE_SUFFIXES, Files, split_annotation
from graphcore.jsontext import shown
from graphcore.limits import Limits
from graphcore.nearest import Suggestions
from graphcore.spec import InputSpec
from graphcore.workflow import Dialect

Rule = Callable[[InputSpec, object], object]
_CONSTRUCTORS: Final[Mapping[str, type]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with a value."""

    code: str
    message: str
    expected: str | None = None
    got: str | None = None
    nearest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralRules:
    """Whose rules values follow, and where file names are looked up."""

    dialect: Dialect
    files: Files | None
    limits: Limits
    hints: Suggestions = field(default_factory=Suggestions)

    def check(self, spec: InputSpec, value: object) -> object | Fault:
        """The value as the node will get it, or what is wrong with it."""
        return self.rule(spec)(spec, value)

    def rule(self, spec: InputSpec) -> Rule:
        """The rule that values of this input are held to."""
        return self._list if spec.gather else self._single_rule(spec)

    def _single_rule(self, spec: InputSpec) -> Rule:
        if spec.info is not None:
            return self._foreign
        if spec.choices is not None:
            return self._one_of
        if spec.file is not None:
            return self._file
        by_type: dict[str, Rule] = {
            "INT": self._int,
            "FLOAT": self._float,
            "STRING": self._text,
            "COMBO": self._text,
            "BOOLEAN": self._bool,
        }
        return by_type.get(spec.type.name, self._other)

    def _list(self, spec: InputSpec, value: object) -> object | Fault:
        if value is None:
            return self._null(spec)
        items = value if isinstance(value, (list, tuple)) else (value,)
        if len(items) > self.limits.list_items:
            return Fault(
                code="over-budget",
                message=f"'{spec.name}' has {len(items)} items, and the limit is {self.limits.list_items}.",
                expected=f"<= {self.limits.list_items} items",
                got=str(len(items)),
            )
        rule = self._single_rule(spec)
        checked: list[object] = []
        for item in items:
            single = rule(spec, item)
            if isinstance(single, Fault):
                return single
            checked.append(single)
        return checked

    def _null(self, spec: InputSpec) -> object | Fault:
        if spec.default is None or spec.optional or spec.type.is_any:
            return None
        return Fault(
            code="wrong-type",
            message=f"'{spec.name}' must be {_article(spec.comfy_type)}, not null; give it a value.",
            expected=spec.comfy_type,
            got="null",
        )

    def _other(self, spec: InputSpec, value: object) -> object | Fault:
        if value is None:
            return self._null(spec)
        kind = spec.type.name
        if spec.type.is_any or "," in kind:
            return value if _plain(value, self.limits.nesting) else _wrong(spec, value)
        if self.dialect is Dialect.COMFY and spec.options.get("accepts_value"):
            return value
        return Fault(
            code="needs-link",
            message=f"'{spec.name}' takes {_article(kind)} from another node, not a plain value; link it.",
            expected=kind,
            got=_kind(value),
        )

    def _int(self, spec: InputSpec, value: object) -> object | Fault:
        number: int
        if type(value) is int:
            number = value
        elif self.dialect is Dialect.COMFY and isinstance(value, (str, float, bool)):
            try:
                number = int(value)
            except (ValueError, OverflowError) as error:
                return _unconvertible(spec, value, error)
        else:
            return self._null(spec) if value is None else _wrong(spec, value)
        if not -(2**63) <= number < 2**64:
            return Fault(
                code="integer-too-large",
                message=f"'{spec.name}' is beyond 64 bits; use a smaller number.",
                expected="a 64-bit integer",
                got=shown(number),
            )
        return number if spec.range is None else self._ranged(spec, number)

    def _float(self, spec: InputSpec, value: object) -> object | Fault:
        number: float
        if type(value) is float:
            number = value
        elif type(value) is int and abs(value) < 2**64:
            number = float(value)
        elif self.dialect is Dialect.COMFY and isinstance(value, (str, bool)):
            try:
                number = float(value)
            except (ValueError, OverflowError) as error:
                return _unconvertible(spec, value, error)
        else:
            return self._null(spec) if value is None else _wrong(spec, value)
        if not math.isfinite(number):
            return Fault(
                code="not-finite",
                message=f"'{spec.name}' is {shown(value)}; use a finite number.",
                expected="a finite number",
                got=shown(value),
            )
        return number if spec.range is None else self._ranged(spec, number)

    def _foreign(self, spec: InputSpec, value: object) -> object | Fault:
        """An input of a ComfyUI pack: converted as Python's own types do, and checked if its node does not."""
        convert = _CONSTRUCTORS.get(spec.type.name) if spec.choices is None else None
        if convert is not None:
            try:
                value = convert(value)
            except (TypeError, ValueError, OverflowError) as error:
                return _unconvertible(spec, value, error)
        if spec.unchecked:
            return value
        if spec.choices is not None:
            several = isinstance(value, list) and bool(
                spec.options.get("multiselect") or spec.options.get("multi_select")
            )
            for item in value if several else (value,):  # type: ignore[attr-defined]
                if item not in spec.choices:
                    return _no_choice(spec, item, spec.choices, self.hints)
        if spec.range is not None and isinstance(value, (int, float)):
            return self._ranged(spec, value)
        return value

    def _ranged(self, spec: InputSpec, number: float) -> object | Fault:
        bounds = spec.range
        assert bounds is not None
        if bounds.minimum is not None and number < bounds.minimum:
            return Fault(
                code="value-too-small",
                message=f"'{spec.name}' is {number}, and its minimum is {bounds.minimum}.",
                expected=f">= {bounds.minimum}",
                got=str(number),
            )
        if bounds.maximum is not None and number > bounds.maximum:
            return Fault(
                code="value-too-large",
                message=f"'{spec.name}' is {number}, and its maximum is {bounds.maximum}.",
                expected=f"<= {bounds.maximum}",
                got=str(number),
            )
        return number

    def _text(self, spec: InputSpec, value: object) -> object | Fault:
        if not isinstance(value, str):
            if value is None:
                return self._null(spec)
            if self.dialect is not Dialect.COMFY or not isinstance(value, (bool, int, float)):
                return _wrong(spec, value)
            value = str(value)
        if len(value) > self.limits.text_chars:
            return Fault(
                code="over-budget",
                message=f"'{spec.name}' has {len(value)} characters, and the limit is {self.limits.text_chars}.",
                expected=f"<= {self.limits.text_chars} characters",
                got=str(len(value)),
            )
        return value

    def _bool(self, spec: InputSpec, value: object) -> object | Fault:
        if isinstance(value, bool):
            return value
        if self.dialect is Dialect.COMFY and isinstance(value, (str, int, float)):
            return bool(value)
        return self._null(spec) if value is None else _wrong(spec, value)

    def _one_of(self, spec: InputSpec, value: object) -> object | Fault:
        choices = spec.choices or ()
        for choice in choices:
            if choice == value and type(choice) is type(value):
                return choice
        if self.dialect is Dialect.COMFY:
            if isinstance(value, list) and spec.options.get("multiselect"):
                return value
            if isinstance(value, (str, bool, int, float)):
                for choice in choices:
                    if choice == value or str(choice) == str(value):
                        return choice
        if value is None:
            return self._null(spec)
        return _no_choice(spec, value, choices, self.hints)

    def _file(self, spec: InputSpec, value: object) -> object | Fault:
        widget = spec.file
        assert widget is not None
        if not isinstance(value, str):
            return self._null(spec) if value is None else _wrong(spec, value)
        if self.files is None or value == widget.empty:
            return value
        kind, name = split_annotation(value, widget.kind)
        if self.files.find(kind, name) is not None:
            if name.lower().endswith(PICKLE_SUFFIXES):
                return Fault(
                    code="pickle-refused",
                    message=f"'{name}' is a pickle, which can run any code; convert it with "
                    f"`graphcore convert-checkpoint` and name the result.",
                    got=name,
                )
            return value.replace("\\", "/")
        return _no_choice(spec, value, self.files.names(kind), self.hints, code="file-not-found")


def _no_choice(
    spec: InputSpec, value: object, choices: Sequence[object], hints: Suggestions, code: str = "not-a-choice"
) -> Fault:
    texts = [str(choice) for choice in choices]
    given = value if isinstance(value, str) else shown(value)
    near = hints.nearest(given, texts)
    listed = ", ".join(texts[:8]) + (f" … ({len(texts)} in all)" if len(texts) > 8 else "")
    hint = f"; did you mean '{near}'?" if near else f"; known: {listed or 'none'}."
    what = f"There is no file '{given[:80]}'" if code == "file-not-found" else f"'{given[:80]}' is no choice"
    return Fault(
        code=code,
        message=f"{what} of '{spec.name}'{hint}",
        expected=listed or "none",
        got=given[:80],
        nearest=near,
    )


def _wrong(spec: InputSpec, value: object) -> Fault:
    wanted = spec.comfy_type
    return Fault(
        code="wrong-type",
        message=f"'{spec.name}' must be {_article(wanted)}, not {_kind(value)} {shown(value)}.",
        expected=wanted,
        got=_kind(value),
    )


def _unconvertible(spec: InputSpec, value: object, error: Exception) -> Fault:
    return Fault(
        code="wrong-type",
        message=f"'{spec.name}' cannot be read as {_article(spec.comfy_type)}: {str(error)[:120]}.",
        expected=spec.comfy_type,
        got=shown(value),
    )


def _plain(value: object, depth: int) -> bool:
    if value is None or isinstance(value, (bool, int, float, str)):
        return True
    if depth <= 0:
        return False
    if isinstance(value, list):
        return all(_plain(item, depth - 1) for item in value)
    return isinstance(value, dict) and all(_plain(item, depth - 1) for item in value.values())


def _kind(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list", dict: "object"}
    return names.get(type(value), type(value).__name__)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "AEIO" else f"a {kind}"
