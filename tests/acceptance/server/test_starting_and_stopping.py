"""How the server starts, refuses to start, and stops: in words, and without losing anything."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.acceptance.server.started import ROOT, Started
from tests.served import steps_of, sum_of


def refusal(*options: str, environment: dict[str, str] | None = None) -> str:
    """What `graphcore serve` says when it does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "graphcore", "serve", "--port", "0", "--pack", "none", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {}),
    )
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr
    return done.stderr


def test_sigterm_lets_a_short_run_end_and_returns_a_long_one_to_the_queue(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with Started(folder, "--grace", "1") as server:
        long = server.submit(steps_of(100_000))
        server.until(long, "running")
        waiting = server.submit(sum_of(1, 1))
        assert server.terminate() == 0
    with closing(sqlite3.connect(folder / "graphcore.sqlite3")) as connection:
        states = dict(connection.execute("SELECT id, state FROM runs").fetchall())
        assert states == {long: "queued", waiting: "queued"}
        assert connection.execute(
            "SELECT losses, interruptions FROM runs WHERE id = ?", (long,)
        ).fetchone() == (0, 0)
    with Started(folder) as server:
        server.until(long, "running")
        server.request("DELETE", f"/api/v1/runs/{long}")
        assert server.finished(waiting)["state"] == "succeeded"


def test_sigterm_waits_for_what_ends_within_the_grace_time(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with Started(folder, "--grace", "30") as server:
        run = server.submit(steps_of(100))
        server.until(run, "running")
        assert server.terminate() == 0
    with closing(sqlite3.connect(folder / "graphcore.sqlite3")) as connection:
        assert connection.execute("SELECT state FROM runs").fetchall() == [("succeeded",)]


def test_two_servers_do_not_share_a_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with Started(folder):
        assert re.search(
            r"is in use by process \d+.*choose another --data-dir", refusal("--data-dir", str(folder))
        )


def test_a_damaged_database_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with Started(folder) as server:
        for value in range(200):
            server.submit(sum_of(value, value))
        server.terminate()
    path = folder / "graphcore.sqlite3"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xaa" * 4096 * 3
    path.write_bytes(content)

    said = refusal("--data-dir", str(folder))

    assert "graphcore.sqlite3 is damaged" in said
    assert "left as it is" in said
    assert path.read_bytes() == bytes(content)


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "graphcore.sqlite3")) as connection:
        connection.execute("PRAGMA user_version=99")

    assert "has schema 99" in refusal("--data-dir", str(tmp_path))


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    assert "cannot be written" in refusal("--data-dir", str(tmp_path / "file" / "data"))


def test_b6_other_machines_are_served_with_tls_or_an_explicit_flag_and_with_a_token(tmp_path: Path) -> None:
    folder = tmp_path / "data"

    assert "--tls-cert and --tls-key, or --insecure" in refusal(
        "--host", "0.0.0.0", "--data-dir", str(folder)
    )
    with Started(folder, "--host", "0.0.0.0", "--insecure") as server:
        assert server.process.stdout is not None
        shown = server.process.stdout.readline()
        token = shown.rsplit(" ", 1)[1].strip()
        assert len(token) >= 32
        assert server.request("GET", "/api/v1/runs").status == 401
        assert (
            server.request("GET", "/api/v1/runs", headers={"Authorization": f"Bearer {token}"}).status == 200
        )
        assert (folder / "token").stat().st_mode & 0o077 == 0
        server.terminate()
        assert server.process.stdout.read() == ""
    with Started(folder, "--host", "0.0.0.0", "--insecure") as server:
        server.terminate()
        assert server.process.stdout is not None
        assert token not in server.said + server.process.stdout.read()
    assert token not in (tmp_path / "data.log").read_text()


def test_settings_come_from_flags_then_the_environment_then_the_file(tmp_path: Path) -> None:
    config = tmp_path / "graphcore.toml"
    config.write_text('cache = "wrong"\n')

    assert "'cache' is wrong" in refusal("--data-dir", str(tmp_path), "--config", str(config))
    config.write_text("nonsense = 1\n")
    assert "'nonsense' is wrong" in refusal("--data-dir", str(tmp_path), "--config", str(config))
    config.write_text("port = \n")
    assert "not TOML" in refusal("--data-dir", str(tmp_path), "--config", str(config))
    config.write_text(f'max_queue = 1\ndata_dir = "{tmp_path / "elsewhere"}"\n')
    said = refusal("--config", str(config), environment={"GRAPHCORE_TOKEN": "short"})
    assert "too weak" in said


def test_node_modules_that_cannot_be_imported_are_named(tmp_path: Path) -> None:
    assert "'no.such.module' cannot be imported" in refusal(
        "--data-dir", str(tmp_path), "--node-module", "no.such.module"
    )
