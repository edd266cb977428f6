"""The families of diffusion models that are known, in the order in which a file is tried against them."""

from __future__ import annotations

from nodes.diffusion.families.family import Evidence, Family, FolderEvidence, PartPlace, Tower
from nodes.diffusion.families.known import Families
from nodes.diffusion.families.sd1 import SD1
from nodes.diffusion.families.sd2 import SD2
from nodes.diffusion.families.sd2_unclip import SD2_UNCLIP
from nodes.diffusion.families.sd3 import SD3
from nodes.diffusion.families.sdxl import SDXL, SDXL_REFINER
from nodes.diffusion.families.svd import SVD

FAMILIES = Families((SD3, SVD, SDXL_REFINER, SDXL, SD2_UNCLIP, SD2, SD1))

__all__ = ["FAMILIES", "Evidence", "Families", "Family", "FolderEvidence", "PartPlace", "Tower"]
