"""Networks. They map (x [B, …], time [B]) to channels and know nothing of diffusion."""
