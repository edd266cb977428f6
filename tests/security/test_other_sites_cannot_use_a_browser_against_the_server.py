"""A1 to A12: pages of other sites, rebound names and forged headers get nothing out of the server or into it."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping

import pytest

from server.api.operations import PREFIX
from server.api.routes import native_operations
from server.security.hosts import HostList, is_loopback, parse_host
from server.security.origin import same_origin
from tests.served import Served, sum_of

BODY = json.dumps({"workflow": sum_of()}).encode()


def raw(
    served: Served, *headers: str, path: str = "/api/v1/runs", method: str = "POST", body: bytes = BODY
) -> int:
    """The status of a request with exactly these headers."""
    head = [
        f"{method} {path} HTTP/1.1",
        *headers,
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        "",
    ]
    return served.raw("\r\n".join(head).encode("latin-1") + body).status


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain; charset=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "",
    ],
)
def test_a1_a2_bodies_that_a_form_can_send_are_refused(served: Served, kind: str) -> None:
    for path in ("/api/v1/runs", "/api/v1/validate", "/api/v1/workflows/x/runs", "/api/v1/session"):
        answer = served.request("POST", path, BODY, {"Content-Type": kind})
        assert answer.status == 415, path
    assert served.request("PUT", "/api/v1/workflows/x", BODY, {"Content-Type": kind}).status == 415


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_a2_uploads_under_a_forms_type_are_refused(served: Served, kind: str) -> None:
    assert served.request("POST", "/api/v1/files", b"\x89PNG", {"Content-Type": kind}).status == 415


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Sec-Fetch-Site": "nonsense"},
    ],
)
def test_a3_a9_pages_of_other_origins_are_refused_everywhere(
    served: Served, headers: Mapping[str, str]
) -> None:
    for method, path in (
        ("POST", "/api/v1/runs"),
        ("GET", "/api/v1/runs"),
        ("GET", "/api/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/events"),
        ("DELETE", "/api/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("GET", "/api/v1/nodes"),
        ("GET", "/api/v1/health"),
    ):
        answer = served.request(method, path, {"workflow": sum_of()} if method == "POST" else None, headers)
        assert (answer.status, answer.code) == (403, "cross-site"), (method, path)


def test_our_own_pages_and_programs_are_let_in(served: Served) -> None:
    for headers in (
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{served.port}"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": f"http://127.0.0.1:{served.port}"},
    ):
        assert served.request("GET", "/api/v1/runs", headers=headers).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.com",
        "127.0.0.1.evil.com",
        "evil.com:8188",
        "xlocalhost",
        "localhostx",
        "127.0.0.1x",
        "0x7f.0.0.1",
        "2130706433",
        "127.1",
        "0.0.0.0",
        "user@localhost",
        "localhost@evil.com",
        "localhost:80@evil.com",
        "localhost:99999",
        "localhost:",
        "localhost:8x",
        "localhost evil.com",
        "[::1",
        "[::1]x",
        "[::1%25eth0]",
        "[::ffff:127.0.0.1]",
        "localhost..",
        "",
    ],
)
def test_a4_a5_a6_a7_hosts_that_are_not_listed_are_refused(served: Served, host: str) -> None:
    assert raw(served, f"Host: {host}", "Content-Type: application/json") in (400, 403)


def test_a4_a_rebound_name_is_refused_though_origin_and_host_agree(served: Served) -> None:
    status = raw(
        served,
        f"Host: evil.example:{served.port}",
        f"Origin: http://evil.example:{served.port}",
        "Sec-Fetch-Site: same-origin",
        "Content-Type: application/json",
    )
    assert status == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1:65535", "[::1]", "[0:0:0:0:0:0:0:1]:80"]
)
def test_a7_listed_hosts_are_let_in_however_they_are_written(served: Served, host: str) -> None:
    assert raw(served, f"Host: {host}", "Content-Type: application/json") == 202


def test_a7_a_request_without_a_host_or_with_two_is_refused(served: Served) -> None:
    assert raw(served, "Content-Type: application/json") == 400
    assert raw(served, "Host: localhost", "Host: evil.example", "Content-Type: application/json") == 400


def test_a8_a_host_name_is_never_resolved(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a name was looked up")

    for name in ("getaddrinfo", "gethostbyname", "gethostbyaddr", "getfqdn"):
        monkeypatch.setattr(socket, name, refuse)
    hosts = HostList(["localhost"])

    assert not hosts.admits("evil.example")
    assert same_origin(fetch_site=[], origin=["http://localhost"], host="localhost", scheme="http")
    assert not is_loopback("localhost.example")
    assert parse_host("some.name:80") is not None


def test_a10_nothing_is_granted_to_other_origins(served: Served) -> None:
    preflight = served.request(
        "OPTIONS",
        "/api/v1/runs",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    plain = served.request("GET", "/api/v1/runs")

    assert preflight.status == 403
    for answer in (preflight, plain):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_a11_no_get_changes_anything(served: Served) -> None:
    operations = native_operations(served.services)
    changing = {
        "submitRun",
        "cancelRun",
        "pauseQueue",
        "resumeQueue",
        "freeMemory",
        "saveWorkflow",
        "deleteWorkflow",
    }
    changing |= {"runWorkflow", "uploadFile", "openSession", "closeSession"}

    assert {operation.name for operation in operations if operation.method != "GET"} == changing | {
        "validateWorkflow",
        "planWorkflow",
        "readWorkflow",
    }
    for operation in operations:
        if operation.name in changing and operation.path == "/queue/pause":
            assert served.request("GET", PREFIX + operation.path).status == 405


@pytest.mark.parametrize(
    "path", ["//evil.example/", "/\\evil.example", "/api/v1/runs/?next=//evil.example", "/api/v1//runs"]
)
def test_a12_no_answer_redirects_anywhere(served: Served, path: str) -> None:
    answer = served.request("GET", path)

    assert answer.status in (400, 404)
    assert "Location" not in answer.headers
