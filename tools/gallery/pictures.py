"""The pictures that the shipped workflows make, each as one WebP file: its results side by side, or its animation."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Final

import networkx as nx
import numpy as np
from PIL import Image as PillowImage

from graphcore import Engine, Link, RunResult, Workflow
from nodes.values import Image
from tools.gallery.entries import Entry

ANIMATION: Final = "SaveAnimatedWEBP"
GAP: Final = 8
QUALITY: Final = 90


def picture_of(entry: Entry, engine: Engine) -> bytes:
    """Run a workflow as it is and give its picture as WebP; raises what the run failed with."""
    result = engine.run(entry.path).raise_for_state()
    for node, shown in result.shown.items():
        if entry.workflow.nodes[node].type == ANIMATION:
            return (engine.files.output_dir / str(shown[0]["filename"])).read_bytes()
    pictures = list(_declared(entry.workflow, result)) or list(_saved(result, engine))
    stream = io.BytesIO()
    _beside(pictures).save(stream, "WEBP", quality=QUALITY, method=6)
    return stream.getvalue()


def _declared(workflow: Workflow, result: RunResult) -> Iterator[PillowImage.Image]:
    """The declared outputs that are one picture, in the order in which they are made; else the whole batch."""
    graph = nx.DiGraph()
    graph.add_nodes_from(workflow.nodes)
    for target, node in workflow.nodes.items():
        graph.add_edges_from((link.node, target) for link in node.inputs.values() if isinstance(link, Link))
    depth = {name: layer for layer, names in enumerate(nx.topological_generations(graph)) for name in names}
    links = sorted(workflow.outputs.items(), key=lambda item: depth[item[1].node])
    found = [value for name, _ in links if isinstance(value := result[name], Image)]
    single = [image for image in found if len(image.pixels) == 1]
    for image in single or found:
        for pixels in image.pixels:
            yield PillowImage.fromarray(np.rint(pixels.numpy() * 255).astype(np.uint8))


def _saved(result: RunResult, engine: Engine) -> Iterator[PillowImage.Image]:
    """The pictures that were saved, for workflows that declare no outputs."""
    for shown in result.shown.values():
        for item in shown:
            if item["kind"] == "images":
                yield PillowImage.open(engine.files.output_dir / str(item["filename"])).convert("RGB")


def _beside(pictures: Sequence[PillowImage.Image]) -> PillowImage.Image:
    """Pictures side by side; what lies between and below them is transparent."""
    if len(pictures) == 1:
        return pictures[0]
    width = sum(picture.width + GAP for picture in pictures) - GAP
    strip = PillowImage.new("RGBA", (width, max(picture.height for picture in pictures)))
    left = 0
    for picture in pictures:
        strip.paste(picture, (left, 0))
        left += picture.width + GAP
    return strip
