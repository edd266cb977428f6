"""Nodes of a pack, as people write them: one for each thing that a class can declare or return."""

import asyncio

from .flow import NODE_CLASS_MAPPINGS as FLOW
from .state import NODE_CLASS_MAPPINGS as STATE

WEB_DIRECTORY = "./web"


class AnyType(str):  # noqa: SLOT000 - as packs write it
    def __ne__(self, other):
        return False


ANY = AnyType("*")


class FlexibleInputs(dict):
    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return super().__getitem__(name) if name in list(self.keys()) else ("INT",)


class Number:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "value": ("INT", {"default": 1, "min": -10, "max": 10, "step": 1, "tooltip": "A number."}),
            }
        }

    RETURN_TYPES = ("INT",)
    FUNCTION = "number"
    CATEGORY = "basics"
    DESCRIPTION = "Gives a number."

    def number(self, value):
        return (value,)


class Widgets:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "text": ("STRING", {"default": "", "multiline": True, "dynamicPrompts": True}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0, "step": 0.01, "round": 0.001}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}),
                "on": ("BOOLEAN", {"default": True, "label_on": "yes", "label_off": "no"}),
                "mode": (["fast", "slow"], {"default": "fast"}),
                "colour": ("COMBO", {"options": ["red", "blue"], "default": "red"}),
                "several": ("COMBO", {"options": ["a", "b", "c"], "multiselect": True}),
                "remote": ("COMBO", {"remote": {"route": "/nowhere"}}),
            },
            "optional": {
                "forced": ("FLOAT", {"forceInput": True, "defaultInput": True}),
                "note": ("STRING",),
            },
        }

    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("told",)
    OUTPUT_TOOLTIPS = ("What was given.",)
    FUNCTION = "tell"
    CATEGORY = "basics"
    OUTPUT_NODE = True
    DEPRECATED = True
    EXPERIMENTAL = True
    API_NODE = False
    SEARCH_ALIASES = ("form",)

    def tell(self, **given):
        told = ", ".join(f"{name}={given[name]!r}" for name in sorted(given))
        return {"ui": {"text": [told]}, "result": (told,)}


class Sum:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT,FLOAT",)}, "optional": {"b": (ANY,)}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "add"
    CATEGORY = "basics"

    def add(self, a, b=100, **more):
        return (a + b + sum(more.values()),)


class Flexible:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": FlexibleInputs({"first": ("INT", {"default": 0})})}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "names"
    CATEGORY = "basics"

    def names(self, **inputs):
        return (",".join(f"{name}:{inputs[name]}" for name in sorted(inputs)),)


class Show:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (ANY, {})}}

    RETURN_TYPES = ()
    FUNCTION = "show"
    CATEGORY = "basics"
    OUTPUT_NODE = True

    def show(self, value):
        return {"ui": {"text": [str(value)], "nothing": []}}


class Hidden:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {},
            "hidden": {
                "me": "UNIQUE_ID",
                "prompt": "PROMPT",
                "picture": "EXTRA_PNGINFO",
                "dynamic": "DYNPROMPT",
                "token": "AUTH_TOKEN_COMFY_ORG",
            },
        }

    RETURN_TYPES = ("STRING",)
    FUNCTION = "tell"
    CATEGORY = "basics"

    def tell(self, me, prompt, picture, dynamic, token):
        kind = dynamic.get_node(me)["class_type"]
        return (
            f"{me} {prompt[me]['class_type']} {kind} {dynamic.get_display_node_id(me)} {picture} {token}",
        )


class MakeList:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 3})}}

    RETURN_TYPES = ("INT", "INT")
    RETURN_NAMES = ("item", "item")
    OUTPUT_IS_LIST = (True, False)
    FUNCTION = "make"
    CATEGORY = "basics"

    def make(self, count):
        return (list(range(count)), count)


class JoinList:
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"values": (ANY,), "separator": ("STRING", {"default": "-"})}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "join"
    CATEGORY = "basics"

    def join(self, values, separator):
        return (separator[0].join(str(value) for value in values),)


class Slow:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",), "seconds": ("FLOAT", {"default": 0.01})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "wait"
    CATEGORY = "basics"

    async def wait(self, value, seconds):
        await asyncio.sleep(seconds)
        if value < 0:
            raise ValueError("a negative number")
        return (value * 10,)


class Says:
    """Tells clients something beside the run's own messages."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": ""})}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "say"
    CATEGORY = "basics"

    def say(self, text):
        from server import PromptServer

        PromptServer.instance.send_sync("basics-said", {"text": text})
        return (text,)


class Fails:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",)}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "fail"
    CATEGORY = "basics"

    def fail(self, value):
        raise KeyError(f"no {value}")


def _add_routes():
    from aiohttp import web

    from server import PromptServer

    @PromptServer.instance.routes.get("/basics/hello/{name}")
    async def hello(request):
        return web.json_response({"hello": request.match_info["name"], "query": dict(request.query)})

    @PromptServer.instance.routes.post("/basics/echo")
    async def echo(request):
        return web.Response(text=(await request.text()).upper(), status=201)


_add_routes()

NODE_CLASS_MAPPINGS = {
    "Basics Number": Number,
    "BasicsWidgets": Widgets,
    "BasicsSum": Sum,
    "BasicsFlexible": Flexible,
    "BasicsShow": Show,
    "BasicsHidden": Hidden,
    "BasicsMakeList": MakeList,
    "BasicsJoinList": JoinList,
    "BasicsSlow": Slow,
    "BasicsFails": Fails,
    "BasicsSays": Says,
    "SaveImage": Number,
    **FLOW,
    **STATE,
}
NODE_DISPLAY_NAME_MAPPINGS = {"BasicsWidgets": "Every Widget", "Basics Number": "Number"}
