"""Tells those who watch what happens to runs: plain listeners, and subscriptions that never hold more than they may."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from server.records import Progress, RunRecord, StoredEvent

Message = StoredEvent | Progress
Listener = Callable[[Message, RunRecord], None]

_BACKLOG: Final = 512
_log = logging.getLogger(__name__)


class Subscription:
    """The messages of one run from now on.

    One that is not read fast enough falls `behind`: it forgets its events, which its reader then takes from the store.
    """

    def __init__(self, hub: Hub, run: str) -> None:
        self.run = run
        self.behind = False
        self._hub = hub
        self._held: deque[StoredEvent] = deque()
        self._progress: dict[str, Progress] = {}
        self._wake = asyncio.Event()

    async def next(self, timeout_s: float) -> list[Message]:
        """What has come since the last call: events in order, then the latest progress of each node.

        After this `behind` says whether events were forgotten; it is for the reader to set it back before it reads
        the store. Waits for at most `timeout_s` seconds; an empty list says that nothing came.
        """
        if not self._held and not self._progress and not self.behind:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout_s)
        self._wake.clear()
        messages: list[Message] = [*self._held, *self._progress.values()]
        self._held.clear()
        self._progress.clear()
        return messages

    def close(self) -> None:
        """Be told no more."""
        self._hub.forget(self)

    def take(self, message: Message) -> None:
        """Hold a message for the reader."""
        if isinstance(message, Progress):
            held = self._progress.get(message.node)
            if held is not None and held.preview and not message.preview:
                message = Progress(
                    message.run, message.node, message.done, message.total, held.media_type, held.preview
                )
            self._progress[message.node] = message
        elif self.behind or len(self._held) >= _BACKLOG:
            self._held.clear()
            self.behind = True
        else:
            if message.kind in ("node-finished", "node-failed"):
                self._progress.pop(str(message.body.get("node")), None)
            self._held.append(message)
        self._wake.set()


class Hub:
    """Hands messages to listeners and subscriptions, on the event loop's thread."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._subscriptions: dict[str, set[Subscription]] = {}

    @property
    def watched(self) -> int:
        """How many subscriptions there are."""
        return sum(len(found) for found in self._subscriptions.values())

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each message of each run, and the run as it stands; returns how to end that.

        It is called on the loop's thread and must be quick.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def subscribe(self, run: str) -> Subscription:
        """The messages of one run."""
        subscription = Subscription(self, run)
        self._subscriptions.setdefault(run, set()).add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """End a subscription."""
        found = self._subscriptions.get(subscription.run)
        if found is not None:
            found.discard(subscription)
            if not found:
                del self._subscriptions[subscription.run]

    def publish(self, message: Message, run: RunRecord) -> None:
        """Tell everybody who watches."""
        for subscription in self._subscriptions.get(message.run, ()):
            subscription.take(message)
        for listener in tuple(self._listeners):
            try:
                listener(message, run)
            except Exception:  # noqa: BLE001 - one listener's fault is not another's
                _log.exception("A listener failed.")
