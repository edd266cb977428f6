"""Proves a picture: runs its workflow again and compares, pixel by pixel, or says what is different now."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphcore.errors import DocumentError
from graphcore.formats.pictures import read_metadata
from graphcore.formats.reading import read_picture
from graphcore.jsontext import parse_json
from graphcore.provenance.record import check_record
from graphcore.settings import Settings
from graphcore.workflow import Workflow

if TYPE_CHECKING:
    from graphcore.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it was: a file, a version, a setting."""

    what: str
    then: str
    now: str

    def as_json(self) -> dict[str, str]:
        """The difference as plain JSON."""
        return {"what": self.what, "then": self.then, "now": self.now}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rerun showed.

    `same` is true when every pixel is equal. `largest` and `mean` are differences in grey levels (0 to 255),
    `share` the share of pixels that differ; None if the pictures cannot be compared (`problem` says why).
    """

    same: bool
    differences: tuple[Difference, ...]
    largest: int | None = None
    mean: float | None = None
    share: float | None = None
    problem: str | None = None

    def as_json(self) -> dict[str, object]:
        """The verdict as plain JSON."""
        return {
            "same": self.same,
            "differences": [difference.as_json() for difference in self.differences],
            "largest": self.largest,
            "mean": self.mean,
            "share": self.share,
            "problem": self.problem,
        }


def read_record(data: bytes) -> Mapping[str, Any]:
    """The run record of a picture; raises DocumentError if it has none, or a damaged one."""
    text = read_metadata(data).graphcore_record
    record = parse_json(text) if text is not None else None
    if not isinstance(record, dict):
        raise DocumentError("The picture carries no run record.", code="no-record-in-picture")
    check_record(record)
    return record


def verify_picture(path: Path, engine: Engine) -> Verdict:
    """Run a picture's workflow again, without any cache, and compare the result with the picture.

    Raises DocumentError if the picture carries no workflow or record, ValidationError if the workflow can no longer
    run, ExecutionError if it fails.
    """
    data = path.read_bytes()
    record = read_record(data)
    workflow = read_picture(data, engine.registry)
    saver, place = str(record.get("node", "")), int(record.get("index", 0))
    differences = tuple(compare_record(record, engine))
    with tempfile.TemporaryDirectory(prefix="graphcore-verify-") as folder:
        again = _run_again(workflow, engine, saver, Path(folder))
        shown = [item for item in again if item.get("kind") == "images"]
        if place >= len(shown):
            return Verdict(same=False, differences=differences, problem="the rerun made fewer pictures")
        item = shown[place]
        root = Path(folder) / ("output" if item.get("type") == "output" else "temp")
        made = root / str(item.get("subfolder", "")) / str(item["filename"])
        try:
            return _compared(data, made.read_bytes(), differences)
        except (OSError, SyntaxError, ValueError):
            return Verdict(same=False, differences=differences, problem="its pixels are damaged")


def _run_again(
    workflow: Workflow, engine: Engine, saver: str, folder: Path
) -> tuple[Mapping[str, object], ...]:
    from graphcore.engine import Engine as Fresh

    settings: Settings = replace(
        engine.settings,
        output_dir=folder / "output",
        temp_dir=folder / "temp",
        data_dir=None,
    )
    with Fresh(engine.registry, settings=settings, limits=engine.limits) as fresh:
        result = fresh.run(replace(workflow, outputs={}), targets=[saver])
    return result.shown.get(saver, ())


def compare_record(record: Mapping[str, Any], engine: Engine) -> list[Difference]:
    """What is not as the record says: files, versions, device, dtype."""
    differences = []
    for used in record.get("files", []):
        kind, name, digest = str(used["kind"]), str(used["name"]), str(used["digest"])
        path = engine.files.find(kind, name)
        now = engine.files.digest(path) if path is not None else "missing"
        if now != digest:
            differences.append(Difference(what=f"file {kind}/{name}", then=digest, now=now))
    present = engine.registry.environment(engine.settings)
    past = record.get("environment", {})
    for name in sorted({*present, *past}):
        if present.get(name) != past.get(name):
            differences.append(
                Difference(
                    what=name, then=str(past.get(name, "unknown")), now=str(present.get(name, "unknown"))
                )
            )
    for node_id, node in record.get("nodes", {}).items():
        spec = engine.registry.get(str(node.get("type")))
        if spec is not None and spec.version != node.get("version"):
            differences.append(
                Difference(
                    what=f"node {node_id} ({spec.name})", then=str(node.get("version")), now=str(spec.version)
                )
            )
    return differences


def _compared(then: bytes, now: bytes, differences: tuple[Difference, ...]) -> Verdict:
    from PIL import Image as Picture
    from PIL import ImageChops, ImageStat

    with Picture.open(io.BytesIO(then)) as first, Picture.open(io.BytesIO(now)) as second:
        if first.size != second.size:
            sizes = f"{first.size[0]}x{first.size[1]} became {second.size[0]}x{second.size[1]}"
            return Verdict(same=False, differences=differences, problem=f"the size changed: {sizes}")
        mode = "RGBA" if "A" in first.getbands() or "A" in second.getbands() else "RGB"
        difference = ImageChops.difference(first.convert(mode), second.convert(mode))
        statistics = ImageStat.Stat(difference)
        largest = max(high for _, high in statistics.extrema)
        most = reduce(ImageChops.lighter, difference.split())
        share = 1 - most.histogram()[0] / (first.size[0] * first.size[1])
        mean = sum(statistics.mean) / len(statistics.mean)
    return Verdict(same=largest == 0, differences=differences, largest=int(largest), mean=mean, share=share)


def record_text(data: bytes) -> str:
    """The record and the workflow of a picture as indented JSON."""
    found = read_metadata(data)
    parts = {"record": read_record(data)}
    if found.graphcore is not None:
        parts["workflow"] = parse_json(found.graphcore)  # type: ignore[assignment]
    return json.dumps(parts, indent=2)
