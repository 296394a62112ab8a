"""What the frames of a grid say: cells, comparisons, verdicts, effects, costs."""
