"""Node packs written for ComfyUI: loaded on demand, and run by this project's engine."""
