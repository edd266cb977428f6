"""What the native API takes and gives, as pydantic models; its OpenAPI document is made from these."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

StateName = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Inputs = Annotated[
    dict[str, JsonValue], Field(description="Values for the declared inputs, or for 'node.input'.")
]


class Model(BaseModel):
    """Base of all: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunRequest(Model):
    """A run to make."""

    workflow: dict[str, JsonValue] | str = Field(
        description="A workflow in any format (native, ComfyUI prompt, ComfyUI UI graph), or the name of a saved one."
    )
    inputs: Inputs = Field(default_factory=dict)
    targets: list[str] | None = Field(
        None, description="Nodes or declared outputs to run for; all output nodes otherwise."
    )
    priority: int = Field(0, ge=-1000, le=1000, description="Greater ones go first.")
    previews: bool = Field(False, description="Send pictures of what is being made.")
    webhook: str | None = Field(
        None, max_length=2000, description="A listed target to tell when the run has ended."
    )


class SavedRunRequest(Model):
    """A run of a saved workflow."""

    inputs: Inputs = Field(default_factory=dict)
    targets: list[str] | None = None
    priority: int = Field(0, ge=-1000, le=1000)
    previews: bool = False
    webhook: str | None = Field(None, max_length=2000)


class WorkflowRequest(Model):
    """A workflow to look at without running it."""

    workflow: dict[str, JsonValue] | str
    inputs: Inputs = Field(default_factory=dict)
    targets: list[str] | None = None


class FreeRequest(Model):
    """What workers are to let go of."""

    models: bool = False
    results: bool = False


class SessionRequest(Model):
    """A token, to be exchanged for a cookie."""

    token: str = Field(max_length=1000)


class ProblemModel(Model):
    """One thing that is wrong with a workflow."""

    code: str
    message: str
    node: str | None = None
    input: str | None = None
    pointer: str | None = Field(None, description="A JSON pointer into the workflow as it was sent.")
    expected: str | None = None
    got: str | None = None
    nearest: str | None = None


class ErrorBody(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(extra="allow", frozen=True)

    code: str = Field(description="Kebab-case, stable.")
    message: str = Field(description="One sentence: what is wrong and what to do.")
    location: str | None = None
    problems: list[ProblemModel] | None = None


class ErrorModel(Model):
    """The one shape of all errors."""

    error: ErrorBody


class OutputModel(Model):
    """A file that a run made."""

    id: str
    node: str
    kind: str
    name: str
    url: str


class ProgressModel(Model):
    """How far a node is."""

    node: str
    done: int
    total: int


class RunModel(Model):
    """How a run stands."""

    id: str
    state: StateName
    priority: int
    attempt: int
    workflow: str | None = Field(description="The saved workflow's name, if it was one.")
    created: datetime
    started: datetime | None
    finished: datetime | None
    error: ErrorBody | None
    place: int | None = Field(None, description="How many runs go before this one, if it waits.")
    progress: list[ProgressModel] = Field(default_factory=list)


class RunDetailModel(RunModel):
    """How a run stands, and what it made."""

    seconds: float | None = None
    ran: int | None = Field(None, description="Nodes that were run.")
    cached: int | None = Field(None, description="Nodes whose results were taken from the cache.")
    values: dict[str, JsonValue] = Field(
        default_factory=dict, description="The declared outputs, where they are plain JSON."
    )
    shown: dict[str, list[dict[str, JsonValue]]] = Field(
        default_factory=dict, description="What nodes showed, by node."
    )
    errors: dict[str, JsonValue] = Field(default_factory=dict, description="What failed, by node.")
    outputs: list[OutputModel] = Field(default_factory=list)


class RunListModel(Model):
    """Some runs, newest first."""

    runs: list[RunModel]
    next: str | None = Field(description="Send this as 'after' for those that follow; null at the end.")


class OutputListModel(Model):
    """The files that a run made."""

    outputs: list[OutputModel]


class ValidModel(Model):
    """A workflow that can run."""

    valid: bool
    nodes: int
    problems: list[ProblemModel]


class DocumentModel(Model):
    """A workflow as it was found, and the format that it is in."""

    format: Literal["native", "comfy-ui", "comfy-api"]
    workflow: dict[str, JsonValue]


class PlannedNodeModel(Model):
    """What will happen to a node."""

    model_config = ConfigDict(extra="allow", frozen=True)


class PlanModel(Model):
    """What a run would do."""

    model_config = ConfigDict(extra="allow", frozen=True)


class SavedWorkflowModel(Model):
    """A saved workflow's name and inputs."""

    name: str
    digest: str
    created: datetime
    updated: datetime


class SavedWorkflowDetailModel(SavedWorkflowModel):
    """A saved workflow."""

    workflow: dict[str, JsonValue]
    title: str
    description: str
    inputs: list[WorkflowInputModel]


class WorkflowInputModel(Model):
    """A declared input, and how a form may ask for it."""

    name: str
    title: str
    description: str
    type: str
    value: JsonValue = Field(None, description="The present value.")
    options: dict[str, JsonValue] = Field(
        default_factory=dict, description="As in ComfyUI's object_info: min, max, choices …"
    )


class WorkflowListModel(Model):
    """All saved workflows, by name."""

    workflows: list[SavedWorkflowModel]


class FileModel(Model):
    """An uploaded picture. Its id is the value of a node's file input."""

    id: str
    name: str
    media_type: str
    size: int
    width: int
    height: int


class QueueModel(Model):
    """The queue."""

    paused: bool
    running: list[RunModel]
    waiting: list[RunModel]


class WorkerModel(Model):
    """A worker."""

    name: str
    ready: bool
    device: str
    starts: int
    runs: int
    trouble: str


class HealthModel(Model):
    """Whether the server works."""

    status: Literal["ok", "degraded"]


class StatusModel(Model):
    """How the server stands."""

    version: str
    uptime: float
    paused: bool
    running: int
    waiting: int
    nodes: int
    workers: list[WorkerModel]


class MemoryModel(Model):
    """What the processes hold, in bytes."""

    server: dict[str, JsonValue]
    workers: dict[str, dict[str, JsonValue]]


class ModelsModel(Model):
    """Names of model files, by kind of folder."""

    models: dict[str, list[str]]


class NodePackModel(Model):
    """A ComfyUI pack that was to be loaded: its nodes, or why there are none.

    `left_out` are classes that are not offered, with the reason.
    """

    name: str
    nodes: list[str]
    left_out: dict[str, str]
    error: str | None


class NodesModel(Model):
    """All node types, and the ComfyUI packs that some of them are from."""

    nodes: dict[str, JsonValue]
    packs: list[NodePackModel]


def moment(seconds: float | None) -> datetime | None:
    """Seconds since the epoch as a time in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


SavedWorkflowDetailModel.model_rebuild()
