"""Drives comfy-api-simplified against a server; run with that client's own Python. Arguments: address, folder."""

import json
import sys
from pathlib import Path

from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from comfy_api_simplified.exceptions import ComfyApiError

address, folder = sys.argv[1], Path(sys.argv[2])
api = ComfyApiWrapper(f"http://{address}/")
workflow = ComfyWorkflowWrapper(str(folder / "prompt.json"))


def generate(level: int) -> dict[str, int]:
    """Make a picture, and give the size of each file."""
    workflow.set_node_param("Make", "level", level)
    return {name: len(data) for name, data in api.queue_and_wait_images(workflow, "Save").items()}


fresh, again, other = generate(51), generate(51), generate(52)
uploaded = api.upload_image(folder / "photo.png", "given")
workflow.set_node_param("Make", "level", 999)
try:
    api.queue_prompt(workflow)
    refused = False
except ComfyApiError:
    refused = True
print(
    json.dumps(
        {
            "fresh": fresh,
            "again": again,
            "other": other,
            "uploaded": uploaded,
            "refused": refused,
            "nodes": sorted(api.get_object_info("Sum")),
            "devices": len(api.get_system_stats()["devices"]),
            "embeddings": api.get_embeddings(),
            "queue": api.get_queue(),
        }
    )
)
