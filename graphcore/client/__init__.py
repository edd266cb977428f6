"""A small client for graphcore's server: submit, follow, download.

    from graphcore.client import Client

    with Client("http://127.0.0.1:8188") as client:
        run = client.submit("portrait", inputs={"prompt": "a lighthouse at dusk"})
        client.save_outputs(client.wait(run.id), "pictures")

`Client` uses the standard library alone; `graphcore.client.asynchronous.AsyncClient` has the same methods, awaited.
"""

from __future__ import annotations

from graphcore.client.errors import ApiError
from graphcore.client.records import Output, Run, RunEvent
from graphcore.client.synchronous import Client

__all__ = ["ApiError", "Client", "Output", "Run", "RunEvent"]
