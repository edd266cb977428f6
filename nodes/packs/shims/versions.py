"""`comfyui_version`: the release of ComfyUI whose behaviour is offered."""

from __future__ import annotations

__version__ = "0.8.0"
