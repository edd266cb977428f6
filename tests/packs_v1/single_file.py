"""A pack of one file."""


class Single:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "x"})}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "give"

    def give(self, text):
        return (text,)


NODE_CLASS_MAPPINGS = {"SingleFile": Single}
