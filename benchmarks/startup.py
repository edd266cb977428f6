"""How long a process takes to be of use: `import graphcore`, listing nodes, checking a workflow, a first picture.

Each is measured in fresh processes in turn with a bare interpreter; the figure is the best of several, because what
else a machine does can only make it slower. Limits are on CPU seconds, which a busy machine stretches least; that on
the first picture is on wall seconds. The ratio is to the bare interpreter.

    python -m benchmarks.startup [--smoke] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
    """What is measured: a command, and its limit in seconds: of CPU, or of `wall` time, beyond a bare interpreter's."""

    name: str
    command: tuple[str, ...]
    limit_s: float
    wall: bool = False
    rounds: int = ROUNDS


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process took, in seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What came out: the best of several processes, beyond a bare interpreter's best, and the ratio of CPU seconds."""

    name: str
    wall_s: float
    cpu_s: float
    limit_s: float
    limits_wall: bool
    cpu_ratio: float

    @property
    def passed(self) -> bool:
        """True if the limit is kept."""
        return (self.wall_s if self.limits_wall else self.cpu_s) <= self.limit_s


def subjects(output: Path) -> list[Subject]:
    """What to measure; the first picture only where the checkpoint is there."""
    command = (sys.executable, "-m", "graphcore")
    found = [
        Subject(name="import graphcore", command=(sys.executable, "-c", "import graphcore"), limit_s=0.15),
        Subject(name="graphcore nodes", command=(*command, "nodes"), limit_s=0.7),
        Subject(name="graphcore --version", command=(*command, "--version"), limit_s=0.5),
    ]
    if any(CHECKPOINTS.glob("*.safetensors")):
        run = (*command, "run", str(DEMO), "--output-dir", str(output), "--quiet")
        found += [
            Subject(name="graphcore validate", command=(*command, "validate", str(DEMO)), limit_s=0.7),
            Subject(name="first picture", command=run, limit_s=15.0, wall=True, rounds=3),
        ]
    return found


def sample(command: tuple[str, ...]) -> Sample:
    """What one process takes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=_environment(), check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(wall, cpu)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAPHCORE_")}
    return {**kept, "HF_HUB_OFFLINE": "1"}


def measure(*, smoke: bool = False) -> list[Timing]:
    """Measure everything, in rounds that take turns."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = subjects(Path(folder))
        bare: list[Sample] = []
        samples: dict[str, list[Sample]] = {subject.name: [] for subject in chosen}
        for turn in range(1 if smoke else ROUNDS):
            bare.append(sample((sys.executable, "-c", "pass")))
            for subject in chosen:
                if turn < subject.rounds:
                    samples[subject.name].append(sample(subject.command))
    bare_wall, bare_cpu = min(one.wall for one in bare), min(one.cpu for one in bare)
    return [
        Timing(
            name=subject.name,
            wall_s=min(one.wall for one in samples[subject.name]) - bare_wall,
            cpu_s=min(one.cpu for one in samples[subject.name]) - bare_cpu,
            limit_s=subject.limit_s,
            limits_wall=subject.wall,
            cpu_ratio=min(one.cpu for one in samples[subject.name]) / bare_cpu,
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
            limit = f"limit {timing.limit_s:5.2f} s of {'wall' if timing.limits_wall else 'CPU'}"
            print(
                f"{timing.name:<22} {timing.cpu_s:6.3f} s of CPU  {timing.wall_s:6.3f} s of wall  {limit}  "
                f"{timing.cpu_ratio:6.1f} x a bare interpreter{verdict}"
            )
        if not any(timing.name == "first picture" for timing in timings):
            print("first picture: not measured, there is no checkpoint in nodes/embedded/checkpoints")
    return 0 if options.smoke or all(timing.passed for timing in timings) else 1


if __name__ == "__main__":
    sys.exit(main())
