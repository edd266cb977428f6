"""All routes of the native API."""

from __future__ import annotations

from server.api.files import file_operations
from server.api.openapi import openapi_operation
from server.api.operations import Operation
from server.api.runs import run_operations
from server.api.system import system_operations
from server.api.workflows import workflow_operations
from server.routing import Route
from server.services import Services


def native_operations(services: Services) -> list[Operation]:
    """All operations, the OpenAPI document's own included."""
    operations = [
        *run_operations(services),
        *workflow_operations(services),
        *file_operations(services),
        *system_operations(services),
    ]
    return [*operations, openapi_operation(operations)]


def native_routes(services: Services) -> list[Route]:
    """The native API as routes of the application."""
    return [operation.route for operation in native_operations(services)]
