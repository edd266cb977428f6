"""What can be called outside a run: graphs, weights, names of things."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from graphcore import Settings
from graphcore.errors import ModelFileError
from nodes.packs.host import PackHost
from nodes.packs.imports import install_shims
from tests.tiny_engine import all_nodes


@pytest.fixture(autouse=True)
def host(tmp_path: Path) -> None:
    install_shims(PackHost(registry=all_nodes(), settings=Settings(output_dir=tmp_path, device="cpu")))


def test_graphs() -> None:
    from comfy_execution.graph_utils import GraphBuilder, add_graph_prefix, is_link

    graph = GraphBuilder(prefix="p.")
    first = graph.node("EmptyImage", width=8)
    second = graph.node("ImageInvert", "named", image=first.out(0))
    assert graph.node("ImageInvert", "named") is second
    assert graph.lookup_node("named") is second
    second.set_input("extra", 3)
    second.set_input("extra", None)
    second.set_override_display_id("shown")
    assert graph.finalize() == {
        "p.1": {"class_type": "EmptyImage", "inputs": {"width": 8}},
        "p.named": {
            "class_type": "ImageInvert",
            "inputs": {"image": ["p.1", 0]},
            "override_display_id": "shown",
        },
    }
    graph.replace_node_output("1", 0, ["other", 2])
    graph.remove_node("1")
    assert graph.finalize()["p.named"]["inputs"] == {"image": ["other", 2]}
    moved, outputs = add_graph_prefix(
        {"a": {"class_type": "X", "inputs": {"image": ["b", 0], "n": 1}}}, [["a", 0], 3], "z."
    )
    assert moved == {"z.a": {"class_type": "X", "inputs": {"image": ["z.b", 0], "n": 1}}}
    assert outputs == (["z.a", 0], 3)
    assert [
        is_link(value) for value in (["a", 0], ["a", 0.0], ["a"], [1, 0], ("a", 0), "a", ["a", True])
    ] == [
        True,
        True,
        *[False] * 5,
    ]


def test_two_graphs_share_no_ids() -> None:
    from comfy_execution.graph_utils import GraphBuilder

    GraphBuilder.set_default_prefix("7", 2, 0)
    first, second = GraphBuilder(), GraphBuilder()
    assert (first.node("X").id, second.node("X").id) == ("7.2.0.1", "7.2.1.1")


def test_input_types_are_found() -> None:
    from comfy_execution.graph import get_input_info
    from comfy_execution.validation import validate_node_input

    import nodes

    assert get_input_info(nodes.NODE_CLASS_MAPPINGS["KSampler"], "model")[:2] == ("MODEL", "required")
    assert get_input_info(nodes.NODE_CLASS_MAPPINGS["KSampler"], "nothing") == (None, None, None)
    fits = {("A", "A"): True, ("A", "*"): True, ("A", "A,B"): True, ("A,C", "A,B"): True, ("A", "B"): False}
    assert {pair: validate_node_input(*pair) for pair in fits} == fits
    assert not validate_node_input("A,C", "A,B", strict=True)


def test_weights_are_read_and_written(tmp_path: Path) -> None:
    import comfy.utils

    tensors = {"a.x": torch.ones(2), "a.y": torch.zeros(3, dtype=torch.float16)}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"who": "me"})
    read, metadata = comfy.utils.load_torch_file(str(tmp_path / "a.safetensors"), return_metadata=True)
    assert torch.equal(read["a.x"], tensors["a.x"])
    assert metadata == {"who": "me"}
    comfy.utils.save_torch_file(read, str(tmp_path / "b.safetensors"), metadata={"who": "you"})
    torch.save({"state_dict": tensors}, tmp_path / "c.pt")
    assert set(comfy.utils.load_torch_file(tmp_path / "c.pt", safe_load=True)) == {"a.x", "a.y"}
    assert comfy.utils.calculate_parameters(read) == 5
    assert comfy.utils.weight_dtype(read) is torch.float16
    renamed = comfy.utils.state_dict_prefix_replace(dict(read), {"a.": "b."}, filter_keys=True)
    assert set(renamed) == {"b.x", "b.y"}


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit",))


def test_weights_run_no_code(tmp_path: Path) -> None:
    import comfy.utils

    torch.save({"a": Harmful()}, tmp_path / "bad.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    for name in ("bad.pt", "cut.safetensors"):
        with pytest.raises(ModelFileError, match="holds no plain tensors"):
            comfy.utils.load_torch_file(str(tmp_path / name))


def test_tiles_make_the_whole() -> None:
    import comfy.utils

    picture = torch.rand(2, 3, 50, 70)
    made = comfy.utils.tiled_scale(
        picture,
        lambda part: part.repeat_interleave(2, -1).repeat_interleave(2, -2),
        32,
        32,
        8,
        upscale_amount=2,
    )
    expected = picture.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(made, expected)
    assert comfy.utils.get_tiled_scale_steps(70, 50, 32, 32, 8) == 6


def test_batches_are_fitted() -> None:
    import comfy.utils

    rows = torch.arange(3.0)[:, None]
    assert comfy.utils.repeat_to_batch_size(rows, 5)[:, 0].tolist() == [0, 1, 2, 0, 1]
    assert comfy.utils.resize_to_batch_size(rows, 6)[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert comfy.utils.resize_to_batch_size(rows, 2)[:, 0].tolist() == [0, 2]
    video = torch.rand(1, 4, 5, 8, 8)
    assert comfy.utils.common_upscale(video, 4, 6, "bilinear", "disabled").shape == (1, 4, 5, 6, 4)


def test_conditionings_get_values() -> None:
    import node_helpers

    pairs = [[torch.ones(1, 2, 3), {"a": [1]}]]
    assert node_helpers.conditioning_set_values(pairs, {"a": [2]}, append=True)[0][1] == {"a": [1, 2]}
    assert node_helpers.conditioning_set_values(pairs, {"b": 1})[0][1] == {"a": [1], "b": 1}
    assert pairs[0][1] == {"a": [1]}
    parts = node_helpers.conditioning_set_values_with_timestep_range(pairs, {"b": 1}, 0.25, 1.0)
    assert [(p[1].get("b"), p[1]["start_percent"], p[1]["end_percent"]) for p in parts] == [
        (None, 0.0, 0.25),
        (1, 0.25, 1.0),
    ]


def test_attention_is_attention() -> None:
    from comfy.ldm.modules.attention import optimized_attention

    q, k, v = torch.rand(3, 2, 6, 16).unbind()
    heads = [
        torch.softmax(q[..., s : s + 8] @ k[..., s : s + 8].mT / 8**0.5, -1) @ v[..., s : s + 8]
        for s in (0, 8)
    ]
    torch.testing.assert_close(optimized_attention(q, k, v, 2), torch.cat(heads, -1))


def test_types_and_options() -> None:
    from comfy.cli_args import args
    from comfy.comfy_types import IO

    assert IO.IMAGE == "IMAGE"
    assert (IO.ANY != "ANYTHING") is False
    assert IO.NUMBER != "STRING"
    assert (IO.NUMBER != "INT,FLOAT,STRING") is False
    assert (args.cpu, args.highvram, args.disable_metadata) == (True, False, False)
    with pytest.raises(AttributeError, match="no_such_option"):
        _ = args.no_such_option
