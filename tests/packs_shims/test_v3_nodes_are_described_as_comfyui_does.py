"""GET /object_info of nodes that are written against comfy_api."""

from __future__ import annotations

from typing import Any

from graphcore.formats.object_info import object_info
from tests.packs_shims.loaded import Loaded


def info_of(loaded: Loaded, name: str) -> Any:
    return object_info(loaded.engine.registry)[name]


def test_all_sixteen_keys_are_there(advanced: Loaded) -> None:
    assert info_of(advanced, "V3Brighten") == {
        "input": {
            "required": {
                "image": ["IMAGE", {"tooltip": "what to brighten"}],
                "strength": [
                    "FLOAT",
                    {
                        "default": 1.5,
                        "min": 0.0,
                        "max": 4.0,
                        "step": 0.01,
                        "round": 0.001,
                        "display": "slider",
                    },
                ],
            },
            "optional": {"mask": ["MASK", {}]},
        },
        "input_order": {"required": ["image", "strength"], "optional": ["mask"]},
        "output": ["IMAGE", "FLOAT"],
        "output_is_list": [False, False],
        "output_name": ["IMAGE", "mean"],
        "output_tooltips": [None, None],
        "output_matchtypes": None,
        "name": "V3Brighten",
        "display_name": "Brighten (V3)",
        "description": "Makes pictures brighter.",
        "python_module": "custom_nodes.advanced",
        "category": "tests/v3",
        "output_node": False,
        "deprecated": False,
        "experimental": False,
        "api_node": False,
    }


def test_widgets_have_the_options_that_are_set(advanced: Loaded) -> None:
    required = info_of(advanced, "V3Widgets")["input"]["required"]
    assert required["seed"] == [
        "INT",
        {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True},
    ]
    assert required["text"] == [
        "STRING",
        {"multiline": True, "placeholder": "a text", "dynamicPrompts": True},
    ]
    assert required["on"] == ["BOOLEAN", {"default": True, "label_on": "yes", "label_off": "no"}]
    assert required["blend"] == [
        "COMBO",
        {"multiselect": False, "options": ["normal", "screen"], "default": "normal"},
    ]
    assert required["file"][1]["image_upload"] is True
    assert required["file"][1]["image_folder"] == "input"
    assert required["file"][1]["advanced"] is True
    assert required["tags"][1]["multiselect"] is True
    assert required["colour"] == ["COLOR", {"default": "#ffffff", "socketless": True}]
    assert required["number"] == ["FLOAT,INT", {"widgetType": "FLOAT", "default": 1.0}]


def test_dynamic_inputs_are_templates(advanced: Loaded) -> None:
    assert info_of(advanced, "V3Grow")["input"]["required"]["images"] == [
        "COMFY_AUTOGROW_V3",
        {
            "template": {
                "input": {"required": {"image": ["IMAGE", {}]}},
                "prefix": "image",
                "min": 2,
                "max": 50,
            }
        },
    ]
    assert info_of(advanced, "V3Names")["input"]["required"]["values"][1]["template"] == {
        "input": {"required": {"value": ["FLOAT", {}]}},
        "names": ["red", "green", "blue"],
        "min": 1,
    }
    kind, options = info_of(advanced, "V3Mode")["input"]["required"]["mode"]
    assert kind == "COMFY_DYNAMICCOMBO_V3"
    assert options["options"][0] == {
        "key": "size",
        "inputs": {
            "required": {
                "width": ["INT", {"default": 512, "min": 1, "max": 8192}],
                "height": ["INT", {"default": 512, "min": 1}],
            }
        },
    }


def test_types_that_match_name_their_template(advanced: Loaded) -> None:
    info = info_of(advanced, "V3Switch")
    assert info["input"]["required"]["on_true"] == [
        "COMFY_MATCHTYPE_V3",
        {"lazy": True, "template": {"template_id": "switch", "allowed_types": "*"}},
    ]
    assert (info["output"], info["output_name"], info["output_matchtypes"]) == (
        ["COMFY_MATCHTYPE_V3"],
        ["output"],
        ["switch"],
    )


def test_hidden_inputs_are_lists_and_output_nodes_have_two(advanced: Loaded) -> None:
    assert info_of(advanced, "V3Switch")["input"]["hidden"] == {"unique_id": ["UNIQUE_ID"]}
    info = info_of(advanced, "V3Checked")
    assert info["input"]["hidden"] == {"prompt": ["PROMPT"], "extra_pnginfo": ["EXTRA_PNGINFO"]}
    assert info["input_order"]["hidden"] == ["prompt", "extra_pnginfo"]
    assert info["output_node"] is True


def test_flags_are_told(advanced: Loaded) -> None:
    info = info_of(advanced, "V3Save")
    assert (info["deprecated"], info["experimental"]) == (True, True)
    assert info_of(advanced, "V3Lists")["output_is_list"] == [True, False]
    assert info_of(advanced, "V3Make")["output"] == ["RECIPE", "INGREDIENT"]
