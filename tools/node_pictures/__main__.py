"""`python -m tools.node_pictures` makes the example pictures of the node reference anew, by running the nodes.

With names, only those nodes' pictures. A picture is left as it is where the new one looks the same. Run `make docs`
afterwards: pages show the pictures that are there.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from graphcore import Engine, GraphcoreError, Settings
from graphcore.registry import Registry
from graphcore.spec import NodeSpec
from tools.docs.__main__ import PACK, ROOT
from tools.docs.nodes import drawings
from tools.node_pictures.example import example_of
from tools.node_pictures.pictures import picture_of, sheet
from tools.node_pictures.supply import SAMPLES

_QUALITY = 80
_UNSEEN = 0.2


def main() -> int:
    """Make the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="nodes whose pictures to make; all without any")
    parser.add_argument("--sheet", type=Path, help="write all of them on one sheet, to look at")
    options = parser.parse_args()
    registry = Registry.installed(allow=[PACK])
    for name in options.names:
        if name not in registry:
            parser.error(f"there is no node '{name}'")
    specs = [spec for spec in registry if not options.names or spec.name in options.names]
    folder = drawings(ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        failed = _make(specs, registry, folder, Path(place))
    if options.sheet is not None:
        sheet({path.stem: path for path in sorted(folder.glob("*.webp"))}).save(options.sheet)
    return 1 if failed else 0


def _make(specs: list[NodeSpec], registry: Registry, folder: Path, place: Path) -> list[str]:
    """Make the pictures of some nodes; returns the names of those that failed."""
    shutil.copytree(SAMPLES, place / "input")
    settings = Settings(input_dir=place / "input", output_dir=place / "output", device="cpu", dtype="fp32")
    failed = []
    with Engine(registry, settings=settings) as engine:
        for spec in specs:
            example = example_of(spec, registry)
            try:
                picture = None if example is None else picture_of(engine.run(example.workflow).outputs)
            except GraphcoreError as error:
                print(f"{spec.name}: {error.message}", file=sys.stderr)
                failed.append(spec.name)
            else:
                _keep(picture, folder / f"{spec.name}.webp")
    return failed


def _keep(picture: Image.Image | None, target: Path) -> None:
    """Write a picture, or remove the one that is there if there is none any more."""
    if picture is None:
        target.unlink(missing_ok=True)
        return
    stream = BytesIO()
    picture.save(stream, "WEBP", quality=_QUALITY, method=6)
    if not target.exists() or not _same(target, stream):
        target.write_bytes(stream.getvalue())
        print(f"{target.name}: {len(stream.getvalue())} bytes")


def _same(there: Path, new: BytesIO) -> bool:
    """True if nobody could tell the pictures apart: machines differ in the last digits."""
    with Image.open(there) as old, Image.open(new) as made:
        if old.size != made.size:
            return False
        difference = ImageChops.difference(old.convert("RGBA"), made.convert("RGBA"))
    return max(ImageStat.Stat(difference).mean) < _UNSEEN


if __name__ == "__main__":
    sys.exit(main())
