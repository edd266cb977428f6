"""Values with a meaning to the executor: lists that fan out, inputs on demand, blocked outputs, expansions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from graphcore.workflow import Link, Workflow

T = TypeVar("T")


class Each(Generic[T]):
    """Several values on one link; a node that takes one value runs once for each of them.

    As a return annotation, `Each[T]` declares such an output; a node returns `Each([...])` (or any iterable).
    """

    __slots__ = ("items",)

    def __init__(self, items: Iterable[T]) -> None:
        self.items: tuple[T, ...] = tuple(items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"Each({list(self.items)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Each) and self.items == other.items

    def __hash__(self) -> int:
        return hash(("Each", self.items))


class Lazy(Generic[T]):
    """An input that is computed only if the node awaits it."""

    __slots__ = ("_fetch", "connected")

    def __init__(self, fetch: Callable[[], Awaitable[T]], *, connected: bool = True) -> None:
        self._fetch = fetch
        self.connected = connected

    def __await__(self) -> Generator[object, None, T]:
        return self._fetch().__await__()

    @classmethod
    def of(cls, value: T) -> Lazy[T]:
        """A lazy input that is there already: for calling a node as a function in a test."""

        async def fetch() -> T:
            return value

        return cls(fetch)


class RawLink(Generic[T]):
    """An input handed over as the link itself, for nodes that build an expansion around it.

    `link` is None where the input holds a plain value, which is then in `value`.
    """

    __slots__ = ("link", "value")

    def __init__(self, link: Link | None, value: T | None = None) -> None:
        self.link = link
        self.value = value


@dataclass(frozen=True, slots=True)
class Blocked:
    """A value that stops what depends on it, silently or with a message, while the rest of the run goes on."""

    message: str | None = None


@dataclass(frozen=True, slots=True)
class Expand:
    """A sub-graph to run in a node's place.

    `outputs` names, for each output of the node, a link into `workflow`, or gives the value itself; an `Each` of links
    and values becomes one list. Links in `workflow` may point at its own nodes or, by the id given in a `RawLink`, at
    nodes outside it. An input may hold any value wrapped in `Constant`. With `own_ids`, its nodes keep their ids, which
    must be new to the run, instead of being named below the node. `stands_for` names nodes that are shown as another.
    """

    workflow: Workflow
    outputs: Mapping[str, object]
    own_ids: bool = False
    stands_for: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A run-time value standing as an input inside an expansion.

    `key` says what the value is the result of; the executor fills it in.
    """

    value: object
    key: bytes = b""
