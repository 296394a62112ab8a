"""How fast the suite is, as ratios measured in one process."""
