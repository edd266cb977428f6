"""What works of ComfyUI's and A1111's formats, and the test that shows each of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

UI: Final = "tests/formats/ui/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing: what is done with it, and the test that shows it (empty for what is refused)."""

    name: str
    done: str
    shown_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRow:
    """One format: whether it is read and written, and the test that shows it."""

    name: str
    read: str
    written: str
    shown_by: str


FORMATS: Final[Sequence[FormatRow]] = (
    FormatRow(
        name="native workflow (JSON)",
        read="yes",
        written="`convert --to native`",
        shown_by="tests/unit/engine/test_documents.py",
    ),
    FormatRow(
        name='ComfyUI API prompt, bare or as `{"prompt": …}`',
        read="yes",
        written="`convert --to comfy-api`",
        shown_by="tests/unit/cli/test_conversion_keeps_the_meaning.py",
    ),
    FormatRow(
        name="ComfyUI UI graph, litegraph 0.4 (2023 and later)",
        read="yes",
        written="`convert --to comfy-ui`, with a layout from left to right",
        shown_by="tests/browser/test_drawn_graphs_open_in_the_editor.py",
    ),
    FormatRow(
        name="ComfyUI UI graph, schema 1.0",
        read="yes",
        written="no, editors read 0.4",
        shown_by=f"{UI}test_graphs_of_every_age_convert.py",
    ),
    FormatRow(
        name="Python script against the builder",
        read="it is a program",
        written="`convert --to python`",
        shown_by="tests/unit/cli/test_conversion_keeps_the_meaning.py",
    ),
    FormatRow(
        name="PNG with `prompt`, `workflow`, `parameters` or our own texts",
        read="yes",
        written="SaveImage, ExportImage",
        shown_by="tests/formats/test_pictures_carry_workflows.py",
    ),
    FormatRow(
        name="WebP and JPEG with EXIF texts",
        read="yes",
        written="ExportImage",
        shown_by="tests/formats/test_pictures_carry_workflows.py",
    ),
    FormatRow(
        name="A1111 `parameters`, in a picture or as text (also Forge, SD.Next, Civitai)",
        read="yes",
        written="no",
        shown_by="tests/formats/test_a1111_texts_vary.py",
    ),
    FormatRow(
        name="pictures of Fooocus, InvokeAI and NovelAI",
        read="yes, text-to-image",
        written="no",
        shown_by="tests/formats/test_pictures_of_other_programs_are_read.py",
    ),
    FormatRow(
        name="node definitions (`/object_info`), V1 and V3 shapes",
        read="`--object-info FILE or URL`",
        written="by the server",
        shown_by="tests/unit/cli/test_other_servers_define_nodes.py",
    ),
)

FEATURES: Final[Sequence[Row]] = (
    Row(
        name="links as tuples and as objects; ids as numbers and as text",
        done="read",
        shown_by=f"{UI}test_graphs_of_every_age_convert.py",
    ),
    Row(
        name="`widgets_values` as list, as object, by name; short lists take defaults",
        done="read",
        shown_by=f"{UI}test_widget_values_are_counted_by_place.py",
    ),
    Row(
        name="control after a seed, as text and as boolean (2023)",
        done="counted by place",
        shown_by=f"{UI}test_widget_values_are_counted_by_place.py",
    ),
    Row(
        name="widgets fed by links",
        done="the link wins",
        shown_by=f"{UI}test_the_prompt_is_the_editors.py",
    ),
    Row(
        name="PrimitiveNode",
        done="its value is handed to its widgets",
        shown_by=f"{UI}test_widget_values_are_counted_by_place.py",
    ),
    Row(
        name="Reroute nodes, native reroutes, Set and Get nodes",
        done="followed to the source",
        shown_by=f"{UI}test_links_are_followed_to_their_source.py",
    ),
    Row(
        name="muted and bypassed nodes",
        done="as the editor: by type, then by place",
        shown_by=f"{UI}test_links_are_followed_to_their_source.py",
    ),
    Row(
        name="Note, MarkdownNote, groups",
        done="left out",
        shown_by=f"{UI}test_graphs_of_every_age_convert.py",
    ),
    Row(
        name="subgraphs, nested, with promoted widgets, muted or bypassed",
        done="opened",
        shown_by=f"{UI}test_subgraphs_are_opened.py",
    ),
    Row(
        name="dynamic combos and growing lists of inputs (V3)",
        done="read and drawn",
        shown_by=f"{UI}test_widget_values_are_counted_by_place.py",
    ),
    Row(
        name="inputs that gather several links, as `images.image0`, `images.image1`",
        done="read and written",
        shown_by="tests/unit/engine/test_lists_grow_in_prompts.py",
    ),
    Row(
        name="renamed classes, `sample_` before samplers",
        done="renamed",
        shown_by=f"{UI}test_the_prompt_is_the_editors.py",
    ),
    Row(
        name="`{a|b}` and comments in prompts; `%date:…%` and `%Node.widget%` in file names",
        done="filled in",
        shown_by=f"{UI}test_texts_are_rewritten_as_in_the_editor.py",
    ),
    Row(
        name="classes that nobody defines",
        done="all named at once, with the pack that the file names",
        shown_by=f"{UI}test_missing_classes_are_named_at_once.py",
    ),
    Row(name="legacy group nodes (`workflow>NAME`)", done="refused, with the way out",
        shown_by=f"{UI}test_missing_classes_are_named_at_once.py"),
    Row(
        name="damaged and hostile files",
        done="one sentence, in bounded time",
        shown_by=f"{UI}test_broken_graphs_are_refused_in_a_sentence.py",
    ),
)  # fmt: skip

PACKS: Final[Sequence[Row]] = (
    Row(
        name="V1 classes: every widget option, hidden inputs, outputs and lists",
        done="loaded, described to clients",
        shown_by="tests/packs_nodes/test_declarations_are_told_to_clients.py",
    ),
    Row(
        name="V3 classes (`comfy_api` `io.ComfyNode`), dynamic and growing inputs",
        done="loaded, run",
        shown_by="tests/packs_shims/test_v3_nodes_run.py",
    ),
    Row(
        name="`VALIDATE_INPUTS`, `validate_inputs`",
        done="asked",
        shown_by="tests/packs_nodes/test_nodes_check_their_inputs.py",
    ),
    Row(
        name="`IS_CHANGED`, `fingerprint_inputs`, `NOT_IDEMPOTENT`, cache modes",
        done="as in ComfyUI",
        shown_by="tests/packs_nodes/test_results_are_reused_as_in_comfyui.py",
    ),
    Row(
        name="lazy inputs, list mapping, blockers",
        done="as in ComfyUI",
        shown_by="tests/packs_nodes/test_lists_and_blockers.py",
    ),
    Row(
        name="`expand`, loops made of expansions",
        done="as in ComfyUI",
        shown_by="tests/packs_nodes/test_nodes_expand_into_graphs.py",
    ),
    Row(
        name="`folder_paths`, `nodes`, `server`, `comfy.*`, `comfy_execution.*`, `comfy_api.*`",
        done="offered as thin modules",
        shown_by="tests/packs_shims/test_packs_import_comfyui_modules.py",
    ),
    Row(
        name="packs that fail to load",
        done="reported, the others go on",
        shown_by="tests/packs_nodes/test_packs_are_loaded_and_reported.py",
    ),
)

CLIENTS: Final[Sequence[Row]] = (
    Row(
        name="comfy-api-simplified (PyPI)",
        done="prompts, sockets, uploads, `/object_info`",
        shown_by="tests/acceptance/clients/test_python_clients_work.py",
    ),
    Row(
        name="comfyui-workflow-client (PyPI)",
        done="both its synchronous and its asynchronous client",
        shown_by="tests/acceptance/clients/test_python_clients_work.py",
    ),
    Row(
        name="@saintno/comfyui-sdk (npm)",
        done="fresh and cached runs",
        shown_by="tests/acceptance/clients/test_node_clients_work.py",
    ),
    Row(
        name="@stable-canvas/comfyui-client (npm)",
        done="listening and polling",
        shown_by="tests/acceptance/clients/test_node_clients_work.py",
    ),
    Row(
        name="ComfyUI's node editor (comfyui-frontend-package)",
        done="nodes, queue, progress, previews, errors at their nodes",
        shown_by="tests/browser/test_the_editor_works.py",
    ),
)
