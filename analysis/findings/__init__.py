"""The inferences from the frames of a grid: cells, comparisons, verdicts, effects, costs."""
