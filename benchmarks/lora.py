"""LoRA: CPU seconds to switch between two adapters on a full-size SD 1.5, the first time and when cached.

Each adapter has rank 16 on every attention and feed-forward matrix of the UNet. Switching back must give the base
model's own tensors: the same memory, not equal copies.

    python -m benchmarks.lora [--smoke] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.loading import SD15, SMOKE, write_checkpoint

FIRST_LIMIT_S: Final = 1.0
CACHED_LIMIT_S: Final = 0.02
RANK: Final = 16
DTYPE: Final = "fp32"


def write_adapter(path: Path, shapes: Mapping[str, tuple[int, ...]], seed: int) -> int:
    """Write a LoRA in kohya's names; the number of weights that it changes."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    count = 0
    for name, shape in shapes.items():
        if len(shape) != 2 or not any(part in name for part in (".attn", ".ff.")):
            continue
        module = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        tensors[f"{module}.lora_up.weight"] = torch.randn(shape[0], RANK, generator=generator).half() * 0.01
        tensors[f"{module}.lora_down.weight"] = torch.randn(RANK, shape[1], generator=generator).half() * 0.01
        count += 1
    save_file(tensors, path)
    return count


def measure(*, smoke: bool) -> dict[str, Any]:
    """Switch base, one, two, one, base; the CPU seconds of each."""
    from nodes.diffusion.patches.lora import LoraPatcher
    from nodes.diffusion.store import ModelStore
    from nodes.values import FileRef, LoraPatch, Model

    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder) / "model.safetensors", SMOKE if smoke else SD15)

        def resolve(file: FileRef) -> Path:
            return Path(folder) / file.name

        store = ModelStore(resolve=resolve, dtype=DTYPE, patcher=LoraPatcher(resolve))
        base = Model(file=FileRef(kind="checkpoints", name="model.safetensors", fingerprint="base"))
        with store.network(base):
            part = store.checkpoint(base.file).part("unet")
        changed = 0
        models = {"base": base}
        for number, name in enumerate(("one", "two")):
            changed = write_adapter(
                Path(folder) / f"{name}.safetensors", store.outline(base.file, part), number
            )
            patch = LoraPatch(
                file=FileRef(kind="loras", name=f"{name}.safetensors", fingerprint=name), strength=0.8
            )
            models[name] = replace(base, patches=(patch,))
        seconds: list[dict[str, Any]] = []
        before = _addresses(store, base)
        for label, name in (
            ("first use of one", "one"),
            ("first use of two", "two"),
            ("one again", "one"),
            ("two again", "two"),
            ("base again", "base"),
        ):
            start = time.process_time()
            with store.network(models[name]):
                pass
            seconds.append({"switch": label, "cpu_s": time.process_time() - start})
        undone = _addresses(store, base) == before
        store.close()
    first = max(row["cpu_s"] for row in seconds[:2])
    cached = max(row["cpu_s"] for row in seconds[2:])
    return {
        "changed_weights": changed,
        "switches": seconds,
        "first_s": first,
        "cached_s": cached,
        "undone_exactly": undone,
        "kept": undone and (smoke or (first <= FIRST_LIMIT_S and cached <= CACHED_LIMIT_S)),
    }


def _addresses(store: Any, model: Any) -> list[int]:
    with store.network(model) as network:
        return [tensor.data_ptr() for tensor in network.module.state_dict().values()]


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 0 if the limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a tiny network, no limits")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    figures = measure(smoke=options.smoke)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        print(f"{figures['changed_weights']} weights changed, rank {RANK}, {DTYPE}")
        for row in figures["switches"]:
            print(f"{row['switch']:<20} {row['cpu_s'] * 1000:>9.1f} ms of CPU")
        print(f"limits: {FIRST_LIMIT_S} s the first time, {CACHED_LIMIT_S * 1000:.0f} ms cached")
        print(f"undone to the very same tensors: {figures['undone_exactly']}")
    return 0 if figures["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
