"""Node classes that live in the editor alone and never reach a prompt."""

from __future__ import annotations

PRIMITIVE = "PrimitiveNode"
REROUTES = frozenset({"Reroute", "Reroute (rgthree)"})
NOTES = frozenset({"Note", "MarkdownNote", "Label (rgthree)", "Bookmark (rgthree)"})
SETTERS = frozenset({"SetNode", "easy setNode"})
GETTERS = frozenset({"GetNode", "easy getNode"})
MODE_SWITCHES = frozenset(
    {
        "Fast Groups Muter (rgthree)",
        "Fast Groups Bypasser (rgthree)",
        "Fast Muter (rgthree)",
        "Fast Bypasser (rgthree)",
        "Mute / Bypass Relay (rgthree)",
        "Mute / Bypass Repeater (rgthree)",
        "Fast Actions Button (rgthree)",
        "Node Collector (rgthree)",
    }
)
VIRTUAL = frozenset({PRIMITIVE}) | REROUTES | NOTES | SETTERS | GETTERS | MODE_SWITCHES
GROUP_PREFIXES = ("workflow>", "workflow/")


def is_virtual(class_type: str) -> bool:
    """Whether the editor resolves this class itself."""
    return class_type in VIRTUAL


def is_group_node(class_type: str) -> bool:
    """Whether this is an instance of a legacy group node."""
    return class_type.startswith(GROUP_PREFIXES)
