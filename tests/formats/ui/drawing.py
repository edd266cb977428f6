"""Draws small UI graphs for the tests, and the classes that they use."""

from __future__ import annotations

from typing import Any

from graphcore.formats.ui import ObjectInfoDefinitions, read_ui_graph, to_api_prompt

CONTROL = {"control_after_generate": True}


def node_class(
    required: dict[str, Any],
    output: list[str] | None = None,
    optional: dict[str, Any] | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """An object_info entry."""
    return {
        "input": {"required": required, "optional": optional or {}},
        "input_order": {"required": list(required), "optional": list(optional or {})},
        "output": output or [],
        "output_name": output or [],
        "display_name": title,
        "output_node": not output,
    }


OBJECT_INFO: dict[str, Any] = {
    "CheckpointLoaderSimple": node_class(
        {"ckpt_name": [["a.safetensors", "b.safetensors"], {}]},
        ["MODEL", "CLIP", "VAE"],
        title="Load Checkpoint",
    ),
    "CLIPTextEncode": node_class(
        {"text": ["STRING", {"multiline": True, "dynamicPrompts": True}], "clip": ["CLIP", {}]},
        ["CONDITIONING"],
        title="CLIP Text Encode (Prompt)",
    ),
    "EmptyLatentImage": node_class(
        {
            "width": ["INT", {"default": 512}],
            "height": ["INT", {"default": 512}],
            "batch_size": ["INT", {"default": 1}],
        },
        ["LATENT"],
        title="Empty Latent Image",
    ),
    "KSampler": node_class(
        {
            "model": ["MODEL"],
            "seed": ["INT", {"default": 0, **CONTROL}],
            "steps": ["INT", {"default": 20}],
            "cfg": ["FLOAT", {"default": 8.0}],
            "sampler_name": [["euler", "dpmpp_2m"], {}],
            "scheduler": [["normal", "karras"], {}],
            "positive": ["CONDITIONING"],
            "negative": ["CONDITIONING"],
            "latent_image": ["LATENT"],
            "denoise": ["FLOAT", {"default": 1.0}],
        },
        ["LATENT"],
    ),
    "VAEDecode": node_class({"samples": ["LATENT"], "vae": ["VAE"]}, ["IMAGE"], title="VAE Decode"),
    "SaveImage": node_class(
        {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}, title="Save Image"
    ),
    "LoadImage": node_class(
        {"image": [["a.png", "b.png"], {"image_upload": True}]}, ["IMAGE", "MASK"], title="Load Image"
    ),
    "ControlNetLoader": node_class({"control_net_name": [["c.pth"], {}]}, ["CONTROL_NET"]),
    "Blend": node_class(
        {"first": ["IMAGE"], "mask": ["MASK"], "second": ["IMAGE,MASK"], "anything": ["*"]},
        ["MASK", "IMAGE", "*", "LATENT"],
    ),
    "Show": node_class(
        {"image": ["IMAGE"], "anything": ["*"], "mask": ["MASK"], "latent": ["LATENT"]},
        optional={"count": ["INT", {"default": 1}]},
    ),
    "Numbers": node_class({}, ["INT", "FLOAT", "STRING"]),
    "OldSocket": node_class(
        {"a": ["INT", {"default": 1}], "b": ["STRING", {"forceInput": True}], "c": ["INT", {"default": 2}]},
        ["INT"],
    ),
    "Defaults": node_class(
        {
            "whole": ["INT", {}],
            "number": ["FLOAT", {}],
            "text": ["STRING", {}],
            "switch": ["BOOLEAN", {}],
            "old_combo": [["x", "y"], {}],
            "new_combo": ["COMBO", {"options": ["p", "q"], "default": "q"}],
            "empty_combo": [[], {}],
        },
        ["INT"],
        optional={"extra": ["STRING", {"default": "e"}]},
    ),
    "ControlledCombo": node_class(
        {"pick": ["COMBO", {"options": ["x", "y"], **CONTROL}], "after": ["INT", {"default": 7}]}, ["STRING"]
    ),
    "Resize": node_class(
        {
            "mode": [
                "COMFY_DYNAMICCOMBO_V3",
                {
                    "options": [
                        {"key": "size", "inputs": {"required": {"width": ["INT", {"default": 5}]}}},
                        {
                            "key": "noise",
                            "inputs": {
                                "required": {
                                    "seed": ["INT", {"default": 9, **CONTROL}],
                                    "like": ["IMAGE", {}],
                                }
                            },
                        },
                        {"key": "none", "inputs": {}},
                    ]
                },
            ],
            "after": ["INT", {"default": 1}],
        },
        ["IMAGE"],
    ),
    "Batch": node_class(
        {
            "images": [
                "COMFY_AUTOGROW_V3",
                {"template": {"input": {"required": {"image": ["IMAGE", {}]}}, "min": 1, "prefix": "image"}},
            ],
            "count": ["INT", {"default": 2}],
        },
        ["IMAGE"],
    ),
    "Join": node_class(
        {
            "parts": [
                "COMFY_AUTOGROW_V3",
                {"template": {"input": {"required": {"part": ["STRING", {}]}}, "min": 2, "prefix": "part"}},
            ],
            "by": ["STRING", {"default": ","}],
        },
        ["STRING"],
    ),
}
DEFINITIONS = ObjectInfoDefinitions.from_json(OBJECT_INFO)
SUBGRAPH_INPUT, SUBGRAPH_OUTPUT = -10, -20


class Sketch:
    """A UI file in the making; `wire` names the input, its source and, for a widget turned socket, `widget`."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []

    def node(self, node_id: int | str, kind: str, values: Any = None, **fields: Any) -> Sketch:
        """Add a node with its `widgets_values`."""
        outputs = OBJECT_INFO.get(kind, {}).get("output") or fields.pop("gives", [])
        node = {
            "id": node_id,
            "type": kind,
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": name, "type": name, "links": []} for name in outputs],
            "properties": {},
            **fields,
        }
        if values is not None:
            node["widgets_values"] = values
        self.nodes.append(node)
        return self

    def wire(
        self, origin: int | str, slot: int, target: int | str, name: str, kind: str, *, widget: bool = False
    ) -> Sketch:
        """Link an output to the input `name` of a node (to output number `name` of the subgraph for -20)."""
        number = len(self.links) + 1
        index = int(name) if target == SUBGRAPH_OUTPUT else len(self.inputs(target))
        self.links.append([number, origin, slot, target, index, kind])
        if target != SUBGRAPH_OUTPUT:
            self.socket(target, name, kind, widget=widget)
            self.inputs(target)[-1]["link"] = number
        return self

    def socket(self, target: int | str, name: str, kind: str, *, widget: bool = False) -> Sketch:
        """Add an input that nothing feeds."""
        slot: dict[str, Any] = {"name": name, "type": kind, "link": None}
        self.inputs(target).append(slot | ({"widget": {"name": name}} if widget else {}))
        return self

    def inputs(self, node_id: int | str) -> list[dict[str, Any]]:
        """The input slots of a node."""
        return next(node["inputs"] for node in self.nodes if node["id"] == node_id)

    def file(self, *subgraphs: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """The finished document."""
        definitions = {"definitions": {"subgraphs": list(subgraphs)}} if subgraphs else {}
        return {"nodes": self.nodes, "links": self.links, "version": 0.4, **definitions, **fields}

    def subgraph(
        self, identity: str, inputs: list[tuple[str, str]], outputs: list[tuple[str, str]]
    ) -> dict[str, Any]:
        """The finished definition of a subgraph."""
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        links = [dict(zip(names, link, strict=True)) for link in self.links]

        def boundary(slots: list[tuple[str, str]], end: str, node: int) -> list[dict[str, Any]]:
            return [
                {
                    "name": name,
                    "type": kind,
                    "linkIds": [
                        link["id"]
                        for link in links
                        if link[f"{end}_id"] == node and link[f"{end}_slot"] == index
                    ],
                }
                for index, (name, kind) in enumerate(slots)
            ]

        return {
            "id": identity,
            "name": identity,
            "nodes": self.nodes,
            "links": links,
            "inputs": boundary(inputs, "origin", SUBGRAPH_INPUT),
            "outputs": boundary(outputs, "target", SUBGRAPH_OUTPUT),
        }


def convert(document: Any, **options: Any) -> dict[str, Any]:
    """The API prompt of a file."""
    return to_api_prompt(read_ui_graph(document), DEFINITIONS, **options)


def inputs_of(sketch: Sketch, node_id: str = "1") -> dict[str, Any]:
    """The inputs of one node of the converted prompt."""
    inputs: dict[str, Any] = convert(sketch.file())[node_id]["inputs"]
    return inputs


def text_to_image() -> Sketch:
    """The classic: checkpoint, two texts, sampler, decoder, picture."""
    sketch = Sketch()
    sketch.node(4, "CheckpointLoaderSimple", ["b.safetensors"])
    sketch.node(5, "EmptyLatentImage", [640, 448, 2])
    sketch.node(6, "CLIPTextEncode", ["a hill"]).wire(4, 1, 6, "clip", "CLIP")
    sketch.node(7, "CLIPTextEncode", ["blurry"], title="Not this").wire(4, 1, 7, "clip", "CLIP")
    sketch.node(3, "KSampler", [156680208700286, "randomize", 12, 7.5, "dpmpp_2m", "karras", 0.9])
    sketch.wire(4, 0, 3, "model", "MODEL").wire(6, 0, 3, "positive", "CONDITIONING")
    sketch.wire(7, 0, 3, "negative", "CONDITIONING").wire(5, 0, 3, "latent_image", "LATENT")
    sketch.node(8, "VAEDecode").wire(3, 0, 8, "samples", "LATENT").wire(4, 2, 8, "vae", "VAE")
    sketch.node(9, "SaveImage", ["hill"]).wire(8, 0, 9, "images", "IMAGE")
    return sketch
