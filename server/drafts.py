"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from server.errors import DISK_FULL, READ_ONLY, StoreError

_READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextmanager
def drafted(folder: Path, data: bytes) -> Iterator[Path]:
    """A file in a folder (which is made) that holds some bytes durably, for the caller to give a name; then it is gone.

    Raises StoreError where the disk does not take it. What is in the way of a name is the caller's to tell
    (FileExistsError, NotADirectoryError, IsADirectoryError).
    """
    draft = folder / f".{secrets.token_hex(8)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with draft.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        yield draft
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise
    except OSError as error:
        code = READ_ONLY if error.errno in _READ_ONLY else DISK_FULL
        raise StoreError(f"The file cannot be stored: {error.strerror}.", code=code, status=507) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
