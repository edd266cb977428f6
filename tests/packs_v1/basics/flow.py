"""Nodes that ask for inputs late, expand, and block."""

import asyncio

from comfy_execution.graph import ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder, is_link


class LazyChoice:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"first": ("BOOLEAN", {"default": True})},
            "optional": {"a": ("INT", {"lazy": True}), "b": ("INT", {"lazy": True})},
        }

    RETURN_TYPES = ("INT",)
    FUNCTION = "choose"
    CATEGORY = "basics"

    def check_lazy_status(self, first, a=None, b=None):
        name = "a" if first else "b"
        return [name] if {"a": a, "b": b}[name] is None else []

    def choose(self, first, a=None, b=None):
        return (a if first else b,)


class LazyAsync(LazyChoice):
    FUNCTION = "choose_async"

    async def check_lazy_status(self, first, a=None, b=None):
        await asyncio.sleep(0)
        return super().check_lazy_status(first, a, b)

    async def choose_async(self, first, a=None, b=None):
        return (a if first else b,)


class NeverLazy(LazyChoice):
    check_lazy_status = None

    def choose(self, first, a="none", b="none"):
        return ((a, b) == (None, None),)

    RETURN_TYPES = ("BOOLEAN",)


class Block:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "value": ("*",),
                "block": ("BOOLEAN", {"default": True}),
                "message": ("STRING", {"default": ""}),
            }
        }

    RETURN_TYPES = ("*",)
    FUNCTION = "block"
    CATEGORY = "basics"

    def block(self, value, block, message):
        return (ExecutionBlocker(message or None) if block else value,)


class IsTwo:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",)}}

    RETURN_TYPES = ("BOOLEAN",)
    FUNCTION = "test"
    CATEGORY = "basics"

    def test(self, value):
        return (value == 2,)


class Countdown:
    """Expands into itself until nothing is left, and adds up."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"left": ("INT", {"default": 3}), "total": ("INT", {"default": 0})},
            "hidden": {"me": "UNIQUE_ID", "prompt": "DYNPROMPT"},
        }

    RETURN_TYPES = ("INT", "STRING")
    FUNCTION = "count"
    CATEGORY = "basics"

    def count(self, left, total, me, prompt):
        if left == 0:
            return (total, me)
        graph = GraphBuilder()
        added = graph.node("BasicsSum", a=total, b=left)
        again = graph.node("BasicsCountdown", left=left - 1, total=added.out(0))
        again.set_override_display_id(prompt.get_real_node_id(me))
        return {"result": (again.out(0), again.out(1)), "expand": graph.finalize()}


class Mixed:
    """Some items of a list are expanded, others are given at once."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",)}}

    RETURN_TYPES = ("INT", "INT")
    FUNCTION = "mix"
    CATEGORY = "basics"

    def mix(self, value):
        if value == 0:
            return (value, 7)
        if value == 1:
            return {"result": (value, 7)}
        graph = GraphBuilder()
        number = graph.node("BasicsSum", a=value, b=1000)
        return {"result": (number.out(0), 7), "expand": graph.finalize(), "ui": {"text": ["expanded"]}}


class Circle:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",)}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "turn"
    CATEGORY = "basics"

    def turn(self, value):
        graph = GraphBuilder()
        one = graph.node("BasicsSum", a=value)
        two = graph.node("BasicsSum", a=one.out(0))
        one.set_input("b", two.out(0))
        return {"result": (two.out(0),), "expand": graph.finalize()}


class RawLinked:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"rawLink": True})}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "tell"
    CATEGORY = "basics"

    def tell(self, value):
        return (f"{is_link(value)} {value[0]} {value[1]}" if is_link(value) else f"plain {value}",)


NODE_CLASS_MAPPINGS = {
    "BasicsLazy": LazyChoice,
    "BasicsLazyAsync": LazyAsync,
    "BasicsNeverLazy": NeverLazy,
    "BasicsBlock": Block,
    "BasicsIsTwo": IsTwo,
    "BasicsCountdown": Countdown,
    "BasicsMixed": Mixed,
    "BasicsCircle": Circle,
    "BasicsRawLink": RawLinked,
}
