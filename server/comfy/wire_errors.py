"""Our problems with a prompt as ComfyUI's clients know them: type, message, details, extra_info."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphcore.errors import Problem
from graphcore.files import Files
from graphcore.formats.object_info import input_info
from graphcore.registry import Registry
from graphcore.spec import InputSpec, NodeSpec

_LISTED: Final = 20
_CONVERSIONS: Final[Mapping[str, Callable[[Any], object]]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}
WireError = dict[str, Any]


def whole_error(kind: str, message: str, details: str = "", **extra: Any) -> WireError:
    """An error in ComfyUI's shape."""
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


def no_prompt() -> WireError:
    """A request without a prompt."""
    return whole_error("no_prompt", "No prompt provided", "No prompt provided")


def not_a_prompt() -> WireError:
    """A graph of the editor where a prompt is wanted."""
    return whole_error(
        "invalid_prompt",
        "This is a graph as the editor saves it, not a prompt: export it there with 'Export (API)', or convert it "
        "with `graphcore convert --to comfy-api`; POST /api/v1/runs takes it as it is.",
        "The prompt has a list of nodes where nodes by id are wanted",
    )


def no_outputs() -> WireError:
    """A prompt in which nothing leads out."""
    return whole_error("prompt_no_outputs", "Prompt has no outputs")


def invalid_prompt(sentence: str, node: str) -> WireError:
    """A prompt with a node that is none, as the sentence says."""
    return whole_error("invalid_prompt", sentence, f"Node ID '#{node}'")


def failed_outputs(details: str) -> WireError:
    """A prompt none of whose outputs can be run."""
    return whole_error("prompt_outputs_failed_validation", "Prompt outputs failed validation", details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """A problem, where it is: the node's type, the input as declared, the value as it was sent."""

    problem: Problem
    spec: NodeSpec
    declared: InputSpec | None
    value: Any
    files: Files | None

    @property
    def name(self) -> str:
        """The input's name; empty if the problem is the node's own."""
        return self.problem.input or ""

    @property
    def info(self) -> dict[str, Any]:
        """What most errors have as their extra_info."""
        config = input_info(self.declared, self.files) if self.declared is not None else None
        return {"input_name": self.name, "input_config": config, "received_value": self.value}


def wire_errors(
    problem: Problem, entry: Mapping[str, Any], registry: Registry, files: Files | None
) -> list[WireError]:
    """The errors that a problem of a node is told as. `entry` is the node as it was sent."""
    spec = registry.get(str(entry.get("class_type", "")))
    if spec is None:
        return [whole_error("custom_validation_failed", "Custom validation failed for node", problem.message)]
    inputs = entry.get("inputs")
    value = inputs.get(problem.input) if isinstance(inputs, Mapping) and problem.input is not None else None
    if isinstance(value, Mapping) and "__value__" in value:
        value = value["__value__"]
    declared = spec.input(problem.input) if problem.input is not None else None
    faulty = Faulty(problem=problem, spec=spec, declared=declared, value=value, files=files)
    return _TELLERS.get(problem.code, _custom)(faulty)


def _missing(faulty: Faulty) -> list[WireError]:
    return [
        whole_error(
            "required_input_missing", "Required input is missing", faulty.name, input_name=faulty.name
        )
    ]


def _bad_link(faulty: Faulty) -> list[WireError]:
    message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
    return [whole_error("bad_linked_input", message, faulty.name, **faulty.info)]


def _lost_link(faulty: Faulty) -> list[WireError]:
    """A link that leads nowhere; ComfyUI answers with an exception, we with the node and the reason."""
    message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
    return [
        whole_error("bad_linked_input", message, f"{faulty.name} - {faulty.problem.message}", **faulty.info)
    ]


def _mismatch(faulty: Faulty) -> list[WireError]:
    problem, info = faulty.problem, faulty.info
    details = f"{faulty.name}, received_type({problem.got}) mismatch input_type({problem.expected})"
    extra = {
        "input_name": faulty.name,
        "input_config": info["input_config"],
        "received_type": problem.got,
        "linked_node": faulty.value,
    }
    return [
        whole_error("return_type_mismatch", "Return type mismatch between linked nodes", details, **extra)
    ]


def _wrong_type(faulty: Faulty) -> list[WireError]:
    declared = faulty.declared
    if declared is not None and (declared.choices is not None or declared.file is not None):
        return _no_choice(faulty)
    kind = declared.type.name if declared is not None else str(faulty.problem.expected)
    reason = _conversion_error(kind, faulty)
    message = f"Failed to convert an input value to a {kind} value"
    details = f"{faulty.name}, {faulty.value}, {reason}"
    return [whole_error("invalid_input_type", message, details, **faulty.info, exception_message=reason)]


def _conversion_error(kind: str, faulty: Faulty) -> str:
    convert = _CONVERSIONS.get(kind)
    if convert is not None:
        try:
            convert(faulty.value)
        except (TypeError, ValueError, OverflowError) as error:
            return str(error)
    return faulty.problem.message


def _too_small(faulty: Faulty) -> list[WireError]:
    bound = faulty.declared.range.minimum if faulty.declared is not None and faulty.declared.range else None
    message = f"Value {faulty.problem.got} smaller than min of {bound}"
    return [whole_error("value_smaller_than_min", message, faulty.name, **faulty.info)]


def _too_large(faulty: Faulty) -> list[WireError]:
    bound = faulty.declared.range.maximum if faulty.declared is not None and faulty.declared.range else None
    message = f"Value {faulty.problem.got} bigger than max of {bound}"
    return [whole_error("value_bigger_than_max", message, faulty.name, **faulty.info)]


def _no_choice(faulty: Faulty) -> list[WireError]:
    info = faulty.info
    choices: Sequence[Any] = info["input_config"][0] if info["input_config"] is not None else ()
    if faulty.declared is not None and faulty.declared.choices is not None:
        choices = faulty.declared.choices
    elif not isinstance(choices, (list, tuple)):
        choices = ()
    listed = str(list(choices))
    if len(choices) > _LISTED:
        listed, info["input_config"] = f"(list of length {len(choices)})", None
    details = f"{faulty.name}: '{faulty.value}' not in {listed}"
    return [whole_error("value_not_in_list", "Value not in list", details, **info)]


def _custom(faulty: Faulty) -> list[WireError]:
    check = faulty.spec.check
    names: Sequence[str] = [faulty.name] if faulty.name else []
    if faulty.problem.code == "bad-combination" and check is not None:
        names = faulty.spec.named_by(check)
    message = "Custom validation failed for node"
    if not names:
        return [whole_error("custom_validation_failed", message, faulty.problem.message)]
    return [
        whole_error(
            "custom_validation_failed", message, f"{name} - {faulty.problem.message}", input_name=name
        )
        for name in names
    ]


def _refused(faulty: Faulty) -> list[WireError]:
    """The check of a pack's node has refused an input, with a text or without."""
    reason = faulty.problem.got
    details = faulty.name if reason is None else f"{faulty.name} - {reason}"
    return [
        whole_error(
            "custom_validation_failed", "Custom validation failed for node", details, input_name=faulty.name
        )
    ]


def _check_failed(faulty: Faulty) -> list[WireError]:
    kind, _, text = (faulty.problem.got or "").partition(": ")
    return [
        whole_error(
            "exception_during_validation",
            "Exception when validating node",
            text or kind,
            exception_type=kind,
            traceback=[],
        )
    ]


def _cycle(faulty: Faulty) -> list[WireError]:
    return [whole_error("dependency_cycle", "Dependency cycle detected", faulty.problem.message)]


_TELLERS: Final[Mapping[str, Callable[[Faulty], list[WireError]]]] = {
    "missing-input": _missing,
    "bad-link": _bad_link,
    "needs-link": _bad_link,
    "self-link": _lost_link,
    "unknown-link-node": _lost_link,
    "unknown-link-output": _lost_link,
    "link-type-mismatch": _mismatch,
    "wrong-type": _wrong_type,
    "integer-too-large": _wrong_type,
    "not-finite": _wrong_type,
    "value-too-small": _too_small,
    "value-too-large": _too_large,
    "not-a-choice": _no_choice,
    "file-not-found": _no_choice,
    "cycle": _cycle,
    "refused-by-node": _refused,
    "node-check-failed": _check_failed,
}
