"""graphcore: a workflow graph engine for diffusion models. This is its public surface.

What runs workflows (Engine and the like) is imported when it is first asked for: declaring, listing and checking nodes
need none of it, and start faster without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from graphcore.builder import Graph
from graphcore.context import CancelToken, Context, Preview, Service, Services, detached_context
from graphcore.errors import (
    CacheError,
    Cancelled,
    DeclarationError,
    DocumentError,
    ExecutionError,
    GraphcoreError,
    InputError,
    ModelFileError,
    Problem,
    ResourceError,
    ValidationError,
)
from graphcore.events import Event, RunState
from graphcore.formats.reading import read_workflow
from graphcore.limits import Limits
from graphcore.lists import Blocked, Constant, Each, Expand, Lazy, RawLink
from graphcore.node import node, spec_of
from graphcore.registry import Registry
from graphcore.results import NodeReport, RunResult
from graphcore.settings import Settings
from graphcore.sockets import SocketType, socket
from graphcore.validation import validate
from graphcore.version import __version__ as __version__
from graphcore.widgets import FileChoice, Growing, OutputName, Range, Secret, Seed, Shown, Text, Toggle
from graphcore.workflow import Dialect, Link, NodeEntry, Workflow

if TYPE_CHECKING:
    from graphcore.engine import Engine, RunHandle, run
    from graphcore.run_options import RunOptions

__all__ = [
    "Blocked",
    "CacheError",
    "CancelToken",
    "Cancelled",
    "Constant",
    "Context",
    "DeclarationError",
    "Dialect",
    "DocumentError",
    "Each",
    "Engine",
    "Event",
    "ExecutionError",
    "Expand",
    "FileChoice",
    "Graph",
    "GraphcoreError",
    "Growing",
    "InputError",
    "Lazy",
    "Limits",
    "Link",
    "ModelFileError",
    "NodeEntry",
    "NodeReport",
    "OutputName",
    "Preview",
    "Problem",
    "Range",
    "RawLink",
    "Registry",
    "ResourceError",
    "RunHandle",
    "RunOptions",
    "RunResult",
    "RunState",
    "Secret",
    "Seed",
    "Service",
    "Services",
    "Settings",
    "Shown",
    "SocketType",
    "Text",
    "Toggle",
    "ValidationError",
    "Workflow",
    "detached_context",
    "node",
    "read_workflow",
    "run",
    "socket",
    "spec_of",
    "validate",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in ("Engine", "RunHandle", "RunOptions", "run"):
            raise AttributeError(f"module 'graphcore' has no attribute '{name}'")
        value: object = getattr(import_module("graphcore.engine"), name)
        globals()[name] = value
        return value
