"""Fetches the official workflow templates (PyPI, MIT) and finds the workflows in their wheels.

Old releases hold their templates themselves; newer ones name the packages that do.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

PACKAGE = "comfyui-workflow-templates"
RELEASES = ("0.1.0", "0.1.30", "0.1.60", "0.1.95", "0.7.67", "0.11.97")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One workflow file; `models` is what the release's index says it uses."""

    name: str
    release: str
    document: object
    models: tuple[str, ...] = ()


def fetch(releases: Sequence[str], cache: Path) -> None:
    """Download the wheels that `cache` lacks, each release into its own folder."""
    for release in releases:
        folder = cache / release
        if not any(folder.glob("*.whl")):
            _download(f"{PACKAGE}=={release}", folder)
        for requirement in _requirements(folder):
            name = requirement.partition("=")[0]
            if not any(folder.glob(f"{name.replace('-', '_')}-*.whl")):
                _download(requirement, folder)


def templates(releases: Sequence[str], cache: Path) -> list[Template]:
    """Every template of the releases, each file name once, from the newest release that has it."""
    newest: dict[str, Template] = {}
    for release in releases:
        models: dict[str, tuple[str, ...]] = {}
        found: list[tuple[str, object]] = []
        for path, document in _documents(cache / release):
            if path.endswith("/index.json"):
                models |= _models(document)
            elif isinstance(document, Mapping) and "nodes" in document:
                found.append((path.rpartition("/")[2].removesuffix(".json"), document))
        for name, document in found:
            before = newest.get(name)
            known = models.get(name) or (before.models if before else ())
            newest[name] = Template(name=name, release=release, document=document, models=known)
    return sorted(newest.values(), key=lambda template: template.name)


def _requirements(folder: Path) -> list[str]:
    """The packages with JSON that the release's own wheel asks for: one for all, or those with the media."""
    asked: list[str] = []
    for wheel in folder.glob(f"{PACKAGE.replace('-', '_')}-[0-9]*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            headers = HeaderParser().parsestr(archive.read(metadata).decode())
        lines = headers.get_all("Requires-Dist") or []
        asked += [line.replace(" ", "") for line in lines if ";" not in line and line.startswith(PACKAGE)]
    alone = [line for line in asked if line.startswith(f"{PACKAGE}-json")]
    return alone or [line for line in asked if "-media-" in line and "-assets-" not in line]


def _download(requirement: str, folder: Path) -> None:
    """Fetch one wheel; where an index lacks the version asked for, the newest one before it."""
    folder.mkdir(parents=True, exist_ok=True)
    for wanted in (requirement, requirement.replace("==", "<=")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
        done = subprocess.run([*command, wanted, "--dest", str(folder)], capture_output=True, check=False)
        if done.returncode == 0:
            return
    raise SystemExit(f"{requirement} cannot be downloaded: {done.stderr.decode()[-400:]}")


def _documents(folder: Path) -> Iterator[tuple[str, object]]:
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if re.search(r"/templates/[^/]+\.json$", name):
                    yield name, json.loads(archive.read(name))


def _models(index: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(index, list):
        return {}
    entries = [entry for category in index for entry in category.get("templates", [])]
    return {entry["name"]: tuple(entry.get("models") or ()) for entry in entries}
