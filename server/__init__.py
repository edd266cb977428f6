"""The server: takes workflows, has worker processes run them, tells how they go. It never imports torch.

    running.py      `serve(settings, registry, modules=...)`: lock, token, TLS, signals
    app.py          `make_services`, `make_app(services, modules)`: parts joined, routes behind one gate
    services.py     what routes are handed
    jobs.py         the job service: submit, ask, cancel, watch
    queue.py        open runs in memory     hub.py       who watches
    dispatch.py     runs to workers and back     slot.py  one worker and what it holds
    ledger.py       what happens to open runs, durable first, told afterwards
    store/          SQLite: one writer thread that commits for many, readers beside it, migrations
    workers/        the `Worker` interface, and processes as workers
    security/       hosts, origin, tokens, the gate, limits on connections, redaction
    pictures/       opens pictures from outside in a process of its own
    api/            the native API under /api/v1

Adding a protocol or a page: write a function `(Services) -> list[Route]` and name it in
`graphcore.cli.serve.route_modules`. A `Route` says what its body may be (`Body.ANY` for clients that send JSON under
any content type), whether it answers without a token (`open`) and whether other sites may link to it (`page`). The gate
in `security/guard.py` stands before every route; handlers find who is asking in `request[PRINCIPAL]` (its `scope` goes
into queries) and may raise any GraphcoreError, which is answered in the native shape.

What such a module finds in `services.jobs` (all on the event loop's thread):

    accepted = await jobs.submit(Submission(document=..., source="comfy", client=client_id, alias=prompt_id, extra=...))
    jobs.listen(lambda message, run: ...)   every StoredEvent and Progress of every run, with `run.client`, `run.alias`
    jobs.queue(), jobs.remaining, jobs.runs(RunFilter(...)), jobs.count(...), jobs.get(id)
    await jobs.request(run) / result(run) / outputs(run) / events(run)   what was asked, what came of it
    await jobs.cancel(id), jobs.clear_waiting(ids), jobs.forget(ids), jobs.pause(), jobs.resume()
    await jobs.outputs_named(folder, subfolder, filename)   whose file is it

The order that listeners can rely on: an event is told after it is durable. `run-queued` comes when the run can be
listed; the engine's events follow (`graphcore.events`, as JSON with `event` for the kind, without `number`, `traceback`
kept in `node-failed`); `run-requeued` says that an attempt was lost and another follows; `run-finished` is last and
comes when the result can be read and the run is no longer in the queue. Progress and previews are not kept: the latest
counts.

Validation: `services.checker.check(document, inputs=..., targets=...)` off the loop, with the server's rules
(`--require-safety` among them). Pictures: `services.pictures.remake(data)` and `.shrink(data, size=, kind=, ...)`.
Uploads: `services.uploads.take(...)`. Files to send: `api.files.open_file` and `send_file`.
"""

from __future__ import annotations

import sys
from typing import Any


def __getattr__(name: str) -> Any:
    """What node packs import from ComfyUI's module `server`, where the code that loads packs has offered it."""
    offered = sys.modules.get("comfyui_server_names")
    if offered is None or name.startswith("_"):
        raise AttributeError(f"module 'server' has no attribute '{name}'")
    return getattr(offered, name)
