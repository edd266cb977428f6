"""An amount of memory on the command line: 6G, 800M, 1.5GiB."""

from __future__ import annotations

import re
from typing import Final

import click

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(k|m|g|t)?(?:i?b)?\Z", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class MemorySize(click.ParamType[int]):
    """A number of bytes, with K, M, G or T for powers of 1024."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _SIZE.match(str(value).strip())
        size = float(found[1]) * 1024 ** _POWERS[(found[2] or "").lower()] if found else 0
        if size < 1:
            self.fail(f"'{value}' is no amount of memory; write it as 6G or 800M.", param, ctx)
        return int(size)
