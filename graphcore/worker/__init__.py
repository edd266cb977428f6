"""The process in which runs take place: `python -m graphcore.worker`, spoken to over two pipes in frames.

The process that starts it sends `configure`, `run`, `cancel`, `free`, `memory`, `plan`, `describe`, `examine` and
`stop`, and is told `ready`, `begun`, `events`, `progress`, `preview`, `done`, `message` and `answer`. When its standard
input ends, the process is gone at once.
"""
