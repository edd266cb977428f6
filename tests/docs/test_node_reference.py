"""docs/nodes.md is generated from the nodes, and says all that matters of each."""

from __future__ import annotations

from tests.tiny_engine import all_nodes
from tools.docs.nodes import node_page


def test_every_node_is_there_with_its_inputs_and_outputs() -> None:
    page = node_page(all_nodes())
    sections = {part.split("`")[1]: part for part in page.split("\n### ")[1:]}
    for spec in all_nodes():
        section = sections[spec.name]
        assert spec.description.splitlines()[0] in section
        assert all(f"`{alias}`" in section for alias in spec.aliases)
        assert all(f"| `{declared.name}` |" in section for declared in spec.inputs)
        assert all(f"`{output.name}`" in section for output in spec.outputs)


def test_ranges_defaults_and_choices() -> None:
    page = node_page(all_nodes())
    section = page[page.index("### `KSampler`") : page.index("### `KSamplerAdvanced`")]
    assert "| `steps` | INT | 1 to 10000; default `20` |" in section
    assert "`simple`, `sgm_uniform`, `karras`" in section
    assert "### `LoadCheckpoint` (`CheckpointLoaderSimple`)" in page
