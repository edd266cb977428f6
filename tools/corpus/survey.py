"""Converts a set of workflow files and counts what came of it, by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from graphcore.errors import GraphcoreError, ValidationError
from graphcore.formats.ui import Definitions, read_ui_graph, to_api_prompt, to_ui_graph
from tools.corpus.releases import Template

CONVERTED = "converted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one template: `reason` is "converted" or the code of the error."""

    template: Template
    reason: str
    message: str = ""
    missing: tuple[str, ...] = ()
    nodes: int = 0
    returns: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All outcomes and what they add up to."""

    outcomes: Sequence[Outcome] = field(default_factory=tuple)

    @property
    def reasons(self) -> Counter[str]:
        """How many templates ended in each way."""
        return Counter(outcome.reason for outcome in self.outcomes)

    @property
    def missing(self) -> Counter[str]:
        """In how many templates each missing class is needed."""
        return Counter(name for outcome in self.outcomes for name in outcome.missing)

    @property
    def returning(self) -> int:
        """How many converted prompts were drawn and came back the same."""
        return sum(outcome.returns for outcome in self.outcomes)

    def as_json(self) -> dict[str, object]:
        """The survey as plain JSON."""
        return {
            "templates": len(self.outcomes),
            "reasons": dict(self.reasons.most_common()),
            "drawn_and_back": self.returning,
            "missing_classes": dict(self.missing.most_common()),
            "outcomes": [
                {
                    "name": outcome.template.name,
                    "release": outcome.template.release,
                    "models": list(outcome.template.models),
                    "reason": outcome.reason,
                    "message": outcome.message,
                    "missing": list(outcome.missing),
                    "nodes": outcome.nodes,
                }
                for outcome in self.outcomes
            ],
        }


def survey(templates: Iterable[Template], definitions: Definitions) -> Survey:
    """Convert every template, draw every prompt and convert it back."""
    return Survey(outcomes=tuple(_outcome(template, definitions) for template in templates))


def _outcome(template: Template, definitions: Definitions) -> Outcome:
    try:
        prompt = to_api_prompt(read_ui_graph(template.document), definitions, seed=0)
        again = to_api_prompt(read_ui_graph(to_ui_graph(prompt, definitions)), definitions, seed=0)
    except ValidationError as error:
        missing = tuple(problem.got or "" for problem in error.problems)
        return Outcome(template=template, reason=error.problems[0].code, message=str(error), missing=missing)
    except GraphcoreError as error:
        return Outcome(template=template, reason=error.code, message=error.message)
    return Outcome(template=template, reason=CONVERTED, nodes=len(prompt), returns=again == prompt)
