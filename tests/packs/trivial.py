"""Nodes that cost nothing, wait, fail, die or make small pictures: for tests of the engine's surroundings."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from graphcore import Context, Preview, Range, Secret, Text, node, socket
from graphcore.widgets import FileChoice


@socket("IMAGE")
@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is a single grey level."""

    level: int


@node("Number", category="test")
def number(value: int = 0) -> int:
    """The number itself."""
    return value


@node("Sum", category="test")
def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


@node("Report", category="test", output=True)
def report(value: int, ctx: Context) -> int:
    """Show a number to whoever watches."""
    ctx.show("text", {"text": str(value)})
    return value


@node("Unlock", category="test", output=True)
def unlock(password: Annotated[str, Secret()], ctx: Context, text: str = "") -> int:
    """Show how long a password is; fails for one that ends with a question mark."""
    ctx.show("text", {"text": f"{len(password)} letters"})
    if password.endswith("?"):
        raise ValueError("the password is wrong")
    return len(password)


@node("Prompted", category="test", output=True)
def prompted(text: Annotated[str, Text()] = "") -> str:
    """The text itself."""
    return text


@node("Steps", category="test", output=True, cacheable=False, reason="takes time on purpose")
def steps(count: Annotated[int, Range(0, 100_000)], ctx: Context, pause: float = 0.01) -> int:
    """Take so many steps, with a pause after each."""
    for done in range(count):
        preview = (
            Preview(media_type="image/png", data=b"\x89PNG", width=1, height=1) if ctx.previews else None
        )
        ctx.progress(done + 1, count, preview)
        time.sleep(pause)
    return count


@node("Stubborn", category="test", output=True, cacheable=False, reason="never looks up")
def stubborn(seconds: float) -> float:
    """Sleep without asking whether the run was cancelled."""
    time.sleep(seconds)
    return seconds


@node("Fail", category="test", output=True, cacheable=False, reason="fails on purpose")
def fail(message: str = "as asked") -> str:
    """Raise a ValueError."""
    raise ValueError(message)


@node("Exhaust", category="test", output=True, cacheable=False, reason="fails on purpose")
def exhaust() -> int:
    """Run out of memory."""
    raise MemoryError


@node("Exit", category="test", output=True, cacheable=False, reason="fails on purpose")
def leave() -> int:
    """Raise SystemExit, which is no Exception."""
    raise SystemExit(1)


@node("Die", category="test", output=True, cacheable=False, reason="kills its process")
def die(unless_file: str = "") -> int:
    """Kill the process at once, unless a file is there; makes the file before it dies."""
    if unless_file and Path(unless_file).exists():
        return 1
    if unless_file:
        Path(unless_file).write_text("died once", encoding="ascii")
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


@node("Costly", category="test")
def costly(text: str) -> str:
    """Takes long enough to be worth keeping on disk."""
    time.sleep(0.02)
    return text * 2


@node("Append", category="test", output=True, cacheable=False, reason="leaves a trace of each time it is run")
def append(path: str, line: str) -> str:
    """Append a line to a file."""
    with Path(path).open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    return line


@node("MakePicture", category="test")
def make_picture(level: Annotated[int, Range(0, 255)] = 128) -> Picture:
    """A grey picture."""
    return Picture(level)


@node("SafetyFilter", category="test")
def safety_filter(
    image: Picture, action: Literal["block", "blur", "flag"] = "block", sensitivity: float = 0.0
) -> Picture:
    """Pass a picture on."""
    return image


@node("Brighten", category="test")
def brighten(image: Picture) -> Picture:
    """Make a picture lighter."""
    return Picture(min(255, image.level + 1))


@node("KeepPicture", category="test", output=True, aliases=("SaveImage",))
def keep_picture(images: Picture, ctx: Context, filename_prefix: str = "kept") -> None:
    """Save a picture as a one-pixel portable greymap with a PNG's name."""
    from PIL import Image

    folder = ctx.files.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{ctx.run_id}_{ctx.node_id}.png"
    unfinished = folder / f".{name}.part"
    Image.new("RGB", (8, 8), (images.level,) * 3).save(unfinished, format="PNG")
    unfinished.replace(folder / name)
    ctx.show("images", {"filename": name, "subfolder": "", "type": "output"})


@node("OpenPicture", category="test")
def open_picture(image: Annotated[str, FileChoice("input", upload="image")]) -> Picture:
    """A picture from the input folder."""
    return Picture(len(image) % 256)
