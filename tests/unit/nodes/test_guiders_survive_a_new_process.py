"""What the store kept of a guider is read by a process that has made none: it knows every guidance by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.guidance import Cfg, Perturbed
from nodes.diffusion.safe_latent import SafeLatentDiffusion
from nodes.values import FileRef, Guider, Model

READ = "import sys; from nodes.diffusion.codecs import ValueCodec; print(ValueCodec().decode(sys.stdin.buffer.read()))"


def test_guiders_are_read_elsewhere() -> None:
    model = Model(file=FileRef(kind="checkpoints", name="a.safetensors", fingerprint="1"))
    guidance = Perturbed(base=Cfg(scale=3.0))
    for each in (guidance, SafeLatentDiffusion(scale=3.0)):
        guider = Guider(model=model, conditionings=(), guidance=each)
        done = subprocess.run(
            [sys.executable, "-c", READ],
            input=ValueCodec().encode(guider),
            capture_output=True,
            cwd=Path(__file__).parents[3],
            check=False,
        )
        assert done.stdout.decode().strip() == repr(guider), done.stderr.decode()
