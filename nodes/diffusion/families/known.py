"""A set of families, asked in order: what a file or a folder is of."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points

from graphcore.errors import DeclarationError
from nodes.diffusion.families.family import Evidence, Family, FolderEvidence

ENTRY_POINT_GROUP = "graphcore.families"


@dataclass(frozen=True, slots=True)
class Families:
    """Families in the order in which they are asked; the special before the general."""

    members: tuple[Family, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all, in order."""
        return tuple(family.name for family in self.members)

    @property
    def titles(self) -> str:
        """The titles of all, for messages."""
        return ", ".join(family.title for family in self.members)

    def named(self, name: object) -> Family | None:
        """The family of that name, or None."""
        return next((family for family in self.members if family.name == name), None)

    def __getitem__(self, name: str) -> Family:
        found = self.named(name)
        if found is None:
            raise KeyError(name)
        return found

    def of_file(self, evidence: Evidence) -> Family | None:
        """The first family that recognises a single file."""
        return next((family for family in self.members if family.recognises(evidence)), None)

    def of_folder(self, evidence: FolderEvidence) -> Family | None:
        """The first family that recognises a folder."""
        return next((family for family in self.members if family.fits_folder(evidence)), None)

    def before(self, *families: Family) -> Families:
        """These families, with others that are asked first; one of the same name takes the place of ours."""
        names = {family.name for family in families}
        return Families((*families, *(family for family in self.members if family.name not in names)))

    def with_installed(self) -> Families:
        """These families, after those that installed packages bring along (entry points `graphcore.families`).

        Raises DeclarationError for an entry point that is no Family.
        """
        found = []
        for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
            family = entry.load()
            if not isinstance(family, Family):
                raise DeclarationError(f"The entry point '{entry.name}' of {ENTRY_POINT_GROUP} is no Family.")
            found.append(family)
        return self.before(*found)
