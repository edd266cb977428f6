"""Trains, exports and examines the small Stable Diffusion that graphcore ships."""
