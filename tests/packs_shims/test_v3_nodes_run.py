"""Nodes that are written against comfy_api run as they do in ComfyUI."""

from __future__ import annotations

import pytest
from PIL import Image

from graphcore import ValidationError
from graphcore.events import NodeBlocked, NodeFinished, NodeProgress, NodeStarted
from tests.packs_shims.loaded import PICTURE, Loaded, node


def test_inputs_and_outputs_are_tensors_and_numbers(advanced: Loaded) -> None:
    nodes = {"picture": PICTURE, "bright": node("V3Brighten", image=["picture", 0], strength=2.0)}
    assert float(advanced.text("bright", 1, **nodes)) == pytest.approx(2 * 0x40 / 255)


def test_our_nodes_take_what_a_packs_node_gives(advanced: Loaded) -> None:
    bright = node("V3Brighten", image=["picture", 0], strength=2.0)
    shown = advanced.show(picture=PICTURE, bright=bright, saved=node("SaveImage", images=["bright", 0]))
    (saved,) = shown.files("saved")
    with Image.open(advanced.settings.output_dir / saved["filename"]) as picture:
        assert picture.getpixel((0, 0)) == (0x80, 0x80, 0x80)


def test_every_widget_arrives(advanced: Loaded) -> None:
    widgets = node(
        "V3Widgets",
        seed=3,
        text="hi",
        on=False,
        blend="screen",
        file="a.png",
        tags={"__value__": ["red", "blue"]},
        colour="#112233",
        number=2.5,
    )
    assert advanced.text("w", 0, w=widgets) == "3 hi False screen a.png red+blue #112233 2.5 #w"


def test_inputs_that_grow_arrive_in_their_order(advanced: Loaded) -> None:
    second = {**PICTURE, "inputs": {**PICTURE["inputs"], "color": 0xFF0000}}
    grown = node("V3Grow", images__image1=["b", 0], images__image0=["a", 0], images__image2=["a", 0])
    shown = advanced.show(a=PICTURE, b=second, grown=grown, saved=node("SaveImage", images=["grown", 0]))
    colours = []
    for saved in shown.files("saved"):
        with Image.open(advanced.settings.output_dir / saved["filename"]) as picture:
            colours.append(picture.getpixel((0, 0)))
    assert colours == [(0x40,) * 3, (0xFF, 0, 0), (0x40,) * 3]


def test_inputs_that_grow_by_name(advanced: Loaded) -> None:
    names = node("V3Names", values__blue=2, values__red=1.5)
    assert advanced.text("n", 0, n=names) == "red=1.5, blue=2.0"


def test_too_few_inputs_are_an_error_that_names_the_missing_one(advanced: Loaded) -> None:
    grown = node("V3Grow", images__image0=["a", 0])
    with pytest.raises(ValidationError, match=r"images\.image1' is missing"):
        advanced.show(a=PICTURE, grown=grown, saved=node("V3Show", images=["grown", 0]))


def test_a_choice_brings_its_inputs(advanced: Loaded) -> None:
    mode = node("V3Mode", mode="size", mode__width=64, mode__height=32)
    assert advanced.text("m", 0, m=mode) == "{'mode': 'size', 'width': 64, 'height': 32}"
    inner = node("V3Mode", mode="nested", mode__inner="one", mode__inner__x=2.5)
    assert advanced.text("m", 0, m=inner) == "{'mode': 'nested', 'inner': {'inner': 'one', 'x': 2.5}}"


def test_inputs_of_a_choice_are_checked(advanced: Loaded) -> None:
    with pytest.raises(ValidationError, match=r"'mode\.width' is 0, and its minimum is 1"):
        advanced.text("m", 0, m=node("V3Mode", mode="size", mode__width=0, mode__height=32))
    with pytest.raises(ValidationError, match="'nothing' is no choice of 'mode'; known: size, nested"):
        advanced.text("m", 0, m=node("V3Mode", mode="nothing"))


def test_inputs_that_a_choice_needs_are_missed(advanced: Loaded) -> None:
    with pytest.raises(ValidationError, match=r"'mode\.height' is missing"):
        advanced.text("m", 0, m=node("V3Mode", mode="size", mode__width=8))
    with pytest.raises(ValidationError, match="'mode' is missing"):
        advanced.text("m", 0, m=node("V3Mode"))
    with pytest.raises(ValidationError, match=r"'mode\.inner\.x' is missing"):
        advanced.text("m", 0, m=node("V3Mode", mode="nested", mode__inner="one"))
    assert "'none'" in advanced.text("m", 0, m=node("V3Mode", mode="nested", mode__inner="none"))


def test_only_the_lazy_input_that_is_asked_for_is_computed(advanced: Loaded) -> None:
    switch = node("V3Switch", switch=True, on_true=["yes", 0], on_false=["no", 0])
    shown = advanced.show(
        yes=PICTURE,
        no=node("EmptyImage", width=16, height=16, batch_size=1, color=0),
        switch=switch,
        saved=node("SaveImage", images=["switch", 0]),
    )
    started = {event.node for event in shown.events if isinstance(event, NodeStarted)}
    assert started == {"yes", "switch", "saved"}


def test_a_node_may_put_a_graph_in_its_place(advanced: Loaded) -> None:
    expand = node("V3Expand", image=["a", 0], times=2)
    shown = advanced.show(a=PICTURE, expand=expand, saved=node("SaveImage", images=["expand", 0]))
    (saved,) = shown.files("saved")
    with Image.open(advanced.settings.output_dir / saved["filename"]) as picture:
        assert picture.getpixel((0, 0)) == (0xFF, 0xFF, 0xFF)


def test_a_node_may_block_what_follows(advanced: Loaded) -> None:
    gate = node("V3Gate", allow=False, image=["a", 0])
    shown = advanced.show(a=PICTURE, gate=gate, saved=node("V3Show", images=["gate", 0]))
    assert [event.message for event in shown.events if isinstance(event, NodeBlocked)] == [
        "the gate is closed"
    ]
    assert shown.by_node["saved"] == ()


def test_async_nodes_are_awaited_and_progress_is_told(advanced: Loaded) -> None:
    assert advanced.text("w", 0, w=node("V3Waits", text="x")) == "awaited x"
    shown = advanced.show(s=node("V3Steps", steps=2), shown=node("PreviewAny", source=["s", 0]))
    told = [(event.done, event.total) for event in shown.events if isinstance(event, NodeProgress)]
    assert told == [(1, 2), (2, 2)]


def test_a_node_checks_its_inputs(advanced: Loaded) -> None:
    with pytest.raises(ValidationError, match="the width must be a multiple of 8"):
        advanced.show(c=node("V3Checked", width=513, prompt="x"))


def test_a_hidden_input_does_not_take_the_place_of_one_of_its_name(advanced: Loaded) -> None:
    shown = advanced.show(c=node("V3Checked", width=512, prompt="a text"))
    assert shown.text("c") == "a text"


def test_a_fingerprint_lets_results_be_used_again(advanced: Loaded) -> None:
    nodes = {"c": node("V3Checked", width=512, prompt="x"), "s": node("PreviewAny", source=["c", 0])}
    first, second = advanced.show(**nodes), advanced.show(**nodes)
    assert first.text("s") == second.text("s")
    finished = [event for event in second.events if isinstance(event, NodeFinished) and event.node == "c"]
    assert [event.cached for event in finished] == [True]


def test_lists_arrive_whole_and_fan_out(advanced: Loaded) -> None:
    assert advanced.text("l", 0, l=node("V3Lists", number=3, factor=2)) == "6"
    assert advanced.text("l", 1, l=node("V3Lists", number=3, factor=2)) == "3"


def test_a_node_may_take_inputs_that_it_does_not_list(advanced: Loaded) -> None:
    assert advanced.text("o", 0, o=node("V3Open", mode="a", x=3, y="z")) == "a ['x', 'y']"


def test_types_of_a_packs_own_travel(advanced: Loaded) -> None:
    use = node("V3Use", recipe=["m", 0], ingredient=["m", 1], anything=["m", 0])
    assert advanced.text("u", 0, m=node("V3Make", name="pie"), u=use) == "pie pie dict"


@pytest.mark.parametrize(("kind", "suffix"), [("png", ".png"), ("apng", ".png"), ("webp", ".webp")])
def test_pictures_are_saved_with_the_prompt(advanced: Loaded, kind: str, suffix: str) -> None:
    white = {**PICTURE, "inputs": {**PICTURE["inputs"], "color": 0xFFFFFF}}
    two = node("V3Grow", images__image0=["a", 0], images__image1=["b", 0])
    shown = advanced.show(a=PICTURE, b=white, two=two, saved=node("V3Save", images=["two", 0], as_file=kind))
    files = shown.files("saved")
    assert len(files) == (2 if kind == "png" else 1)
    assert {(file["subfolder"], file["type"]) for file in files} == {("v3", "output")}
    assert all(file["filename"].endswith(suffix) for file in files)
    path = advanced.settings.output_dir / "v3" / files[0]["filename"]
    with Image.open(path) as picture:
        assert getattr(picture, "n_frames", 1) == (1 if kind == "png" else 2)
        told = picture.info.get("prompt") or str(picture.getexif().get(0x0110))
    assert "V3Save" in told


def test_previews_are_shown_from_the_temporary_folder(advanced: Loaded) -> None:
    shown = advanced.show(a=PICTURE, seen=node("V3Show", images=["a", 0]))
    (file,) = shown.files("seen")
    assert file["type"] == "temp"
    assert (advanced.settings.output_dir.parent / "temp" / file["filename"]).is_file()


@pytest.mark.parametrize(
    ("kind", "start"),
    [("wav", b"RIFF"), ("preview", b"RIFF"), ("flac", b"fLaC"), ("mp3", b"ID3"), ("opus", b"OggS")],
)
def test_sound_is_saved(advanced: Loaded, kind: str, start: bytes) -> None:
    if kind in ("flac", "mp3", "opus"):
        pytest.importorskip("av")
    shown = advanced.show(s=node("V3Sound", format=kind))
    (file,) = shown.files("s", "audio")
    folder = advanced.settings.output_dir
    path = (folder if kind != "preview" else folder.parent / "temp") / file["filename"]
    assert path.read_bytes().startswith(start)
    assert file["type"] == ("temp" if kind == "preview" else "output")
