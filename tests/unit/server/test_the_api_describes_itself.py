"""The OpenAPI document is valid, complete, and true."""

from __future__ import annotations

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from server.api.routes import native_operations
from tests.served import Served


def test_the_document_is_valid_openapi(served: Served) -> None:
    document = served.get("/api/v1/openapi.json").json

    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"


def test_every_route_is_described(served: Served) -> None:
    document = served.get("/api/v1/openapi.json").json
    operations = native_operations(served.services)

    described = {(method, path) for path, entries in document["paths"].items() for method in entries}
    assert described == {(operation.method.lower(), operation.path) for operation in operations}
    names = [operation.name for operation in operations]
    assert len(names) == len(set(names))


@pytest.mark.slow
def test_schemathesis_finds_no_crash_and_no_answer_that_is_not_described(served: Served) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    import subprocess
    import sys

    assert schemathesis
    url = f"http://127.0.0.1:{served.port}/api/v1/openapi.json"
    arguments = [
        "run",
        url,
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "schemathesis.cli",
            *arguments,
            "--max-examples",
            "20",
            "--exclude-path-regex",
            "/events$",
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
