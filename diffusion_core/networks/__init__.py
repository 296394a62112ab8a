"""Networks: modules that map (x [B, …], time [B]) to channels and know nothing of diffusion."""
