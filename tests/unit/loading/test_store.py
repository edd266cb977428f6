"""The model store: references become networks once, within a budget, from any number of threads."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
import torch

from graphcore.context import detached_context
from graphcore.errors import InputError, ModelFileError
from nodes.diffusion.network import LatentScene
from nodes.diffusion.store import ModelStore
from nodes.diffusion.weight_budget import default_budget
from nodes.models.loaders import file_ref
from nodes.values import Clip, ConditioningEntry, FileRef, Model, Patch, Vae
from tests import models
from tests.models import TinyModels


def reference(file: Path) -> FileRef:
    return FileRef(kind="checkpoints", name=str(file), fingerprint="test")


def store_of(budget_bytes: int = 10**9, dtype: str = "fp32") -> ModelStore:
    return ModelStore(
        resolve=lambda file: Path(file.name), device="cpu", dtype=dtype, budget_bytes=budget_bytes
    )


def test_an_engine_makes_its_store_from_its_settings(tiny_models: TinyModels, tmp_path: Path) -> None:
    name = tiny_models.sd1().name
    context = detached_context(
        models_dirs=(tiny_models.folder,),
        device="cpu",
        dtype="fp32",
        weights_budget_bytes=10**9,
        output_dir=tmp_path,
    )
    store = context.service(ModelStore)
    assert store is context.service(ModelStore)
    with store.vae(Vae(file=file_ref(context, "checkpoints", name))) as codec:
        assert codec.decode(torch.zeros(1, 4, 2, 2)).shape == (1, 16, 16, 3)
    assert store.usage().entries == 1
    context.services.close()
    assert store.usage().entries == 0


def test_a_file_that_was_replaced_is_never_taken_for_the_one_that_was_meant(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoints" / "model.safetensors"
    path.parent.mkdir()
    shutil.copy(tiny_models.sd1(), path)
    context = detached_context(
        models_dirs=(tmp_path,), device="cpu", dtype="fp32", weights_budget_bytes=1, output_dir=tmp_path
    )
    store, meant = context.service(ModelStore), Model(file=file_ref(context, "checkpoints", path.name))
    with store.network(meant):
        pass
    shutil.copy(tiny_models.sdxl(), tmp_path / "new")
    (tmp_path / "new").replace(path)
    with pytest.raises(ModelFileError, match="was replaced"), store.network(meant):
        pass
    now = Model(file=file_ref(context, "checkpoints", path.name))
    with store.network(now) as network:
        assert network.dtype == torch.float32


def test_nothing_is_loaded_until_somebody_computes(tiny_models: TinyModels) -> None:
    store = store_of()
    assert store.checkpoint(reference(tiny_models.sd1())).family is not None
    assert store.usage().bytes == 0


def test_the_budget_holds_and_the_least_recent_goes(tiny_models: TinyModels) -> None:
    models_ = [Model(file=reference(path)) for path in (tiny_models.sd1(), tiny_models.sd2())]
    sizes = []
    for model in models_:
        alone = store_of()
        with alone.network(model):
            sizes.append(alone.usage().bytes)
    store = store_of(budget_bytes=max(sizes) + min(sizes) // 2)
    for model in (*models_, *models_):
        with store.network(model):
            pass
        assert store.usage().bytes <= store.budget_bytes
        assert store.usage().entries == 1


def test_a_cast_is_made_once_and_counted(tiny_models: TinyModels) -> None:
    store = store_of(dtype="bf16")
    model = Model(file=reference(tiny_models.sd1()))
    with store.network(model) as first:
        bytes_ = store.usage().bytes
    with store.network(model) as second:
        assert first.module is second.module  # type: ignore[attr-defined]
        assert store.usage().bytes == bytes_
    assert {p.dtype for p in first.module.parameters()} == {torch.bfloat16}  # type: ignore[attr-defined]
    assert bytes_ == 2 * sum(p.numel() for p in models.sd1_parts().unet.parameters())


@torch.no_grad()
def test_threads_share_a_network_and_do_not_disturb_each_other(tiny_models: TinyModels) -> None:
    store = store_of()
    model = Model(file=reference(tiny_models.sd1()))
    x = torch.randn(1, 4, 8, 8)
    entry = ConditioningEntry(embeddings=torch.randn(1, 77, 64))
    results: dict[str | None, list[torch.Tensor]] = {None: [], "pag:mid": []}
    errors: list[BaseException] = []

    def work(perturbation: str | None) -> None:
        try:
            for _ in range(6):
                with store.network(model) as network, torch.no_grad():
                    conditions = network.conditions(entry, LatentScene(latent=x, noise=x))
                    out = network(x, torch.tensor([500.0]), conditions, perturbation=perturbation)
                    results[perturbation].append(out)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(kind,)) for kind in (None, "pag:mid", None, "pag:mid")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for outs in results.values():
        assert len(outs) == 12
        assert all(torch.equal(out, outs[0]) for out in outs)
    assert not torch.equal(results[None][0], results["pag:mid"][0])
    assert store.usage().entries == 1
    assert store.usage().leased_bytes == 0


def test_patches_without_a_patcher_are_told(tiny_models: TinyModels) -> None:
    model = Model(file=reference(tiny_models.sd1()), patches=(Patch(),))
    with pytest.raises(InputError, match="cannot apply patches"), store_of().network(model):
        pass


def test_a_vae_file_is_no_model_and_no_text_encoder(tmp_path: Path) -> None:
    file = models.write(tmp_path / "vae.safetensors", models.vae_state(models.sd1_parts().vae))
    with (
        pytest.raises(ModelFileError, match="holds no 'unet'"),
        store_of().network(Model(file=reference(file))),
    ):
        pass
    with (
        pytest.raises(ModelFileError, match="No text encoder 'clip_l'"),
        store_of().text_encoder(Clip(files=(reference(file),))),
    ):
        pass


def test_averaged_weights_are_used_when_asked_for(tmp_path: Path) -> None:
    plain = models.unet_state(models.sd1_parts().unet)
    file = models.write(tmp_path / "ema.safetensors", {**models.sd1_state(), **models.ema_state(plain, 0.5)})
    store = store_of()
    with (
        store.network(Model(file=reference(file))) as live,
        store.network(Model(file=reference(file), part="unet_ema")) as averaged,
    ):
        left, right = live.module.conv_in.weight, averaged.module.conv_in.weight  # type: ignore[attr-defined]
        assert torch.equal(right, left * 0.5)


def test_the_default_budget_is_a_share_of_memory() -> None:
    assert 10**8 < default_budget(torch.device("cpu")) < 10**14
