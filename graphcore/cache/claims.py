"""Claims: of several processes that share a store, one computes a result and the others wait for it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final


class Claim:
    """The right to compute a result; it ends with `release`, or with the process."""

    __slots__ = ("_handle", "_path")

    def __init__(self, path: Path | None = None, handle: int | None = None) -> None:
        self._path = path
        self._handle = handle

    def release(self) -> None:
        """Let others compute it."""
        handle, self._handle = self._handle, None
        if handle is not None and self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(handle)


FREE: Final = Claim()


def claim_file(path: Path) -> Claim | None:
    """Claim by a file lock; None while another process holds it. A disk that cannot lock grants every claim."""
    try:
        import fcntl
    except ImportError:
        return FREE
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return FREE
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            os.close(handle)
            return FREE
        if _is_current(path, handle):
            return Claim(path, handle)
        os.close(handle)


def _is_current(path: Path, handle: int) -> bool:
    """False if the file was removed by its last holder between our opening and locking it."""
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
