"""What conversion costs: a UI graph of 500 nodes read and turned into a prompt, and a prompt drawn as a graph.

    python -m benchmarks.conversion [--smoke] [--json] [--nodes N]

The graph is of text-to-image chains behind one loader, with reroutes between pictures, made of this project's
own nodes. Times are CPU milliseconds of the best of several times; reading JSON is measured by itself.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from graphcore import Registry
from graphcore.formats.comfy_api import read_prompt
from graphcore.formats.reading import own_definitions
from graphcore.formats.ui import Definitions, read_ui_graph, to_api_prompt, to_ui_graph
from graphcore.validation import validate

NODES: Final = 500
MAX_MS: Final = 50.0
_CHAIN: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """CPU milliseconds of each step for one graph."""

    nodes: int
    parse_ms: float
    convert_ms: float
    validate_ms: float
    draw_ms: float


def prompt_of(count: int) -> dict[str, Any]:
    """A prompt of about so many nodes: one checkpoint, and chains of six nodes behind it."""
    prompt: dict[str, Any] = {"0": _entry("CheckpointLoaderSimple", ckpt_name="a.safetensors")}
    for place in range(1, count - _CHAIN + 1, _CHAIN):
        positive, negative, size, sampler, decoder, saver = (str(place + offset) for offset in range(_CHAIN))
        prompt[positive] = _entry("CLIPTextEncode", text=f"hill number {place}", clip=["0", 1])
        prompt[negative] = _entry("CLIPTextEncode", text="blurry", clip=["0", 1])
        prompt[size] = _entry("EmptyLatentImage", width=512, height=512, batch_size=1)
        prompt[sampler] = _entry(
            "KSampler",
            model=["0", 0],
            seed=place,
            steps=20,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            positive=[positive, 0],
            negative=[negative, 0],
            latent_image=[size, 0],
            denoise=1.0,
        )
        prompt[decoder] = _entry("VAEDecode", samples=[sampler, 0], vae=["0", 2])
        prompt[saver] = _entry("SaveImage", images=[decoder, 0], filename_prefix="hill")
    return prompt


def _entry(kind: str, **inputs: object) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def rerouted(document: Mapping[str, Any]) -> dict[str, Any]:
    """A graph with a reroute in the middle of every link between pictures."""
    nodes, links = list(document["nodes"]), []
    last = max(link[0] for link in document["links"])
    for link in document["links"]:
        if link[5] != "IMAGE":
            links.append(link)
            continue
        last += 1
        number = 1_000_000 + last
        nodes.append(
            {
                "id": number,
                "type": "Reroute",
                "inputs": [{"name": "", "type": "*", "link": last}],
                "outputs": [{"name": "", "type": "IMAGE", "links": [link[0]]}],
            }
        )
        links += [[last, link[1], link[2], number, 0, "IMAGE"], [link[0], number, 0, *link[3:]]]
    return {**document, "nodes": nodes, "links": links}


def measure(count: int, registry: Registry, definitions: Definitions) -> Measurement:
    """Measure every step on one graph."""
    prompt = prompt_of(count)
    text = json.dumps(rerouted(to_ui_graph(prompt, definitions)))
    document = json.loads(text)
    converted = to_api_prompt(read_ui_graph(document), definitions)
    assert converted.keys() == prompt.keys(), "the graph does not say what the prompt says"
    return Measurement(
        nodes=len(document["nodes"]),
        parse_ms=_best(lambda: json.loads(text)),
        convert_ms=_best(lambda: to_api_prompt(read_ui_graph(document), definitions)),
        validate_ms=_best(lambda: validate(read_prompt(converted), registry)),
        draw_ms=_best(lambda: to_ui_graph(prompt, definitions)),
    )


def _best(work: Callable[[], object], times: int = 7) -> float:
    best = float("inf")
    for _ in range(times):
        gc.collect()
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best * 1000


def main() -> int:
    """Run the benchmark; 1 if the limit is exceeded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a small graph, without the limit")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--nodes", type=int, default=NODES, help="nodes of the graph, without reroutes")
    options = parser.parse_args()
    registry = Registry.installed(allow=["graphcore"])
    definitions = own_definitions(registry)
    sizes = [50] if options.smoke else [options.nodes, 10 * options.nodes]
    found = [measure(size, registry, definitions) for size in sizes]
    slow = not options.smoke and found[0].convert_ms > MAX_MS
    if options.json:
        print(json.dumps({"measurements": [asdict(entry) for entry in found], "limit_ms": MAX_MS}, indent=1))
    else:
        table = Table(title="Conversion of UI graphs (CPU milliseconds)")
        for column in ("nodes", "parse JSON", "graph to prompt", "validate", "prompt to graph"):
            table.add_column(column, justify="right")
        for entry in found:
            figures = (entry.parse_ms, entry.convert_ms, entry.validate_ms, entry.draw_ms)
            table.add_row(f"{entry.nodes:,}", *(f"{figure:.1f}" for figure in figures))
        Console().print(table)
        if slow:
            Console().print(f"[red]a graph of {found[0].nodes} nodes takes more than {MAX_MS} ms[/red]")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
