"""B1 to B6: whoever has no token learns nothing; whoever has one sees what is theirs."""

from __future__ import annotations

import hmac
import re

import pytest

from server.app import make_app
from server.security.tokens import COOKIE, Tokens
from tests.served import GUEST_TOKEN, OWNER_TOKEN, Served, entry, link, native, sum_of

OPEN = {("GET", "/api/v1/health"), ("POST", "/api/v1/session")}
AS_GUEST = {"Authorization": f"Bearer {GUEST_TOKEN}"}


def test_b1_b3_every_route_denies_without_a_token_save_two(guarded: Served) -> None:
    walked = set()
    app = make_app(guarded.services)
    for route in app.router.routes():
        path = re.sub(r"\{\w+\}", "x", route.resource.canonical if route.resource is not None else "")
        answer = guarded.request(
            route.method, path, headers={"Authorization": "", "Content-Type": "application/json"}
        )
        if (route.method, path) in OPEN:
            assert answer.status != 403, path
        else:
            assert (answer.status, answer.code) == (401, "unauthorized"), path
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        walked.add((route.method, path))
    assert len(walked) > 20
    assert walked >= OPEN
    assert guarded.request("GET", "/nowhere", headers={"Authorization": ""}).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {OWNER_TOKEN}"},
        {"Authorization": OWNER_TOKEN},
        {"Authorization": f"Bearer {OWNER_TOKEN}x"},
        {"Authorization": f"Bearer {OWNER_TOKEN[:-1]}"},
        {"Authorization": "Bearer "},
        {"Authorization": "", "Cookie": f"{COOKIE}={OWNER_TOKEN}"},
        {"Authorization": "", "Cookie": f"{COOKIE}=é"},
    ],
)
def test_b2_wrong_tokens_are_refused(guarded: Served, headers: dict[str, str]) -> None:
    sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    assert guarded.request("GET", "/api/v1/runs", headers=sent).status == 401


def test_b2_a_token_in_the_address_counts_for_nothing(guarded: Served) -> None:
    assert (
        guarded.request("GET", f"/api/v1/runs?token={OWNER_TOKEN}", headers={"Authorization": ""}).status
        == 401
    )


def test_b2_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def watched(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return compare(left, right)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    tokens = Tokens({"owner": "a" * 20, "guest": "b" * 20})

    assert tokens.identify(authorization="Bearer " + "a" * 20, cookie=None) is not None
    assert tokens.identify(authorization="Bearer wrong", cookie=None) is None
    assert len(compared) == 4
    assert all(len(left) == len(right) == 64 for left, right in compared)


def test_b2_a_session_cookie_is_no_token_and_no_script_reads_it(guarded: Served) -> None:
    answer = guarded.request("POST", "/api/v1/session", {"token": OWNER_TOKEN}, {"Authorization": ""})

    assert answer.status == 204
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert OWNER_TOKEN not in cookie
    pair = cookie.split(";")[0]
    connection = guarded.raw(
        f"GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nCookie: {pair}\r\nConnection: close\r\n\r\n".encode()
    )
    assert connection.status == 200
    wrong = guarded.request("POST", "/api/v1/session", {"token": "wrong"}, {"Authorization": ""})
    assert wrong.status == 401


def test_b2_b4_no_answer_and_no_log_holds_a_token(guarded: Served, caplog: pytest.LogCaptureFixture) -> None:
    for path in (
        "/status",
        "/memory",
        "/metrics",
        "/health",
        "/queue",
        "/runs",
        "/models",
        "/openapi.json",
        "/schema",
    ):
        body = guarded.request("GET", f"/api/v1{path}").body.decode()
        assert OWNER_TOKEN not in body
        assert GUEST_TOKEN not in body
        assert "--token" not in body
        assert str(guarded.settings.data_dir) not in body, path
    assert OWNER_TOKEN not in repr(guarded.settings)
    assert OWNER_TOKEN not in caplog.text


def test_b5_what_is_anothers_is_not_found(guarded: Served) -> None:
    mine = guarded.submit(native(make=entry("MakePicture"), keep=entry("KeepPicture", images=link("make"))))
    outputs = guarded.finished(mine)["outputs"]
    missing = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

    for path in ("", "/events", "/outputs", f"/outputs/{outputs[0]['id']}"):
        theirs = guarded.request("GET", f"/api/v1/runs/{mine}{path}", headers=AS_GUEST)
        nobodys = guarded.request("GET", f"/api/v1/runs/{missing}{path}", headers=AS_GUEST)
        assert theirs.status == nobodys.status == 404
        assert theirs.body == nobodys.body
    assert guarded.request("DELETE", f"/api/v1/runs/{mine}", headers=AS_GUEST).status == 404
    assert guarded.request("GET", "/api/v1/runs", headers=AS_GUEST).json["runs"] == []


def test_b5_the_owner_sees_all_and_a_guest_its_own(guarded: Served) -> None:
    answer = guarded.request("POST", "/api/v1/runs", {"workflow": sum_of()}, AS_GUEST)
    run = answer.json["id"]

    assert guarded.request("GET", f"/api/v1/runs/{run}", headers=AS_GUEST).status == 200
    assert guarded.finished(run)["state"] == "succeeded"
    assert guarded.request("POST", "/api/v1/queue/pause", headers=AS_GUEST).status == 403


def test_b5_the_same_key_of_two_principals_makes_two_runs(guarded: Served) -> None:
    body = {"workflow": sum_of()}
    mine = guarded.request("POST", "/api/v1/runs", body, {"Idempotency-Key": "k"})
    theirs = guarded.request("POST", "/api/v1/runs", body, {"Idempotency-Key": "k", **AS_GUEST})

    assert mine.json["id"] != theirs.json["id"]


def test_b5_saved_workflows_are_ones_own(guarded: Served) -> None:
    guarded.request("PUT", "/api/v1/workflows/mine", sum_of())

    assert guarded.request("GET", "/api/v1/workflows/mine", headers=AS_GUEST).status == 404
    assert guarded.request("POST", "/api/v1/runs", {"workflow": "mine"}, AS_GUEST).status == 404


def test_b2_tokens_do_not_reach_the_worker(guarded: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from server.workers.process import child_environment

    monkeypatch.setenv("GRAPHCORE_TOKEN", OWNER_TOKEN)
    monkeypatch.setenv("GRAPHCORE_TOKENS", "{}")
    monkeypatch.setenv("GRAPHCORE_WEBHOOK_SECRET", "secret")

    assert not [name for name in child_environment() if "TOKEN" in name or "SECRET" in name]
