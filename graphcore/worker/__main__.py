"""Starts a worker on the standard input and output. What nodes print goes to the standard error."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

from graphcore.worker.frames import read_frame
from graphcore.worker.outbox import Outbox
from graphcore.worker.process import WorkerProcess

_PR_SET_PDEATHSIG: Final = 1


def main() -> int:
    """Serve until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    out = os.dup(1)
    os.dup2(2, 1)
    stream = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    outbox = Outbox(out)
    first = read_frame(stream)
    if first is None or first.op != "configure":
        return 2
    worker = WorkerProcess.start(first.message, outbox)
    if worker is None:
        return 3
    while (frame := read_frame(stream)) is not None and frame.op != "stop":
        worker.handle(frame)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
