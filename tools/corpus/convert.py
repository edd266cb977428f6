"""Download the official ComfyUI templates, convert all of them, and report by reason.

python -m tools.corpus.convert --object-info object_info.json
python -m tools.corpus.convert --object-info http://127.0.0.1:8188/object_info --models SD1.5,SDXL --json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from graphcore.formats.definition_source import load_object_info
from graphcore.formats.ui import ObjectInfoDefinitions
from tools.corpus.releases import RELEASES, Template, fetch, templates
from tools.corpus.survey import Survey, survey

SHOWN_CLASSES = 25


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--object-info", required=True, help="a file or an address with the answer of /object_info"
    )
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "graphcore" / "templates")
    parser.add_argument(
        "--releases", default=",".join(RELEASES), help="releases of comfyui-workflow-templates"
    )
    parser.add_argument("--models", default="", help="only templates whose index names one of these models")
    parser.add_argument("--save", type=Path, help="write the templates to this folder as well")
    parser.add_argument("--offline", action="store_true", help="use what the cache holds")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    options = parser.parse_args()
    releases = options.releases.split(",")
    if not options.offline:
        fetch(releases, options.cache)
    found = templates(releases, options.cache)
    if options.models:
        wanted = set(options.models.split(","))
        found = [template for template in found if wanted & set(template.models)]
    if options.save:
        save(found, options.save)
    report = survey(found, ObjectInfoDefinitions.from_json(load_object_info(options.object_info)))
    print(json.dumps(report.as_json(), indent=1) if options.json else table(report))


def save(found: list[Template], folder: Path) -> None:
    """Write each template to a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for template in found:
        text = json.dumps(template.document)
        (folder / f"{template.name.replace(' ', '_')}.json").write_text(text, encoding="utf-8")


def table(report: Survey) -> str:
    """The report as a plain table."""
    lines = [f"{len(report.outcomes)} templates"]
    lines += [f"  {count:5}  {reason}" for reason, count in report.reasons.most_common()]
    lines.append(f"{report.returning} of the converted prompts were drawn as graphs and came back the same")
    if report.missing:
        lines.append("templates that need a missing class:")
        lines += [f"  {count:5}  {name}" for name, count in report.missing.most_common(SHOWN_CLASSES)]
        more = len(report.missing) - SHOWN_CLASSES
        lines += [f"  and {more} more classes"] if more > 0 else []
    others = [outcome for outcome in report.outcomes if outcome.message and not outcome.missing]
    lines += [f"{outcome.template.name}: {outcome.message}" for outcome in others]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
