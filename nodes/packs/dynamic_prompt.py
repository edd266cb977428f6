"""The prompt of a run as packs see it: what was sent, and the nodes that were expanded since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphcore.context import Context
from graphcore.formats.comfy_api import write_prompt
from graphcore.workflow import Workflow


class NodeNotFoundError(KeyError):
    """The prompt has no node of this id."""


class DynamicPrompt:
    """What a hidden input DYNPROMPT holds: nodes by id, and where expanded ones came from and are shown."""

    def __init__(self, original_prompt: dict[str, Any]) -> None:
        self.original_prompt = original_prompt
        self.ephemeral_prompt: dict[str, Any] = {}
        self.ephemeral_parents: dict[str, str] = {}
        self.ephemeral_display: dict[str, str] = {}

    def get_node(self, node_id: str) -> Any:
        """A node as the prompt writes it; raises NodeNotFoundError."""
        for prompt in (self.ephemeral_prompt, self.original_prompt):
            if node_id in prompt:
                return prompt[node_id]
        raise NodeNotFoundError(f"Node {node_id} not found")

    def has_node(self, node_id: str) -> bool:
        """True if there is a node of this id."""
        return node_id in self.original_prompt or node_id in self.ephemeral_prompt

    def add_ephemeral_node(self, node_id: str, node_info: Any, parent_id: str, display_id: str) -> None:
        """Add a node that was expanded from another."""
        self.ephemeral_prompt[node_id] = node_info
        self.ephemeral_parents[node_id] = parent_id
        self.ephemeral_display[node_id] = display_id

    def get_real_node_id(self, node_id: str) -> str:
        """The node of the original prompt that this one was expanded from."""
        while node_id in self.ephemeral_parents:
            node_id = self.ephemeral_parents[node_id]
        return node_id

    def get_parent_node_id(self, node_id: str) -> str | None:
        """The node that this one was expanded from, or None."""
        return self.ephemeral_parents.get(node_id)

    def get_display_node_id(self, node_id: str) -> str:
        """The node that this one is shown as."""
        while node_id in self.ephemeral_display:
            node_id = self.ephemeral_display[node_id]
        return node_id

    def all_node_ids(self) -> set[str]:
        """The ids of all nodes."""
        return {*self.original_prompt, *self.ephemeral_prompt}

    def get_original_prompt(self) -> dict[str, Any]:
        """The prompt as it was sent."""
        return self.original_prompt


@dataclass(frozen=True, slots=True)
class Hidden:
    """The value of a hidden input."""

    value: Any


@dataclass(slots=True, eq=False)
class RunState:
    """What the packs' nodes of one run share."""

    prompt: DynamicPrompt

    def hidden(self, kind: str, context: Context) -> Hidden | None:
        """The value of a hidden input of this kind; None for a kind that is none."""
        match kind:
            case "UNIQUE_ID":
                return Hidden(context.node_id)
            case "PROMPT":
                return Hidden(self.prompt.get_original_prompt())
            case "DYNPROMPT":
                return Hidden(self.prompt)
            case "EXTRA_PNGINFO":
                return Hidden(dict(context.metadata) or None)
            case "AUTH_TOKEN_COMFY_ORG" | "API_KEY_COMFY_ORG":
                return Hidden(None)
            case _:
                return None


def run_state(context: Context) -> RunState:
    """What the packs' nodes of this context's run share."""
    return context.run_part(RunState, lambda: RunState(DynamicPrompt(_prompt_of(context))))


def _prompt_of(context: Context) -> dict[str, Any]:
    document = context.document
    if not isinstance(document, Workflow) or context.registry is None:
        return {}
    prompt: Mapping[str, Any] = write_prompt(document, context.registry)
    return {node_id: dict(entry) for node_id, entry in prompt.items()}
