"""Node types, models, system, features: what clients ask before they do anything."""

from __future__ import annotations

import json
import struct
import time

import pytest

from graphcore.files import Files
from graphcore.registry import Registry
from graphcore.settings import Settings
from server.comfy.node_types import Catalogue
from tests.served import Served


def test_node_types_are_described_under_all_their_names(served: Served) -> None:
    types = served.get("/object_info").json

    assert types["KeepPicture"]["output_node"] is True
    assert types["SaveImage"]["name"] == "SaveImage"
    assert types["Steps"]["input"]["required"]["count"] == ["INT", {"min": 0, "max": 100000}]
    assert served.get("/api/object_info/Sum").json == {"Sum": types["Sum"]}
    unknown = served.get("/object_info/Nowhere")
    assert (unknown.status, unknown.json) == (200, {})


def test_a_new_file_is_listed_at_once(served: Served) -> None:
    def listed() -> list[str]:
        return list(served.get("/object_info").json["OpenPicture"]["input"]["required"]["image"][0])

    folder = served.settings.inputs
    folder.mkdir(parents=True, exist_ok=True)
    assert "new.png" not in listed()
    (folder / "new.png").write_bytes(b"")
    assert "new.png" in listed()


def test_the_description_of_all_nodes_is_made_once() -> None:
    from nodes.pack import register

    registry = Registry()
    register(registry)
    catalogue = Catalogue(registry, Files.from_settings(Settings()))
    first = catalogue.all()

    assert catalogue.all() is first
    assert set(json.loads(first)) == set(registry.comfy_names())


def test_models_are_listed_by_folder(served: Served) -> None:
    folder = served.settings.models_dir[0] / "embeddings"
    folder.mkdir(parents=True)
    header = json.dumps({"__metadata__": {"trained": "yes"}}).encode()
    (folder / "style.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (folder / "bare.safetensors").write_bytes(b"")

    assert "checkpoints" in served.get("/models").json
    assert served.get("/models/embeddings").json == ["bare.safetensors", "style.safetensors"]
    assert served.get("/api/embeddings").json == ["bare", "style"]
    assert served.get("/models/nowhere").status == 404
    assert served.get("/view_metadata/embeddings?filename=style.safetensors").json == {"trained": "yes"}
    assert served.get("/view_metadata/embeddings?filename=bare.safetensors").status == 404
    (row, _) = served.get("/experiment/models/embeddings").json
    assert set(row) == {"name", "pathIndex", "modified", "created", "size"}
    places = {entry["name"]: entry["folders"] for entry in served.get("/experiment/models").json}
    assert not any(path.startswith("/") for path in places["embeddings"])
    assert served.get("/experiment/models/preview/embeddings/0/style.safetensors").status == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/extensions", []),
        ("/i18n", {}),
        ("/workflow_templates", {}),
        ("/global_subgraphs", {}),
        ("/node_replacements", {}),
        ("/users", {"storage": "server", "migrated": True}),
    ],
)
def test_what_there_is_none_of_is_empty(served: Served, path: str, body: object) -> None:
    assert served.get(path).json == body
    assert served.get(f"/api{path}").json == body


def test_the_system_is_described_without_its_paths(served: Served) -> None:
    stats = served.get("/system_stats").json

    assert stats["system"]["ram_total"] > stats["system"]["ram_free"] > 0
    assert stats["system"]["argv"] == []
    (device,) = stats["devices"]
    assert device["type"] == "cpu"
    assert device["vram_total"] > 0


def test_features_name_the_limit_of_uploads(served: Served) -> None:
    features = served.get("/features").json

    assert features["supports_preview_metadata"] is True
    assert features["max_upload_size"] == served.settings.max_upload_mib * 2**20


def test_the_log_tells_of_prompts(served: Served) -> None:
    served.post("/prompt", {"prompt": {"1": {"class_type": "Report", "inputs": {"value": 1}}}})
    while not any("succeeded" in entry["m"] for entry in served.get("/internal/logs/raw").json["entries"]):
        time.sleep(0.02)
    assert "got prompt" in served.get("/internal/logs").json


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_pages_of_other_sites_are_refused(served: Served, headers: dict[str, str]) -> None:
    for method, path in (
        ("POST", "/prompt"),
        ("GET", "/ws"),
        ("GET", "/api/history"),
        ("POST", "/upload/image"),
    ):
        assert served.request(method, path, b"{}", headers).status == 403
