"""Calls a pack's node as ComfyUI does: item by item along its lists, past blockers, with lazy inputs when asked."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from graphcore.context import Context
from graphcore.errors import Cancelled, InputError
from graphcore.foreign_spec import CONTEXT
from graphcore.lists import Blocked, Each, Expand, Lazy, RawLink
from graphcore.spec import NodeSpec
from nodes.packs.awaiting import without_gradients, without_gradients_async
from nodes.packs.dynamic_prompt import RunState, run_state
from nodes.packs.exchange import to_comfy
from nodes.packs.host import running_in
from nodes.packs.instances import Instances
from nodes.packs.overriding import own_method
from nodes.packs.returned import blocker_of, outcome_of
from nodes.packs.shims.graphs import GraphBuilder

Values = dict[str, list[Any]]
Outcome = tuple[object, ...] | Expand
_INTERRUPTED: Final = "InterruptProcessingException"
_MOST_CALLS: Final = 1_000_000


def node_function(
    name: str, cls: Any, hidden: Mapping[str, str], *, is_async: bool
) -> Callable[..., Outcome] | Callable[..., Awaitable[Outcome]]:
    """What the engine calls for a class: a function that takes the inputs by name, and the context among them."""

    def call(**inputs: Any) -> Outcome:
        return _Call.begin(name, cls, hidden, inputs).run()

    async def call_async(**inputs: Any) -> Outcome:
        return await _Call.begin(name, cls, hidden, inputs).run_async()

    return call_async if is_async else call


def calls_of(values: Values, *, whole: bool) -> Iterator[dict[str, Any]]:
    """The inputs of each call: one call for a node that takes lists, else one for each item; short lists repeat theirs.

    Raises InputError for too many calls.
    """
    if whole:
        yield dict(values)
        return
    count = max((len(items) for items in values.values()), default=0)
    if count > _MOST_CALLS:
        raise InputError(
            f"A node would run for {count} items, and the limit is {_MOST_CALLS}.", code="over-budget"
        )
    if count == 0:
        yield {}
    for place in range(count):
        yield {name: items[min(place, len(items) - 1)] for name, items in values.items()}


@dataclass(slots=True, eq=False)
class _Call:
    """One visit of the engine at a node."""

    cls: Any
    node: Any
    spec: NodeSpec
    context: Context
    state: RunState
    values: Values
    lazy: dict[str, Lazy[Any]] = field(default_factory=dict)

    @classmethod
    def begin(cls, name: str, node_class: Any, hidden: Mapping[str, str], inputs: dict[str, Any]) -> _Call:
        context: Context = inputs.pop(CONTEXT)
        assert context.registry is not None
        spec = context.registry.get(name)
        assert spec is not None
        state = run_state(context)
        node = context.service(Instances).get(context.node_id, name, node_class, state)
        call = cls(node_class, node, spec, context, state, {})
        for input_name, value in inputs.items():
            if isinstance(value, Lazy):
                call.lazy[input_name] = value
                call.values[input_name] = [None]
            else:
                call.values[input_name] = call.items(input_name, value)
        for input_name, kind in hidden.items():
            if (found := state.hidden(kind, context)) is not None:
                call.values[input_name] = [found.value]
        return call

    def items(self, name: str, value: Any) -> list[Any]:
        """A value from a link, or a plain one, as the list of its items in the pack's terms."""
        if isinstance(value, RawLink):
            link = value.link
            return [value.value if link is None else [link.node, link.output]]
        declared = self.spec.input(name)
        kind = declared.type.name if declared is not None else "*"
        if isinstance(value, Each):
            return [to_comfy(kind, item) for item in value.items]
        return [to_comfy(kind, value)]

    @property
    def whole(self) -> bool:
        """True if the node takes lists as they are."""
        return bool(getattr(self.cls, "INPUT_IS_LIST", False))

    def run(self) -> Outcome:
        """Call a node that is an ordinary function."""
        function = getattr(self.node, self.cls.FUNCTION)
        results = []
        for place, inputs in enumerate(calls_of(self.values, whole=self.whole)):
            self.context.check_cancelled()
            blocked = self._blocked(inputs)
            if blocked is None:
                with self._at_work(place):
                    results.append(_uninterrupted(function, inputs))
            else:
                results.append(blocked)
        return outcome_of(results, self.spec, self.context, self.state)

    @contextmanager
    def _at_work(self, place: int) -> Iterator[None]:
        """What one call of the pack's code goes on in."""
        with running_in(self.context, list_index=place, prompt=self.state.prompt), without_gradients():
            GraphBuilder.set_default_prefix(self.context.node_id, place, 0)
            yield

    async def run_async(self) -> Outcome:
        """Call a node that awaits, or that says which of its lazy inputs it needs."""
        await self._obtain_lazy()
        results = await self._each(getattr(self.node, self.cls.FUNCTION), report=True)
        return outcome_of(results, self.spec, self.context, self.state)

    async def _each(self, function: Callable[..., Any], *, report: bool) -> list[Any]:
        """What the function gives for each call; those that await go on side by side."""
        pending: list[Any] = []
        try:
            for place, inputs in enumerate(calls_of(self.values, whole=self.whole)):
                self.context.check_cancelled()
                blocked = self._blocked(inputs) if report else _blocker_among(inputs)
                if blocked is not None:
                    pending.append(blocked)
                    continue
                with self._at_work(place):
                    made = _uninterrupted(function, inputs)
                    if inspect.isawaitable(made):
                        made = asyncio.ensure_future(without_gradients_async(made))
                        await asyncio.sleep(0)
                pending.append(made)
            return [await _settled(made) if isinstance(made, asyncio.Future) else made for made in pending]
        finally:
            for made in pending:
                if isinstance(made, asyncio.Future) and not made.done():
                    made.cancel()

    async def _obtain_lazy(self) -> None:
        """Ask the node which of its lazy inputs it needs, until it needs no more."""
        ask = own_method(self.node, "check_lazy_status")
        if ask is None:
            return
        while True:
            answers = await self._each(ask, report=False)
            named = [name for answer in answers if isinstance(answer, list) for name in answer]
            wanted = [name for name in dict.fromkeys(named) if name in self.lazy]
            if not wanted:
                return
            fetches = {name: asyncio.ensure_future(self.lazy.pop(name)) for name in wanted}
            try:
                for name, fetch in fetches.items():
                    self.values[name] = self.items(name, await fetch)
            finally:
                for fetch in fetches.values():
                    fetch.cancel()
                await asyncio.gather(*fetches.values(), return_exceptions=True)

    def _blocked(self, inputs: Mapping[str, Any]) -> Blocked | None:
        """The blocker that stops a call, told and silenced, so that only the first node behind it speaks of it."""
        blocked = _blocker_among(inputs)
        if blocked is not None and blocked.message is not None:
            self.context.blocked(blocked.message)
            return Blocked()
        return blocked


def _blocker_among(inputs: Mapping[str, Any]) -> Blocked | None:
    for value in inputs.values():
        for item in value if isinstance(value, list) else (value,):
            blocked = blocker_of(item)
            if blocked is not None:
                return blocked
    return None


def _uninterrupted(function: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
    try:
        return function(**inputs)
    except Exception as error:
        raise _cancelled(error) from error


async def _settled(made: Awaitable[Any]) -> Any:
    try:
        return await made
    except Exception as error:
        raise _cancelled(error) from error


def _cancelled(error: Exception) -> Exception:
    """An exception that ComfyUI's interruption raises is a cancellation here; others stay what they are."""
    if type(error).__name__ == _INTERRUPTED and not isinstance(error, Cancelled):
        return Cancelled("interrupted")
    return error


def hidden_inputs(types: Mapping[str, Any]) -> dict[str, str]:
    """The hidden inputs that INPUT_TYPES asks for: name to kind."""
    found = {}
    declared: Mapping[str, Any] = types.get("hidden") or {}
    for name, kind in declared.items():
        first = kind[0] if isinstance(kind, Sequence) and not isinstance(kind, str) and kind else kind
        found[str(name)] = str(first)
    return found
