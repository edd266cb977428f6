"""One server for one data folder: an advisory lock that the system drops when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from server.errors import READ_ONLY, StartError


class FolderLock:
    """Held from `acquire` until `release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._descriptor: int | None = None

    def acquire(self, about: str = "") -> Self:
        """Take the lock and write down who holds it; raises StartError if another process does."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(
                f"The data folder {self._path.parent} cannot be written ({error.strerror}); make it writable, "
                "or choose another --data-dir.",
                code=READ_ONLY,
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            raise StartError(
                f"The data folder {self._path.parent} is in use by {holder}; "
                "stop that server, or choose another --data-dir.",
                code="data-folder-in-use",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}{about}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
