"""A worker: one engine, and a thread that runs one job after the other on it."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from graphcore.context import CancelToken
from graphcore.engine import Engine
from graphcore.errors import GraphcoreError
from graphcore.events import Event, NodeProgress, RunFinished
from graphcore.results import RunResult
from graphcore.run_options import RunOptions
from graphcore.worker.configuration import WorkerConfiguration, build_cache, build_registry
from graphcore.worker.frames import Frame
from graphcore.worker.outbox import Outbox
from graphcore.worker.packs import PackVoice, described_packs, objections, start_pages

_VALUE_BYTES: Final = 2**20
_REPORTS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    run: str
    attempt: int
    document: bytes
    order: Mapping[str, Any]


class WorkerProcess:
    """Runs what it is told to, in turn; `handle` takes messages while a run goes on."""

    def __init__(self, engine: Engine, outbox: Outbox, voice: PackVoice) -> None:
        self._engine = engine
        self._voice = voice
        self._outbox = outbox
        self._jobs: queue.SimpleQueue[_Job | Mapping[str, Any]] = queue.SimpleQueue()
        self._tokens: dict[tuple[str, int], CancelToken] = {}
        self._questions: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="graphcore-conductor", daemon=True).start()
        threading.Thread(target=self._tell_of_packs, name="graphcore-pack-teller", daemon=True).start()

    @classmethod
    def start(cls, message: Mapping[str, Any], outbox: Outbox) -> Self | None:
        """A worker that is ready, or None (and `broken` is sent) if its configuration cannot be used."""
        try:
            configuration = WorkerConfiguration.from_json(message)
            registry = build_registry(configuration.packs, configuration.node_modules)
            voice = PackVoice(outbox)
            registry.load_packs(configuration.node_packs, configuration.settings, voice.send)
            cache = build_cache(configuration.cache)
            engine = Engine(registry, settings=configuration.settings, cache=cache)
        except Exception as error:  # noqa: BLE001 - told to the server, which keeps trying
            traceback.print_exc()
            outbox.send({"op": "broken", "message": str(error) or type(error).__name__})
            outbox.close()
            return None
        worker = cls(engine, outbox, voice)
        outbox.send(
            {
                "op": "ready",
                "pid": os.getpid(),
                "device": engine.settings.device,
                "nodes": len(registry),
                "packs": described_packs(registry) | {"socket": start_pages(registry, configuration)},
            }
        )
        return worker

    def handle(self, frame: Frame) -> None:
        """Act on a message from the server."""
        message: Mapping[str, Any] = frame.message
        if frame.op == "run":
            job = _Job(run=message["run"], attempt=message["attempt"], document=frame.payload, order=message)
            self._tokens[job.run, job.attempt] = CancelToken()
            self._jobs.put(job)
        elif frame.op == "cancel":
            token = self._tokens.get((message["run"], message["attempt"]))
            if token is not None:
                token.cancel(message["reason"])
        elif frame.op == "free":
            self._jobs.put(message)
        elif frame.op == "memory":
            self._answer(message, self._memory())
        elif frame.op in ("describe", "examine"):
            self._questions.put(message)
        elif frame.op == "plan":
            threading.Thread(target=self._plan, args=(frame,), name="graphcore-planner", daemon=True).start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if isinstance(job, _Job):
                self._run(job)
            else:
                self._free(job)

    def _run(self, job: _Job) -> None:
        token = self._tokens[job.run, job.attempt]
        begun = time.time()
        self._outbox.send(
            {"op": "begun", "run": job.run, "attempt": job.attempt, "time": begun}, urgent=False
        )
        self._voice.run = job.run
        ending: dict[str, object] = {}

        def hear(event: Event) -> None:
            if isinstance(event, NodeProgress):
                self._outbox.progress(
                    job.run, job.attempt, event.node, event.done, event.total, event.preview
                )
            elif isinstance(event, RunFinished):
                ending.update(event.as_json())
            else:
                self._outbox.event(job.run, job.attempt, event.as_json())

        try:
            order = job.order
            options = RunOptions(
                keep_going=bool(order.get("keep_going", True)),
                previews=bool(order.get("previews")),
                metadata=order.get("metadata"),
            )
            handle = self._engine.start(
                job.document,
                inputs=order.get("inputs") or None,
                targets=order.get("targets"),
                options=options,
                listener=hear,
                token=token,
                run_id=job.run,
            )
            done = _ending(handle.result())
        except GraphcoreError as error:
            done = _refused(error, begun)
        except Exception as error:  # noqa: BLE001 - ends in the run's result
            traceback.print_exc()
            done = _refused(
                GraphcoreError(f"The engine failed: {type(error).__name__}: {error}", code="internal"), begun
            )
        finally:
            self._tokens.pop((job.run, job.attempt), None)
            self._voice.run = None
        ending = ending or {"event": "run-finished", "number": 0, "time": time.time(), **_brief(done)}
        self._outbox.send({"op": "done", "run": job.run, "attempt": job.attempt, "event": ending, **done})

    def _free(self, message: Mapping[str, Any]) -> None:
        if message.get("models"):
            self._engine.services.close()
        if message.get("memory"):
            self._engine.cache.clear()

    def _answer(self, message: Mapping[str, Any], report: Mapping[str, object]) -> None:
        self._outbox.send({"op": "answer", "request": message["request"], "report": report})

    def _plan(self, frame: Frame) -> None:
        message: Mapping[str, Any] = frame.message
        try:
            plan = self._engine.plan(
                frame.payload, inputs=message.get("inputs") or None, targets=message.get("targets")
            )
            self._answer(message, plan.as_json())
        except GraphcoreError as error:
            self._answer(message, {"error": error.as_json()})
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            traceback.print_exc()
            self._answer(message, {"error": {"code": "internal", "message": f"Planning failed: {error}"}})

    def _tell_of_packs(self) -> None:
        while True:
            question = self._questions.get()
            registry = self._engine.registry
            try:
                if question["op"] == "describe":
                    self._answer(question, described_packs(registry, question.get("names"), fresh=True))
                else:
                    self._answer(question, {"objections": objections(registry, question)})
            except Exception as error:  # noqa: BLE001 - told to whoever asked
                traceback.print_exc()
                self._answer(question, {"error": f"{type(error).__name__}: {error}"})

    def _memory(self) -> dict[str, object]:
        report: dict[str, object] = {
            "pid": os.getpid(),
            "rss": _resident_bytes(),
            "device": self._engine.settings.device,
        }
        statistics = getattr(self._engine.cache, "statistics", None)
        if callable(statistics):
            held = statistics()
            report["cache"] = {
                name: getattr(held, name) for name in ("entries", "size", "budget", "hits", "misses")
            }
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            free, total = torch.cuda.mem_get_info()
            report["gpu"] = {"free": free, "total": total, "allocated": torch.cuda.memory_allocated()}
        return report


def _ending(result: RunResult) -> dict[str, object]:
    """The end of a run as plain JSON: values that are none are named by their type."""
    sources = [report.source for report in result.reports]
    return {
        "state": result.state.value,
        "seconds": result.seconds,
        "error": result.error.as_json() if result.error is not None else None,
        "errors": {node: error.as_json() for node, error in result.errors.items()},
        "values": {name: _plain(value) for name, value in result.outputs.items()},
        "shown": {node: [dict(item) for item in items] for node, items in result.shown.items()},
        "facts": {report.node: dict(report.facts) for report in result.reports[:_REPORTS] if report.facts},
        "ran": sources.count("run"),
        "cached": sources.count("cache"),
    }


def _refused(error: GraphcoreError, begun: float) -> dict[str, object]:
    nothing: dict[str, object] = {}
    return {
        "state": "cancelled" if error.code == "cancelled" else "failed",
        "seconds": max(0.0, time.time() - begun),
        "error": error.as_json(),
        "errors": nothing,
        "values": nothing,
        "shown": nothing,
        "facts": nothing,
        "ran": 0,
        "cached": 0,
    }


def _brief(done: Mapping[str, object]) -> dict[str, object]:
    return {name: done[name] for name in ("state", "seconds", "error")}


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str, list, tuple, dict)):
        try:
            text = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            return {"type": type(value).__name__}
        return value if len(text) <= _VALUE_BYTES else {"type": type(value).__name__, "bytes": len(text)}
    return {"type": type(value).__name__}


def _resident_bytes() -> int:
    try:
        with Path("/proc/self/statm").open(encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
