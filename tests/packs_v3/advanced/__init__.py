"""A pack written against comfy_api: one node for each thing that a schema can say."""

from __future__ import annotations

import asyncio
from enum import Enum

import torch
from comfy_api.latest import ComfyAPI, ComfyAPISync, ComfyExtension, io, ui
from comfy_api.latest._io import ComfyTypeIO, comfytype
from comfy_execution.graph_utils import GraphBuilder

LOADED = []
RUNS: dict[str, int] = {}


def count(name: str) -> int:
    RUNS[name] = RUNS.get(name, 0) + 1
    return RUNS[name]


@comfytype(io_type="RECIPE")
class Recipe(ComfyTypeIO):
    Type = dict


Ingredient = io.Custom("INGREDIENT")


class Blend(Enum):
    NORMAL = "normal"
    SCREEN = "screen"


class Brighten(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Brighten",
            display_name="Brighten (V3)",
            category="tests/v3",
            description="Makes pictures brighter.",
            inputs=[
                io.Image.Input("image", tooltip="what to brighten"),
                io.Float.Input(
                    "strength",
                    default=1.5,
                    min=0.0,
                    max=4.0,
                    step=0.01,
                    round=0.001,
                    display_mode=io.NumberDisplay.slider,
                ),
                io.Mask.Input("mask", optional=True),
            ],
            outputs=[io.Image.Output(), io.Float.Output(display_name="mean")],
        )

    @classmethod
    def execute(cls, image, strength, mask=None):
        assert cls.hidden.unique_id is None
        count("V3Brighten")
        bright = (image * strength).clamp(0, 1)
        if mask is not None:
            bright = torch.where(mask[..., None] > 0.5, bright, image)
        return io.NodeOutput(bright, float(bright.mean()))


class Widgets(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Widgets",
            category="tests/v3",
            inputs=[
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True),
                io.String.Input("text", multiline=True, placeholder="a text", dynamic_prompts=True),
                io.Boolean.Input("on", default=True, label_on="yes", label_off="no"),
                io.Combo.Input("blend", options=Blend, default=Blend.NORMAL),
                io.Combo.Input(
                    "file",
                    options=["a.png"],
                    upload=io.UploadType.image,
                    image_folder=io.FolderType.input,
                    advanced=True,
                ),
                io.MultiCombo.Input("tags", options=["red", "green", "blue"], default=["red"], chip=True),
                io.Color.Input("colour", default="#ffffff", socketless=True),
                io.MultiType.Input(io.Float.Input("number", default=1.0), types=[io.Float, io.Int]),
            ],
            outputs=[io.String.Output("TEXT")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, seed, text, on, blend, file, tags, colour, number):
        return io.NodeOutput(
            f"{seed} {text} {on} {blend} {file} {'+'.join(tags)} {colour} {number} #{cls.hidden.unique_id}"
        )


class Grow(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplatePrefix(io.Image.Input("image"), prefix="image", min=2, max=50)
        return io.Schema(
            node_id="V3Grow",
            category="tests/v3",
            inputs=[io.Autogrow.Input("images", template=template)],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, images: io.Autogrow.Type):
        return io.NodeOutput(torch.cat(list(images.values())))


class Names(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplateNames(io.Float.Input("value"), names=["red", "green", "blue"], min=1)
        return io.Schema(
            node_id="V3Names",
            category="tests/v3",
            inputs=[io.Autogrow.Input("values", template=template)],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, values):
        return io.NodeOutput(", ".join(f"{name}={value}" for name, value in values.items()))


class Mode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Mode",
            category="tests/v3",
            inputs=[
                io.DynamicCombo.Input(
                    "mode",
                    options=[
                        io.DynamicCombo.Option(
                            "size",
                            [
                                io.Int.Input("width", default=512, min=1, max=8192),
                                io.Int.Input("height", default=512, min=1),
                            ],
                        ),
                        io.DynamicCombo.Option(
                            "nested",
                            [
                                io.DynamicCombo.Input(
                                    "inner",
                                    options=[
                                        io.DynamicCombo.Option("one", [io.Float.Input("x", default=1.0)]),
                                        io.DynamicCombo.Option("none", []),
                                    ],
                                )
                            ],
                        ),
                    ],
                ),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, mode):
        return io.NodeOutput(repr(mode))


class Switch(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.MatchType.Template("switch")
        return io.Schema(
            node_id="V3Switch",
            category="tests/v3",
            inputs=[
                io.Boolean.Input("switch"),
                io.MatchType.Input("on_false", template=template, lazy=True),
                io.MatchType.Input("on_true", template=template, lazy=True),
            ],
            outputs=[io.MatchType.Output(template=template, display_name="output")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def check_lazy_status(cls, switch, on_false=None, on_true=None):
        if switch and on_true is None:
            return ["on_true"]
        if not switch and on_false is None:
            return ["on_false"]
        return None

    @classmethod
    def execute(cls, switch, on_true=None, on_false=None):
        return io.NodeOutput(on_true if switch else on_false)


class Expand(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Expand",
            category="tests/v3",
            enable_expand=True,
            inputs=[io.Image.Input("image"), io.Int.Input("times", default=2)],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image, times):
        graph = GraphBuilder()
        current = image
        for _ in range(times):
            current = graph.node("V3Brighten", image=current, strength=2.0).out(0)
        return io.NodeOutput(current, expand=graph.finalize())


class Gate(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Gate",
            category="tests/v3",
            inputs=[io.Boolean.Input("allow"), io.Image.Input("image")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, allow, image):
        return io.NodeOutput(image) if allow else io.NodeOutput(block_execution="the gate is closed")


class Waits(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Waits",
            category="tests/v3",
            inputs=[io.String.Input("text")],
            outputs=[io.String.Output()],
        )

    @classmethod
    async def execute(cls, text):
        await asyncio.sleep(0)
        for step in range(3):
            await ComfyAPI().execution.set_progress(step + 1, 3)
        return io.NodeOutput(f"awaited {text}")


class Steps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Steps",
            category="tests/v3",
            inputs=[io.Int.Input("steps", default=3)],
            outputs=[io.Int.Output()],
        )

    @classmethod
    def execute(cls, steps):
        for step in range(steps):
            ComfyAPISync().execution.set_progress(step + 1, steps)
        return io.NodeOutput(steps)


class Checked(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Checked",
            category="tests/v3",
            inputs=[io.Int.Input("width", default=512), io.String.Input("prompt")],
            outputs=[io.Int.Output()],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, width, **kwargs):
        return True if width % 8 == 0 else "the width must be a multiple of 8"

    @classmethod
    def fingerprint_inputs(cls, width, prompt):
        return f"{width}-{LOADED}"

    @classmethod
    def execute(cls, width, prompt):
        assert isinstance(cls.hidden.prompt, dict)
        return io.NodeOutput(width + count("V3Checked"), ui=ui.PreviewText(prompt))


class Lists(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Lists",
            category="tests/v3",
            is_input_list=True,
            inputs=[io.Int.Input("number"), io.Int.Input("factor", default=1)],
            outputs=[io.Int.Output("EACH", is_output_list=True), io.Int.Output("SUM")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, number, factor):
        assert isinstance(cls.hidden.unique_id, str)
        return io.NodeOutput([value * factor[0] for value in number], sum(number))


class Open(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Open",
            category="tests/v3",
            accept_all_inputs=True,
            inputs=[io.Combo.Input("mode", options=["a", "b"])],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, mode, **kwargs):
        return io.NodeOutput(f"{mode} {sorted(kwargs)}")


class Show(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Show",
            category="tests/v3",
            is_output_node=True,
            inputs=[io.Image.Input("images")],
            outputs=[],
        )

    @classmethod
    def execute(cls, images):
        return io.NodeOutput(ui=ui.PreviewImage(images, cls=cls))


class Save(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Save",
            category="tests/v3",
            is_output_node=True,
            is_deprecated=True,
            is_experimental=True,
            inputs=[io.Image.Input("images"), io.Combo.Input("as_file", options=["png", "apng", "webp"])],
            outputs=[],
        )

    @classmethod
    def execute(cls, images, as_file):
        helper = ui.ImageSaveHelper
        save = {
            "png": helper.get_save_images_ui,
            "apng": helper.get_save_animated_png_ui,
            "webp": helper.get_save_animated_webp_ui,
        }[as_file]
        return io.NodeOutput(ui=save(images, "v3/saved", cls=cls))


class Sound(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Sound",
            category="tests/v3",
            is_output_node=True,
            inputs=[io.Combo.Input("format", options=["wav", "flac", "mp3", "opus", "preview"])],
            outputs=[io.Audio.Output()],
        )

    @classmethod
    def execute(cls, format):
        wave = torch.sin(torch.arange(8000) * 0.2)[None, None].expand(1, 2, -1)
        audio = {"waveform": wave, "sample_rate": 16000}
        if format == "preview":
            return io.NodeOutput(audio, ui=ui.PreviewAudio(audio, cls=cls))
        return io.NodeOutput(
            audio, ui=ui.AudioSaveHelper.get_save_audio_ui(audio, "tone", cls=cls, format=format)
        )


class Make(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Make",
            category="tests/v3",
            inputs=[io.String.Input("name")],
            outputs=[Recipe.Output(), Ingredient.Output()],
        )

    @classmethod
    def execute(cls, name):
        return {"result": ({"name": name}, name)}


class Use(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Use",
            category="tests/v3",
            inputs=[Recipe.Input("recipe"), Ingredient.Input("ingredient"), io.AnyType.Input("anything")],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, recipe, ingredient, anything):
        return (f"{recipe['name']} {ingredient} {type(anything).__name__}",)


class Advanced(ComfyExtension):
    async def on_load(self):
        LOADED.append("yes")

    async def get_node_list(self):
        return [
            Brighten,
            Widgets,
            Grow,
            Names,
            Mode,
            Switch,
            Expand,
            Gate,
            Waits,
            Steps,
            Checked,
            Lists,
            Open,
            Show,
            Save,
            Make,
            Sound,
            Use,
        ]


async def comfy_entrypoint() -> ComfyExtension:
    return Advanced()
