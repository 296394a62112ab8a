"""A lecture's pictures, from formulas, a known mixture and cells that were trained."""
