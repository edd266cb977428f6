"""What the page is told, as pydantic models. Whole numbers are text: a browser's numbers hold 53 bits."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, JsonValue

from server.api.models import (
    ErrorBody,
    Model,
    OutputModel,
    ProblemModel,
    ProgressModel,
    StateName,
    WorkerModel,
)


class TargetModel(Model):
    """An input of a node."""

    node: str
    input: str


class FieldModel(Model):
    """A field of a form.

    `kind` is text, multiline, int, float, boolean, choice, model, image, seed, secret or json. `name` is what a run's
    `inputs` call it, `choices` where the sheet has them.
    """

    name: str
    title: str
    description: str
    kind: str
    targets: list[TargetModel]
    required: bool = False
    value: JsonValue = None
    minimum: str | float | None = None
    maximum: str | float | None = None
    step: str | float | None = None
    choices: str | None = None
    labels: list[str] | None = None
    placeholder: str = ""


class GroupModel(Model):
    """The other fields of a node."""

    node: str
    title: str
    fields: list[FieldModel]


class GraphNodeModel(Model):
    """A node as it is drawn; `values` are its own values in short."""

    id: str
    type: str
    title: str
    category: str
    description: str
    known: bool
    output: bool
    values: dict[str, str]


class GraphLinkModel(Model):
    """A link as it is drawn; `kind` is what flows along it."""

    source: str
    output: str
    target: str
    input: str
    kind: str


class SheetModel(Model):
    """A workflow for people: a form, a drawing, and what is wrong with it.

    `document` is the workflow's JSON as text, with its present values; None if it cannot be run for faults of its
    structure. `choices` are those that the fields name. A workflow of very many nodes (`size`) is neither drawn nor
    laid open.
    """

    title: str
    description: str
    document: str | None
    fields: list[FieldModel]
    more: list[GroupModel]
    choices: dict[str, list[JsonValue]]
    size: int
    nodes: list[GraphNodeModel]
    links: list[GraphLinkModel]
    problems: list[ProblemModel]


class CardModel(Model):
    """A run in short."""

    id: str
    state: StateName
    title: str
    prompt: str
    workflow: str | None
    attempt: int
    created: datetime
    started: datetime | None
    finished: datetime | None
    error: ErrorBody | None
    place: int | None = None
    progress: list[ProgressModel] = Field(default_factory=list)
    outputs: list[OutputModel] = Field(default_factory=list)


class PageQueueModel(Model):
    """The queue: what is under way, the first of what waits, and how many more."""

    paused: bool
    running: list[CardModel]
    waiting: list[CardModel]
    more: int
    workers: list[WorkerModel]


class CardListModel(Model):
    """Runs that have ended, newest first; `next` is what to ask for those before them."""

    runs: list[CardModel]
    next: str | None


class ExampleModel(Model):
    """An example workflow that comes along."""

    name: str
    title: str
    description: str


class ExampleListModel(Model):
    """All examples, by name."""

    examples: list[ExampleModel]


class AboutModel(Model):
    """What the page needs to know of the server."""

    version: str
    editor: bool
    token: bool
    owner: bool
