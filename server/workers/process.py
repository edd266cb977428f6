"""A worker that is a process on this machine: `python -m graphcore.worker`, in frames over two pipes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import graphcore
from graphcore.worker.configuration import WorkerConfiguration
from graphcore.worker.frames import Frame, FrameError, FrameReader, encode_frame
from server.packs import Packs
from server.workers.interface import Advanced, Begun, Broken, Done, Happened, Ready, Task, WorkerMessage

_READ_BYTES: Final = 256 * 1024
_ANSWER_S: Final = 2.0
_PLAN_S: Final = 30.0
_EXIT_S: Final = 5.0


class ProcessWorker:
    """One worker process. When this side's end of the pipe closes, the process is gone."""

    def __init__(self, name: str, configuration: WorkerConfiguration, packs: Packs | None = None) -> None:
        self._name = name
        self._configuration = configuration
        self._packs = packs
        self._process: Process | None = None
        self._requests = count()
        self._answers: dict[int, asyncio.Future[Mapping[str, Any]]] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "graphcore.worker", stdin=PIPE, stdout=PIPE, env=child_environment()
        )
        self._send({"op": "configure", **self._configuration.as_json()})

    def submit(self, task: Task) -> None:
        message = {
            "op": "run",
            "run": task.run,
            "attempt": task.attempt,
            "inputs": task.inputs,
            "targets": task.targets,
            "previews": task.previews,
            "keep_going": task.keep_going,
            "metadata": task.metadata,
        }
        self._send(message, task.document)

    async def events(self) -> AsyncIterator[WorkerMessage]:
        process = self._process
        if process is None or process.stdout is None:
            return
        frames = FrameReader()
        try:
            while data := await process.stdout.read(_READ_BYTES):
                for frame in frames.feed(data):
                    message = self._understood(frame)
                    if message is not None:
                        yield message
        except FrameError:
            pass
        await self._gone(process)

    def cancel(self, run: str, attempt: int, reason: str) -> None:
        self._send({"op": "cancel", "run": run, "attempt": attempt, "reason": reason})

    def free(self, *, models: bool, results: bool) -> None:
        self._send({"op": "free", "models": models, "memory": results})

    async def memory(self) -> Mapping[str, Any]:
        return await self._ask({"op": "memory"}, b"", _ANSWER_S) or {}

    async def plan(
        self, document: bytes, inputs: Mapping[str, Any], targets: tuple[str, ...] | None
    ) -> Mapping[str, Any] | None:
        return await self._ask({"op": "plan", "inputs": inputs, "targets": targets}, document, _PLAN_S)

    async def ask(self, question: Mapping[str, Any], limit_s: float) -> Mapping[str, Any] | None:
        """Ask it something about its packs; None if it does not answer in time."""
        return await self._ask(question, b"", limit_s)

    async def _ask(
        self, question: Mapping[str, Any], payload: bytes, limit_s: float
    ) -> Mapping[str, Any] | None:
        if self._process is None:
            return None
        request = next(self._requests)
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[request] = answer
        self._send({**question, "request": request}, payload)
        try:
            return await asyncio.wait_for(answer, limit_s)
        except TimeoutError:
            return None
        finally:
            self._answers.pop(request, None)

    async def stop(self) -> None:
        process = self._process
        if process is not None:
            await self._gone(process)

    async def _gone(self, process: Process) -> None:
        if self._process is process:
            self._process = None
            if self._packs is not None:
                self._packs.gone(self)
        await end_process(process)

    def _send(self, message: Mapping[str, object], payload: bytes = b"") -> None:
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(encode_frame(message, payload))

    def _understood(self, frame: Frame) -> WorkerMessage | None:
        held: Mapping[str, Any] = frame.message
        match frame.op:
            case "ready":
                if self._packs is not None:
                    self._packs.ready(self, held.get("packs", {}))
                return Ready(device=held["device"])
            case "begun":
                return Begun(run=held["run"], attempt=held["attempt"], time=held["time"])
            case "events":
                return Happened(run=held["run"], attempt=held["attempt"], events=held["events"])
            case "progress" | "preview":
                return Advanced(
                    run=held["run"],
                    attempt=held["attempt"],
                    node=held["node"],
                    done=held["done"],
                    total=held["total"],
                    media_type=held.get("media_type", ""),
                    preview=frame.payload,
                )
            case "done":
                return _done(held)
            case "message":
                if self._packs is not None:
                    self._packs.said(held["event"], held["data"], held["client"], held["run"])
            case "answer":
                answer = self._answers.get(held["request"])
                if answer is not None and not answer.done():
                    answer.set_result(held["report"])
            case "broken":
                return Broken(message=held["message"])
        return None


async def end_process(process: Process) -> None:
    """End a process and wait until it is gone."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _EXIT_S)


def _done(held: Mapping[str, Any]) -> Done:
    own = ("op", "run", "attempt", "state", "event", "error")
    return Done(
        run=held["run"],
        attempt=held["attempt"],
        state=held["state"],
        event=held["event"],
        error=held["error"],
        result={name: value for name, value in held.items() if name not in own},
    )


def _is_secret(name: str) -> bool:
    return name.startswith("GRAPHCORE_") and ("TOKEN" in name or "SECRET" in name)


def child_environment() -> dict[str, str]:
    """This process's environment with graphcore's folder on the path, and without our secrets."""
    kept = {name: value for name, value in os.environ.items() if not _is_secret(name)}
    places = [
        str(Path(graphcore.__file__).resolve().parent.parent),
        *kept.get("PYTHONPATH", "").split(os.pathsep),
    ]
    return kept | {"PYTHONPATH": os.pathsep.join(place for place in places if place), "PYTHONSAFEPATH": "1"}
