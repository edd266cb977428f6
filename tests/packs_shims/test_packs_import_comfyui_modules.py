"""ComfyUI's modules are there once a pack is loaded, offer what they list, and say what they do not offer."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from graphcore import Registry, Settings
from nodes.packs.host import PackHost, loading
from nodes.packs.imports import install_shims
from nodes.packs.shims import SHIMS
from tests.tiny_engine import all_nodes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def host(tmp_path: Path) -> PackHost:
    made = PackHost(registry=all_nodes(), settings=Settings(models_dirs=(tmp_path / "models",), device="cpu"))
    install_shims(made)
    return made


def test_they_are_not_there_without_a_pack() -> None:
    for name in ("folder_paths", "comfy", "comfy.utils", "comfy_api.latest", "comfy_execution.graph_utils"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
    for module, name in (("nodes", "NODE_CLASS_MAPPINGS"), ("server", "PromptServer")):
        assert not hasattr(importlib.import_module(module), name)


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("module", sorted(SHIMS))
def test_all_that_is_listed_is_there(module: str) -> None:
    imported = importlib.import_module(module)
    for name in SHIMS[module]:
        if name != "*":
            assert getattr(imported, name, None) is not None or hasattr(imported, name), name


@pytest.mark.usefixtures("host")
def test_a_missing_name_is_named_with_the_pack() -> None:
    import comfy.utils

    with loading("some-pack"), pytest.raises(AttributeError, match=r"comfy\.utils\.nothing.*'some-pack'"):
        _ = comfy.utils.nothing
    assert not hasattr(comfy.utils, "nothing")
    assert getattr(comfy.utils, "nothing", 3) == 3
    with loading("some-pack"), pytest.raises(ImportError, match=r"comfy\.utils\.nothing.*'some-pack'"):
        from comfy.utils import nothing  # noqa: F401
    with pytest.raises(ImportError, match=r"nodes\.Nothing"):
        from nodes import Nothing  # noqa: F401
    with loading("some-pack"), pytest.raises(AttributeError, match=r"io\.Nothing.*'some-pack'"):
        _ = importlib.import_module("comfy_api.latest").io.Nothing


@pytest.mark.usefixtures("host")
def test_a_missing_module_is_named_with_the_pack() -> None:
    with loading("some-pack"), pytest.raises(ModuleNotFoundError, match=r"comfy\.nowhere.*'some-pack'"):
        importlib.import_module("comfy.nowhere")


@pytest.mark.usefixtures("host")
def test_names_that_few_nodes_need_may_be_imported_and_not_used() -> None:
    from comfy.model_patcher import ModelPatcher
    from comfy.samplers import sampling_function

    class Mine(ModelPatcher):
        pass

    assert not isinstance(3, ModelPatcher)
    for use in (Mine, ModelPatcher, sampling_function):
        with pytest.raises(Exception, match=r"comfy\.(model_patcher|samplers)\.\w+' is not offered"):
            use()
    with pytest.raises(AttributeError, match="load_device"):
        _ = ModelPatcher.load_device


@pytest.mark.usefixtures("host")
def test_modules_are_modules() -> None:
    import comfy

    assert comfy.samplers.KSampler.SAMPLERS[:2] == ["euler", "euler_cfg_pp"]
    assert "karras" in comfy.samplers.SCHEDULER_NAMES
    assert "ProgressBar" in dir(importlib.import_module("comfy.utils"))
    space: dict[str, object] = {}
    exec("from comfy_execution.graph_utils import *", space)
    assert {"GraphBuilder", "is_link", "ExecutionBlocker"} <= set(space)


def test_folders_are_those_of_the_last_host(host: PackHost, tmp_path: Path) -> None:
    import folder_paths

    assert folder_paths.models_dir == str(tmp_path / "models")
    install_shims(PackHost(registry=Registry(), settings=Settings(models_dirs=(tmp_path / "other",))))
    assert folder_paths.models_dir == str(tmp_path / "other")


@pytest.mark.usefixtures("host")
def test_classes_of_comfyui_extras_are_our_nodes() -> None:
    from comfy_extras.nodes_mask import ImageCompositeMasked

    assert ImageCompositeMasked.RETURN_TYPES == ("IMAGE",)


def test_modules_load_neither_torch_nor_aiohttp_until_they_compute() -> None:
    code = (
        "import sys; from pathlib import Path; from graphcore import Registry, Settings;"
        "from nodes.packs.host import PackHost; from nodes.packs.imports import install_shims;"
        "install_shims(PackHost(registry=Registry(), settings=Settings()));"
        "import folder_paths, comfy.utils, comfy.samplers, comfy.model_management, node_helpers;"
        "from comfy_api.latest import io, ui, ComfyExtension; from server import PromptServer;"
        "from comfy.utils import ProgressBar, common_upscale; PromptServer.instance.routes;"
        "print([name for name in ('torch', 'aiohttp') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.strip() == "[]"
