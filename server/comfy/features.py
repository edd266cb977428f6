"""What this server can do, as it tells clients of ComfyUI's protocol."""

from __future__ import annotations

from server.settings import ServerSettings

COMFYUI_VERSION = "0.8.0"


def features(settings: ServerSettings) -> dict[str, object]:
    """The feature flags."""
    return {"supports_preview_metadata": True, "max_upload_size": settings.max_upload_mib * 2**20}
