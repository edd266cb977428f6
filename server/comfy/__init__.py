"""ComfyUI's HTTP and websocket protocol, over the same runs as the native API."""
