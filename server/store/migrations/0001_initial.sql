-- Runs: one row each, small; what is large stands beside it. `position` orders equal priorities.
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    priority INTEGER NOT NULL DEFAULT 0,
    position REAL NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,
    principal TEXT NOT NULL,
    source TEXT NOT NULL,
    alias TEXT,
    client TEXT,
    workflow_name TEXT,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    error TEXT,
    hidden INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX runs_open ON runs (state) WHERE state IN ('queued', 'running');
CREATE INDEX runs_alias ON runs (alias) WHERE alias IS NOT NULL;
CREATE INDEX runs_finished ON runs (finished) WHERE finished IS NOT NULL;

CREATE TABLE run_requests (
    run INTEGER PRIMARY KEY REFERENCES runs (seq) ON DELETE CASCADE,
    document BLOB NOT NULL,
    request TEXT NOT NULL,
    extra TEXT NOT NULL
);

CREATE TABLE run_results (
    run INTEGER PRIMARY KEY REFERENCES runs (seq) ON DELETE CASCADE,
    result TEXT NOT NULL
);

-- Events in the batches in which they came: `first` is the number of the first one, `body` a JSON list.
CREATE TABLE run_events (
    run INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    first INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run, first)
) WITHOUT ROWID;

-- Files that runs made, under ids that tell nothing of where they are.
CREATE TABLE outputs (
    id TEXT PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    node TEXT NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    folder TEXT NOT NULL,
    subfolder TEXT NOT NULL,
    filename TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX outputs_run ON outputs (run, position);
CREATE INDEX outputs_file ON outputs (filename, subfolder, folder);

CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    run INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    PRIMARY KEY (principal, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_run ON idempotency (run);

CREATE TABLE webhooks (
    run INTEGER PRIMARY KEY REFERENCES runs (seq) ON DELETE CASCADE,
    url TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'due', 'delivered', 'given-up'))
);
CREATE INDEX webhooks_due ON webhooks (state) WHERE state = 'due';

CREATE TABLE workflows (
    principal TEXT NOT NULL,
    name TEXT NOT NULL,
    document BLOB NOT NULL,
    digest TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    PRIMARY KEY (principal, name)
) WITHOUT ROWID;

CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    principal TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID;
