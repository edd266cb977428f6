"""What routes work with, joined once at the start."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from graphcore.files import Files
from graphcore.registry import Registry
from server.checking import Checker
from server.jobs import JobService
from server.packs import Packs
from server.pictures.service import PictureService
from server.security.hosts import HostList
from server.security.redaction import Redaction
from server.security.tokens import Tokens
from server.settings import ServerSettings
from server.store.database import Database
from server.uploads import Uploads
from server.webhooks import Webhooks
from server.workflows import SavedWorkflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The server's parts. Routes are handed this and keep nothing of their own.

    What is in `closing` is called when the server begins to stop: connections that last end then.
    """

    settings: ServerSettings
    registry: Registry
    files: Files
    packs: Packs
    database: Database
    jobs: JobService
    checker: Checker
    workflows: SavedWorkflows
    uploads: Uploads
    pictures: PictureService
    webhooks: Webhooks
    tokens: Tokens
    hosts: HostList
    redaction: Redaction
    started: float = field(default_factory=time.time)
    closing: list[Callable[[], None]] = field(default_factory=list)
