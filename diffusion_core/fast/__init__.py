"""Speed: fast forms of the networks in `diffusion_core.networks`, alone and side by side."""
