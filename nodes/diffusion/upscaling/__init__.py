"""Networks that enlarge or mend pictures: one file an architecture, known by the tensors of its files.

`registry.ARCHITECTURES` lists them; nodes.diffusion.upscalers opens files and computes.
"""
