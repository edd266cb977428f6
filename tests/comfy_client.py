"""A client of ComfyUI's protocol for tests: prompts over HTTP, messages over a websocket, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from queue import Queue
from typing import Any, Self

import aiohttp

from tests.served import Answer, Served

Frame = dict[str, Any] | bytes


@dataclass
class ComfyClient:
    """A connected client; a context manager."""

    served: Served
    client_id: str = "tester"
    features: dict[str, Any] | None = None
    token: str | None = None
    _frames: Queue[Frame | None] = field(default_factory=Queue)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _connected: threading.Event = field(default_factory=threading.Event)
    _task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="comfy-client", daemon=True)
        self._thread.start()
        assert self._connected.wait(20)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._task is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)

    def _run(self) -> None:
        async def listen() -> None:
            self._task = asyncio.current_task()
            token = self.token or self.served.token
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            url = f"http://127.0.0.1:{self.served.port}/ws?clientId={self.client_id}"
            async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url) as socket:
                if self.features is not None:
                    await socket.send_json({"type": "feature_flags", "data": self.features})
                self._connected.set()
                async for message in socket:
                    binary = message.type is aiohttp.WSMsgType.BINARY
                    self._frames.put(message.data if binary else json.loads(message.data))
                self._frames.put(None)

        try:
            self._loop.run_until_complete(listen())
        except asyncio.CancelledError:
            pass
        finally:
            self._connected.set()
            self._loop.close()

    def next(self) -> Frame | None:
        """The next frame; None when the connection has ended."""
        return self._frames.get(timeout=30)

    def post(self, prompt: dict[str, Any], **body: Any) -> Answer:
        """Queue a prompt as this client."""
        return self.served.post("/prompt", {"prompt": prompt, "client_id": self.client_id, **body})

    def queue(self, prompt: dict[str, Any], **body: Any) -> str:
        """Queue a prompt that is taken; its id."""
        answer = self.post(prompt, **body)
        assert answer.status == 200, answer.body
        return str(answer.json["prompt_id"])

    def until_done(self, prompt_id: str) -> list[Frame]:
        """All frames up to the closing message of a prompt."""
        frames: list[Frame] = []
        closing = {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}
        while True:
            frame = self.next()
            assert frame is not None, frames
            frames.append(frame)
            if isinstance(frame, dict) and frame == closing:
                return frames

    def run(self, prompt: dict[str, Any], **body: Any) -> list[Frame]:
        """Queue a prompt and follow it to its end."""
        return self.until_done(self.queue(prompt, **body))


def messages(frames: list[Frame], kind: str) -> list[dict[str, Any]]:
    """The data of all messages of a type."""
    return [frame["data"] for frame in frames if isinstance(frame, dict) and frame["type"] == kind]


def pictures(frames: list[Frame]) -> list[bytes]:
    """All binary frames."""
    return [frame for frame in frames if isinstance(frame, bytes)]


def step(kind: str, **inputs: Any) -> dict[str, Any]:
    """A node of a prompt."""
    return {"class_type": kind, "inputs": inputs}


def picture_prompt(level: int = 128) -> dict[str, Any]:
    """A prompt that makes a picture and keeps it."""
    return {"1": step("MakePicture", level=level), "2": step("SaveImage", images=["1", 0])}


def steps_prompt(count: int, pause: float = 0.01) -> dict[str, Any]:
    """A prompt that takes its time."""
    return {"3": step("Steps", count=count, pause=pause)}
