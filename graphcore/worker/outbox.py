"""What a worker has to say, gathered for a moment and written by one thread.

Progress is a state rather than a history: of several reports of one node, the last is sent. Events are all sent.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Final

from graphcore.context import Preview
from graphcore.worker.frames import encode_frame

_GATHER_S: Final = 0.01
_PROGRESS_S: Final = 0.05
_EVENTS_PER_FRAME: Final = 1000


class Outbox:
    """Frames on their way out; `send`, `event` and `progress` may be called from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._items: list[tuple[str, int, Mapping[str, object]] | bytes] = []
        self._progress: dict[tuple[str, int, str], tuple[int, int, Preview | None]] = {}
        self._urgent = False
        self._closed = False
        self._thread = threading.Thread(target=self._write_all, name="graphcore-outbox", daemon=True)
        self._thread.start()

    def send(self, message: Mapping[str, object], payload: bytes = b"", *, urgent: bool = True) -> None:
        """Send a message after what was said before it: at once, or soon."""
        frame = encode_frame(message, payload)
        with self._changed:
            self._settle_progress()
            self._items.append(frame)
            self._urgent = self._urgent or urgent
            if urgent or len(self._items) == 1:
                self._changed.notify()

    def event(self, run: str, attempt: int, event: Mapping[str, object]) -> None:
        """Send an event of a run, soon."""
        with self._changed:
            self._settle_progress()
            self._items.append((run, attempt, event))
            if len(self._items) == 1:
                self._changed.notify()

    def _settle_progress(self) -> None:
        """Put the progress reported so far before what comes next, so that it never overtakes its node's end."""
        if self._progress:
            self._items.extend(_progress_frames(self._progress))
            self._progress = {}

    def progress(
        self, run: str, attempt: int, node: str, done: int, total: int, preview: Preview | None
    ) -> None:
        """Report a node's progress; replaces what was reported and not yet sent."""
        with self._changed:
            key = (run, attempt, node)
            if preview is None and key in self._progress:
                preview = self._progress[key][2]
            first = not self._progress
            self._progress[key] = (done, total, preview)
            if first:
                self._changed.notify()

    def close(self) -> None:
        """Write what is left and stop."""
        with self._changed:
            self._closed = self._urgent = True
            self._changed.notify()
        self._thread.join(timeout=5)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not (self._items or self._progress or self._closed):
                    self._changed.wait()
                if not self._urgent:
                    self._changed.wait(_GATHER_S if self._items else _PROGRESS_S)
                items, self._items = self._items, []
                progress, self._progress = self._progress, {}
                self._urgent = False
                closed = self._closed
            data = b"".join([*_frames(items), *_progress_frames(progress)])
            try:
                _write(self._descriptor, data)
            except OSError:
                os._exit(0)
            if closed and not items:
                return


def _frames(items: list[tuple[str, int, Mapping[str, object]] | bytes]) -> list[bytes]:
    frames: list[bytes] = []
    batch: list[Mapping[str, object]] = []
    owner: tuple[str, int] | None = None

    def finish() -> None:
        if batch and owner is not None:
            frames.append(
                encode_frame({"op": "events", "run": owner[0], "attempt": owner[1], "events": batch})
            )
            batch.clear()

    for item in items:
        if isinstance(item, bytes):
            finish()
            frames.append(item)
            continue
        run, attempt, event = item
        if owner != (run, attempt) or len(batch) >= _EVENTS_PER_FRAME:
            finish()
            owner = (run, attempt)
        batch.append(event)
    finish()
    return frames


def _progress_frames(progress: Mapping[tuple[str, int, str], tuple[int, int, Preview | None]]) -> list[bytes]:
    frames = []
    for (run, attempt, node), (done, total, preview) in progress.items():
        about: dict[str, object] = {
            "run": run,
            "attempt": attempt,
            "node": node,
            "done": done,
            "total": total,
        }
        frames.append(encode_frame({"op": "progress", **about}))
        if preview is not None:
            shape = {"media_type": preview.media_type, "width": preview.width, "height": preview.height}
            frames.append(encode_frame({"op": "preview", **about, **shape}, preview.data))
    return frames


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
