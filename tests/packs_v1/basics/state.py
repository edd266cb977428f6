"""Nodes whose results depend on more than their inputs, and nodes that check their inputs themselves."""

import asyncio
import os
from pathlib import Path


class _Counted:
    RETURN_TYPES = ("INT",)
    FUNCTION = "count"
    CATEGORY = "basics"

    def __init__(self):
        self.calls = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    def count(self, value):
        self.calls += 1
        return (self.calls,)


class Calls(_Counted):
    pass


class Always(_Counted):
    @classmethod
    def IS_CHANGED(cls, value):
        return float("nan")


class BySetting(_Counted):
    @classmethod
    async def IS_CHANGED(cls, value, **linked):
        await asyncio.sleep(0)
        return os.environ.get("BASICS_SETTING", "")


class ChangeFails(_Counted):
    @classmethod
    def IS_CHANGED(cls, value):
        raise RuntimeError("nobody knows")


class ByHidden(_Counted):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",)}, "hidden": {"me": "UNIQUE_ID"}}

    @classmethod
    def IS_CHANGED(cls, value, me):
        return f"{me} {value}"

    def count(self, value, me):
        return super().count(value)


class NotIdempotent(_Counted):
    NOT_IDEMPOTENT = True


class Checked:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {"min": 0, "max": 5}), "b": ("INT", {"min": 0, "max": 5})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "give"
    CATEGORY = "basics"
    OUTPUT_NODE = True

    @classmethod
    def VALIDATE_INPUTS(cls, a):
        if a == 66:
            return False
        return True if a != 77 else "77 is not allowed"

    def give(self, a, b):
        return (a + b,)


class CheckedAll(Checked):
    @classmethod
    async def VALIDATE_INPUTS(cls, **given):
        await asyncio.sleep(0)
        return True if sum(given.values()) < 100 else "the sum is 100 or more"


class CheckedTypes(Checked):
    @classmethod
    def VALIDATE_INPUTS(cls, input_types, a=None):
        kind = input_types.get("a", "INT")
        return True if kind in ("INT", "STRING") else f"{kind} will not do"

    def give(self, a, b):
        return (int(a) + int(b),)


class CheckFails(Checked):
    @classmethod
    def VALIDATE_INPUTS(cls, a):
        raise LookupError("the check is broken")


class FolderChoice:
    """Its choices are the files of a folder, as they are when it is asked."""

    @classmethod
    def INPUT_TYPES(cls):
        folder = os.environ.get("BASICS_FOLDER", ".")
        return {
            "required": {
                "file": (sorted(path.name for path in Path(folder).iterdir()), {"image_upload": True})
            }
        }

    RETURN_TYPES = ("STRING",)
    FUNCTION = "give"
    CATEGORY = "basics"
    OUTPUT_NODE = True

    def give(self, file):
        return {"ui": {"text": [file]}, "result": (file,)}


NODE_CLASS_MAPPINGS = {
    "BasicsCalls": Calls,
    "BasicsAlways": Always,
    "BasicsBySetting": BySetting,
    "BasicsChangeFails": ChangeFails,
    "BasicsByHidden": ByHidden,
    "BasicsNotIdempotent": NotIdempotent,
    "BasicsChecked": Checked,
    "BasicsCheckedAll": CheckedAll,
    "BasicsCheckedTypes": CheckedTypes,
    "BasicsCheckFails": CheckFails,
    "BasicsFolderChoice": FolderChoice,
}
