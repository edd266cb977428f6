"""What outlives the process: runs and their events, outputs, uploads, saved workflows, in one SQLite file."""
