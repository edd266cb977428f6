-- Values of secret inputs of runs that have not ended, by the marks that stand for them in the request.
CREATE TABLE run_secrets (
    run INTEGER PRIMARY KEY REFERENCES runs (seq) ON DELETE CASCADE,
    body TEXT NOT NULL
);
