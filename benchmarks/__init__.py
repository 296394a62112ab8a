"""The suite's speed, as ratios measured in one process."""
