"""How long a process takes to be of use: `import graphcore`, listing nodes, checking a workflow, a first picture.

Each is measured in fresh processes in turn with a bare interpreter; the figure is the best of several, because what
else a machine does can only make it slower. The ratio is to the bare interpreter's best.

    python -m benchmarks.startup [--smoke] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "workflows" / "text-to-image.json"
CHECKPOINTS = ROOT / "nodes" / "embedded" / "checkpoints"
ROUNDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is measured: a command, and its limit in seconds (beyond the bare interpreter's where `above_bare`)."""

    name: str
    command: tuple[str, ...]
    limit_s: float
    above_bare: bool = False
    rounds: int = ROUNDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What came out: best wall seconds, the share above the bare interpreter, and the limit on `counted_s`."""

    name: str
    wall_s: float
    counted_s: float
    limit_s: float
    ratio_to_bare: float

    @property
    def passed(self) -> bool:
        """True if the limit is kept."""
        return self.counted_s <= self.limit_s


def subjects(output: Path) -> list[Subject]:
    """What to measure; the first picture only where the checkpoint is there."""
    command = (sys.executable, "-m", "graphcore")
    found = [
        Subject(
            name="import graphcore",
            command=(sys.executable, "-c", "import graphcore"),
            limit_s=0.15,
            above_bare=True,
        ),
        Subject(name="graphcore nodes", command=(*command, "nodes"), limit_s=0.7),
        Subject(name="graphcore --version", command=(*command, "--version"), limit_s=0.5),
    ]
    if any(CHECKPOINTS.glob("*.safetensors")):
        run = (*command, "run", str(DEMO), "--output-dir", str(output), "--quiet")
        found += [
            Subject(name="graphcore validate", command=(*command, "validate", str(DEMO)), limit_s=0.7),
            Subject(name="first picture", command=run, limit_s=15.0, rounds=3),
        ]
    return found


def wall_seconds(command: tuple[str, ...]) -> float:
    """Wall seconds of one process."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=_environment(), check=True)
    return time.perf_counter() - start


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAPHCORE_")}
    return {**kept, "HF_HUB_OFFLINE": "1"}


def measure(*, smoke: bool = False) -> list[Timing]:
    """Measure everything, in rounds that take turns."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = subjects(Path(folder))
        bare: list[float] = []
        walls: dict[str, list[float]] = {subject.name: [] for subject in chosen}
        for turn in range(1 if smoke else ROUNDS):
            bare.append(wall_seconds((sys.executable, "-c", "pass")))
            for subject in chosen:
                if turn < subject.rounds:
                    walls[subject.name].append(wall_seconds(subject.command))
    floor = min(bare)
    return [
        Timing(
            name=subject.name,
            wall_s=min(walls[subject.name]),
            counted_s=min(walls[subject.name]) - (floor if subject.above_bare else 0.0),
            limit_s=subject.limit_s,
            ratio_to_bare=min(walls[subject.name]) / floor,
        )
        for subject in chosen
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 0 if the limits are kept (or with --smoke)."""
    parser = argparse.ArgumentParser(description="Measure how fast graphcore starts.")
    parser.add_argument("--smoke", action="store_true", help="once each, without limits")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    timings = measure(smoke=options.smoke)
    if options.json:
        print(json.dumps([asdict(timing) | {"passed": timing.passed} for timing in timings], indent=1))
    else:
        for timing in timings:
            verdict = "" if options.smoke else ("  ok" if timing.passed else "  OVER")
            print(
                f"{timing.name:<22} {timing.counted_s:7.3f} s  limit {timing.limit_s:5.2f} s  "
                f"{timing.ratio_to_bare:6.1f} x a bare interpreter{verdict}"
            )
        if not any(timing.name == "first picture" for timing in timings):
            print("first picture: not measured, there is no checkpoint in nodes/embedded/checkpoints")
    return 0 if options.smoke or all(timing.passed for timing in timings) else 1


if __name__ == "__main__":
    sys.exit(main())
