"""Asks the picture process: started when first needed, ended when it takes too long or has been idle."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from graphcore.worker.frames import Frame, FrameError, FrameReader, encode_frame
from server.errors import RequestError
from server.workers.process import child_environment, end_process

_READ_BYTES: Final = 256 * 1024
_LIMIT_S: Final = 30.0
_IDLE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture made anew, and its size in pixels."""

    data: bytes
    media_type: str
    width: int
    height: int


class PictureService:
    """Makes pictures anew; one at a time."""

    def __init__(self, *, pixels: int, limit_s: float = _LIMIT_S) -> None:
        self._pixels = pixels
        self._limit_s = limit_s
        self._process: Process | None = None
        self._frames = FrameReader()
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def remake(self, data: bytes, *, keep_text: bool = False) -> Picture:
        """A picture as a PNG without anything that is not its pixels (with its workflow texts if `keep_text`).

        Raises RequestError: 422 for what is no picture, 413 for one with too many pixels.
        """
        return await self._ask({"op": "remake", "pixels": self._pixels, "keep_text": keep_text}, data)

    async def shrink(
        self,
        data: bytes,
        *,
        size: int = 0,
        kind: Literal["webp", "jpeg", "png"] = "webp",
        quality: int = 80,
        channel: Literal["rgba", "rgb", "a"] = "rgba",
    ) -> Picture:
        """A picture as WebP, JPEG or PNG, at most `size` pixels wide and high (0: as large as it is)."""
        request = {"op": "shrink", "size": size, "kind": kind, "quality": quality, "channel": channel}
        return await self._ask({**request, "pixels": self._pixels}, data)

    async def cover(self, data: bytes, mask: bytes) -> Picture:
        """A picture that is as transparent as another of the same size, as a PNG."""
        return await self._ask({"op": "cover", "pixels": self._pixels, "split": len(data)}, data + mask)

    async def workflow(self, data: bytes) -> bytes:
        """The workflow document that a picture carries; raises RequestError (422) where there is none."""
        return (await self._ask({"op": "workflow"}, data)).data

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            await self._end()

    async def _ask(self, request: Mapping[str, object], data: bytes) -> Picture:
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None
            try:
                async with asyncio.timeout(self._limit_s):
                    frame = await self._exchange(encode_frame(request, data))
            except TimeoutError:
                await self._end()
                raise RequestError(
                    "The picture took too long to open.", code="picture-too-slow", status=422
                ) from None
            except BaseException:
                await self._end()
                raise
            if frame is None:
                await self._end()
                raise RequestError("The picture cannot be opened.", code="not-a-picture", status=422)
            self._idle = asyncio.get_running_loop().call_later(_IDLE_S, self._end_idle)
        message: Mapping[str, Any] = frame.message
        if frame.op != "made":
            status = 413 if message["code"] == "picture-too-large" else 422
            raise RequestError(message["message"], code=message["code"], status=status)
        return Picture(
            data=frame.payload,
            media_type=message["media_type"],
            width=message["width"],
            height=message["height"],
        )

    async def _exchange(self, data: bytes) -> Frame | None:
        """The answer to a request, or None if the process died of it."""
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "server.pictures", stdin=PIPE, stdout=PIPE, env=child_environment()
            )
            self._frames = FrameReader()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(data)
            await process.stdin.drain()
            while piece := await process.stdout.read(_READ_BYTES):
                for frame in self._frames.feed(piece):
                    return frame
        except (ConnectionError, FrameError):
            return None
        return None

    def _end_idle(self) -> None:
        task = asyncio.get_running_loop().create_task(self.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if process is None:
            return
        await end_process(process)
