"""F8, F9: what a graph asks for, and what it grows into, has a budget; over it the run is refused, or fails alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from server.comfy.routes import comfy_routes
from tests.comfy_client import step
from tests.served import Served, entry, link, native, settings_in, sum_of


@pytest.fixture(scope="module")
def diffusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the installed nodes, whose worker is never needed."""
    settings = settings_in(tmp_path_factory.mktemp("diffusing"), packs=None, node_module=())
    with Served(settings, modules=(comfy_routes,)) as server:
        yield server


def graph(latent: dict[str, Any] | None = None, sampler: dict[str, Any] | None = None) -> dict[str, Any]:
    """ComfyUI's first prompt, with other values for the latent or the sampler; the checkpoint is the embedded one."""
    sampling = {
        "seed": 1,
        "steps": 4,
        "cfg": 2.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
        "model": ["4", 0],
        "positive": ["6", 0],
        "negative": ["6", 0],
        "latent_image": ["5", 0],
    }
    return {
        "3": step("KSampler", **(sampling | (sampler or {}))),
        "4": step("CheckpointLoaderSimple", ckpt_name="scenes-v1.safetensors"),
        "5": step("EmptyLatentImage", **({"width": 64, "height": 64, "batch_size": 1} | (latent or {}))),
        "6": step("CLIPTextEncode", text="a red circle", clip=["4", 1]),
        "8": step("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": step("SaveImage", images=["8", 0], filename_prefix="f8"),
    }


def found_at(served: Served, prompt: dict[str, Any]) -> set[str | None]:
    """The nodes at which the native API finds something over budget or out of range."""
    answer = served.post("/api/v1/validate", {"workflow": prompt})
    assert answer.status == 200, answer.body
    codes = (
        "over-budget",
        "value-too-large",
        "value-too-small",
        "integer-too-large",
        "not-finite",
        "off-grid",
    )
    return {problem["node"] for problem in answer.json["problems"] if problem["code"] in codes}


def test_f8_the_graph_itself_is_within_every_budget(diffusing: Served) -> None:
    assert found_at(diffusing, graph()) == set()


@pytest.mark.parametrize(
    "latent",
    [
        {"width": 10**6, "height": 10**6},
        {"width": 16384, "height": 16384, "batch_size": 4096},
        {"batch_size": 10**6},
        {"width": 0},
        {"height": -64},
        {"batch_size": 0},
        {"batch_size": -1},
    ],
)
def test_f8_sizes_without_measure_are_refused(diffusing: Served, latent: dict[str, Any]) -> None:
    prompt = graph(latent=latent)

    assert found_at(diffusing, prompt) == {"5"}
    assert diffusing.post("/api/v1/runs", {"workflow": prompt}).status == 422
    answer = diffusing.post("/prompt", {"prompt": prompt})
    assert answer.status == 400
    assert set(answer.json["node_errors"]) == {"5"}


@pytest.mark.parametrize(
    "sampler",
    [
        {"steps": 10**9},
        {"steps": 0},
        {"steps": -5},
        {"cfg": 10**9},
        {"cfg": -1.0},
        {"denoise": 5.0},
        {"denoise": -0.5},
        {"seed": -1},
    ],
)
def test_f8_samplings_without_measure_are_refused(diffusing: Served, sampler: dict[str, Any]) -> None:
    prompt = graph(sampler=sampler)

    assert found_at(diffusing, prompt) == {"3"}
    assert diffusing.post("/api/v1/runs", {"workflow": prompt}).status == 422
    answer = diffusing.post("/prompt", {"prompt": prompt})
    assert answer.status == 400
    assert set(answer.json["node_errors"]) == {"3"}


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400])
def test_f8_f1_numbers_beyond_64_bits_are_no_numbers(diffusing: Served, number: int) -> None:
    prompt = graph(sampler={"seed": number})

    answer = diffusing.post("/api/v1/runs", {"workflow": prompt})
    assert (answer.status, answer.code) == (400, "integer-too-large")
    assert diffusing.post("/prompt", {"prompt": prompt}).status == 400


def test_f8_a_prompt_of_ten_megabytes_is_refused_where_it_stands(diffusing: Served) -> None:
    prompt = graph()
    prompt["6"]["inputs"]["text"] = "cat " * 2_500_000

    assert found_at(diffusing, prompt) == {"6"}
    answer = diffusing.post("/prompt", {"prompt": prompt})
    assert answer.status == 400
    assert len(answer.body) < 100_000


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose nodes expand and fan out."""
    settings = settings_in(
        tmp_path_factory.mktemp("growing"), node_module=("tests.packs.trivial", "tests.packs.bombs")
    )
    with Served(settings, modules=(comfy_routes,)) as server:
        yield server.ready()


@pytest.mark.parametrize("bomb", ["Endless", pytest.param("Doubling", marks=pytest.mark.slow), "Flood"])
def test_f9_expansions_end_at_the_budget_and_the_next_run_is_unharmed(growing: Served, bomb: str) -> None:
    run = growing.submit(native(bomb=entry(bomb), show=entry("Report", value=link("bomb"))))

    shown = growing.finished(run, timeout=120)

    assert shown["state"] == "failed"
    assert {error["code"] for error in shown["errors"].values()} & {"expansion-budget"}, shown
    assert growing.finished(growing.submit(sum_of()))["state"] == "succeeded"
    assert growing.get("/api/v1/status").json["workers"][0]["starts"] == 1


def test_f9_a_list_without_end_is_not_mapped_over(growing: Served) -> None:
    workflow = native(
        stream=entry("Stream"),
        each=entry("Sum", a=link("stream"), b=1),
        tally=entry("Tally", values=link("each")),
    )

    shown = growing.finished(growing.submit(workflow), timeout=120)

    assert shown["state"] == "failed"
    assert "over-budget" in {error["code"] for error in shown["errors"].values()}, shown
    assert growing.finished(growing.submit(sum_of(3, 4)))["state"] == "succeeded"


def test_f9_clients_of_comfyui_are_told_of_the_budget_at_its_node(growing: Served) -> None:
    prompt = {"1": step("Endless", value=7), "2": step("Report", value=["1", 0])}
    prompt_id = growing.post("/prompt", {"prompt": prompt}).json["prompt_id"]

    deadline = time.monotonic() + 60
    while not (history := growing.get(f"/history/{prompt_id}").json):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (told,) = [data for kind, data in history[prompt_id]["status"]["messages"] if kind == "execution_error"]
    assert told["node_id"] == "1"
    assert len(growing.get(f"/history/{prompt_id}").body) < 200_000
