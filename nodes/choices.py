"""The choices of combo inputs that several nodes share: samplers, schedules, ways of resizing.

Names and their order are ComfyUI's, which people's workflows hold. What they mean is in `nodes.diffusion`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from graphcore import Range, Seed

SamplerName = Literal[
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "exp_heun_2_x0",
    "exp_heun_2_x0_sde",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
]
ScheduleName = Literal[
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
]
ImageResize = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
LatentResize = Literal["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]
Crop = Literal["disabled", "center"]
Channel = Literal["red", "green", "blue", "alpha"]
Flip = Literal["x-axis: vertically", "y-axis: horizontally"]
Rotation = Literal["none", "90 degrees", "180 degrees", "270 degrees"]

MAX_SIDE = 16384
SeedInt = Annotated[int, Range(0, 2**64 - 1), Seed()]
StepCount = Annotated[int, Range(1, 10000, role="steps")]
GuidanceScale = Annotated[float, Range(0.0, 100.0, step=0.1, round=0.01)]
Share = Annotated[float, Range(0.0, 1.0, step=0.01)]
BatchSize = Annotated[int, Range(1, 4096, role="batch")]
Offset = Annotated[int, Range(0, MAX_SIDE, step=1)]
CellOffset = Annotated[int, Range(0, MAX_SIDE, step=8)]
