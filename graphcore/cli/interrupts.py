"""Ctrl-C: the first one cancels the run, the second one ends the process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from graphcore.cli.failures import CANCELLED
from graphcore.engine import RunHandle

_SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def cancelling_on_interrupt(handle: RunHandle) -> Iterator[None]:
    """While this lasts, SIGINT and SIGTERM cancel the run; a second one ends the process at once, with code 130."""

    asked = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            if sys.stderr.isatty():
                os.write(2, _SHOW_CURSOR.encode())
            os._exit(CANCELLED)
        asked = True
        os.write(2, b"\ncancelling; once more to stop at once\n")
        handle.cancel(
            "interrupted from the keyboard" if number == signal.SIGINT else "the process was asked to end"
        )

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
