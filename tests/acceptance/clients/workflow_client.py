"""Drives comfyui-workflow-client, both of its kinds; run with that client's own Python. Arguments: address, folder."""

import asyncio
import json
import sys
from pathlib import Path

from comfyuiclient import ComfyUIClient, ComfyUIClientAsync
from PIL import Image

address, folder = sys.argv[1], Path(sys.argv[2])
prompt, loading = str(folder / "prompt.json"), str(folder / "loading.json")


def polling(level: int) -> list[object]:
    """A picture by polling the history."""
    client = ComfyUIClient(address, prompt)
    client.connect()
    client.set_data("Make", input_key="level", input_value=level)
    result = client.generate(["Save"])
    client.close()
    return [sorted(result), list(result["Save"].size)]


async def listening(level: int) -> list[object]:
    """A picture by the websocket, then one that is uploaded first."""
    client = ComfyUIClientAsync(address, prompt)
    await client.connect()
    await client.set_data("Make", input_key="level", input_value=level)
    result = await client.generate(["Save"])
    await client.close()
    return [sorted(result), list(result["Save"].size)]


async def uploading() -> list[object]:
    """A picture that is uploaded and opened."""
    client = ComfyUIClientAsync(address, loading)
    await client.connect()
    await client.set_data("Open", image=Image.new("RGB", (5, 5), "red"))
    result = await client.generate(["Save"])
    await client.close()
    return [sorted(result), list(result["Save"].size)]


print(
    json.dumps(
        {
            "polling": polling(61),
            "polling again": polling(61),
            "listening": asyncio.run(listening(62)),
            "listening again": asyncio.run(listening(62)),
            "uploading": asyncio.run(uploading()),
        }
    )
)
